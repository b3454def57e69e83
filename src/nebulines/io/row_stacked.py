"""The neutral row-stacked format: one spectrum a row.

Images FLUX (n, channel), ERR or IVAR, MASK; WAVE [Angstrom] (channel) or (n, channel) with
AIRORVAC = air or vac, or WAVENUMBER [cm-1]; table SPECTRA with one row a spectrum: resolution,
redshift, instrument; BUNIT in FLUX. Files above 32 MiB are read by slices.

Read too, under the same names: survey stacks and test sets with SRES or SPECRES (R of every
channel), Z (n) or STACKINFO.
"""

from __future__ import annotations

import warnings
from os import PathLike
from typing import Any, cast

import numpy as np

from nebulines.errors import InputError
from nebulines.instruments.line_spread import LineSpread
from nebulines.io.atomic import atomic_path
from nebulines.io.axes import FoundAxis, axis_from_values, medium_of, medium_or_default
from nebulines.io.fits_file import FitsFile, FitsHdu
from nebulines.io.image_formats import read_images, require_numbers
from nebulines.io.images import NoiseKind
from nebulines.io.instrument_rows import line_spread_of, medium_of_instrument
from nebulines.spectra import Spectra
from nebulines.spectral_axis import AxisKind, Medium


def matches(file: FitsFile) -> bool:
    """A FLUX image of rows with WAVE or WAVENUMBER."""
    flux = file.image("FLUX")
    return flux is not None and flux.ndim <= 2 and _axis_image(file) is not None


def read(file: FitsFile, *, instrument: str | None = None) -> Spectra:
    """Read the rows with what stands beside them."""
    flux = file.image("FLUX")
    assert flux is not None
    table = _rows_table(file)
    instrument = instrument or _instrument(file, table)
    found = _axis(file, instrument)
    noise, kind = _noise(file)
    mask = file.image("MASK")
    spread = _line_spread(file, table, found, instrument)
    spectra = read_images(
        file,
        require_numbers(flux),
        title="row-stacked spectra",
        noise=noise,
        noise_kind=kind,
        masks=((mask, None),) if mask else (),
        instrument=instrument,
        found=found,
        spectral=flux.ndim - 1,
        line_spread=spread,
        redshift=_redshift(file, table, 1 if flux.ndim == 1 else flux.shape[0]),
    )
    return cast(Spectra, spectra)


def write_row_stacked(
    path: str | PathLike[str], spectra: Spectra, *, overwrite: bool = True
) -> None:
    """Write spectra in the neutral format; `read` gives them back.

    Args:
        path: the FITS file.
        spectra: any set; a scaled axis is written per spectrum, variances as ERR.
        overwrite: replace a file that exists.

    Raises:
        UsageError: the folder is missing or read-only.

    Example:
        >>> import pathlib, tempfile
        >>> from nebulines.io import read
        >>> from nebulines.spectral_axis import SpectralAxis
        >>> axis = SpectralAxis(np.array([5000.0, 5001.0]), "wavelength", "air")
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "two.fits"
        >>> write_row_stacked(path, Spectra(np.ones((3, 2)), axis, unit="Jy"))
        >>> read(path).flux.shape
        (3, 2)
    """
    from astropy.io import fits

    with atomic_path(path, overwrite=overwrite) as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        fits.HDUList(row_stacked_hdus(spectra)).writeto(partial, overwrite=True)


def row_stacked_hdus(spectra: Spectra) -> list[Any]:
    """The extensions of the neutral format, for writers that fill a file in parts.

    Example:
        >>> from nebulines.spectral_axis import SpectralAxis
        >>> axis = SpectralAxis(np.array([5000.0, 5001.0]), "wavelength", "air")
        >>> [hdu.name for hdu in row_stacked_hdus(Spectra(np.ones((3, 2)), axis))]
        ['PRIMARY', 'FLUX', 'WAVE']
    """
    from astropy.io import fits

    flux = fits.ImageHDU(np.asarray(spectra.flux, np.float32), name="FLUX")
    flux.header["BUNIT"] = spectra.unit
    for key, value in spectra.meta.items():
        if key.isupper() and len(key) <= 8 and isinstance(value, str | int | float | bool):
            flux.header[key] = value
    hdus = [fits.PrimaryHDU(), flux]
    if spectra.variance is not None:
        with np.errstate(invalid="ignore"):
            error = np.sqrt(np.asarray(spectra.variance, np.float64))
        hdus.append(fits.ImageHDU(error.astype(np.float32), name="ERR"))
    if spectra.mask is not None:
        hdus.append(fits.ImageHDU(np.asarray(spectra.mask).astype(np.uint8), name="MASK"))
    axis = spectra.axis
    values = axis.values if axis.scale is None else axis.per_spectrum(len(spectra))
    name = "WAVE" if axis.kind == "wavelength" else "WAVENUMBER"
    wave = fits.ImageHDU(np.asarray(values, np.float64), name=name)
    wave.header["BUNIT"] = "Angstrom" if axis.kind == "wavelength" else "cm-1"
    wave.header["AIRORVAC"] = "air" if axis.medium == "air" else "vac"
    return [*hdus, wave, *_tables(spectra)]


