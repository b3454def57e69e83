"""The empirical population, and the simple predictors that networks are compared with."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.errors import UsageError
from nebulines.galaxies.baselines import linear, nearest_neighbours
from nebulines.galaxies.equivalent_widths import LINES
from nebulines.galaxies.population import draw_colours, empirical_population
from nebulines.galaxies.predictors import default_predictor, load_predictor
from nebulines.galaxies.scores import line_scores


@pytest.fixture(scope="module")
def galaxies():
    return empirical_population(5000, 3, default_predictor().network)


def test_doublets_are_physical(galaxies):
    ew = galaxies.true_ew
    ratio = ew[:, LINES.index("OIII5007")] / ew[:, LINES.index("OIII4959")]
    np.testing.assert_allclose(ratio, 2.98, rtol=1e-6)


def test_undetected_and_negative_widths_are_there(galaxies):
    seen = np.asarray(galaxies.galaxies.ew)
    assert 0.02 < (seen < 0).mean() < 0.3


def test_widths_are_near_those_of_desi(published_file):
    """H-alpha of DESI BGS: 16, 50, 84 % at 0.9, 12.5, 33 A; detected lines only are compared."""
    population = empirical_population(20_000, 1, load_predictor(published_file).network)
    halpha = population.true_ew[:, LINES.index("HALPHA6563")]
    low, middle, high = np.percentile(halpha, [16, 50, 84])
    assert 0.5 < low < 4.0
    assert 8.0 < middle < 16.0
    assert 26.0 < high < 42.0


def test_seeds_are_independent():
    first, second = (draw_colours(2000, np.random.default_rng([s, 1])) for s in (0, 1))
    assert abs(np.corrcoef(first[:, 0], second[:, 0])[0, 1]) < 0.1
    again = draw_colours(2000, np.random.default_rng([0, 1]))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("options", [{"k": 30}, {"k": 30, "components": 6}, {}])
def test_baselines_find_a_smooth_relation(options):
    rng = np.random.default_rng(0)
    colours = rng.normal(size=(8000, 2)) @ rng.normal(size=(2, 11)) * 0.05
    ew = np.sinh(2.0 - 10.0 * colours[:, :1] * np.ones(10))
    predict = nearest_neighbours(colours[:6000], ew[:6000], **options)
    assert line_scores(predict(colours[6000:]), ew[6000:]).spearman.min() > 0.99


def test_linear_is_exact_on_a_linear_relation():
    colours = np.random.default_rng(1).normal(size=(100, 11))
    ew = np.sinh(colours[:, :10])
    np.testing.assert_allclose(linear(colours, ew)(colours), ew, atol=1e-9)


def test_too_many_neighbours_are_refused():
    with pytest.raises(UsageError, match="neighbours"):
        nearest_neighbours(np.zeros((5, 11)), np.zeros((5, 10)), k=6)
