"""The odds of other redshifts against their definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from nebulines.galaxies.denoising.other_redshifts import (
    EVERY,
    FARTHEST,
    SHIFTS,
    best_other,
    filled,
    log_odds,
    moved_galaxies,
)
from nebulines.networks.weights import load


def test_odds_are_those_of_normal_densities():
    """of all modes of the basis, bins taken two together; the eight that are kept say the same."""
    basis = load("denoise").network.basis
    vectors, noise, size = np.asarray(basis.vectors, float), 0.02, 825 - 2 * FARTHEST
    rng = np.random.default_rng(0)
    flux = 3.0 * (basis.mean @ vectors + noise * rng.normal(size=(2, 825))).astype(np.float32)
    found = log_odds(moved_galaxies(basis), flux, np.full(2, 3.0), np.full(2, (3 * noise) ** 2))
    moment = np.diag(basis.variance) + np.outer(basis.mean, basis.mean)

    def density(bins):
        start = FARTHEST - bins
        parts = vectors[:, start : start + size - 1].reshape(len(vectors), -1, EVERY).sum(axis=2)
        covariance = 9.0 * (parts.T @ moment @ parts / EVERY + noise**2 * np.eye(size // EVERY))
        data = np.asarray(flux)[:, FARTHEST : FARTHEST + size - 1]
        pairs = data.reshape(len(data), -1, EVERY).sum(axis=2) / EVERY**0.5
        return multivariate_normal(cov=covariance).logpdf(pairs)

    for bins in (-30, 4):
        expected = density(bins) - density(0)
        assert np.asarray(found)[:, bins == SHIFTS][:, 0] == pytest.approx(expected, abs=1.0)
    assert np.all(best_other(found) < 0.0)


def test_missing_bins_say_nothing():
    flux, fit, weight = np.full((1, 825), 9.0), np.ones((1, 825)), np.full((1, 825), 4.0)
    weight[0, 100:200] = 0.0
    even, variance = filled(flux, fit, weight)
    assert np.all(even[0, 100:200] == 1.0)
    assert np.all(even[0, 200:] == 9.0)
    assert float(variance[0]) == pytest.approx(0.25)
