"""Spectra of a population on any wavelengths: starlight averaged over channels, lines added."""

from __future__ import annotations

from typing import Any

import numpy as np

from nebulines.constants import FWHM_PER_SIGMA, SPEED_OF_LIGHT_KMS
from nebulines.errors import UsageError
from nebulines.galaxies.population.ionised_gas import LINES
from nebulines.galaxies.population.population import Population
from nebulines.galaxies.starlight.basis import load_starlight
from nebulines.lines import load_catalogue
from nebulines.spectral_axis import Medium, air_to_vacuum, vacuum_to_air

_REACH = 6.0
_WIDE = 1.3  # channels of the basis: wider ones are averaged, narrower ones interpolated


def render(
    population: Population,
    wavelength: Any = None,
    *,
    medium: Medium = "air",
    redshift: Any = 0.0,
    fwhm: Any = None,
) -> np.ndarray:
    """Noise-free spectra of a population: stars and lines.

    Lines are averaged over each channel, which reaches half way to its neighbours, and so is
    starlight on one shared rest-frame axis of channels wider than 90 km/s; elsewhere starlight
    is interpolated. The lines have the gas's dispersion and the line spread; starlight has the line
    spread of the stellar basis (R about 1400 at 4000 to 2300 at 9000 Angstrom).

    Args:
        population: n galaxies.
        wavelength: (channel,) increasing, observed [Angstrom]; None = the population's own.
        medium: ``air`` or ``vacuum``: what the wavelengths mean.
        redshift: () or (n,).
        fwhm: line spread () or (channel,) [Angstrom, observed]; None = that of the basis.

    Returns:
        (n, channel) float32 [solar luminosities per observed Angstrom]; NaN in channels that the
        population's continuum does not cover.

    Raises:
        UsageError: wavelengths that do not increase.

    Example:
        >>> from nebulines.galaxies.population.drawing import draw_population
        >>> galaxies = draw_population(2, seed=1)
        >>> render(galaxies, np.arange(6400.0, 6800.0)).shape
        (2, 400)
    """
    wave = population.wavelength_air if wavelength is None else np.asarray(wavelength, float)
    if wave.ndim != 1 or len(wave) < 2 or not np.all(np.diff(wave) > 0):
        raise UsageError("render needs one axis of increasing wavelengths, two channels at least")
    edges = channel_edges(wave)
    stretch = 1.0 + np.atleast_1d(np.asarray(redshift, float))
    flux = _starlight(population, wave, medium, stretch)
    _add_lines(flux, population, edges, medium, stretch, _spread(wave, fwhm))
    return flux


def channel_edges(wave: np.ndarray) -> np.ndarray:
    """Edges (channel + 1,), half way between neighbours.

    Example:
        >>> channel_edges(np.array([1.0, 2.0, 3.0]))
        array([0.5, 1.5, 2.5, 3.5])
    """
    middle = 0.5 * (wave[1:] + wave[:-1])
    return np.concatenate([[2 * wave[0] - middle[0]], middle, [2 * wave[-1] - middle[-1]]])


def _spread(wave: np.ndarray, fwhm: Any) -> Any:
    """Line spread as a function of (observed wavelength, 1 + z): FWHM [Angstrom]."""
    if fwhm is None:
        stars = load_starlight()
        return lambda x, stretch: stretch * np.interp(x / stretch, stars.wavelength_air, stars.fwhm)
    table = np.broadcast_to(np.asarray(fwhm, float), wave.shape)
    return lambda x, stretch: np.interp(x, wave, table)


def _starlight(
    population: Population, wave: np.ndarray, medium: Medium, stretch: np.ndarray
) -> np.ndarray:
    """Starlight (n, channel): mean over wide channels, value at the middle of narrow ones."""
    own = population.wavelength_air
    coarse = np.diff(np.log(wave)).max() > _WIDE * np.log(own[1] / own[0])
    if coarse and len(stretch) == 1:
        return _averaged(population, channel_edges(wave), medium, stretch[0])
    own = air_to_vacuum(own) if medium == "vacuum" else own
    flux = np.empty((len(population.continuum), len(wave)), np.float32)
    for row, light, by in zip(
        flux, population.continuum, np.broadcast_to(stretch, len(flux)), strict=True
    ):
        row[:] = np.interp(wave / by, own, light, left=np.nan, right=np.nan) / by
    return flux


def _averaged(
    population: Population, edges: np.ndarray, medium: Medium, stretch: float
) -> np.ndarray:
    """Mean flux density of each channel of a shared axis, from running integrals."""
    own = channel_edges(population.wavelength_air)
    total = np.zeros((len(population.continuum), len(own)))
    np.cumsum(population.continuum * np.diff(own), axis=1, out=total[:, 1:])
    rest = edges / stretch
    rest = vacuum_to_air(rest) if medium == "vacuum" else rest
    place = np.interp(rest, own, np.arange(len(own)))
    left = np.minimum(place.astype(np.int32), len(own) - 2)
    part = place - left
    at = total[:, left] * (1.0 - part) + total[:, left + 1] * part
    covered = (rest[:-1] >= own[0] - 1e-6) & (rest[1:] <= own[-1] + 1e-6)
    return np.where(covered, np.diff(at, axis=1) / np.diff(edges), np.nan).astype(np.float32)


def _add_lines(
    flux: np.ndarray,
    population: Population,
    edges: np.ndarray,
    medium: Medium,
    stretch: np.ndarray,
    spread: Any,
) -> None:
    """Add the lines to ``flux``, in place: each in the window that its widest profile reaches."""
    from scipy.special import ndtr

    rows, n_channels = np.arange(len(flux))[:, None], flux.shape[1]
    for centre, strength in zip(
        load_catalogue().select(LINES).wavelength(medium), population.flux.T, strict=True
    ):
        observed = np.broadcast_to(centre * stretch, len(flux))
        sigma = np.hypot(
            population.gas_dispersion / SPEED_OF_LIGHT_KMS * observed,
            spread(observed, stretch) / FWHM_PER_SIGMA,
        )
        first = np.searchsorted(edges, observed - _REACH * sigma)
        last = np.searchsorted(edges, observed + _REACH * sigma)
        width = min(int((last - first).max()) + 2, n_channels)
        first = np.clip(first - 1, 0, n_channels - width)
        columns = first[:, None] + np.arange(width + 1)
        at = ndtr((edges[columns] - observed[:, None]) / sigma[:, None])
        columns = columns[:, :-1]
        lengths = edges[columns + 1] - edges[columns]
        flux[rows, columns] += (strength[:, None] * np.diff(at, axis=1) / lengths).astype(
            flux.dtype
        )
