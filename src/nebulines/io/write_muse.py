"""MUSE cubes written as the ESO pipeline does: DATA, STAT, DQ; block by block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.io.atomic import atomic_path
from nebulines.spectra import Cube, Spectra
from nebulines.spectra.cube import Block
from nebulines.spectral_axis import SpectralAxis

UNIT = "10**(-20)*erg/s/cm**2/Angstrom"
_BLOCK = 4096
_RECORD = 2880


def write_muse(
    path: str | PathLike[str],
    data: Cube | Iterable[tuple[Block, Spectra]],
    *,
    shape: tuple[int, int] | None = None,
    axis: SpectralAxis | None = None,
    unit: str | None = None,
    wcs: Any = None,
    header: Mapping[str, Any] | None = None,
    overwrite: bool = True,
) -> None:
    """Write a cube as MUSE writes them; never more than one block in memory.

    Args:
        path: the FITS file.
        data: a `Cube`, or an iterable of (`Block`, `Spectra`) that covers it.
        shape: (ny, nx), needed with blocks.
        axis: shared, equally spaced wavelengths, needed with blocks.
        unit: FITS unit of the flux; the cube's, else MUSE's.
        wcs: celestial WCS of the sky axes; the cube's when None.
        header: further cards of the first header (OBJECT ...).
        overwrite: replace a file that exists.

    Raises:
        UsageError: an axis that is not linear in wavelength, blocks without shape or axis, a
            folder that cannot be written.

    Example:
        >>> import tempfile, pathlib
        >>> from nebulines.io import read
        >>> axis = SpectralAxis(np.linspace(6500.0, 6600.0, 81), "wavelength", "air")
        >>> part = Spectra(np.ones((6, 81)), axis, variance=np.ones((6, 81)))
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "cube.fits"
        >>> write_muse(path, [(Block(0, 2, 0, 3), part)], shape=(2, 3), axis=axis)
        >>> read(path).shape
        (2, 3, 81)
    """
    if isinstance(data, Cube):
        cube = data
        shape, unit, wcs = cube.shape[:2], unit or cube.unit, wcs or cube.wcs
        axis = axis or cube.read_block(Block(0, 1, 0, 1)).axis
        data = ((block, cube.read_block(block)) for block in cube.blocks(_BLOCK))
    if shape is None or axis is None:
        raise UsageError("a cube given by blocks needs shape = (ny, nx) and axis")
    first, step = _linear(axis)
    dims = (axis.n_channels, *shape)
    cards = _cards(first, step, axis.medium, unit or UNIT, wcs)
    with atomic_path(path, overwrite=overwrite) as partial:
        starts = _layout(partial, dims, cards, header or {})
        images = [
            np.memmap(partial, kind, "r+", offset=start, shape=dims)
            for start, kind in zip(starts, (">f4", ">f4", ">u1"), strict=True)
        ]
        covered = 0
        for block, spectra in data:
            _put(images, block, spectra)
            covered += block.size
        if covered != shape[0] * shape[1]:
            raise UsageError(f"the blocks cover {covered} of {shape[0] * shape[1]} spaxels")
        for image in images:
            image.flush()
        del images


def _put(images: Sequence[np.ndarray], block: Block, spectra: Spectra) -> None:
    where = (slice(None), slice(block.y0, block.y1), slice(block.x0, block.x1))
    size = (-1, *block.shape)
    images[0][where] = np.asarray(spectra.flux, np.float32).T.reshape(size)
    variance = np.nan if spectra.variance is None else np.asarray(spectra.variance, np.float32)
    images[1][where] = variance.T.reshape(size) if isinstance(variance, np.ndarray) else variance
    if spectra.mask is not None:
        images[2][where] = np.asarray(spectra.mask, bool).T.reshape(size)


def _linear(axis: SpectralAxis) -> tuple[float, float]:
    values = axis.values
    if axis.kind != "wavelength" or not axis.shared or axis.n_channels < 2:
        raise UsageError("a MUSE cube has one wavelength axis shared by all spaxels")
    steps = np.diff(values)
    if np.ptp(steps) > 1e-3 * steps.mean():
        raise UsageError("a MUSE cube has equally spaced wavelengths: resample the spectra first")
    return float(values[0]), float((values[-1] - values[0]) / (axis.n_channels - 1))


def _cards(first: float, step: float, medium: str, unit: str, wcs: Any) -> dict[str, Any]:
    cards: dict[str, Any] = {"BUNIT": unit}
    if wcs is not None:
        cards |= {key: value for key, value in wcs.to_header().items() if key != "WCSAXES"}
    cards |= {
        "WCSAXES": 3,
        "CTYPE3": "AWAV" if medium == "air" else "WAVE",
        "CUNIT3": "Angstrom",
        "CRPIX3": 1.0,
        "CRVAL3": first,
        "CDELT3": step,
    }
    return cards


def _layout(
    path: Any, dims: tuple[int, int, int], cards: Mapping[str, Any], primary: Mapping[str, Any]
) -> list[int]:
    """Write the headers with room for the data (a sparse file); where the data begin."""
    from astropy.io import fits

    starts = []
    first = fits.PrimaryHDU()
    first.header.update({"TELESCOP": "ESO-VLT-U4", "INSTRUME": "MUSE", **primary})
    with open(path, "wb") as stream:
        stream.write(first.header.tostring().encode("ascii"))
        for name, bitpix in (("DATA", -32), ("STAT", -32), ("DQ", 8)):
            header = _image_header(name, bitpix, dims, cards)
            stream.write(header.tostring().encode("ascii"))
            starts.append(stream.tell())
            size = int(np.prod(dims)) * abs(bitpix) // 8
            stream.seek(-(-size // _RECORD) * _RECORD, 1)
            stream.truncate(stream.tell())
    return starts


def _image_header(
    name: str, bitpix: int, dims: tuple[int, int, int], cards: Mapping[str, Any]
) -> Any:
    from astropy.io import fits

    header = fits.Header([("XTENSION", "IMAGE"), ("BITPIX", bitpix), ("NAXIS", 3)])
    for i, size in enumerate(reversed(dims)):
        header[f"NAXIS{i + 1}"] = size
    header["PCOUNT"], header["GCOUNT"], header["EXTNAME"] = 0, 1, name
    for key, value in cards.items():
        header[key] = value
    if name == "STAT":
        header["BUNIT"] = f"({cards['BUNIT']})**2"
    if name == "DQ":
        del header["BUNIT"]
    return header
