"""Arrays as text inside a page: whole numbers, deflated, base64.

A real array is stored as int16 q with x = offset + scale q, or x = unit sinh(offset + scale q) for
quantities that span decades and change sign; -32768 stands for a missing value. The bytes of
16-bit numbers are stored in two planes (all high bytes, then all low ones), which deflates better.
``web/arrays.js`` is the reader in a browser, `unpack` the one in Python.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import InputError

MISSING = -32768
"""Stored in place of NaN."""
_LARGEST = 32767
_TYPES = ("u1", "i2", "i4", "f4")


class Packed(NamedTuple):
    """One array, ready for a page.

    Attributes:
        spec: type, shape, scale and offset, for the page's JSON.
        text: base64 of the deflated bytes.
    """

    spec: dict[str, Any]
    text: str


def quantise(
    values: Any, *, asinh: bool = False, step: float | None = None, unit: float = 1.0
) -> Packed:
    """Real numbers as int16.

    Args:
        values: array; NaN and infinity become missing.
        asinh: store asinh of the values over ``unit``.
        step: distance of stored numbers [unit of the values, or of their asinh]; None = the
            range over 65 000.
        unit: where an asinh scale turns from linear to logarithmic.

    Returns:
        `Packed`; the largest error is half of its ``scale``.

    Raises:
        InputError: ``step`` is too fine for the range.

    Example:
        >>> packed = quantise([0.0, 1.0, np.nan])
        >>> unpack(packed).round(4).tolist()
        [0.0, 1.0, nan]
    """
    values = np.asarray(values, float)
    finite = np.isfinite(values)
    scaled = np.where(finite, values, 0.0)
    scaled = np.arcsinh(scaled / unit) if asinh else scaled
    low, high = (scaled[finite].min(), scaled[finite].max()) if finite.any() else (0.0, 0.0)
    scale = step or max((high - low) / 65_000, 1e-30)
    offset = 0.5 * (low + high)
    numbers = np.rint((scaled - offset) / scale)
    if np.abs(numbers[finite]).max(initial=0) > _LARGEST:
        raise InputError(f"a range of {high - low:.3g} is too wide for steps of {scale:.3g}")
    stored = np.where(finite, numbers, MISSING).astype(np.int16)
    spec = {"scale": float(scale), "offset": float(offset), "asinh": asinh, "unit": float(unit)}
    return pack(stored)._replace(spec={**pack(stored).spec, **spec})


def quantise_rows(values: Any, step: Any) -> tuple[Packed, np.ndarray, np.ndarray]:
    """Spectra as int16 steps from their middle, each row with a step of its own, and every
    number as its difference from the one before, which deflates better.

    Args:
        values: (n, m); NaN becomes missing.
        step: (n,) wanted distance of stored numbers; coarser where a row's range asks for it.

    Returns:
        `Packed`, and offset and scale (n,) float32 of the rows.

    Example:
        >>> packed, offset, scale = quantise_rows([[1.0, 2.0, np.nan]], [0.5])
        >>> unpack_rows(packed, offset, scale).tolist()
        [[1.0, 2.0, nan]]
    """
    values = np.asarray(values, float)
    finite = np.isfinite(values)
    low = np.where(finite, values, np.inf).min(axis=1, initial=np.inf)
    high = np.where(finite, values, -np.inf).max(axis=1, initial=-np.inf)
    empty = ~finite.any(axis=1)
    low, high = np.where(empty, 0.0, low), np.where(empty, 0.0, high)
    widest = np.maximum((high - low) / 65_000, 1e-30)
    usable = np.isfinite(step) & (np.asarray(step) > 0)
    scale = np.maximum(np.where(usable, step, widest), widest).astype(np.float32)
    offset = (0.5 * (low + high)).astype(np.float32)
    numbers = np.rint((np.where(finite, values, 0.0) - offset[:, None]) / scale[:, None])
    stored = np.where(finite, numbers, MISSING).astype(np.int16)
    change = np.diff(stored, axis=1, prepend=np.int16(0))  # wraps, as its sum does again
    packed = pack(change)
    return packed._replace(spec={**packed.spec, "rows": True}), offset, scale


def unpack_rows(packed: Packed, offset: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The spectra (n, m) of `quantise_rows`, float64."""
    stored = np.cumsum(unpack(packed), axis=1, dtype=np.int16)
    real = np.asarray(offset, float)[:, None] + np.asarray(scale, float)[:, None] * stored
    return np.where(stored == MISSING, np.nan, real)


def pack(values: Any) -> Packed:
    """Numbers as they are: uint8, int16, int32 or float32.

    Raises:
        InputError: another type.

    Example:
        >>> unpack(pack(np.arange(3, dtype=np.int32))).tolist()
        [0, 1, 2]
    """
    values = np.ascontiguousarray(values)
    kind = values.dtype.str[1:]
    if kind not in _TYPES:
        raise InputError(f"a page stores {', '.join(_TYPES)}, not {values.dtype}")
    little = values.astype(values.dtype.newbyteorder("<"))
    planes = np.frombuffer(little.tobytes(), np.uint8).reshape(-1, values.dtype.itemsize)
    content = zlib.compress(np.ascontiguousarray(planes.T).tobytes(), 6)
    spec = {"type": kind, "shape": list(values.shape)}
    return Packed(spec, base64.b64encode(content).decode("ascii"))


def unpack(packed: Packed) -> np.ndarray:
    """The array again: float64 with NaN where it was quantised, else as it was.

    Raises:
        InputError: the text is damaged.
    """
    spec, text = packed
    kind = np.dtype(f"<{spec['type']}")
    try:
        content = zlib.decompress(base64.b64decode(text, validate=True))
        planes = np.frombuffer(content, np.uint8).reshape(kind.itemsize, -1)
        values = np.frombuffer(planes.T.tobytes(), kind).reshape(spec["shape"])
    except (ValueError, zlib.error) as error:
        raise InputError(f"an array of the page is damaged: {error}") from error
    if "scale" not in spec:
        return values
    real = spec["offset"] + spec["scale"] * values.astype(float)
    real = spec["unit"] * np.sinh(real) if spec["asinh"] else real
    return np.where(values == MISSING, np.nan, real)
