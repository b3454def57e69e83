"""Star-formation histories: how much mass formed when, and of which metallicity.

Delayed exponentials t exp(-t / tau) from the first stars on; quenching (exponential from a given
time on); bursts; a slow excess or lack of star formation over the last gigayear and a fast one
over the last ten million years, which H-alpha follows and the continuum hardly does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nebulines.galaxies.starlight.basis import Starlight

AGE_EDGES = np.concatenate([[0.0], np.geomspace(1e6, 1.32e10, 46)])
"""Edges (47,) of the bins of lookback time [yr]."""
AGES = np.concatenate([[5e5], np.sqrt(AGE_EDGES[1:-1] * AGE_EDGES[2:])])
"""Middle (46,) of each bin [yr]."""
RECENT = 1e7
"""Stars younger than this [yr] are recent: their photons ionise."""
_SLOW = 7e8


class History(NamedTuple):
    """What decides the history of n galaxies; times are lookback times [yr].

    Attributes:
        oldest: (n,) age of the first stars.
        tau: (n,) time to the peak of star formation.
        quenched: (n,) when quenching began; 0 = never.
        quenching_time: (n,) e-folding time of the quenching.
        burst: (n,) share of the mass that a burst formed.
        burst_age: (n,) when it did.
        slow, fast: (n,) log10 of the excess over the last 0.7 Gyr and the last 10 Myr.
    """

    oldest: np.ndarray
    tau: np.ndarray
    quenched: np.ndarray
    quenching_time: np.ndarray
    burst: np.ndarray
    burst_age: np.ndarray
    slow: np.ndarray
    fast: np.ndarray


def mass_formed(history: History) -> np.ndarray:
    """Mass formed in each bin of age, in units of all that was formed.

    Args:
        history: of n galaxies.

    Returns:
        (n, 46), each row adds up to one.

    Example:
        >>> one = np.ones(1)
        >>> steady = History(1e10 * one, 5e9 * one, 0 * one, 1e8 * one, 0 * one, 1e8 * one,
        ...     0 * one, 0 * one)
        >>> round(float(mass_formed(steady).sum()), 6)
        1.0
    """
    since = np.clip(history.oldest[:, None] - AGE_EDGES, 0.0, None) / history.tau[:, None]
    grown = 1.0 - (1.0 + since) * np.exp(-since)
    mass = grown[:, :-1] - grown[:, 1:]
    after = np.clip(history.quenched[:, None] - AGES, 0.0, None)
    mass = mass * np.exp(-after / history.quenching_time[:, None])
    mass = mass * 10.0 ** (history.slow[:, None] * np.exp(-((AGES / _SLOW) ** 2)))
    mass = mass * np.where(AGES < RECENT, 10.0 ** history.fast[:, None], 1.0)
    mass = mass / mass.sum(axis=1, keepdims=True)
    total = (1.0 - history.burst)[:, None] * mass + history.burst[:, None] * _burst(history)
    return total


def _burst(history: History) -> np.ndarray:
    """Share (n, 46) of a burst's mass in each bin: a normal of 0.12 dex in log age."""
    distance = (np.log10(AGES) - np.log10(history.burst_age)[:, None]) / 0.12
    width = np.diff(AGE_EDGES) / AGES
    weight = width * np.exp(-0.5 * distance**2) + 1e-30
    return weight / weight.sum(axis=1, keepdims=True)


def metallicities(mass: np.ndarray, final: np.ndarray, enrichment: float) -> np.ndarray:
    """log10 of the metallicity over the Sun's of the stars of each bin.

    log Z = final + enrichment log10(share of all stars formed before, 0.1 at least).

    Args:
        mass: (n, 46) from `mass_formed`.
        final: (n,) of the youngest stars.
        enrichment: how fast metals grow with the stars formed.

    Returns:
        (n, 46).

    Example:
        >>> float(metallicities(np.full((1, 46), 1 / 46), np.ones(1), 0.5).max().round(3))
        1.0
    """
    before = np.cumsum(mass[:, ::-1], axis=1)[:, ::-1]
    return final[:, None] + enrichment * np.log10(np.clip(before, 0.1, 1.0))


def population_weights(mass: np.ndarray, metals: np.ndarray, stars: Starlight) -> np.ndarray:
    """Mass of each stellar population of a basis, from that of bins of age.

    Linear in the logarithm of age and in log Z; beyond the basis its edges hold.

    Args:
        mass, metals: (n, 46).
        stars: basis whose populations fill a grid of ages and metallicities.

    Returns:
        (n, k), each row adds up to the mass of its bins.

    Example:
        >>> from nebulines.galaxies.starlight.basis import load_starlight
        >>> population_weights(np.full((1, 46), 1 / 46), np.zeros((1, 46)), load_starlight()).shape
        (1, 54)
    """
    ages, age_row = np.unique(stars.log_age, return_inverse=True)
    metal_knots, metal_row = np.unique(stars.metallicity, return_inverse=True)
    by_age = _hats(np.log10(AGES), ages)
    by_metal = _hats(metals, metal_knots)
    cells = np.einsum("nj,ja,njz->naz", mass, by_age, by_metal, optimize=True)
    return cells[:, age_row, metal_row]


def _hats(x: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Weights (..., k) of linear interpolation between knots."""
    place = np.interp(x, knots, np.arange(len(knots)))
    return np.clip(1.0 - np.abs(place[..., None] - np.arange(len(knots))), 0.0, None)
