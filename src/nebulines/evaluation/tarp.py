"""Tests of accuracy with random points: coverage of joint posteriors in any dimension."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import InputError

_ROWS = 4096  # posteriors at a time: bounds the memory of the distances


class Tarp(NamedTuple):
    """Expected coverage of random regions.

    Attributes:
        level: (k,) credible levels.
        coverage: (k,) expected coverage; equals ``level`` for the exact posterior.
        distance: largest |coverage - level| over all levels (Kolmogorov-Smirnov).
        p_value: probability of a larger distance for the exact posterior.
        n: posteriors counted.
    """

    level: np.ndarray
    coverage: np.ndarray
    distance: float
    p_value: float
    n: int


def tarp(
    truth: Any, draws: Any, *, levels: Any = None, references: Any = None, seed: int = 0
) -> Tarp:
    """Expected coverage of a joint posterior by tests of accuracy with random points.

    For a random reference point the credible region is the ball around it that reaches the
    truth; its probability f is the fraction of draws inside. f is uniform if the posterior is
    exact, so the coverage at level p is the fraction of f below p. Coordinates are scaled to
    0 to 1 over the range of the truths, and reference points are drawn uniformly there.

    Args:
        truth: (n, d) parameters.
        draws: (n, m, d) of each joint posterior.
        levels: (k,) credible levels; None = 0.05 to 0.95 in steps of 0.05.
        references: (n, d) points; None = random ones. Points that depend on the data (near
            the estimate, say) see failures that random ones miss.
        seed: of the random points.

    Returns:
        `Tarp`.

    References:
        Lemos, Coogan, Hezaveh & Perreault-Levasseur 2023, PMLR 202, 19256, algorithm 2.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> centre = generator.normal(size=(2000, 1, 2))
        >>> cloud = centre + generator.normal(size=(2000, 101, 2))
        >>> found = tarp(cloud[:, 0], cloud[:, 1:])
        >>> bool(found.distance < 0.04)
        True
    """
    from nebulines.evaluation.calibration import ks_uniform

    truth, draws = np.asarray(truth, float), np.asarray(draws, float)
    if draws.ndim != 3 or truth.shape != (draws.shape[0], draws.shape[2]):
        raise InputError(
            f"draws must be (n, m, d) for truth (n, d), not {draws.shape}, {truth.shape}"
        )
    generator = np.random.default_rng(seed)
    low, high = np.nanmin(truth, axis=0), np.nanmax(truth, axis=0)
    span = np.where(high > low, high - low, 1.0)
    if references is None:
        points = generator.random(truth.shape)
    else:
        points = (np.asarray(references, float) - low) / span
    usable = np.isfinite(truth).all(axis=1) & np.isfinite(draws).all(axis=(1, 2))
    inside = _inside((truth - low) / span, draws, points, low, span)[usable]
    m = draws.shape[1]
    probability = (inside + generator.random(len(inside))) / (m + 1.0)
    levels = np.arange(1, 20) / 20.0 if levels is None else np.asarray(levels, float)
    test = ks_uniform(probability)
    coverage = np.searchsorted(np.sort(probability), levels, side="right") / max(test.n, 1)
    return Tarp(levels, coverage, test.distance, test.p_value, test.n)


def _inside(
    truth: np.ndarray, draws: np.ndarray, points: np.ndarray, low: np.ndarray, span: np.ndarray
) -> np.ndarray:
    """Number of draws (n,) nearer to the reference point than the truth is."""
    radius = np.sum((truth - points) ** 2, axis=1)
    counts = np.empty(len(truth), int)
    for start in range(0, len(truth), _ROWS):
        rows = slice(start, start + _ROWS)
        scaled = (draws[rows] - low) / span
        distance = np.sum((scaled - points[rows, None, :]) ** 2, axis=2)
        counts[rows] = (distance < radius[rows, None]).sum(axis=1)
    return counts
