"""Is the starlight believed, and the columns that it adds to a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.fitting.config import FitConfig
from nebulines.fitting.fluxes import LIMIT_SIGMA
from nebulines.galaxies.denoising.rest_grid import CHANNEL_KMS, LOG10_STEP, OnGrid
from nebulines.galaxies.starlight.continuum_fit import Starlight
from nebulines.galaxies.starlight.continuum_search import running_mean
from nebulines.galaxies.starlight.continuum_step import (
    LARGEST_REDDENING,
    LARGEST_SHIFT,
    LARGEST_VARIANCE,
)
from nebulines.galaxies.starlight.lines import sides, sums_beside
from nebulines.galaxies.starlight.setup import LEAST_CHANNELS, StellarSetup
from nebulines.lines import load_catalogue, standard_ratios
from nebulines.spectra import Flag, Spectra

if TYPE_CHECKING:
    from nebulines.galaxies.starlight.stage import Stars

LEAST_SNR = 0.5
"""Of a channel's continuum: below it there is no starlight to fit."""
LARGEST_CHI2 = 3.0
CLAIM = 25.0
"""Features of the starlight that should have lowered chi2 by this much are put to the test ..."""
KEPT = 0.5
"""... and must have lowered it by this share of what they claim."""
_SAMPLED = 4  # every so many channels are enough for a median
_SLAB = 48  # rows that stay in the cache


class Judged(NamedTuple):
    """n verdicts.

    Attributes:
        none: no starlight was fitted: too few channels, no positive continuum, no redshift.
        poor: it was, but does not describe the spectrum.
    """

    none: np.ndarray
    poor: np.ndarray


def judge(data: OnGrid, light: Starlight, setup: StellarSetup) -> Judged:
    """Say of each spectrum whether its starlight is believed.

    The features of a model m that fits lower chi2, compared with the running mean of m, by about
    sum w (m - mean)^2; those of a model at a wrong redshift do not.
    """
    none = missing(data, light, setup)
    parts = [_features(data, light, slice(k, k + _SLAB)) for k in range(0, len(none), _SLAB)]
    claim, gain = (np.concatenate(part) for part in zip(*parts, strict=True))
    count = np.count_nonzero(light.used, axis=1)
    clipped = 1.0 - count / np.maximum(np.count_nonzero(data.weight, axis=1), 1)
    at_edge = np.abs(light.shape[:, 0]) >= 0.99 * LARGEST_SHIFT
    at_edge |= light.shape[:, 1] >= 0.99 * LARGEST_VARIANCE
    at_edge |= light.shape[:, 2] >= 0.99 * LARGEST_REDDENING
    poor = (light.chi2 > LARGEST_CHI2) | (clipped > 0.2) | at_edge
    poor |= (claim > CLAIM) & (gain < KEPT * claim)
    return Judged(none, poor & ~none)


