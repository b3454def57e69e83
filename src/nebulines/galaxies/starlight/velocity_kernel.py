"""Spectra moved and broadened by a velocity distribution, on a logarithmic grid."""

from __future__ import annotations

import jax
import jax.numpy as jnp

TAPS = 48
"""Channels of the velocity kernel: shifts of 6 and sigmas of 6 channels fit in."""


def shift_table(vectors: jax.Array) -> jax.Array:
    """Vectors (r, p) moved by -TAPS/2 ... TAPS/2 - 1 channels: (TAPS, r, p), constant beyond their
    ends."""
    half = TAPS // 2
    padded = jnp.pad(vectors, ((0, 0), (half, half)), mode="edge")
    p = vectors.shape[1]
    return jnp.stack([padded[:, half - t : half - t + p] for t in range(-half, half)])


def kernel(velocity: jax.Array, variance: jax.Array) -> jax.Array:
    """Gaussians (n, TAPS) of mean ``velocity`` and variance ``variance`` [channels], exact for
    what the grid resolves, however narrow: the inverse Fourier transform of exp(-q w^2 / 2).

    Example:
        >>> taps = kernel(jnp.zeros(1), jnp.array([4.0]))
        >>> round(float(taps.sum()), 4), round(float(taps[0, TAPS // 2]), 4)
        (1.0, 0.1995)
    """
    half = TAPS // 2
    tap = jnp.arange(-half, half, dtype=velocity.dtype)
    frequency = 2.0 * jnp.pi / TAPS * jnp.arange(-half, half, dtype=velocity.dtype)
    damping = jnp.exp(-0.5 * variance[:, None] * frequency**2)
    phase = frequency[:, None] * (tap - velocity[:, None])[:, None, :]
    return jnp.einsum("nf,nft->nt", damping, jnp.cos(phase)) / TAPS


def moved(velocity: jax.Array, variance: jax.Array, shifted: jax.Array) -> jax.Array:
    """The vectors of a shift table, moved and broadened for n spectra: (n, r, p)."""
    taps, r, p = shifted.shape
    flat = kernel(velocity, variance) @ shifted.reshape(taps, r * p)
    return flat.reshape(len(velocity), r, p)


def slope(values: jax.Array) -> jax.Array:
    """First derivative (n, p) along the channels, to fourth order."""
    p = jnp.pad(values, ((0, 0), (2, 2)), mode="edge")
    return (8.0 * (p[:, 3:-1] - p[:, 1:-3]) - (p[:, 4:] - p[:, :-4])) / 12.0


def curvature(values: jax.Array) -> jax.Array:
    """Second derivative (n, p) along the channels, to fourth order."""
    p = jnp.pad(values, ((0, 0), (2, 2)), mode="edge")
    near = p[:, 3:-1] + p[:, 1:-3]
    return (16.0 * near - 30.0 * values - (p[:, 4:] + p[:, :-4])) / 12.0