def _tables(spectra: Spectra) -> list[Any]:
    from astropy.io import fits
    from astropy.table import Table

    n, table = len(spectra), Table()
    spread = spectra.line_spread
    if spread is not None and spread.resolution is not None:
        table["resolution"] = np.broadcast_to(spread.resolution, (n,))
    if spread is not None and spread.fwhm_cm1 is not None:
        table["fwhm_cm1"] = np.broadcast_to(spread.fwhm_cm1, (n,))
    if spectra.redshift is not None:
        table["redshift"] = spectra.redshift
    if spectra.instrument:
        table["instrument"] = [spectra.instrument] * n
    return [fits.BinTableHDU(table, name="SPECTRA")] if table.colnames else []


def _axis_image(file: FitsFile) -> FitsHdu | None:
    return file.image("WAVE", "WAVELENGTH", "LOGLAM", "WAVENUMBER")


def _axis(file: FitsFile, instrument: str | None) -> FoundAxis:
    image, flux = _axis_image(file), file.image("FLUX")
    assert image is not None
    assert flux is not None
    stated: Medium | None = None
    for hdu in (image, flux):
        stated = stated or medium_of(hdu.header)
    medium, notes = medium_or_default(
        stated or medium_of(file.primary), medium_of_instrument(instrument)
    )
    values = image.read().astype(float)
    values = 10.0**values if image.name == "LOGLAM" else values
    if values.shape not in (flux.shape, flux.shape[-1:]):
        raise InputError(
            f"{image.label} must have shape {flux.shape[-1:]} or {flux.shape}, got {values.shape}"
        )
    kind: AxisKind = "wavenumber" if image.name == "WAVENUMBER" else "wavelength"
    return axis_from_values(values, kind, medium, where=image.label, assumed=notes)


def _noise(file: FitsFile) -> tuple[FitsHdu | None, NoiseKind]:
    kinds: dict[str, NoiseKind] = {
        "ERR": "error",
        "IVAR": "ivar",
        "ERROR": "error",
        "VAR": "variance",
        "STAT": "variance",
    }
    for name, kind in kinds.items():
        if (image := file.image(name)) is not None:
            return image, kind
    return None, "error"


def _rows_table(file: FitsFile) -> dict[str, np.ndarray]:
    for name in ("SPECTRA", "STACKINFO"):
        hdu = file.get(name)
        if hdu is not None and hdu.kind == "table":
            return hdu.table()
    return {}


def _redshift(file: FitsFile, table: dict[str, np.ndarray], n: int) -> np.ndarray | None:
    values = table.get("REDSHIFT", table.get("Z"))
    image = file.image("Z", "REDSHIFT")
    if values is None and image is not None:
        values = image.read()
    return None if values is None else _per_row(values, n, "redshift", file)


def _per_row(values: np.ndarray, n: int, what: str, file: FitsFile) -> np.ndarray:
    values = _numbers(values, what, file).reshape(-1)
    if len(values) != n:
        raise InputError(
            f"{file.path}: {len(values)} values of {what} for {n} spectra: give one a spectrum"
        )
    return values


def _numbers(values: np.ndarray, what: str, file: FitsFile) -> np.ndarray:
    try:
        return np.asarray(values, float)
    except ValueError as error:
        raise InputError(f"{file.path}: {what} must hold numbers: {error}") from error


def _instrument(file: FitsFile, table: dict[str, np.ndarray]) -> str | None:
    if "INSTRUMENT" not in table:
        return "manga" if file.image("SRES") is not None else None
    names = sorted({_as_text(name) for name in table["INSTRUMENT"]})
    if len(names) > 1:
        raise InputError(
            f"{file.path}: spectra of several instruments ({', '.join(names)}) in one file: "
            "write one file for each"
        )
    return names[0] or None


def _as_text(value: Any) -> str:
    return (value.decode() if isinstance(value, bytes) else str(value)).strip()


def _line_spread(
    file: FitsFile, table: dict[str, np.ndarray], found: FoundAxis, instrument: str | None
) -> LineSpread | None:
    image = file.image("SRES", "SPECRES")
    if "FWHM_CM1" in table:
        return LineSpread("sinc", fwhm_cm1=_numbers(table["FWHM_CM1"], "fwhm_cm1", file))
    if "RESOLUTION" in table:
        return line_spread_of(instrument, _numbers(table["RESOLUTION"], "resolution", file))
    if image is None or found.axis.values.ndim != 1:
        return None
    wavelength = found.axis.wavelength()
    fwhm = wavelength / found.ordered(image.read())
    order = np.argsort(wavelength)
    return LineSpread("gaussian", fwhm_table=(wavelength[order], fwhm[..., order]))
