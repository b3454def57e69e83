"""Residuals of fits: how large they are, and single channels that no line explains."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

CLIP_SIGMA = 5.0
"""Residuals beyond this say nothing about the noise."""


def clipped_variance(residual: Array, used: Array) -> Array:
    """(n,) variance [sigma^2] of residuals (K, n), which a few strong ones hardly raise."""
    clipped = jnp.minimum(residual**2, CLIP_SIGMA**2)
    return jnp.sum(clipped, axis=0) / jnp.maximum(used, 1)


def lonely_residual(sigma: Array, axis: int = -1) -> Array:
    """Largest residual in sigma, over the channels on ``axis``, that the neighbouring channels
    do not share as they would under a line: one or two hot channels, narrower than any
    line-spread function."""
    n, around = sigma.shape[axis], [(0, 0)] * sigma.ndim
    around[axis] = (2, 2)
    padded = jnp.pad(sigma, around)
    far_left, left, right, far_right = (
        jax.lax.slice_in_dim(padded, k, k + n, axis=axis % sigma.ndim) for k in (0, 1, 3, 4)
    )
    size = jnp.abs(sigma)
    lonely = sigma * (left + right) < 1.1 * sigma**2
    lonely &= jnp.abs(far_left) + jnp.abs(far_right) < 0.5 * size
    return jnp.max(jnp.where(lonely, size, 0.0), axis=axis)
