"""Stellar templates prepared for a batch of spectra: on the rest-frame grid, with the line spread
of the instrument, compressed to a few vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nebulines.constants import FWHM_PER_SIGMA
from nebulines.errors import UsageError
from nebulines.galaxies.denoising.rest_grid import LOG10_STEP, RestGrid
from nebulines.galaxies.starlight.templates import Templates
from nebulines.models.dust import extinction
from nebulines.spectral_axis import Medium, vacuum_to_air

DUST_LAW = "Calzetti00"
_DUST_RV = 4.05
_VECTORS = 24
_MISSED = 1e-3
_NARROW = 0.5


@dataclass(frozen=True, eq=False)
class StellarBasis:
    """k templates as combinations of r vectors on p channels; two are equal when they are the
    same object, so that tables made of one can be kept.

    Attributes:
        grid: the channels.
        vectors: (r, p) float32.
        mixing: (k, r) float32; templates = mixing @ vectors, each with mean 1.
        dust: (p,) natural logarithm of the light that E(B-V) = 1 takes away.
        template_variance: (p,) square of the Gaussian sigma of the templates [channels^2].
        widening: (p,) what was added to it to follow the instrument [channels^2].
        templates: what they were made of.
    """

    grid: RestGrid
    vectors: np.ndarray
    mixing: np.ndarray
    dust: np.ndarray
    template_variance: np.ndarray
    widening: np.ndarray
    templates: Templates


def sigma_channels(fwhm: np.ndarray, wavelength: np.ndarray) -> np.ndarray:
    """Gaussian sigma in channels of the grid of a FWHM [Angstrom] at a wavelength [Angstrom].

    Example:
        >>> round(float(sigma_channels(np.array(2.5), np.array(5000.0))), 3)
        0.922
    """
    return np.asarray(fwhm / wavelength / FWHM_PER_SIGMA / (LOG10_STEP * np.log(10.0)))


def prepare_basis(
    templates: Templates,
    low: float,
    high: float,
    *,
    medium: Medium = "air",
    spread_variance: np.ndarray | None = None,
    grid: RestGrid | None = None,
) -> StellarBasis:
    """Templates on the part of their axis between two rest wavelengths.

    Args:
        templates: stellar spectra.
        low, high: rest wavelengths [Angstrom] that the data cover.
        medium: of the data's wavelengths.
        spread_variance: (p,) on ``grid``: sigma^2 of the instrument [channels^2];
            None = that of the templates.
        grid: the channels; None = `grid_for`.

    Returns:
        `StellarBasis`. Where the instrument is sharper than the templates nothing is done: the
        dispersion is corrected afterwards (as in Westfall et al. 2019, AJ 158, 231).
    """
    grid = grid_for(templates, low, high) if grid is None else grid
    wavelength = grid.wavelength
    air = np.asarray(vacuum_to_air(wavelength)) if medium == "vacuum" else wavelength
    flux = _sampled(templates, air)
    own = sigma_channels(np.interp(air, templates.wavelength, templates.fwhm), air) ** 2
    widening = np.zeros(grid.size)
    if spread_variance is not None:
        excess = spread_variance - own
        widening = np.maximum(excess - float(np.percentile(excess, 2)), 0.0)
    flux = _widened(flux, widening)
    flux = flux / np.mean(flux, axis=1, keepdims=True)
    left, size, right = np.linalg.svd(flux, full_matrices=False)
    missed = np.sqrt(np.cumsum((size**2)[::-1])[::-1] / flux.size)
    rank = int(np.clip(np.searchsorted(-missed, -_MISSED), 1, _VECTORS))
    return StellarBasis(
        grid,
        (right[:rank] * np.sqrt(grid.size)).astype(np.float32),
        (left[:, :rank] * size[:rank] / np.sqrt(grid.size)).astype(np.float32),
        0.4 * np.log(10.0) * _DUST_RV * extinction(air, DUST_LAW),
        own,
        widening,
        templates,
    )


def grid_for(templates: Templates, low: float, high: float) -> RestGrid:
    """The grid between two rest wavelengths [Angstrom], no wider than the templates reach.

    Raises:
        UsageError: the templates do not reach there.
    """
    low, high = max(low, templates.wavelength[0]), min(high, templates.wavelength[-1])
    if not low < 0.99 * high:
        raise UsageError(
            f"templates {templates.name} reach from {templates.wavelength[0]:.0f} to "
            f"{templates.wavelength[-1]:.0f} Angstrom: the spectra lie outside"
        )
    return RestGrid.covering(low, high)


def _sampled(templates: Templates, air: np.ndarray) -> np.ndarray:
    """Templates (k, p) at air wavelengths, averaged over the channels where they are sampled
    more finely; constant beyond their ends."""
    from scipy.interpolate import CubicSpline

    spline = CubicSpline(templates.wavelength, templates.flux, axis=1)
    inside = np.clip(air, templates.wavelength[0], templates.wavelength[-1])
    fine = np.median(np.diff(templates.wavelength)) < _NARROW * np.median(np.diff(air))
    if not fine:
        return np.asarray(spline(inside))
    edges = np.interp(np.arange(len(air) + 1) - 0.5, np.arange(len(air)), inside)
    edges = np.maximum.accumulate(edges)
    width = np.diff(edges)
    integral = np.diff(spline.antiderivative()(edges), axis=1)
    return np.where(width > 0, integral / np.where(width > 0, width, 1.0), spline(inside))


def _widened(flux: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Spectra (k, p) smoothed with a Gaussian whose variance (p,) [channels^2] changes slowly:
    a few constant widths, interpolated."""
    from scipy.ndimage import gaussian_filter1d

    largest = float(variance.max())
    if largest < 1e-3:
        return flux
    nodes = np.linspace(0.0, largest, 9)
    levels = [flux] + [gaussian_filter1d(flux, np.sqrt(q), axis=1) for q in nodes[1:]]
    at = variance / (nodes[1] - nodes[0])
    base = np.clip(np.floor(at).astype(int), 0, len(nodes) - 2)
    share = at - base
    stacked = np.stack(levels)
    column = np.arange(flux.shape[1])
    low, high = stacked[base, :, column], stacked[base + 1, :, column]
    return np.asarray(((1.0 - share)[:, None] * low + share[:, None] * high).T)
