"""Which line spread a fit uses: the option's, the file's, the instrument's, or one channel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nebulines.errors import UsageError
from nebulines.fitting.config import FitConfig
from nebulines.instruments import get_instrument
from nebulines.instruments.line_spread import LineSpread
from nebulines.spectra import Spectra


def line_spread_of(spectra: Spectra, config: FitConfig) -> tuple[LineSpread, bool]:
    """The line spread to use, and whether it is known (else one channel is assumed).

    Where a spectrum's own is missing (`usable_line_spread`) it is the median of the others.
    """
    spread, known = _given_line_spread(spectra, config)
    return _without_gaps(spread), known


def usable_line_spread(spectra: Spectra, config: FitConfig) -> np.ndarray:
    """Which spectra (n,) have a finite, positive line spread."""
    spread, _ = _given_line_spread(spectra, config)
    usable = np.ones(len(spectra), bool)
    for value in (spread.resolution, spread.fwhm_cm1):
        if value is not None:
            usable &= np.broadcast_to(np.isfinite(value), usable.shape)
    if spread.fwhm_table is not None:
        usable &= np.broadcast_to(_good_width(spread.fwhm_table[1]).any(axis=-1), usable.shape)
    return usable


def _good_width(width: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.isfinite(width) & (width > 0)


def _without_gaps(spread: LineSpread) -> LineSpread:
    """The line spread with the median for what is missing or not positive, and tables
    interpolated over their gaps."""
    for name in ("resolution", "fwhm_cm1"):
        value = getattr(spread, name)
        if value is not None and not np.isfinite(value).all():
            if not np.isfinite(value).any():
                raise UsageError(
                    "the line spread is not finite for any spectrum; give --resolution"
                )
            middle = np.median(value[np.isfinite(value)])
            spread = replace(spread, **{name: np.where(np.isfinite(value), value, middle)})
    if spread.fwhm_table is None or _good_width(spread.fwhm_table[1]).all():
        return spread
    grid, table = spread.fwhm_table
    good = _good_width(table)
    if not good.any():
        raise UsageError("the line spread is not finite for any spectrum; give --resolution")
    rows, keep = np.atleast_2d(table), np.atleast_2d(good)
    middle = np.median(rows[keep])
    filled = [
        np.interp(grid, grid[k], row[k]) if k.any() else np.full(len(grid), middle)
        for row, k in zip(rows, keep, strict=True)
    ]
    return replace(spread, fwhm_table=(grid, np.reshape(filled, table.shape)))


def _given_line_spread(spectra: Spectra, config: FitConfig) -> tuple[LineSpread, bool]:
    spread = spectra.line_spread
    if spread is None and spectra.instrument:
        spread = get_instrument(spectra.instrument).line_spread
    if config.resolution is not None:
        shape = spread.shape if spread is not None else "gaussian"
        if config.shape != "auto":
            shape = "gaussian" if config.shape == "gaussian" else "sinc"
        reference = None if spread is None else spread.reference_wavelength
        if shape == "sinc" and reference is None:
            low, high = spectra.axis.wavelength_range()
            reference = 0.5 * (low + high)
        return LineSpread(shape, resolution=config.resolution, reference_wavelength=reference), True
    if spread is not None:
        if config.shape == "gaussian" and spread.shape == "sinc":
            return _as_gaussian(spread, spectra), True
        return spread, True
    wavelength = np.sort(spectra.axis.wavelength().reshape(-1, spectra.axis.n_channels)[0])
    if len(wavelength) < 2:
        return LineSpread("gaussian", resolution=1000.0), False
    return LineSpread("gaussian", fwhm_table=(wavelength, np.gradient(wavelength))), False


def _as_gaussian(spread: LineSpread, spectra: Spectra) -> LineSpread:
    low, high = spectra.axis.wavelength_range()
    middle = 0.5 * (low + high)
    fwhm = np.asarray(spread.fwhm_angstrom(np.array([middle])))[..., 0]
    return LineSpread("gaussian", resolution=middle / fwhm)
