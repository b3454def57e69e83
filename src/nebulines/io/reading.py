"""One door for every file: what it is, is decided by its content."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.errors import InputError, UsageError
from nebulines.instruments.line_spread import LineSpread
from nebulines.io.instrument_rows import line_spread_of, row_or_none
from nebulines.spectra import Cube, Spectra
from nebulines.spectral_axis import SpectralAxis

if TYPE_CHECKING:
    from nebulines.instruments.instrument import Instrument
    from nebulines.io.fits_file import FitsFile

_HDF5 = b"\x89HDF\r\n\x1a\n"
_FITS = b"SIMPLE  ="
_COMPRESSED = (b"\x1f\x8b", b"BZh")
_FLUX_NAMES = ("FLUX", "DATA", "SCI")


def read(
    path: str | PathLike[str],
    *,
    instrument: str | None = None,
    resolution: Any = None,
    redshift: Any = None,
    hdu: int | str | None = None,
) -> Spectra | Cube:
    """Read spectra, or open a cube that is read block by block.

    Understood by their content: SITELLE HDF5 (legacy quadrants and frames, new levels 1 to 3),
    MUSE, MaNGA cubes and row-stacked spectra, SCI/ERR/MASK images (Gemini, JWST), SDSS, DESI,
    row-stacked spectra, any FITS image with a spectral axis (A, nm, um, cm-1, Hz, km/s; linear or
    logarithmic; air or vacuum), FITS tables. Flux comes as native float32, NaN kept; masks are
    True where the file says bad; descending axes are reversed with their data.

    Args:
        path: the file.
        instrument: name of an instrument row that replaces what the file says.
        resolution: R that replaces the file's or the instrument's, scalar or (n,).
        redshift: a number or (n,); for DESI also the path of a redrock file; ``auto`` is left
            to the fit.
        hdu: number or name of the FITS extension to read; None = found by content.

    Returns:
        `Spectra`, or a lazy `Cube`. What was understood stands in ``meta`` and is told by
        `describe`.

    Raises:
        InputError: the file is missing, empty, damaged or holds no spectra.
        UsageError: an unknown instrument or extension.

    Example:
        >>> import tempfile
        >>> from nebulines.io import write_row_stacked
        >>> from nebulines.spectral_axis import SpectralAxis
        >>> axis = SpectralAxis(np.linspace(6500.0, 6600.0, 101), "wavelength", "air")
        >>> name = Path(tempfile.mkdtemp()) / "spectra.fits"
        >>> write_row_stacked(name, Spectra(np.ones((2, 101)), axis, redshift=0.01))
        >>> read(name, resolution=2000.0).line_spread.resolution.item()
        2000.0
    """
    if instrument is not None:
        from nebulines.instruments import get_instrument

        instrument = get_instrument(instrument).name
    source = Path(path)
    redshift = None if isinstance(redshift, str) and redshift == "auto" else redshift
    redrock = source.parent / redshift if isinstance(redshift, str | PathLike) else None
    if redrock is not None and not redrock.is_file():
        redrock = Path(redshift)
    data: Spectra | Cube
    if _kind(source) == "hdf5":
        data = _read_hdf5(source, instrument, hdu)
    else:
        data = _read_fits(source, instrument, hdu, redrock)
    return _with_choices(data, instrument, resolution, None if redrock else redshift)


def _kind(path: Path) -> str:
    if path.is_dir():
        raise InputError(f"{path} is a folder: expected a FITS or HDF5 file; name one in it")
    try:
        with open(path, "rb") as stream:
            head = stream.read(16)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: check the name and the folder") from error
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror or error}") from error
    if not head:
        raise InputError(f"{path} is empty: expected a FITS or HDF5 file; fetch or write it again")
    if head.startswith(_HDF5):
        return "hdf5"
    if head.startswith(_FITS) or head.startswith(_COMPRESSED):
        return "fits"
    raise InputError(
        f"{path}: expected a FITS or HDF5 file, but it begins with {head[:8]!r}: "
        "convert it to the row-stacked format (FLUX, ERR, WAVE) or give another file"
    )


def _read_hdf5(path: Path, instrument: str | None, hdu: int | str | None) -> Cube:
    from nebulines.io import sitelle

    if hdu is not None:
        raise UsageError(f"{path} is an HDF5 file: hdu has a meaning for FITS files only")
    return sitelle.read(path, instrument=instrument)


def _read_fits(
    path: Path, instrument: str | None, hdu: int | str | None, redrock: Path | None
) -> Spectra | Cube:
    from nebulines.io import desi, generic, manga, muse, row_stacked, sci_err_mask, sdss, tables
    from nebulines.io.fits_file import open_fits

    file = open_fits(path)
    _refuse_hollow(file)
    if hdu is not None:
        return generic.read(file, instrument=instrument, hdu=hdu)
    if desi.matches(file):
        return desi.read(file, instrument=instrument, redrock=redrock)
    if redrock is not None:
        raise UsageError(f"redshift = {redrock}: a redrock file goes with DESI spectra only")
    for module in (manga, row_stacked, muse, sci_err_mask, sdss, tables, generic):
        if module.matches(file):
            return module.read(file, instrument=instrument)
    raise InputError(
        f"{path}: no spectra found: expected an image with a spectral axis or a table with "
        f"wavelength and flux; the file has {file.summary()}"
    )


def _refuse_hollow(file: FitsFile) -> None:
    """Say so where the spectra are there by name but have no rows or no channels."""
    for hdu in file.hdus:
        sizes = [hdu.header[f"NAXIS{k}"] for k in range(hdu.header.get("NAXIS", 0), 0, -1)]
        if hdu.kind == "empty" and hdu.name in _FLUX_NAMES and 0 in sizes:
            shape = " x ".join(map(str, sizes))
            raise InputError(f"{hdu.label} holds no data: its shape is {shape}; write it again")


def _with_choices(
    data: Spectra | Cube, instrument: str | None, resolution: Any, redshift: Any
) -> Spectra | Cube:
    """The data with the user's instrument, resolution and redshift, and the instrument's line
    spread where the file has none."""
    if isinstance(data, Cube):
        inner = data.read_block
        name = instrument or data.instrument
        row = row_or_none(name)
        if row is not None and row.is_scan and 0 not in data.shape:
            _refuse_another_band(data[0, 0].axis, row)
        return replace(
            data,
            instrument=name,
            read_block=lambda block: _dressed(inner(block), name, resolution, redshift),
        )
    if (row := row_or_none(instrument)) is not None and row.is_scan:
        _refuse_another_band(data.axis, row)
    return _dressed(data, instrument or data.instrument, resolution, redshift)


def _refuse_another_band(axis: SpectralAxis, row: Instrument) -> None:
    """A scan's line spread is stated for its own band. (Dispersed spectra may have been brought to
    their rest frame.)"""
    low, high = axis.wavelength_range()
    if high < row.band[0] or low > row.band[1]:
        raise UsageError(
            f"{row.name} sees {row.band[0]:.0f} to {row.band[1]:.0f} Angstrom, and the channels "
            f"lie at {low:.0f} to {high:.0f}: name the instrument that took the data"
        )


def _refuse_sinc(spread: LineSpread) -> None:
    if spread.shape == "sinc":
        raise UsageError(
            "the resolution of a sinc instrument refers to a line of its band: name the "
            "instrument too, such as sitelle-sn3"
        )


def _dressed(spectra: Spectra, instrument: str | None, resolution: Any, redshift: Any) -> Spectra:
    changes: dict[str, Any] = {"instrument": instrument}
    meta = dict(spectra.meta)
    if resolution is not None:
        if instrument is None and spectra.line_spread is not None:
            _refuse_sinc(spectra.line_spread)
        changes["line_spread"] = line_spread_of(instrument, np.asarray(resolution, float))
        meta["line_spread"] = "as given"
    elif spectra.line_spread is None:
        changes["line_spread"] = line_spread_of(instrument)
        meta["line_spread"] = f"nominal for {instrument}" if changes["line_spread"] else "unknown"
    else:
        meta.setdefault("line_spread", "from the file")
    if redshift is not None:
        changes["redshift"] = np.broadcast_to(np.asarray(redshift, float), (len(spectra),))
    return replace(spectra, **changes, meta=meta)
