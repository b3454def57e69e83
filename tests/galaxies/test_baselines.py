"""The simple predictors that networks are compared with."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.errors import UsageError
from nebulines.galaxies.widths.baselines import linear, nearest_neighbours
from nebulines.galaxies.widths.scores import line_scores


@pytest.mark.parametrize("options", [{"k": 30}, {"k": 30, "components": 6}, {}])
def test_neighbours_find_a_smooth_relation(options):
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
