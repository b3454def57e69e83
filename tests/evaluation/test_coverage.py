"""Coverage and scatter on samples whose distribution is known."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.errors import InputError
from nebulines.evaluation import coverage, nmad, scatter_table


@pytest.mark.parametrize(("sigmas", "expected"), [(1.0, 0.6827), (2.0, 0.9545)])
def test_honest_errors_cover(sigmas, expected):
    generator = np.random.default_rng(1)
    error = generator.uniform(0.5, 5.0, 40_000)
    truth = generator.uniform(-100, 100, 40_000)
    found = coverage(truth, truth + error * generator.standard_normal(40_000), error, sigmas=sigmas)
    assert found.fraction == pytest.approx(expected, abs=4 * found.uncertainty)
    assert found.uncertainty == pytest.approx(np.sqrt(expected * (1 - expected) / 40_000), rel=0.05)


def test_rows_without_an_interval_do_not_count():
    found = coverage([0, 0, 0, np.nan], [0.1, np.nan, 0.1, 0.0], [1.0, 1.0, 0.0, 1.0])
    assert (found.fraction, found.n) == (1.0, 1)
    empty = coverage([0.0], [np.nan], [1.0])
    assert np.isnan(empty.fraction)
    assert empty.n == 0


def test_nmad_is_sigma_and_deaf_to_outliers():
    values = np.random.default_rng(2).normal(3.0, 2.0, 50_000)
    values[:500] = 1e6
    values[500] = np.nan
    assert nmad(values) == pytest.approx(2.0, rel=0.03)
    assert np.isnan(nmad([np.nan]))


def test_scatter_table():
    generator = np.random.default_rng(3)
    n = 60_000
    snr = generator.uniform(5, 25, n)
    bound = 30.0 / snr
    estimate = 0.2 + 1.1 * bound * generator.standard_normal(n)
    estimate[:3] = np.nan
    table = scatter_table(np.zeros(n), estimate, bound, by=snr, edges=[0, 5, 15, 25])
    assert table.n.tolist()[0] == 0
    assert table.n.sum() == n - 3
    assert np.isnan(table.efficiency[0])
    np.testing.assert_allclose(table.nmad[1:] / table.rms[1:], 1.0, atol=0.15)
    np.testing.assert_allclose(table.efficiency[1:], np.hypot(1.1, [0.0, 0.13]), rtol=0.03)
    assert np.all(np.abs(table.bias[1:] - 0.2) < 4 * table.bias_uncertainty[1:])


def test_wrong_shapes_and_edges():
    with pytest.raises(InputError, match="shape"):
        coverage([0.0], [0.0, 1.0], [1.0, 1.0])
    with pytest.raises(InputError, match="edges"):
        scatter_table([0.0], [0.0], [1.0], by=[1.0], edges=[2.0, 1.0])
