"""Calibration tools on posteriors known to be honest, too narrow, too wide or biased."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import kstest

from nebulines.errors import InputError
from nebulines.evaluation import (
    coverage_curve,
    kernel_density,
    ks_uniform,
    pit_draws,
    pit_normal,
    rank_histogram,
    ranks,
    tarp,
)
from nebulines.evaluation.calibration import worst_by_chance

N, M = 4000, 99


@pytest.fixture(scope="module")
def sample():
    """Estimates of truths with known errors."""
    generator = np.random.default_rng(7)
    error = generator.uniform(0.5, 5.0, N)
    truth = generator.uniform(-100, 100, N)
    return truth, truth + error * generator.standard_normal(N), error


def draws_of(sample, width, shift=0.0):
    _, estimate, error = sample
    generator = np.random.default_rng(8)
    centre = (estimate + shift * error)[:, None]
    return centre + width * error[:, None] * generator.standard_normal((N, M))


def overconfident_distance(width):
    """Largest |F - u| when stated errors are ``width`` times the true ones: F(u) is
    Phi(width Phi^-1(u))."""
    u = np.linspace(1e-4, 1 - 1e-4, 20001)
    return np.abs(ndtr(width * ndtri(u)) - u).max()


@pytest.mark.parametrize("how", ["normal", "draws"])
def test_an_honest_posterior_passes_and_an_overconfident_one_fails(sample, how):
    def transform(width):
        if how == "draws":
            return pit_draws(sample[0], draws_of(sample, width))
        return pit_normal(sample[0], sample[1], width * sample[2])

    honest = ks_uniform(transform(1.0))
    assert honest.p_value > 0.01
    assert honest.distance < 1.63 / np.sqrt(N)  # 1 % critical value of Kolmogorov-Smirnov
    narrow = ks_uniform(transform(0.5))
    assert narrow.p_value < 1e-6
    assert narrow.distance == pytest.approx(overconfident_distance(0.5), abs=0.025)


def test_the_distance_is_scipys():
    values = np.random.default_rng(3).beta(1.2, 1.0, 500)
    ours, theirs = ks_uniform(values), kstest(values, "uniform")
    assert ours.distance == pytest.approx(theirs.statistic)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-6)


@pytest.mark.parametrize("width", [0.5, 1.0, 2.0])
def test_coverage_is_what_the_normal_law_says(sample, width):
    truth, estimate, error = sample
    found = coverage_curve(pit_normal(truth, estimate, width * error), [0.3, 0.68, 0.95])
    expected = 2 * ndtr(width * ndtri(0.5 + found.level / 2)) - 1
    spread = np.sqrt(expected * (1 - expected) / N)
    assert np.all(np.abs(found.fraction - expected) < 4 * spread)
    assert found.n == N


def test_missing_answers_do_not_count(sample):
    truth, estimate, error = (a[:4].copy() for a in sample)
    estimate[0], error[1] = np.nan, 0.0
    assert np.isfinite(pit_normal(truth, estimate, error)).tolist() == [False, False, True, True]
    draws = np.zeros((2, 5))
    draws[0, 3] = np.nan
    assert ranks([1.0, 1.0], draws).tolist() == [-1, 5]
    assert np.isnan(pit_draws([1.0, 1.0], draws)[0])
    assert np.isnan(ks_uniform([np.nan]).distance)


@pytest.mark.parametrize(("width", "shape"), [(0.5, "cup"), (2.0, "dome")])
def test_ranks_show_the_shapes_of_talts_et_al(sample, width, shape):
    found = rank_histogram(ranks(sample[0], draws_of(sample, width)), M, bins=10)
    assert found.p_value < 1e-6
    ends, middle = found.counts[[0, -1]].mean(), found.counts[4:6].mean()
    assert (ends > 1.5 * middle) if shape == "cup" else (middle > 1.5 * ends)


def test_ranks_of_the_exact_posterior_are_uniform(sample):
    values = ranks(sample[0], draws_of(sample, 1.0))
    for bins in (20, 7):
        found = rank_histogram(values, M, bins=bins)
        assert found.p_value > 0.005
        assert found.counts.sum() == N == pytest.approx(found.expected.sum())
    shifted = rank_histogram(ranks(sample[0], draws_of(sample, 1.0, shift=0.5)), M)
    assert shifted.p_value < 1e-6
    assert shifted.counts[0] > 2 * shifted.counts[-1]


def correlated(width, rho_stated, *, seed=4):
    """Truths and joint draws in two dimensions; the true posterior has correlation 0.8."""
    generator = np.random.default_rng(seed)
    law = np.linalg.cholesky([[1.0, 0.8], [0.8, 1.0]])
    stated = width * np.linalg.cholesky([[1.0, rho_stated], [rho_stated, 1.0]])
    centre = generator.uniform(-10, 10, (N, 2))
    truth = centre + generator.standard_normal((N, 2)) @ law.T
    return truth, centre[:, None, :] + generator.standard_normal((N, M, 2)) @ stated.T


def test_tarp_passes_the_exact_joint_posterior():
    found = tarp(*correlated(1.0, 0.8))
    assert found.p_value > 0.01
    assert np.all(np.abs(found.coverage - found.level) < 0.035)


@pytest.mark.parametrize(("width", "rho"), [(0.5, 0.8), (2.0, 0.8), (1.0, -0.8)])
def test_tarp_fails_a_wrong_width_and_a_wrong_correlation(width, rho):
    truth, draws = correlated(width, rho)
    assert tarp(truth, draws).p_value < 1e-3
    for k in range(2):  # a wrong correlation is hidden from each parameter alone
        marginal = ks_uniform(pit_draws(truth[:, k], draws[:, :, k])).p_value
        assert (marginal > 1e-3) == (width == 1.0)


def test_density_of_a_normal_cloud():
    generator = np.random.default_rng(5)
    x = generator.normal(0, 3.0, 20_000)
    y = x + generator.normal(0, 1.0, 20_000)
    found = kernel_density(x, y, limits=(-15, 15), size=61)
    assert found.density.sum() * 0.25 == pytest.approx(1.0, abs=0.01)
    assert found.density[30, 30] == pytest.approx(1 / (2 * np.pi * 3.0), rel=0.15)
    assert found.density[45, 30] < 1e-3 * found.density[30, 30]


def test_wrong_input_says_what_is_expected():
    with pytest.raises(InputError, match=r"\(n, m\)"):
        ranks([0.0, 1.0], np.zeros((3, 5)))
    with pytest.raises(InputError, match="bins must be 2 to 6"):
        rank_histogram([1], 5, bins=7)
    with pytest.raises(InputError, match=r"\(n, m, d\)"):
        tarp(np.zeros((3, 2)), np.zeros((3, 5, 1)))
    with pytest.raises(InputError, match="levels"):
        coverage_curve([0.5], [2.0])
    with pytest.raises(InputError, match="ten points"):
        kernel_density([1.0], [1.0])


def test_the_worst_of_some_bins_is_off_by_chance_as_often_as_stated():
    counts, level = [2000, 1500, 4000], 0.68
    found = np.random.default_rng(3).binomial(counts, level, size=(20_000, 3)) / counts
    worst = np.abs(found - level).max(axis=1)
    for probability in (0.5, 0.95):
        limit = worst_by_chance(level, counts, probability)
        assert np.mean(worst < limit) == pytest.approx(probability, abs=0.015)
