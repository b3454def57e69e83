"""Random draws from the posterior of the network ``kinematics``."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from nebulines.networks.kinematics.mixture import Mixture
from nebulines.networks.kinematics.posterior import Box, moments

_GRID = 256


def draw(mixture: Mixture, box: Box, key: Array, n_draws: int) -> tuple[Array, Array]:
    """Draws of u and r, each (n, m), from the posterior within a box.

    The broadening comes from its marginal posterior on a fine grid, by inversion; the velocity
    from what the components say at that broadening, cut at the range.

    Args:
        mixture, box: of n spectra.
        key: of the random numbers.
        n_draws: m.
    """
    keys = jax.random.split(key, 4)
    shape = (len(box.low_r), n_draws)
    low, high = _support(mixture, box)
    share = (jnp.arange(_GRID) + 0.5) / _GRID
    grid = low[:, None] + (high - low)[:, None] * share
    mass = jnp.exp(_log_terms(mixture, box, grid))  # (n, grid, 2 K)
    cumulative = jnp.cumsum(jnp.sum(mass, axis=-1), axis=1)
    total = cumulative[:, -1:]
    uniform = jax.random.uniform(keys[0], shape) * total
    cell = jax.vmap(jnp.searchsorted)(cumulative, uniform)
    cell = jnp.clip(cell, 0, _GRID - 1)
    inner = jax.random.uniform(keys[1], shape)
    r = low[:, None] + (high - low)[:, None] * (cell + inner) / _GRID
    u = _velocity(mixture, box, r, keys[2])
    lost = moments(mixture, box).lost
    free = jax.random.uniform(keys[3], (3, *shape))
    wide_u = box.low_u[:, None] + (box.high_u - box.low_u)[:, None] * free[0]
    wide_r = box.low_r[:, None] + (box.high_r - box.low_r)[:, None] * free[1]
    instead = free[2] < lost[:, None]
    return jnp.where(instead, wide_u, u), jnp.where(instead, wide_r, r)


def _support(mixture: Mixture, box: Box) -> tuple[Array, Array]:
    """Where r lies: within six sigma of the components that matter, and in the box."""
    sigma = jnp.exp(mixture.log_sigma_r)
    matters = mixture.log_weight[:, :-1] > -9.0
    mean = jnp.abs(mixture.mean_r)
    low = jnp.min(jnp.where(matters, mean - 6.0 * sigma, jnp.inf), axis=1)
    high = jnp.max(jnp.where(matters, mean + 6.0 * sigma, -jnp.inf), axis=1)
    low = jnp.clip(low, box.low_r, box.high_r - 1e-3)
    return low, jnp.clip(high, low + 1e-3, box.high_r)


def _mirrored(mixture: Mixture) -> tuple[Array, ...]:
    """Weights, means and widths of the components and their mirror images, (n, 1, 2 K)."""

    def both(part: Array, sign: float) -> Array:
        return jnp.concatenate([part, sign * part], axis=-1)[:, None, :]

    return (
        both(mixture.log_weight[:, :-1], 1.0),
        both(mixture.mean_u, 1.0),
        both(mixture.mean_r, -1.0),
        jnp.exp(both(mixture.log_sigma_u, 1.0)),
        jnp.exp(both(mixture.log_sigma_r, 1.0)),
        both(mixture.slope, -1.0),
    )


def _log_terms(mixture: Mixture, box: Box, r: Array) -> Array:
    """Log density (n, m, 2 K) in r (n, m) of the components within the velocity range."""
    weight, mean_u, mean_r, sigma_u, sigma_r, slope = _mirrored(mixture)
    z = (r[..., None] - mean_r) / sigma_r
    at = mean_u + slope * (r[..., None] - mean_r)
    low, high = box.low_u[:, None, None], box.high_u[:, None, None]
    inside = jax.scipy.special.ndtr((high - at) / sigma_u)
    inside = inside - jax.scipy.special.ndtr((low - at) / sigma_u)
    flat = jnp.log1p(r**2)[..., None]
    return weight - 0.5 * z**2 - jnp.log(sigma_r) + flat + jnp.log(jnp.maximum(inside, 1e-20))


def _velocity(mixture: Mixture, box: Box, r: Array, key: Array) -> Array:
    """Draws of u (n, m) at given r (n, m)."""
    pick, place = jax.random.split(key)
    _, mean_u, mean_r, sigma_u, _, slope = _mirrored(mixture)
    chosen = jax.random.categorical(pick, _log_terms(mixture, box, r), axis=-1)[..., None]
    at = mean_u + slope * (r[..., None] - mean_r)
    mean = jnp.take_along_axis(at, chosen, axis=-1)[..., 0]
    sigma = jnp.take_along_axis(jnp.broadcast_to(sigma_u, at.shape), chosen, axis=-1)[..., 0]
    low, high = (box.low_u[:, None] - mean) / sigma, (box.high_u[:, None] - mean) / sigma
    return mean + sigma * jax.random.truncated_normal(place, low, high)