def _features(data: OnGrid, light: Starlight, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """How much of chi2 the features of the starlight of some rows (n,) claim, and what they
    gain."""
    used, stars = light.used[rows], light.stars[rows]
    difference = stars - running_mean(stars, used.astype(np.float32))
    pulled = np.where(used, data.weight[rows] * difference, np.float32(0.0))
    left = data.flux[rows] - light.gas[rows] - stars
    claim = np.einsum("np,np->n", pulled, difference)
    return claim, claim + 2.0 * np.einsum("np,np->n", pulled, left)


def missing(data: OnGrid, light: Starlight, setup: StellarSetup) -> np.ndarray:
    """Whether no starlight was fitted (n,), as in `Judged`."""
    some = np.s_[:, ::_SAMPLED]
    snr = _median_snr(light.stars[some], np.where(light.used[some], data.weight[some], 0.0))
    few = np.count_nonzero(light.used, axis=1) < LEAST_CHANNELS
    none = few | ~(snr > LEAST_SNR) | ~setup.usable
    return none | ~np.isfinite(light.stars).all(axis=1)


def _median_snr(stars: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(n,) median of the starlight over the noise, in the channels used."""
    used = weight > 0
    ordered = np.sort(np.where(used, stars * np.sqrt(weight), np.inf), axis=1)
    count = used.sum(axis=1)
    middle = np.maximum(np.stack([count - 1, count], axis=1) // 2, 0)
    median = np.take_along_axis(ordered, middle, axis=1).mean(axis=1)
    return np.where(count > 0, median, 0.0)


def add_stellar_columns(
    columns: dict[str, np.ndarray], stars: Stars, spectra: Spectra, config: FitConfig
) -> dict[str, np.ndarray]:
    """The columns of the gas with continuum and equivalent width of each line, with errors that
    contain those of the starlight, and the starlight's own columns before the flags."""
    catalogue = load_catalogue(config.catalogue).select(config.lines or ())
    names, flags = catalogue.names, columns["flags"].astype(np.int64)
    columns = dict(columns)
    _widen_errors(columns, names, stars)
    rest = catalogue.wavelength(spectra.axis.medium)
    columns["continuum"] = columns["continuum"] + _under(stars, names, rest)
    level, level_err = _levels(stars, rest)
    empty = (flags & int(Flag.NO_DATA)) != 0
    for i, name in enumerate(names):
        continuum = np.where(empty, np.nan, level[:, i])
        columns[f"{name}_continuum"] = continuum
        width, error = _equivalent_width(columns, name, continuum, level_err[:, i], stars)
        columns[f"{name}_ew"], columns[f"{name}_ew_err"] = width, error
        lost = np.isfinite(columns[f"{name}_flux"]) & ~np.isfinite(width)
        flags[lost & ~empty] |= int(Flag.NO_STARLIGHT)
    columns |= _kinematics(stars, empty)
    flags[stars.judged.none] |= int(Flag.NO_STARLIGHT)
    flags[stars.judged.poor] |= int(Flag.POOR_STARLIGHT)
    last = {name: columns.pop(name) for name in ("n_components", "flags")}
    last["flags"] = flags.astype(np.int32)
    single = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in columns.items()}
    return single | last


def _widen_errors(columns: dict[str, np.ndarray], names: tuple[str, ...], stars: Stars) -> None:
    """Errors of fluxes, limits and ratios with what the freedom of the starlight adds."""
    believed = ~stars.judged.none
    added = np.where(believed[:, None], stars.light.amplitude_variance, 0.0)
    share = {}
    for i, name in enumerate(names):
        flux, error = columns[f"{name}_flux"], columns[f"{name}_flux_err"]
        columns[f"{name}_flux_err"] = np.sqrt(error**2 + added[:, i])
        limit = np.maximum(flux, 0.0) + LIMIT_SIGMA * columns[f"{name}_flux_err"]
        columns[f"{name}_flux_limit"] = limit
        with np.errstate(divide="ignore", invalid="ignore"):
            share[name] = added[:, i] / np.square(flux)
    for top, bottom in standard_ratios(list(names)):
        ratio = columns[f"ratio_{top}_{bottom}"]
        error = columns[f"ratio_{top}_{bottom}_err"]
        with np.errstate(invalid="ignore"):
            more = np.square(ratio) * (share[top] + share[bottom])
        columns[f"ratio_{top}_{bottom}_err"] = np.sqrt(np.square(error) + np.nan_to_num(more))


def _under(stars: Stars, names: tuple[str, ...], rest: np.ndarray) -> np.ndarray:
    """Starlight (n,) under the line whose continuum a result states: H-alpha, or the first."""
    grid = stars.setup.basis.grid
    order = np.argsort(rest)
    line = names.index("HALPHA6563") if "HALPHA6563" in names else order[0]
    channel = int(np.clip(grid.channel(rest[line]).round(), 0, grid.size - 1))
    return np.where(stars.judged.none, 0.0, stars.light.stars[:, channel])


def _levels(stars: Stars, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Continuum (n, L) beside each line, from the starlight where it is believed, else from the
    data, and its error."""
    weights = sides(stars.setup.basis.grid, rest)
    data, light = stars.data, stars.light
    used = (data.weight > 0) & (light.used | stars.judged.none[:, None])
    source = np.where(stars.judged.none[:, None], data.flux, light.stars)
    masked = np.where(stars.judged.none[:, None], used, True)
    total = sums_beside(masked, weights)
    level = sums_beside(np.where(masked, source, 0.0), weights) / np.where(total > 0, total, np.nan)
    level = np.where(weights.sum(axis=1) > 0, level, np.nan)
    noise = sums_beside(np.where(used, 1.0 / np.where(used, data.weight, 1.0), 0.0), weights**2)
    seen = sums_beside(used, weights)
    error = np.sqrt(noise) / np.where(seen > 0, seen, np.nan)
    return level, error


def _equivalent_width(
    columns: dict[str, np.ndarray],
    name: str,
    continuum: np.ndarray,
    continuum_err: np.ndarray,
    stars: Stars,
) -> tuple[np.ndarray, np.ndarray]:
    """Rest-frame equivalent width [Angstrom], positive in emission, and its error."""
    flux, flux_err = columns[f"{name}_flux"], columns[f"{name}_flux_err"]
    stretch = 1.0 + stars.setup.redshift
    positive = continuum > 0
    safe = np.where(positive, continuum, np.nan)
    width = flux / safe / stretch
    relative = np.nan_to_num(continuum_err / safe)
    error = np.hypot(flux_err / safe / stretch, width * relative)
    return width, error


def _kinematics(stars: Stars, empty: np.ndarray) -> dict[str, np.ndarray]:
    """Velocity, dispersion and reddening of the stars, their reduced chi2."""
    light, judged = stars.light, stars.judged
    grow = np.sqrt(np.maximum(light.chi2, 1.0))
    shift = light.shape[:, 0] + stars.data.offset
    velocity = SPEED_OF_LIGHT_KMS * (10.0 ** (LOG10_STEP * shift) - 1.0)
    variance = light.shape[:, 1] - stars.setup.level
    sigma = np.sqrt(np.maximum(variance, 0.0))
    error = light.errors[:, 1] * grow
    with np.errstate(divide="ignore"):
        resolved = np.where(sigma > 0, error / (2.0 * sigma), np.inf)
    values = {
        "stellar_velocity": velocity,
        "stellar_velocity_err": light.errors[:, 0] * grow * CHANNEL_KMS,
        "stellar_dispersion": sigma * CHANNEL_KMS,
        "stellar_dispersion_err": np.minimum(resolved, np.sqrt(error)) * CHANNEL_KMS,
        "stellar_ebv": light.shape[:, 2],
        "stellar_ebv_err": light.errors[:, 2] * grow,
        "stellar_chi2": light.chi2,
    }
    missing = judged.none | empty
    return {name: np.where(missing, np.nan, value) for name, value in values.items()}
