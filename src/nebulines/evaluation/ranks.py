"""Simulation-based calibration: the rank of the truth among posterior draws.

Where truths come from the prior and draws from the exact posterior, ranks are uniform
(Talts et al. 2018, arXiv:1804.06788, theorem 1). A histogram that is cup-shaped tells of
posteriors too narrow, one like a dome of posteriors too wide, a slope of a bias.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import InputError


class RankHistogram(NamedTuple):
    """Histogram of ranks and its test.

    Attributes:
        edges: (k + 1,) of rank / (m + 1), 0 to 1.
        counts: (k,) truths in each bin.
        expected: (k,) for uniform ranks (bins hold unequal numbers of ranks where k does not
            divide m + 1).
        chi2: sum of (counts - expected)^2 / expected.
        p_value: probability of a larger chi2 with k - 1 degrees of freedom.
    """

    edges: np.ndarray
    counts: np.ndarray
    expected: np.ndarray
    chi2: float
    p_value: float


def ranks(truth: Any, draws: Any) -> np.ndarray:
    """Number of draws below the truth.

    Args:
        truth: (n,).
        draws: (n, m) of the posterior of each, independent of one another.

    Returns:
        (n,) integers 0 to m; -1 where the truth or a draw is not finite.

    References:
        Talts et al. 2018, arXiv:1804.06788, algorithm 1.

    Example:
        >>> ranks([0.0, 9.0], [[-1.0, 1.0, 2.0], [1.0, 2.0, 3.0]]).tolist()
        [1, 3]
    """
    truth, draws = np.asarray(truth, float), np.asarray(draws)
    if draws.ndim != 2 or truth.shape != draws.shape[:1]:
        raise InputError(f"draws must be (n, m) for truth (n,), not {draws.shape}, {truth.shape}")
    usable = np.isfinite(truth) & np.isfinite(draws).all(axis=1)
    return np.where(usable, (draws < truth[:, None]).sum(axis=1), -1)


def rank_histogram(values: Any, n_draws: int, *, bins: int = 20) -> RankHistogram:
    """Histogram of ranks, and Pearson's test that they are uniform.

    Args:
        values: (n,) ranks 0 to ``n_draws``; negative ones are left out.
        n_draws: m.
        bins: of the histogram, at most m + 1.

    Returns:
        `RankHistogram`.

    Raises:
        InputError: no rank, or more bins than ranks.

    Example:
        >>> found = rank_histogram(np.arange(100), 99, bins=10)
        >>> found.counts.tolist(), found.chi2
        ([10, 10, 10, 10, 10, 10, 10, 10, 10, 10], 0.0)
    """
    from scipy.stats import chi2 as chi2_law

    values = np.asarray(values, int)
    values = values[values >= 0]
    if not 2 <= bins <= n_draws + 1:
        raise InputError(f"bins must be 2 to {n_draws + 1} for {n_draws} draws, not {bins}")
    if not len(values):
        raise InputError("no rank to count: every truth or draw is missing")
    inside = np.arange(n_draws + 1) * bins // (n_draws + 1)
    share = np.bincount(inside, minlength=bins) / (n_draws + 1.0)
    counts = np.bincount(inside[values], minlength=bins)
    expected = share * len(values)
    chi2 = float(np.sum((counts - expected) ** 2 / expected))
    edges = np.concatenate([[0.0], np.cumsum(share)])
    return RankHistogram(edges, counts, expected, chi2, float(chi2_law.sf(chi2, bins - 1)))
