"""Posteriors of ratios read at levels that a card states."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from nebulines.evaluation.calibration import ks_uniform
from nebulines.networks.line_ratios.answer import RATIOS, Marginals, cumulative, spread
from nebulines.networks.line_ratios.levels import KNOTS, LEVELS, SNR, knots, reading_levels, stated
from nebulines.networks.weights import load

NAMES = ("NII6583/HALPHA6563", "OII/HBETA4861")


@pytest.fixture(scope="module")
def skewed():
    """Probabilities that a network too sure of small values gives, to learn from and to judge."""
    generator = np.random.default_rng(3)
    return generator.beta(1.3, 0.9, (2, 20_000))


@pytest.fixture(scope="module")
def card(skewed):
    """Too sure at a S/N of 10, honest at 40."""
    own = {SNR: [10.0, 40.0], NAMES[0]: [knots(skewed[0]), list(KNOTS)]}
    return {"reading_levels": {"priors": {"hii": own}}}


def test_what_is_stated_comes_true(card, skewed):
    judged = np.stack([skewed[1], skewed[1]], axis=1)
    low = np.full(len(judged), 10.0)
    told = stated(card, "hii", NAMES, low, judged)
    assert ks_uniform(judged[:, 0]).distance > 0.1
    assert ks_uniform(told[:, 0]).distance < 0.015  # 20 000 objects: 0.0096 in 95 of 100 cases
    np.testing.assert_allclose(told[:, 1], judged[:, 1], atol=1e-9)  # the card lacks this ratio
    beyond = stated(card, "hii", NAMES, 8.0 * low, judged)
    np.testing.assert_allclose(beyond, judged, atol=1e-9)


def test_quantiles_are_read_where_the_posterior_has_the_stated_probability(card):
    one = Marginals(jnp.zeros((3, 1)), jnp.zeros((3, 1, 2)), jnp.ones((3, 1, 2)))
    snr = np.array([10.0, 20.0, 40.0])
    levels = reading_levels(card, "hii", NAMES, snr)
    found = spread(one, levels)
    reached = np.stack([cumulative(one, part) for part in found[:3]], axis=1)
    np.testing.assert_allclose(reached, levels, atol=1e-3)
    said = [stated(card, "hii", NAMES, snr, reached[:, k])[:, 0] for k in range(3)]
    np.testing.assert_allclose(said, np.stack([LEVELS] * 3, axis=1), atol=0.01)
    plain = spread(one)
    np.testing.assert_allclose(plain.middle[:, 1], found.middle[:, 1], atol=1e-3)
    np.testing.assert_allclose(plain.middle[2], found.middle[2], atol=1e-3)
    assert float(plain.middle[0, 0]) < float(found.middle[1, 0]) < float(found.middle[0, 0])


def test_another_prior_is_read_as_it_is(card):
    levels = reading_levels(card, "pn", NAMES, np.array([15.0]))
    np.testing.assert_allclose(levels[0], np.stack([LEVELS] * 2, axis=1), atol=1e-9)


def test_the_shipped_card_has_levels_that_rise():
    levels = load("line_ratios").card["reading_levels"]
    assert levels["levels"] == list(KNOTS)
    for prior in levels["priors"].values():
        assert set(RATIOS) <= set(prior)
        assert all(np.all(np.diff(values) >= 0) for values in prior.values())
        knots_of = np.concatenate([prior[name] for name in RATIOS])
        assert knots_of.shape == (len(RATIOS) * len(prior[SNR]), len(KNOTS))
        assert (knots_of > 0.0).all()
        assert (knots_of < 1.0).all()
