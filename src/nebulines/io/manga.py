"""MaNGA data: LOGCUBE, LINCUBE and row-stacked spectra (FLUX, IVAR, MASK, WAVE).

Wavelengths are vacuum. The line spread is LSFPOST (Gaussian sigma [Angstrom] of every spectrum,
or DISP in older releases), else SPECRES (R of every channel). MASK is not zero in bad pixels.
The cubes are shipped gzipped: unpack them to have them read by blocks.

Source: Law et al. 2016, AJ 152, 83; https://www.sdss.org/dr17/manga/manga-data/data-model/
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nebulines.constants import FWHM_PER_SIGMA
from nebulines.instruments.line_spread import LineSpread
from nebulines.io.axes import FoundAxis, axis_from_values, medium_of
from nebulines.io.fits_file import FitsFile, FitsHdu
from nebulines.io.image_formats import read_images, require_numbers
from nebulines.spectra import Cube, Spectra


def matches(file: FitsFile) -> bool:
    """FLUX, IVAR and WAVE of a cube, or of rows with MaNGA's resolution beside them."""
    flux = file.image("FLUX")
    if flux is None or file.image("IVAR") is None or file.image("WAVE") is None:
        return False
    return flux.ndim == 3 or file.image("SPECRES", "LSFPOST", "DISP") is not None


def read(file: FitsFile, *, instrument: str | None = None) -> Spectra | Cube:
    """Read the flux with its inverse variance, mask and line spread."""
    flux, wave = file.image("FLUX"), file.image("WAVE")
    assert flux is not None
    assert wave is not None
    medium = medium_of(wave.header) or medium_of(file.primary) or "vacuum"
    found = axis_from_values(wave.read(), "wavelength", medium, where=wave.label)
    spectral = 0 if flux.ndim == 3 else 1
    mask = file.image("MASK")
    return read_images(
        file,
        require_numbers(flux),
        title=f"MaNGA {'cube' if flux.ndim == 3 else 'row-stacked spectra'}",
        noise=file.image("IVAR"),
        noise_kind="ivar",
        masks=((mask, None),) if mask else (),
        instrument=instrument or "manga",
        found=found,
        spectral=spectral,
        line_spread=_line_spread(file, found, spectral),
        meta=_target(file),
    )


def _target(file: FitsFile) -> dict[str, Any]:
    keys = {"MANGAID": "OBJECT", "PLATEIFU": "PLATEIFU"}
    values = {out: file.card(key) for key, out in keys.items()}
    return {key: value for key, value in values.items() if value is not None}


def _line_spread(file: FitsFile, found: FoundAxis, spectral: int) -> Any:
    sigma, resolution = file.image("LSFPOST", "DISP"), file.image("SPECRES")
    wavelength = found.axis.values
    if sigma is not None:
        return lambda key: sigma_table(sigma, key, found, spectral)
    if resolution is None or wavelength.ndim != 1:
        return None
    r = found.ordered(resolution.read())
    good = np.isfinite(r) & (r > 0)
    return LineSpread("gaussian", fwhm_table=(wavelength[good], wavelength[good] / r[good]))


def sigma_table(sigma: FitsHdu, key: Any, found: FoundAxis, spectral: int) -> LineSpread:
    """FWHM of the spectra that a key selects out of an image of sigmas [Angstrom]; channels
    without a value take the median of the others."""
    values = np.moveaxis(sigma.read(key), spectral, -1)
    values = found.ordered(values.reshape(-1, values.shape[-1])).astype(float)
    good = np.isfinite(values) & (values > 0)
    middle = np.ma.median(np.ma.masked_array(values, ~good), axis=0).filled(np.nan)
    overall = np.nanmedian(middle) if np.isfinite(middle).any() else np.nan
    filled = np.where(good, values, np.where(np.isfinite(middle), middle, overall))
    return LineSpread("gaussian", fwhm_table=(found.axis.values, FWHM_PER_SIGMA * filled))
