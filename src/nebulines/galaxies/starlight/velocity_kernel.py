"""Spectra moved and broadened by a velocity distribution, on a logarithmic grid."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

TAPS = 48
"""Channels of the velocity kernel: shifts of 6 and sigmas of 6 channels fit in."""
FEW_TAPS = 32
"""Those of the kernels that need no more, which most do not."""
_REACH = 4.0  # sigmas


def taps_for(velocity: np.ndarray, variance: np.ndarray) -> int:
    """Channels that the widest of some kernels needs.

    Example:
        >>> taps_for(np.array([0.5, -1.0]), np.array([4.0, 9.0])), taps_for(np.ones(1), 20.0)
        (32, 48)
    """
    reach = np.abs(velocity) + _REACH * np.sqrt(variance)
    return FEW_TAPS if np.max(reach, initial=0.0) < FEW_TAPS // 2 else TAPS


def shift_table(vectors: jax.Array, taps: int = TAPS) -> jax.Array:
    """Vectors (r, p) moved by -taps/2 ... taps/2 - 1 channels: (taps, r, p), constant beyond their
    ends."""
    half = taps // 2
    padded = jnp.pad(vectors, ((0, 0), (half, half)), mode="edge")
    p = vectors.shape[1]
    return jnp.stack([padded[:, half - t : half - t + p] for t in range(-half, half)])


def kernel(velocity: jax.Array, variance: jax.Array, taps: int = TAPS) -> jax.Array:
    """Gaussians (n, taps) of mean ``velocity`` and variance ``variance`` [channels], exact for
    what the grid resolves, however narrow: the inverse Fourier transform of exp(-q w^2 / 2).

    Example:
        >>> taps = kernel(jnp.zeros(1), jnp.array([4.0]))
        >>> round(float(taps.sum()), 4), round(float(taps[0, TAPS // 2]), 4)
        (1.0, 0.1995)
    """
    half = taps // 2
    tap = jnp.arange(-half, half, dtype=velocity.dtype)
    frequency = 2.0 * jnp.pi / taps * jnp.arange(-half, half, dtype=velocity.dtype)
    damping = jnp.exp(-0.5 * variance[:, None] * frequency**2)
    phase = frequency[:, None] * (tap - velocity[:, None])[:, None, :]
    return jnp.einsum("nf,nft->nt", damping, jnp.cos(phase)) / taps


def moved(taps: jax.Array, shifted: jax.Array) -> jax.Array:
    """Vectors of a shift table (taps, r, p), moved and broadened by n kernels: (n, r, p)."""
    t, r, p = shifted.shape
    return (taps @ shifted.reshape(t, r * p)).reshape(len(taps), r, p)


def convolved(taps: jax.Array, values: jax.Array) -> jax.Array:
    """Rows (n, p), each moved and broadened by its own kernel (n, taps), constant beyond their
    ends.

    Example:
        >>> one = jnp.zeros((1, 9)).at[0, 4].set(1.0)
        >>> convolved(jnp.array([[0.0, 0.0, 0.75, 0.25]]), one)[0, 3:7].tolist()
        [0.0, 0.75, 0.25, 0.0]
    """
    t, p = taps.shape[1], values.shape[1]
    padded = jnp.pad(values, ((0, 0), (t // 2, t // 2)), mode="edge")
    parts = [taps[:, i, None] * padded[:, t - i : t - i + p] for i in range(t)]
    return sum(parts[1:], parts[0])


def gathered(taps: jax.Array, padded: jax.Array) -> jax.Array:
    """The transpose of `convolved`: what each channel of vectors that are continued by taps/2 on
    both sides adds to their products with the moved vectors, (n, d, p + taps), for rows
    (n, d, p + 2 taps) that have zeros around them."""
    t = taps.shape[1]
    wide = padded.shape[2] - t
    parts = [taps[:, i, None, None] * padded[:, :, i : i + wide] for i in range(t)]
    return sum(parts[1:], parts[0])


def slope(values: jax.Array) -> jax.Array:
    """First derivative (n, p) along the channels, to fourth order."""
    p = jnp.pad(values, ((0, 0), (2, 2)), mode="edge")
    return (8.0 * (p[:, 3:-1] - p[:, 1:-3]) - (p[:, 4:] - p[:, :-4])) / 12.0


def curvature(values: jax.Array) -> jax.Array:
    """Second derivative (n, p) along the channels, to fourth order."""
    p = jnp.pad(values, ((0, 0), (2, 2)), mode="edge")
    near = p[:, 3:-1] + p[:, 1:-3]
    return (16.0 * near - 30.0 * values - (p[:, 4:] + p[:, :-4])) / 12.0
