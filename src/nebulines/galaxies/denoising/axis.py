"""From the channels of a spectrum to the rest-frame bins of the de-noiser, and back.

A bin takes the mean flux of the usable channels that it overlaps. The variance of that mean keeps
the information per wavelength, also where channels are wider than bins. Back on the channels, the
bins are interpolated linearly in the logarithm of the wavelength.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nebulines.errors import InputError
from nebulines.galaxies.flux_units import power_of_two_near
from nebulines.networks.denoise_grid import N_BINS, bin_centres, bin_edges
from nebulines.spectra import Spectra
from nebulines.spectral_axis import air_to_vacuum, vacuum_to_air

_WIDEST = 3.0
"""Widest channels that are taken, in bins: lines of 1 bin are lost in them."""
_HALF = 0.5


class Binned(NamedTuple):
    """n spectra on the bins.

    Attributes:
        flux: (n, 825) float32 in ``unit``, 0 where not used.
        weight: (n, 825) float32 inverse variance, 0 where less than half of a bin is covered.
        bad_variance: (n,) bool, a channel had a zero, negative or missing variance.
        unit: (n,) power of two near the median of each spectrum: squares of 1e-17 erg are too small
            for single precision.
    """

    flux: np.ndarray
    weight: np.ndarray
    bad_variance: np.ndarray
    unit: np.ndarray


def rest_wavelength(spectra: Spectra, redshift: np.ndarray) -> tuple[np.ndarray, slice]:
    """Rest wavelengths in air (n or 1, channel), increasing, and the order of the channels.

    Args:
        spectra: on any axis.
        redshift: (n,) finite.

    Raises:
        InputError: channels wider than three bins (830 km/s).
    """
    wavelength = np.atleast_2d(spectra.axis.wavelength())
    order = slice(None, None, -1) if spectra.axis.kind == "wavenumber" else slice(None)
    wavelength = wavelength[:, order]
    step = float(np.median(np.diff(np.log(wavelength[0])))) if wavelength.shape[1] > 1 else np.inf
    bins = step / np.log(bin_edges()[1] / bin_edges()[0])
    if bins > _WIDEST:
        raise InputError(
            f"channels of {276.0 * bins:.0f} km/s are too wide to be de-noised: expected at most "
            f"{276.0 * _WIDEST:.0f} km/s; give spectra of higher resolution"
        )
    same = np.all(redshift == redshift[:1])
    shift = 1.0 + (redshift[:1] if same else redshift)[:, None]
    if spectra.axis.medium == "air" and same and redshift[0] == 0:
        return wavelength, order
    vacuum = wavelength if spectra.axis.medium == "vacuum" else air_to_vacuum(wavelength)
    return vacuum_to_air(vacuum / shift), order


def to_bins(spectra: Spectra, redshift: np.ndarray) -> Binned:
    """Spectra on the bins; without variances the noise is estimated from each spectrum.

    Args:
        spectra: n spectra.
        redshift: (n,) finite.

    Example:
        >>> from nebulines.spectral_axis import SpectralAxis
        >>> axis = SpectralAxis(np.arange(3600.0, 8000.0), "wavelength", "air")
        >>> spectra = Spectra(np.ones((1, 4400)), axis, variance=np.ones((1, 4400)))
        >>> binned = to_bins(spectra, np.zeros(1))
        >>> bool(np.allclose(binned.flux, 1.0)), binned.weight.shape
        (True, (1, 825))
    """
    wavelength, order = rest_wavelength(spectra, redshift)
    flux = np.asarray(spectra.flux, float)[:, order]
    usable = np.isfinite(flux)
    if spectra.mask is not None:
        usable &= ~np.asarray(spectra.mask, bool)[:, order]
    if spectra.variance is None:
        variance = np.broadcast_to(_estimated(flux, usable)[:, None], flux.shape)
    else:
        variance = np.asarray(spectra.variance, float)[:, order]
    good = np.isfinite(variance) & (variance > 0)
    bad_variance = np.any(usable & ~good, axis=1)
    usable &= good
    unit = power_of_two_near(flux, usable)
    flux, variance = flux / unit[:, None], variance / np.square(unit)[:, None]
    if _is_grid(wavelength):
        weight = np.where(usable, 1.0 / np.where(good, variance, 1.0), 0.0)
        clean = np.where(usable, flux, 0.0)
        return Binned(clean.astype(np.float32), weight.astype(np.float32), bad_variance, unit)
    out_flux = np.zeros((len(flux), N_BINS), np.float32)
    out_weight = np.zeros((len(flux), N_BINS), np.float32)
    for row in range(len(flux)):
        axis = wavelength[min(row, len(wavelength) - 1)]
        out_flux[row], out_weight[row] = _binned(axis, flux[row], variance[row], usable[row])
    return Binned(out_flux, out_weight, bad_variance, unit)


def to_channels(values: np.ndarray, spectra: Spectra, redshift: np.ndarray) -> np.ndarray:
    """Values (..., n, 825) of the bins on the channels (..., n, channel); NaN outside the bins."""
    wavelength, order = rest_wavelength(spectra, redshift)
    if _is_grid(wavelength):
        return values[..., order]
    edges, centres = bin_edges(), np.log(bin_centres())
    place = (np.log(wavelength) - centres[0]) / (centres[1] - centres[0])
    low = np.clip(np.floor(place).astype(int), 0, N_BINS - 2)
    part = np.clip(place - low, 0.0, 1.0).astype(values.dtype)
    outside = (wavelength < edges[0]) | (wavelength > edges[-1])
    row = np.arange(values.shape[-2])[:, None]
    found = values[..., row, low] * (1.0 - part) + values[..., row, low + 1] * part
    return np.where(outside, np.nan, found)[..., order]


def _is_grid(wavelength: np.ndarray) -> bool:
    return wavelength.shape == (1, N_BINS) and np.allclose(wavelength[0], bin_centres(), rtol=1e-6)


def _binned(
    wavelength: np.ndarray, flux: np.ndarray, variance: np.ndarray, usable: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean flux and inverse variance (825,) of one spectrum."""
    middle = 0.5 * (wavelength[1:] + wavelength[:-1])
    ends = (1.5 * wavelength[0] - 0.5 * wavelength[1], 1.5 * wavelength[-1] - 0.5 * wavelength[-2])
    borders = np.concatenate([ends[:1], middle, ends[1:]])
    width, edges = np.diff(borders), bin_edges()
    length = width * usable
    rows = (
        length,
        length * np.where(usable, flux, 0.0),
        width * length * np.where(usable, variance, 0.0),
    )
    covered, total, spread = (
        np.diff(np.interp(edges, borders, np.concatenate([[0.0], np.cumsum(row)]))) for row in rows
    )
    good = covered > _HALF * np.diff(edges)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, weight = total / covered, np.square(covered) / spread
    return np.where(good, mean, 0.0), np.where(good & (weight > 0), weight, 0.0)


def _estimated(flux: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Variance (n,) of the noise from second differences of neighbours, robust against lines."""
    seen = np.where(usable, flux, np.nan)
    second = seen[:, 1:-1] - 0.5 * (seen[:, 2:] + seen[:, :-2])
    filled = np.ma.masked_invalid(np.abs(second))
    return np.asarray(np.square(1.4826 * np.ma.median(filled, axis=1).filled(np.nan)) / 1.5)
