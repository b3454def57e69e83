"""Where the numbers of a SITELLE HDF5 cube lie, whichever of its three layouts it has.

New: dataset ``data`` (x, y, z). Legacy: groups ``quad000`` ... with dataset ``data``, a square
number of blocks of (x, y, z), the last of a row or column taking the remainder. Older: groups
``frame00000`` ..., one image (x, y) for every channel.

Source: the ORB data model (Martin, Drissen & Prunet 2021, MNRAS 505, 5514).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np

from nebulines.errors import InputError

QUADRANT = "quad{:03d}"
FRAME = "frame{:05d}"


@dataclass(frozen=True)
class Layout:
    """How a cube is stored.

    Attributes:
        name: ``new``, ``legacy`` or ``frames``.
        shape: (dimx, dimy, dimz).
        quadrants: number of blocks of the legacy layout.
    """

    name: str
    shape: tuple[int, int, int]
    quadrants: int = 0

    def read(self, file: Any, x: slice, y: slice) -> np.ndarray:
        """The spectra of a rectangle: (x, y, z) as stored; nothing else is read.

        Args:
            file: the open h5py file.
            x, y: slices with bounds and step 1.
        """
        if self.name == "new":
            return file["data"][x, y, :]
        if self.name == "frames":
            frames = (file[FRAME.format(k)]["data"][x, y] for k in range(self.shape[2]))
            return np.stack(list(frames), axis=-1)
        return self._read_quadrants(file, x, y)

    def _read_quadrants(self, file: Any, x: slice, y: slice) -> np.ndarray:
        parts: dict[tuple[int, int], np.ndarray] = {}
        for number, (qx, qy) in enumerate(quadrant_slices(self.shape, self.quadrants)):
            xs, ys = _overlap(x, qx), _overlap(y, qy)
            if xs is not None and ys is not None:
                data = file[QUADRANT.format(number)]["data"]
                inner = _shift(xs, -qx.start), _shift(ys, -qy.start)
                parts[(xs.start, ys.start)] = data[inner[0], inner[1], :]
        kinds = [part.dtype for part in parts.values()]
        shape = (x.stop - x.start, y.stop - y.start, self.shape[2])
        whole = np.empty(shape, np.result_type(*kinds) if kinds else np.float32)
        for (x0, y0), part in parts.items():
            x0, y0 = x0 - x.start, y0 - y.start
            whole[x0 : x0 + part.shape[0], y0 : y0 + part.shape[1]] = part
        return whole


def find_layout(file: Any, parameters: dict[str, Any]) -> Layout | None:
    """The layout of an open file, or None when it is no SITELLE cube.

    Raises:
        InputError: the layout is there but incomplete.
    """
    if "data" in file and getattr(file["data"], "ndim", 0) == 3:
        return Layout("new", tuple(int(n) for n in file["data"].shape))  # type: ignore[arg-type]
    if QUADRANT.format(0) in file:
        n = int(parameters.get("quad_nb") or sum(key.startswith("quad") for key in file))
        shape = _legacy_shape(file, parameters)
        layout = Layout("legacy", shape, n)
        _check_quadrants(file, layout)
        return layout
    if FRAME.format(0) in file:
        n = int(parameters.get("dimz") or sum(key.startswith("frame") for key in file))
        missing = [k for k in range(n) if FRAME.format(k) not in file]
        if missing:
            raise InputError(f"{len(missing)} of {n} frames are missing: the cube is incomplete")
        first = file[FRAME.format(0)]["data"].shape
        return Layout("frames", (int(first[0]), int(first[1]), n))
    return None


def quadrant_slices(shape: tuple[int, int, int], n: int) -> Iterator[tuple[slice, slice]]:
    """The rectangle (x, y) of every quadrant in turn: quadrant q stands in column q mod d and
    row q div d, d = sqrt(n); each is dim div d wide, the last one takes the remainder.

    Example:
        >>> list(quadrant_slices((5, 4, 1), 4))[1]
        (slice(2, 5, None), slice(0, 2, None))
    """
    d = isqrt(n)
    if d * d != n or d < 1:
        raise InputError(f"a cube has a square number of quadrants, not {n}")
    for q in range(n):
        yield _part(shape[0], d, q % d), _part(shape[1], d, q // d)


def _part(size: int, d: int, i: int) -> slice:
    step = size // d
    return slice(i * step, size if i == d - 1 else (i + 1) * step)


def _legacy_shape(file: Any, parameters: dict[str, Any]) -> tuple[int, int, int]:
    dims = [parameters.get(key) for key in ("dimx", "dimy", "dimz")]
    if any(dim is None for dim in dims):
        raise InputError("a legacy SITELLE cube needs the attributes dimx, dimy and dimz")
    return int(dims[0]), int(dims[1]), int(dims[2])  # type: ignore[arg-type]


def _check_quadrants(file: Any, layout: Layout) -> None:
    for q, (x, y) in enumerate(quadrant_slices(layout.shape, layout.quadrants)):
        name = QUADRANT.format(q)
        expected = (x.stop - x.start, y.stop - y.start, layout.shape[2])
        found = file[name]["data"].shape if name in file and "data" in file[name] else None
        if found != expected:
            raise InputError(
                f"quadrant {name} should have shape {expected}, found {found}: "
                "the cube is incomplete; fetch or write it again"
            )


def _overlap(a: slice, b: slice) -> slice | None:
    start, stop = max(a.start, b.start), min(a.stop, b.stop)
    return slice(start, stop) if start < stop else None


def _shift(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)
