"""Units in which the squares of fluxes, and one over them, fit into single precision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nebulines.spectra import Spectra

_FAR = 2.0**20
_ENOUGH = 256
"""Channels that a median is taken of, at least."""


def power_of_two_near(flux: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Power of two (n,) next to the median of the absolute fluxes (n, channel) that are usable;
    multiplied or divided by it, no digit of a number changes.

    Example:
        >>> power_of_two_near(np.array([[3.9, np.nan, 4.2]]), np.array([[True, False, True]]))
        array([4.])
    """
    few = slice(None, None, max(flux.shape[1] // _ENOUGH, 1))
    level = np.where(usable[:, few], np.abs(flux[:, few], dtype=float), np.inf)
    middle = (usable[:, few].sum(axis=1) // 2)[:, None]
    median = np.take_along_axis(np.sort(level, axis=1), middle.clip(0, level.shape[1] - 1), 1)[:, 0]
    return np.exp2(np.round(np.log2(np.where((median > 0) & np.isfinite(median), median, 1.0))))


def far_from_one(spectra: Spectra) -> np.ndarray | None:
    """`power_of_two_near` of n spectra; None where all of them lie within a million of one.

    Example:
        >>> from nebulines.spectral_axis import SpectralAxis
        >>> axis = SpectralAxis(np.array([5000.0, 5001.0]), "wavelength", "air")
        >>> far_from_one(Spectra(np.full((1, 2), 30.0), axis)) is None
        True
        >>> far_from_one(Spectra(np.full((1, 2), 2.0**-60), axis)) == 2.0**-60
        array([ True])
    """
    usable = np.isfinite(spectra.flux)
    if spectra.mask is not None:
        usable &= ~np.asarray(spectra.mask, bool)
    unit = power_of_two_near(spectra.flux, usable)
    return None if np.all((unit > 1.0 / _FAR) & (unit < _FAR)) else unit


def in_units(spectra: Spectra, unit: np.ndarray) -> Spectra:
    """The same spectra in units (n,) of their own; 0 in masked channels, which may hold anything.

    Example:
        >>> from nebulines.spectral_axis import SpectralAxis
        >>> axis = SpectralAxis(np.array([5000.0, 5001.0]), "wavelength", "air")
        >>> spectra = Spectra(np.full((1, 2), 3.0), axis, variance=np.ones((1, 2)))
        >>> in_units(spectra, np.array([2.0])).variance
        array([[0.25, 0.25]])
    """
    column = unit[:, None]
    variance = spectra.variance
    if variance is not None:
        variance = np.asarray(variance, float) / np.square(column)
    flux = np.asarray(spectra.flux, float) / column
    if spectra.mask is not None:
        flux = np.where(spectra.mask, 0.0, flux)
    return replace(spectra, flux=flux, variance=variance)
