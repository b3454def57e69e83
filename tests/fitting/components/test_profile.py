"""The score test for another component: it sees what a fit of one line leaves, and no noise."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from nebulines.fitting.components.profile import profile_score, shared_profile_score
from nebulines.fitting.components.profile_shapes import bump_scores, split_scores

CHANNELS = np.arange(64.0, dtype=np.float32)
CENTER, WIDTH, PEAK = 30.3, 3.0, 10.0
N = 4000


def left_over(share, dispersion):
    """What the best single Gaussian leaves of two lines of the same mean and width together."""
    u = (CHANNELS - CENTER) / WIDTH
    apart, own = dispersion / np.sqrt(share * (1 - share)), np.sqrt(1 - dispersion**2)
    pair = share * np.exp(-0.5 * ((u + (1 - share) * apart) / own) ** 2)
    pair = pair + (1 - share) * np.exp(-0.5 * ((u - share * apart) / own) ** 2)
    single = np.exp(-0.5 * u**2) * np.stack([np.ones_like(u), u, u**2])
    return pair - np.linalg.lstsq(single.T, pair, rcond=None)[0] @ single


def scored(residual):
    """The statistic of residuals (n, 64) of one line, by both forms of the test."""
    n = len(residual)
    ones = np.ones((n, 1, 1), np.float32)
    windows = np.asarray(residual, np.float32)[:, None]
    alone = profile_score(
        jnp.asarray(windows), jnp.ones_like(windows), jnp.broadcast_to(CHANNELS, windows.shape),
        CENTER * ones, WIDTH * ones, PEAK * ones,
    )[:, 0]  # fmt: skip
    row = np.ones((1, n), np.float32)
    shared = shared_profile_score(
        jnp.asarray(windows[:, 0].T), jnp.ones(64), jnp.asarray(CHANNELS), jnp.array([CENTER]),
        CENTER * row, WIDTH * row, PEAK * row,
    )[0]  # fmt: skip
    return np.asarray(alone), np.asarray(shared)


@pytest.mark.parametrize(("share", "dispersion"), [(0.5, 0.8), (0.5, 0.95), (0.35, 0.85)])
def test_most_of_a_blend_is_seen(share, dispersion):
    left = left_over(share, dispersion)
    left *= np.sqrt(40.0) / np.linalg.norm(left)
    for statistic in scored(left[None]):
        assert 28.0 < statistic[0] <= 40.5


def test_noise_is_no_component():
    noise = np.random.default_rng(3).normal(size=(N, 64))
    for statistic in scored(noise):
        assert (statistic > 20.0).sum() <= 1
        assert 1.0 < np.median(statistic) < 6.0


@pytest.mark.parametrize("scores", [bump_scores, split_scores])
def test_a_line_that_is_not_there_changes_nothing(scores):
    rng = np.random.default_rng(4)
    u = jnp.linspace(-7.0, 7.0, 24)[None, :, None] + jnp.asarray(rng.normal(size=(1, 1, 5)) / 4)
    scale = jnp.full(u.shape, PEAK)
    weighted = scale * jnp.asarray(rng.normal(size=u.shape))
    alone = scores(u, weighted, scale)
    two = [jnp.concatenate([part, none]) for part, none in
           ((u, u), (weighted, 0 * weighted), (scale, 0 * scale))]  # fmt: skip
    beside = scores(*two)
    for one, same in zip(alone[:2], beside[:2], strict=True):
        np.testing.assert_allclose(one, same, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(alone.others, 0.0)
