"""From the channels of a spectrum to the rest-frame bins of the de-noiser, and back.

A bin takes the mean flux of the usable channels that it overlaps. The variance of that mean keeps
the information per wavelength, also where channels are wider than bins. Back on the channels, the
bins are interpolated linearly in the logarithm of the wavelength.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np

from nebulines.errors import InputError
from nebulines.fitting.tiles import map_tiles
from nebulines.galaxies.flux_units import power_of_two_near
from nebulines.networks.denoise.grid import N_BINS, bin_centres, bin_edges
from nebulines.spectra import Spectra
from nebulines.spectral_axis import air_to_vacuum, vacuum_to_air

_WIDEST = 3.0
"""Widest channels that are taken, in bins: lines of 1 bin are lost in them."""
_HALF = 0.5
_SLAB = 262_144
"""Channels that are brought to the bins, or back, at once: what the processor keeps near."""


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


def _channels(spectra: Spectra, rows: slice = slice(None)) -> tuple[np.ndarray, slice]:
    """Observed wavelengths (n or 1, channel) of rows, increasing, and the order of the channels.

    Raises:
        InputError: channels wider than three bins (830 km/s).
    """
    wavelength = np.atleast_2d(spectra.axis.wavelength())
    wavelength = wavelength if len(wavelength) == 1 else wavelength[rows]
    order = slice(None, None, -1) if spectra.axis.kind == "wavenumber" else slice(None)
    wavelength = wavelength[:, order]
    step = float(np.median(np.diff(np.log(wavelength[0])))) if wavelength.shape[1] > 1 else np.inf
    bins = step / np.log(bin_edges()[1] / bin_edges()[0])
    if bins > _WIDEST:
        raise InputError(
            f"channels of {276.0 * bins:.0f} km/s are too wide to be de-noised: expected at most "
            f"{276.0 * _WIDEST:.0f} km/s; give spectra of higher resolution"
        )
    return wavelength, order


def _at_rest(wavelength: np.ndarray, medium: str, redshift: np.ndarray) -> np.ndarray:
    """Rest wavelengths in air (n or 1, channel) of observed ones at redshifts (n,)."""
    same = np.all(redshift == redshift[:1])
    shift = 1.0 + (redshift[:1] if same else redshift)[:, None]
    if medium == "air" and same and redshift[0] == 0:
        return wavelength
    vacuum = wavelength if medium == "vacuum" else air_to_vacuum(wavelength)
    return np.asarray(vacuum_to_air(vacuum / shift))


def _observed_edges(medium: str, redshift: np.ndarray) -> np.ndarray:
    """Edges (n, 826) of the bins as observed at redshifts (n,)."""
    vacuum = air_to_vacuum(bin_edges()) * (1.0 + redshift[:, None])
    return np.asarray(vacuum if medium == "vacuum" else vacuum_to_air(vacuum))


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
    n = len(redshift)
    flux, weight = (np.zeros((n, N_BINS), np.float32) for _ in range(2))
    found = Binned(flux, weight, np.zeros(n, bool), np.zeros(n))
    reading = threading.Lock()  # files are read by one thread at a time

    def work(rows: slice) -> None:
        with reading:
            part = spectra[rows]
        for whole, values in zip(found, _some_binned(part, redshift[rows]), strict=True):
            whole[rows] = values

    map_tiles(work, _slabs(spectra))
    return found


def _some_binned(spectra: Spectra, redshift: np.ndarray) -> Binned:
    (wavelength, order), medium = _channels(spectra), spectra.axis.medium
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
    if not _is_grid(wavelength, medium, redshift):
        edges = _observed_edges(medium, redshift)
        return Binned(*_binned(wavelength, edges, flux, variance, usable), bad_variance, unit)
    weight = np.where(usable, 1.0 / np.where(good, variance, 1.0), 0.0)
    return Binned(np.where(usable, flux, 0.0), weight, bad_variance, unit)


def to_channels(values: np.ndarray, spectra: Spectra, redshift: np.ndarray) -> np.ndarray:
    """Values (..., n, 825) of the bins on the channels (..., n, channel); NaN outside the bins."""
    found = np.empty((*values.shape[:-1], spectra.flux.shape[1]), values.dtype)

    def work(rows: slice) -> None:
        (wavelength, order), medium = _channels(spectra, rows), spectra.axis.medium
        part = values[..., rows, :]
        if not _is_grid(wavelength, medium, redshift[rows]):
            part = _interpolated(part, _at_rest(wavelength, medium, redshift[rows]))
        found[..., rows, :] = part[..., order]

    map_tiles(work, _slabs(spectra))
    return found


def _interpolated(values: np.ndarray, wavelength: np.ndarray) -> np.ndarray:
    """Values (..., m, 825) at wavelengths (m or 1, channel)."""
    edges, centres = bin_edges(), np.log(bin_centres())
    place = (np.log(wavelength) - centres[0]) / (centres[1] - centres[0])
    low = np.clip(place, 0, N_BINS - 2).astype(int)
    part = np.clip(place - low, 0.0, 1.0).astype(values.dtype)
    part[(wavelength < edges[0]) | (wavelength > edges[-1])] = np.nan
    low = np.broadcast_to(low, (*values.shape[:-1], low.shape[1]))
    first, last = (np.take_along_axis(values, low + k, axis=-1) for k in (0, 1))
    return first + (last - first) * part


def _slabs(spectra: Spectra) -> list[slice]:
    n, count = spectra.flux.shape
    rows = max(1, _SLAB // count)
    return [slice(start, start + rows) for start in range(0, n, rows)]


def _is_grid(wavelength: np.ndarray, medium: str, redshift: np.ndarray) -> bool:
    """Whether observed channels are the bins."""
    if wavelength.shape != (1, N_BINS):
        return False
    rest = _at_rest(wavelength, medium, redshift)
    return len(rest) == 1 and np.allclose(rest[0], bin_centres(), rtol=1e-6)


def _binned(
    wavelength: np.ndarray,
    edges: np.ndarray,
    flux: np.ndarray,
    variance: np.ndarray,
    usable: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean flux and inverse variance (m, 825) between edges (m, 826) of spectra (m, channel) at
    wavelengths (m or 1, channel)."""
    middle = 0.5 * (wavelength[:, 1:] + wavelength[:, :-1])
    first = 1.5 * wavelength[:, :1] - 0.5 * wavelength[:, 1:2]
    last = 1.5 * wavelength[:, -1:] - 0.5 * wavelength[:, -2:-1]
    borders = np.concatenate([first, middle, last], axis=1)
    width = np.diff(borders)
    within = np.broadcast_to(borders[:, 1:-1], (len(edges), middle.shape[1]))
    channel = np.stack([np.searchsorted(*pair) for pair in zip(within, edges, strict=True)])
    borders, width = (np.broadcast_to(x, (len(edges), x.shape[1])) for x in (borders, width))
    share = (edges - np.take_along_axis(borders, channel, axis=1)) / np.take_along_axis(
        width, channel, axis=1
    )
    share = np.clip(share, 0.0, 1.0)
    length = width * usable
    covered, total, spread = (
        _between_edges(row, channel, share)
        for row in (
            length,
            length * np.where(usable, flux, 0.0),
            width * length * np.where(usable, variance, 0.0),
        )
    )
    good = covered > _HALF * np.diff(edges, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, weight = total / covered, np.square(covered) / spread
    return np.where(good, mean, 0.0), np.where(good & (weight > 0), weight, 0.0)


def _between_edges(rows: np.ndarray, channel: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Sums (m, 825) of rows (m, channel) between edges that leave a share of a channel behind."""
    before = np.cumsum(rows, axis=1) - rows
    at = np.take_along_axis(before, channel, axis=1)
    return np.diff(at + share * np.take_along_axis(rows, channel, axis=1))


def _estimated(flux: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Variance (n,) of the noise from second differences of neighbours, robust against lines."""
    seen = np.where(usable, flux, np.nan)
    second = seen[:, 1:-1] - 0.5 * (seen[:, 2:] + seen[:, :-2])
    filled = np.ma.masked_invalid(np.abs(second))
    return np.asarray(np.square(1.4826 * np.ma.median(filled, axis=1).filled(np.nan)) / 1.5)
