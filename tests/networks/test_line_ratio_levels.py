"""Posteriors of ratios read at levels that a card states."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from nebulines.evaluation.calibration import ks_uniform
from nebulines.networks.line_ratio_answer import RATIOS, Marginals, cumulative, spread
from nebulines.networks.line_ratio_levels import KNOTS, LEVELS, knots, reading_levels, stated
from nebulines.networks.weights import load

NAMES = ("NII6583/HALPHA6563", "OII/HBETA4861")


@pytest.fixture(scope="module")
def skewed():
    """Probabilities that a network too sure of small values gives, to learn from and to judge."""
    generator = np.random.default_rng(3)
    return generator.beta(1.3, 0.9, (2, 20_000))


@pytest.fixture(scope="module")
def card(skewed):
    return {"reading_levels": {"priors": {"hii": {NAMES[0]: knots(skewed[0])}}}}


def test_what_is_stated_comes_true(card, skewed):
    judged = np.stack([skewed[1], skewed[1]], axis=1)
    told = stated(card, "hii", NAMES, judged)
    assert ks_uniform(judged[:, 0]).distance > 0.1
    assert ks_uniform(told[:, 0]).distance < 0.015  # 20 000 objects: 0.0096 in 95 of 100 cases
    np.testing.assert_array_equal(told[:, 1], judged[:, 1])  # a ratio that the card lacks


def test_quantiles_are_read_where_the_posterior_has_the_stated_probability(card):
    one = Marginals(jnp.zeros((2, 1)), jnp.zeros((2, 1, 2)), jnp.ones((2, 1, 2)))
    levels = reading_levels(card, "hii", NAMES)
    found = spread(one, levels)
    reached = np.stack([cumulative(one, part)[0] for part in found[:3]])
    np.testing.assert_allclose(reached, levels, atol=1e-3)
    np.testing.assert_allclose(
        [stated(card, "hii", NAMES, row[None])[0, 0] for row in reached], LEVELS, atol=0.01
    )
    plain = spread(one)
    np.testing.assert_allclose(plain.middle[:, 1], found.middle[:, 1], atol=1e-3)
    assert float(plain.middle[0, 0]) < float(found.middle[0, 0])


def test_another_prior_is_read_as_it_is(card):
    np.testing.assert_array_equal(reading_levels(card, "pn", NAMES), np.stack([LEVELS] * 2, axis=1))


def test_the_shipped_card_has_levels_that_rise():
    levels = load("line_ratios").card["reading_levels"]
    assert levels["levels"] == list(KNOTS)
    for prior in levels["priors"].values():
        assert set(RATIOS) <= set(prior)
        assert all(np.all(np.diff(values) >= 0) for values in prior.values())
        assert all(values[0] > 0.0 and values[-1] < 1.0 for values in prior.values())
