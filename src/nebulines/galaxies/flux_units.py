"""Units in which the squares of fluxes, and one over them, fit into single precision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nebulines.spectra import Spectra

_FAR = 2.0**20


def power_of_two_near(flux: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Power of two (n,) next to the mean of the absolute fluxes (n, channel) that are usable;
    multiplied or divided by it, no digit of a number changes.

    Example:
        >>> power_of_two_near(np.array([[3.9, np.nan, 4.2]]), np.array([[True, False, True]]))
        array([4.])
    """
    level = np.sum(np.abs(flux, dtype=float), axis=1, where=usable)
    level /= np.maximum(usable.sum(axis=1), 1)
    return np.exp2(np.round(np.log2(np.where(level > 0, level, 1.0))))


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
    unit = power_of_two_near(spectra.flux, np.isfinite(spectra.flux))
    return None if np.all((unit > 1.0 / _FAR) & (unit < _FAR)) else unit


def in_units(spectra: Spectra, unit: np.ndarray) -> Spectra:
    """The same spectra in units (n,) of their own.

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
    return replace(spectra, flux=np.asarray(spectra.flux, float) / column, variance=variance)
