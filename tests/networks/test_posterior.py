"""The closed forms of the posterior against sums over a fine grid, and draws against both."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nebulines.networks.kinematics.draws import draw
from nebulines.networks.kinematics.mixture import (
    BROADENING_LARGEST,
    Mixture,
    log_prior_r,
    log_prob,
    mixture_from,
    outputs_per_component,
)
from nebulines.networks.kinematics.posterior import (
    Box,
    cumulative,
    log_prob_within,
    moments,
    quantiles,
)

N, K = 6, 3
U = np.linspace(-1.0, 0.8, 601)
R = np.linspace(0.2, 1.5, 601)


@pytest.fixture(scope="module")
def mixture() -> Mixture:
    draws = np.random.default_rng(2)

    def some(scale, middle):
        return jnp.asarray(middle + scale * draws.normal(size=(N, K)), jnp.float32)

    weight = jax.nn.log_softmax(jnp.asarray(draws.normal(size=(N, K + 1)), jnp.float32))
    return Mixture(weight, some(0.5, 0), some(0.7, 0.8), some(0.2, -1), some(0.2, -1), some(0.1, 0))


@pytest.fixture(scope="module")
def box() -> Box:
    return Box(*(jnp.full(N, x) for x in (U[0], U[-1], R[0], R[-1], 0.1)))


@pytest.fixture(scope="module")
def grid(mixture) -> np.ndarray:
    """Density (n, u, r) for a flat prior, from the definition."""
    u, r = (jnp.asarray(a.ravel(), jnp.float32) for a in np.meshgrid(U, R, indexing="ij"))

    def of_one(row):
        flat = jnp.full(u.shape, np.log(0.1))
        one = jax.tree.map(lambda part: jnp.broadcast_to(part, (len(u), *part.shape)), row)
        return log_prob(one, u, r, flat) - log_prior_r(r)

    return np.exp(np.asarray(jax.lax.map(of_one, mixture), float)).reshape(N, len(U), len(R))


def test_mean_and_error(mixture, box, grid):
    found = moments(mixture, box)
    total = grid.sum(axis=(1, 2))
    mean_u = (grid.sum(axis=2) @ U) / total
    mean_r = (grid.sum(axis=1) @ R) / total
    sigma_u = np.sqrt((grid.sum(axis=2) @ U**2) / total - mean_u**2)
    sigma_r = np.sqrt((grid.sum(axis=1) @ R**2) / total - mean_r**2)
    both = np.einsum("nur,u,r->n", grid, U, R) / total - mean_u * mean_r
    np.testing.assert_allclose(found.mean_u, mean_u, atol=0.015)
    np.testing.assert_allclose(found.mean_r, mean_r, atol=0.015)
    np.testing.assert_allclose(found.sigma_u, sigma_u, atol=0.015)
    np.testing.assert_allclose(found.sigma_r, sigma_r, atol=0.015)
    np.testing.assert_allclose(found.correlation, both / sigma_u / sigma_r, atol=0.1)


def test_the_density_within_the_box(mixture, box, grid):
    total = grid.sum(axis=(1, 2)) * (U[1] - U[0]) * (R[1] - R[0])
    for i, j in ((300, 300), (420, 180)):
        at = (jnp.full(N, x, jnp.float32) for x in (U[i], R[j]))
        density = jnp.exp(log_prob_within(mixture, box, *at))
        np.testing.assert_allclose(density, grid[:, i, j] / total, rtol=0.03)


def test_probabilities_and_quantiles(mixture, box, grid):
    below = cumulative(mixture, box, jnp.full(N, 0.1), jnp.full(N, 0.7))
    total = grid.sum(axis=(1, 2))
    np.testing.assert_allclose(below[0], grid[:, U < 0.1].sum(axis=(1, 2)) / total, atol=0.015)
    np.testing.assert_allclose(below[1], grid[:, :, R < 0.7].sum(axis=(1, 2)) / total, atol=0.015)
    at = quantiles(mixture, box, 0.16)
    for part in cumulative(mixture, box, *at):
        np.testing.assert_allclose(part, 0.16, atol=1e-4)


def test_draws_follow_the_posterior(mixture, box):
    u, r = draw(mixture, box, jax.random.key(5), 20_000)
    found = moments(mixture, box)
    np.testing.assert_allclose(u.mean(axis=1), found.mean_u, atol=0.02)
    np.testing.assert_allclose(r.mean(axis=1), found.mean_r, atol=0.02)
    np.testing.assert_allclose(u.std(axis=1), found.sigma_u, atol=0.02)
    np.testing.assert_allclose(r.std(axis=1), found.sigma_r, atol=0.02)
    inside = (u >= U[0] - 1e-4) & (u <= U[-1] + 1e-4) & (r >= R[0] - 1e-4) & (r <= R[-1] + 1e-4)
    assert bool(inside.all())


def test_the_density_integrates_to_one():
    raw = jax.random.normal(jax.random.key(1), (1, 4 * outputs_per_component() + 1))
    mixture = mixture_from(raw, jnp.array([3.0]))
    u = jnp.linspace(-30.0, 30.0, 1201)
    r = jnp.linspace(0.0, 12.0, 601)
    where = [a.ravel() for a in jnp.meshgrid(u, r, indexing="ij")]
    rows = jax.tree.map(lambda a: jnp.broadcast_to(a, (where[0].size, a.shape[1])), mixture)
    without_lost = log_prob(rows, *where, jnp.full(where[0].size, -jnp.inf))
    mass = float(jnp.exp(without_lost).sum() * (u[1] - u[0]) * (r[1] - r[0]))
    assert mass == pytest.approx(1.0 - float(jnp.exp(mixture.log_weight[0, -1])), abs=0.02)


def test_a_box_far_from_the_posterior_stays_finite(mixture):
    far = Box(*(jnp.full(N, x) for x in (40.0, 41.0, 3.0, BROADENING_LARGEST, 0.1)))
    for part in moments(mixture, far):
        assert np.isfinite(part).all()
