"""What the fit of starlight needs to know of a set of spectra: redshifts, noise, line spread, and
the templates prepared for them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from nebulines.fitting.config import FitConfig
from nebulines.fitting.line_spread import line_spread_of
from nebulines.fitting.problem import usable_redshift
from nebulines.galaxies.denoising.rest_grid import RestGrid
from nebulines.galaxies.starlight.stellar_basis import (
    StellarBasis,
    grid_for,
    prepare_basis,
    sigma_channels,
)
from nebulines.galaxies.starlight.template_sources import load_templates
from nebulines.galaxies.starlight.templates import Templates
from nebulines.instruments import get_instrument
from nebulines.instruments.line_spread import LineSpread
from nebulines.lines import LineCatalogue
from nebulines.spectra import Cube, Spectra
from nebulines.spectral_axis import Medium

LEAST_CHANNELS = 400
"""Fewer channels of the grid (28 000 km/s) cannot tell starlight from a polynomial."""
_SAMPLED_ROWS = 32
_ROUND = 2


class StellarSetup(NamedTuple):
    """Templates for n spectra, and the facts about these.

    Attributes:
        basis: the templates.
        redshift: (n,), 0 where none is usable.
        usable: (n,) bool, redshift known.
        level: (n,) variance of the instrument beyond that of the prepared templates
            [channels^2]; 0 when the line spread is unknown.
    """

    basis: StellarBasis
    redshift: np.ndarray
    usable: np.ndarray
    level: np.ndarray

    def rows(self, index: slice) -> StellarSetup:
        """The setup of a part of the spectra."""
        parts = (self.redshift, self.usable, self.level)
        return StellarSetup(self.basis, *(part[index] for part in parts))


def redshifts(spectra: Spectra, config: FitConfig) -> tuple[np.ndarray, np.ndarray]:
    """Redshift (n,) of each spectrum, 0 where it is not usable, and whether it is."""
    n = len(spectra)
    if isinstance(config.redshift, int | float):
        return np.full(n, float(config.redshift)), np.ones(n, bool)
    if spectra.redshift is None:
        return np.zeros(n), np.ones(n, bool)
    usable = usable_redshift(spectra.redshift)
    return np.where(usable, spectra.redshift, 0.0), usable


def covered(spectra: Spectra, config: FitConfig) -> tuple[float, float]:
    """Rest wavelengths [Angstrom] that any of the spectra covers."""
    low, high = spectra.axis.wavelength_range()
    redshift, usable = redshifts(spectra, config)
    redshift = redshift[usable] if usable.any() else redshift
    return low / (1.0 + redshift.max()), high / (1.0 + redshift.min())


def stellar_applies(data: Spectra | Cube, config: FitConfig) -> bool:
    """Whether a fit with ``continuum = "auto"`` goes above starlight: the instrument is that of a
    galaxy survey, and the spectra overlap the templates enough.

    Args:
        data: what is to be fitted.
        config: resolved options.
    """
    if not data.instrument or not get_instrument(data.instrument).galaxies:
        return False
    if config.shape not in ("auto", "gaussian"):
        return False
    sample = data if isinstance(data, Spectra) else data[0, 0]
    if sample.axis.kind != "wavelength":
        return False
    templates = cached_templates(config.templates)
    low, high = covered(sample, config)
    low, high = max(low, templates.wavelength[0]), min(high, templates.wavelength[-1])
    return (
        bool(high > low)
        and RestGrid.covering(low, high).channel(np.array(high))
        - RestGrid.covering(low, high).channel(np.array(low))
        >= LEAST_CHANNELS
    )


@lru_cache(maxsize=4)
def cached_templates(source: str | None) -> Templates:
    """`load_templates`, read once."""
    return load_templates(source)


def basis_for(spectra: Spectra, config: FitConfig) -> StellarSetup:
    """The templates for a set of spectra: on the grid, with the line spread of the instrument.

    Raises:
        UsageError: the templates do not reach the spectra.
    """
    redshift, usable = redshifts(spectra, config)
    templates = cached_templates(config.templates)
    grid = grid_for(templates, *covered(spectra, config))
    spread, known = line_spread_of(spectra, config)
    variance = None
    if known:
        variance = np.round(_spread_variance(spread, grid, redshift), _ROUND).tobytes()
    basis = _basis(config.templates, grid, spectra.axis.medium, variance)
    level = np.zeros(len(spectra))
    if known:
        level = _level(spread, basis, redshift)
    return StellarSetup(basis, redshift, usable, level)


@lru_cache(maxsize=8)
def _basis(
    source: str | None, grid: RestGrid, medium: Medium, variance: bytes | None
) -> StellarBasis:
    spread = None if variance is None else np.frombuffer(variance)
    low, high = grid.wavelength[[0, -1]]
    return prepare_basis(
        cached_templates(source), low, high, medium=medium, spread_variance=spread, grid=grid
    )


def _spread_variance(spread: LineSpread, grid: RestGrid, redshift: np.ndarray) -> np.ndarray:
    """(p,) median sigma^2 of the instrument over some of the spectra [channels^2]."""
    rows = np.unique(np.linspace(0, len(redshift) - 1, _SAMPLED_ROWS).astype(int))
    nodes = np.linspace(0, grid.size - 1, 33).round().astype(int)
    values = _variance_at(spread.rows(rows), grid.wavelength[nodes], redshift[rows])
    return np.interp(np.arange(grid.size), nodes, np.median(values, axis=0))


def _variance_at(spread: LineSpread, rest: np.ndarray, redshift: np.ndarray) -> np.ndarray:
    """(n, m) sigma^2 of the instrument at rest wavelengths (m,) [channels^2]."""
    observed = rest * (1.0 + redshift[:, None])
    fwhm = np.broadcast_to(spread.fwhm_angstrom(observed), observed.shape)
    return np.asarray(sigma_channels(fwhm, observed)) ** 2


def _level(spread: LineSpread, basis: StellarBasis, redshift: np.ndarray) -> np.ndarray:
    nodes = np.linspace(0, basis.grid.size - 1, 33).round().astype(int)
    values = _variance_at(spread, basis.grid.wavelength[nodes], redshift)
    made = basis.template_variance + basis.widening
    return np.mean(values - made[nodes], axis=1)


def line_sigma(
    spectra: Spectra, config: FitConfig, setup: StellarSetup, lines: LineCatalogue
) -> np.ndarray:
    """(n, L) sigma of the line spread at the lines [channels of the grid]."""
    spread, _ = line_spread_of(spectra, config)
    rest = lines.wavelength(spectra.axis.medium)
    return np.sqrt(_variance_at(spread, rest, setup.redshift))


def noise_known(spectra: Spectra, config: FitConfig) -> Spectra:
    """The spectra with a variance: their own, else one number each, from the differences of
    neighbouring channels."""
    if spectra.variance is not None and config.noise != "estimate":
        return spectra
    flux = np.asarray(spectra.flux, float)
    good = np.isfinite(flux)
    if spectra.mask is not None:
        good &= ~np.asarray(spectra.mask, bool)
    # second differences do not see a slope
    second = flux[:, 2:] - 2.0 * flux[:, 1:-1] + flux[:, :-2]
    second[~(good[:, 2:] & good[:, 1:-1] & good[:, :-2])] = np.nan
    counted = np.isfinite(second).any(axis=1)
    spread = np.ones(len(flux))
    if counted.any():
        spread[counted] = 1.4826 * np.nanmedian(np.abs(second[counted]), axis=1) / np.sqrt(6.0)
    spread = np.where(spread > 0, spread, 1.0)
    return replace(spectra, variance=np.broadcast_to(spread[:, None] ** 2, flux.shape))
