"""Do the residuals under the lines ask for another velocity component?

A score test: with one component fitted, how much would chi2 fall if every line had, in the same
proportion, another profile? Two families of profiles are tried, and neither needs another fit:

- skewness and kurtosis, the third and fourth Gauss-Hermite functions of the fitted line (van der
  Marel & Franx 1993, ApJ 407, 525), for components that blend with it: z3^2 + z4^2;
- a bump of the line's own width some widths off, for components that stand apart: z^2 where z > 0.

z = sum_k r_k tau_k / |tau| with residuals r in sigma and the template tau = sum of the lines' own,
each as high as its line. Without a second component r is white noise less its projection on the
fitted model, so that z has a variance of at most 1 whatever tau is: the test is never too eager,
and sharp where tau is orthogonal to the model, as these functions are for separate lines.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array

HALF_WIDTH = 24
"""Channels looked at on either side of a line."""
BUMP_OFFSETS = (-8.0, -6.0, -4.5, -3.0, 3.0, 4.5, 6.0, 8.0)
"""Centres of the bumps in sigma of the line."""
BUMP_HALF_WIDTH = 2.3
"""Half of a bump's base (a triangle) in sigma of the line."""


def profile_score(
    residual: Array, root: Array, offset: Array, center: Array, width: Array, height: Array
) -> Array:
    """The score test for n spectra of W windows, K channels and J lines.

    Args:
        residual: (n, W, K) in sigma, 0 where not used.
        root: (n, W, K) square root of the inverse variance, 0 where not used.
        offset: (n, W, K) position of the channels.
        center: (n, W, J) position of the lines, counted alike.
        width: (n, W, J) Gaussian sigma of the lines as seen, > 0.
        height: (n, W, J) their peaks, 0 where padded; in the unit of data of variance root^-2.

    Returns:
        (n, 2): the statistic, chi2 that the better family explains, and the amplitude it asks
        for in units of the lines' peaks.

    Example:
        >>> x = jnp.arange(64.0).reshape(1, 1, 64)
        >>> at = jnp.array([[[30.0]]])
        >>> wing = jnp.exp(-0.5 * ((x - 42.0) / 2.0) ** 2)
        >>> score = profile_score(3.0 * wing, jnp.ones_like(x), x, at, 2.0 + 0 * at, 10.0 + 0 * at)
        >>> bool(score[0, 0] > 20.0), round(float(score[0, 1]), 1)
        (True, 0.3)
    """
    n_channels = residual.shape[-1]
    nearest = jnp.sum(offset[:, :, None, :] < center[..., None], axis=-1)
    index = nearest[..., None] + jnp.arange(-HALF_WIDTH, HALF_WIDTH)
    inside = (index >= 0) & (index < n_channels)
    index = jnp.clip(index, 0, n_channels - 1)

    def near(values: Array) -> Array:
        flat = index.reshape(*index.shape[:2], -1)
        values = jnp.broadcast_to(values, (*index.shape[:2], n_channels))
        return jnp.take_along_axis(values, flat, axis=-1).reshape(index.shape)

    u = (near(offset) - center[..., None]) / width[..., None]
    scale = jnp.where(inside, near(root), 0.0) * jnp.maximum(height, 0.0)[..., None]
    weighted = near(residual) * scale
    square = scale**2

    def test(shape: Array) -> tuple[Array, Array]:
        norm = jnp.sum(square * shape**2, axis=(1, 2, 3))
        dot = jnp.sum(weighted * shape, axis=(1, 2, 3))
        norm = jnp.where(norm > 0, norm, jnp.inf)
        return dot / jnp.sqrt(norm), dot / norm

    z, amplitude = _hermite(test, u)
    for at in BUMP_OFFSETS:
        bump = jnp.maximum(1.0 - jnp.abs(u - at) / BUMP_HALF_WIDTH, 0.0)
        z_bump, height_bump = test(bump)
        better = z_bump > z
        z, amplitude = jnp.where(better, z_bump, z), jnp.where(better, height_bump, amplitude)
    return jnp.stack([z**2, amplitude], axis=-1)


def _hermite(test, u: Array) -> tuple[Array, Array]:
    """Length of (z3, z4), and of (h3, h4)."""
    gauss = jnp.exp(-0.5 * u * u)
    third = (2.0 * u * u - 3.0) * u * gauss * np.float32(np.sqrt(2.0 / 6.0))
    fourth = ((4.0 * u * u - 12.0) * u * u + 3.0) * gauss * np.float32(1.0 / np.sqrt(24.0))
    z3, h3 = test(third)
    z4, h4 = test(fourth)
    return jnp.hypot(z3, z4), jnp.hypot(h3, h4)
