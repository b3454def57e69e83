"""SITELLE cubes written in the observatory's own layouts, block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from typing import Any, Literal

import numpy as np

from nebulines.errors import UsageError
from nebulines.io.atomic import atomic_path
from nebulines.io.sitelle_layouts import FRAME, QUADRANT, quadrant_slices
from nebulines.io.sitelle_parameters import Scan
from nebulines.spectra import Spectra
from nebulines.spectra.cube import Block

SitelleLayout = Literal["new", "legacy", "frames"]
Blocks = Iterable[tuple[Block, Any]]
_CARDS = {
    "step": "STEP",
    "order": "ORDER",
    "axis_corr": "AXISCORR",
    "nm_laser": "CALIBNM",
    "step_nb": "STEPNB",
    "zpd_index": "ZPDINDEX",
    "filter_name": "FILTER",
    "exposure_time": "EXPTIME",
    "apodization": "APODIZ",
    "wavetype": "WAVTYPE",
    "wavenumber_calibration": "WAVCALIB",
}


def write_sitelle(
    path: str | PathLike[str],
    flux: Any,
    *,
    scan: Scan,
    shape: tuple[int, int] | None = None,
    calib_map: np.ndarray | None = None,
    layout: SitelleLayout = "new",
    level: float = 2,
    exposure_time: float = 10.0,
    flambda: Any = 1e-16,
    deep_frame: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    header: Mapping[str, Any] | None = None,
    overwrite: bool = True,
) -> None:
    """Write a SITELLE HDF5 cube that `read` and the observatory's tools understand.

    Args:
        path: the HDF5 file.
        flux: (ny, nx, channel) [erg/s/cm2/A], or an iterable of (`Block`, array (k, channel) or
            `Spectra`), one block held at a time; together they cover the cube.
        scan: the scan (`Scan.of("sitelle-sn3", ...)`).
        shape: (ny, nx), needed with blocks.
        calib_map: (ny, nx) laser wavelength seen by each pixel [nm] = nm_laser / cos(theta).
        layout: ``new``, ``legacy`` (nine quadrants) or ``frames``.
        level: of the new layout: 1 or 2 real flux; 3 complex counts; 2.5 complex flux
            (``flambda2``).
        exposure_time: of one step [s]; with ``flambda`` it turns counts into flux.
        flambda: flux calibration, scalar or (channel,) [erg/s/cm2/A per count/s].
        deep_frame: image (ny, nx).
        mask: (ny, nx), 0 = bad.
        header: further FITS-style cards (OBJECT, WCS ...).
        overwrite: replace a file that exists.

    Raises:
        UsageError: arguments that do not agree, a folder that cannot be written.

    Example:
        >>> import tempfile, pathlib
        >>> from nebulines.io import read
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "cube.hdf5"
        >>> scan = Scan.of("sitelle-sn3", n_steps=50, zpd_index=10)
        >>> write_sitelle(path, np.ones((3, 4, 50)), scan=scan)
        >>> read(path).shape
        (3, 4, 50)
    """
    import h5py

    blocks, (ny, nx) = _blocks(flux, shape)
    dims = (nx, ny, scan.n_steps)
    if level not in (1, 2, 2.5, 3):
        raise UsageError(f"level must be 1, 2, 2.5 or 3, not {level}")
    counts = np.asarray(flambda, float) / (scan.n_steps * exposure_time)
    with atomic_path(path, overwrite=overwrite) as partial, h5py.File(partial, "w") as file:
        write = _storage(file, dims, layout, complex_data=level > 2)
        for block, part in blocks:
            values = np.asarray(part.flux if isinstance(part, Spectra) else part)
            values = values.reshape(*block.shape, scan.n_steps).transpose(1, 0, 2)
            write(block, values / counts if layout == "new" and level == 3 else values)
        cards = _attributes(file, scan, dims, layout, exposure_time)
        _header(file, {**cards, **(header or {})})
        if layout == "new":
            _level(file, level, flambda)
        for name, image in (("calib_map", calib_map), ("deep_frame", deep_frame)):
            _image(file, name, image, (ny, nx), np.float64)
        _image(file, "mask", mask, (ny, nx), np.uint8)


def _blocks(flux: Any, shape: tuple[int, int] | None) -> tuple[Blocks, tuple[int, int]]:
    if isinstance(flux, np.ndarray):
        if flux.ndim != 3:
            raise UsageError(f"a cube has shape (ny, nx, channel), not {flux.shape}")
        ny, nx = flux.shape[:2]
        return [(Block(0, ny, 0, nx), flux)], (ny, nx)
    if shape is None:
        raise UsageError("a cube given by blocks needs shape = (ny, nx)")
    return _checked(flux, shape), shape


def _checked(blocks: Blocks, shape: tuple[int, int]) -> Iterator[tuple[Block, Any]]:
    covered = 0
    for block, part in blocks:
        inside = 0 <= block.y0 < block.y1 <= shape[0] and 0 <= block.x0 < block.x1 <= shape[1]
        if not inside:
            raise UsageError(f"{block} does not lie in a cube of {shape}")
        covered += block.size
        yield block, part
    if covered != shape[0] * shape[1]:
        raise UsageError(f"the blocks cover {covered} of {shape[0] * shape[1]} spaxels")


def _storage(file: Any, dims: tuple[int, int, int], layout: str, *, complex_data: bool) -> Any:
    """A function (block, values (x, y, z)) that stores a block."""
    if layout == "new":
        data = file.create_dataset("data", dims, np.complex64 if complex_data else np.float32)

        def write_new(block: Block, values: np.ndarray) -> None:
            data[block.x0 : block.x1, block.y0 : block.y1, :] = values.astype(data.dtype)

        return write_new
    if layout == "frames":
        frames = [
            file.create_dataset(f"{FRAME.format(k)}/data", dims[:2], np.float32)
            for k in range(dims[2])
        ]

        def write_frames(block: Block, values: np.ndarray) -> None:
            for k, frame in enumerate(frames):
                frame[block.x0 : block.x1, block.y0 : block.y1] = values[..., k]

        return write_frames
    if layout != "legacy":
        raise UsageError(f"layout must be new, legacy or frames, not {layout!r}")
    if min(dims[:2]) < 3:
        raise UsageError("the legacy layout of nine quadrants needs 3 x 3 spaxels or more")
    places = list(quadrant_slices(dims, 9))
    for number, (x, y) in enumerate(places):
        size = (x.stop - x.start, y.stop - y.start, dims[2])
        file.create_dataset(f"{QUADRANT.format(number)}/data", size, np.float32)

    def write_quadrants(block: Block, values: np.ndarray) -> None:
        for number, (x, y) in enumerate(places):
            x0, x1 = max(x.start, block.x0), min(x.stop, block.x1)
            y0, y1 = max(y.start, block.y0), min(y.stop, block.y1)
            if x0 < x1 and y0 < y1:
                part = values[x0 - block.x0 : x1 - block.x0, y0 - block.y0 : y1 - block.y0]
                data = file[QUADRANT.format(number)]["data"]
                data[x0 - x.start : x1 - x.start, y0 - y.start : y1 - y.start, :] = part

    return write_quadrants


def _attributes(
    file: Any, scan: Scan, dims: tuple[int, int, int], layout: str, exposure_time: float
) -> dict[str, Any]:
    """Write the parameters as the layout wants them; the FITS-style cards for the header."""
    values = {
        "step": scan.step_nm,
        "order": scan.order,
        "axis_corr": scan.axis_corr,
        "nm_laser": scan.nm_laser,
        "step_nb": scan.n_steps,
        "zpd_index": scan.zpd_index,
        "filter_name": scan.filter_name,
        "exposure_time": exposure_time,
        "apodization": scan.apodization,
        "wavetype": "WAVENUMBER",
        "wavenumber_calibration": scan.calibrated,
    }
    for name, size in zip(("dimx", "dimy", "dimz"), dims, strict=True):
        file.attrs[name] = size
    if layout == "legacy":
        file.attrs["quad_nb"] = 9
    if layout == "new":
        for name, value in values.items():
            file.attrs[name] = value
    return {_CARDS[name]: value for name, value in values.items()}


def _header(file: Any, cards: Mapping[str, Any]) -> None:
    """The dataset ``header``: key, value, comment, type as byte strings; attributes too."""
    rows = [(key, str(value), "", type(value).__name__) for key, value in cards.items()]
    file["header"] = np.array([[part.encode() for part in row] for row in rows])
    if "data" in file:
        for key, value in cards.items():
            file.attrs[key] = value


def _level(file: Any, level: float, flambda: Any) -> None:
    if level == 2:
        file.attrs["level2"] = True
    if level > 2:
        file.attrs["level3"] = True
        file.attrs["flambda"] = np.asarray(flambda, float)
    if level == 2.5:
        file.attrs["flambda2"] = np.asarray(flambda, float)


def _image(file: Any, name: str, image: Any, shape: tuple[int, int], kind: Any) -> None:
    if image is None:
        return
    image = np.asarray(image, kind)
    if image.shape != shape:
        raise UsageError(f"{name} must have shape (ny, nx) = {shape}, got {image.shape}")
    file[name] = image.T
