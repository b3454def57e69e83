"""Are stated posteriors honest? Probability integral transforms and coverage curves.

If a method's posterior is right, the truth is one more draw from it: the cumulative
probability of the truth is uniform between 0 and 1, and a credible interval of level p holds
the truth in a fraction p of the cases. Arrays in, arrays out, no plots.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import InputError


class CoverageCurve(NamedTuple):
    """Coverage against credible level.

    Attributes:
        level: (k,) credible levels.
        fraction: (k,) of the truths inside the central interval of that level.
        uncertainty: (k,) binomial standard error that an honest posterior would have.
        n: truths counted.
    """

    level: np.ndarray
    fraction: np.ndarray
    uncertainty: np.ndarray
    n: int


class KS(NamedTuple):
    """Kolmogorov-Smirnov test of a PIT against the uniform distribution.

    Attributes:
        distance: largest difference between the two cumulative distributions.
        p_value: probability of a larger distance if the PIT is uniform.
        n: values counted.
    """

    distance: float
    p_value: float
    n: int


def pit_normal(truth: Any, estimate: Any, error: Any) -> np.ndarray:
    """Probability integral transform of normal posteriors, Phi((truth - estimate) / error).

    Args:
        truth, estimate, error: (n,), one unit.

    Returns:
        (n,); NaN where a number is missing or the error is not positive.

    References:
        Dawid 1984, J. R. Stat. Soc. A 147, 278.

    Example:
        >>> pit_normal([0.0, 1.0], [0.0, 0.0], [1.0, 1.0]).round(4).tolist()
        [0.5, 0.8413]
    """
    from scipy.special import ndtr

    truth, estimate, error = (np.asarray(a, float) for a in (truth, estimate, error))
    if not truth.shape == estimate.shape == error.shape:
        raise InputError(
            f"columns must have one shape, not {truth.shape}, {estimate.shape}, {error.shape}"
        )
    usable = error > 0
    return np.where(usable, ndtr((truth - estimate) / np.where(usable, error, 1.0)), np.nan)


def pit_draws(truth: Any, draws: Any, *, seed: int = 0) -> np.ndarray:
    """Probability integral transform of posteriors known by draws, (rank + u) / (m + 1).

    The rank is the number of draws below the truth and u is uniform in 0 to 1, which makes
    the transform of an honest posterior exactly uniform for any number of draws.

    Args:
        truth: (n,).
        draws: (n, m) of the posterior of each.
        seed: of u.

    Returns:
        (n,); NaN where the truth or a draw is not finite.

    References:
        Czado, Gneiting & Held 2009, Biometrics 65, 1254 (randomised transform).

    Example:
        >>> pit = pit_draws([10.0], [[1.0, 2.0, 3.0]])
        >>> bool(0.75 <= pit[0] <= 1.0)
        True
    """
    truth, draws = np.asarray(truth, float), np.asarray(draws)
    if draws.ndim != 2 or truth.shape != draws.shape[:1]:
        raise InputError(f"draws must be (n, m) for truth (n,), not {draws.shape}, {truth.shape}")
    rank = (draws < truth[:, None]).sum(axis=1)
    pit = (rank + np.random.default_rng(seed).random(len(truth))) / (draws.shape[1] + 1.0)
    return np.where(np.isfinite(truth) & np.isfinite(draws).all(axis=1), pit, np.nan)


def ks_uniform(pit: Any) -> KS:
    """Kolmogorov-Smirnov distance of a PIT from the uniform distribution, and its p-value.

    Args:
        pit: (n,) in 0 to 1; NaN values are left out.

    Returns:
        `KS`; NaN when nothing can be counted.

    Example:
        >>> ks_uniform(np.linspace(0.5, 1.0, 50)).distance
        0.5
    """
    from scipy.stats import kstwo

    pit = np.asarray(pit, float)
    pit = np.sort(pit[np.isfinite(pit)])
    n = len(pit)
    if not n:
        return KS(float("nan"), float("nan"), 0)
    steps = np.arange(n + 1) / n
    distance = float(max((steps[1:] - pit).max(), (pit - steps[:-1]).max()))
    return KS(distance, float(kstwo.sf(distance, n)), n)


def coverage_curve(pit: Any, levels: Any = None) -> CoverageCurve:
    """Coverage of central credible intervals, from the probability integral transform.

    The central interval of level p holds the truth where |PIT - 1/2| <= p / 2.

    Args:
        pit: (n,) in 0 to 1; NaN values are left out.
        levels: (k,) credible levels in 0 to 1; None = 0.05 to 0.95 in steps of 0.05.

    Returns:
        `CoverageCurve`; an honest posterior has ``fraction`` equal to ``level``.

    Example:
        >>> coverage_curve(np.linspace(0, 1, 1001), [0.5, 0.9]).fraction.round(2).tolist()
        [0.5, 0.9]
    """
    levels = np.arange(1, 20) / 20.0 if levels is None else np.asarray(levels, float)
    if levels.ndim != 1 or np.any((levels < 0) | (levels > 1)):
        raise InputError("levels must be a row of numbers between 0 and 1")
    pit = np.asarray(pit, float)
    pit = pit[np.isfinite(pit)]
    n = len(pit)
    if not n:
        empty = np.full(len(levels), np.nan)
        return CoverageCurve(levels, empty, empty, 0)
    within = np.sort(2.0 * np.abs(pit - 0.5))
    fraction = np.searchsorted(within, levels, side="right") / n
    return CoverageCurve(levels, fraction, np.sqrt(levels * (1.0 - levels) / n), n)


def worst_by_chance(level: float, counts: Any, probability: float = 0.5) -> float:
    """How far the coverage of an honest posterior lies from its level, in the worst of some bins:
    the largest of binomial (normal) deviations, exceeded with 1 - ``probability``.

    Args:
        level: of the intervals.
        counts: (k,) truths in each bin.
        probability: of a smaller one.

    Example:
        >>> round(worst_by_chance(0.68, [2000, 2000, 2000, 4000]), 4)
        0.0137
    """
    from scipy.optimize import brentq
    from scipy.special import erf

    sigma = np.sqrt(level * (1.0 - level) / np.asarray(counts, float))
    return float(
        brentq(
            lambda x: np.prod(erf(x / sigma / np.sqrt(2.0))) - probability, 0.0, 9.0 * sigma.max()
        )
    )
