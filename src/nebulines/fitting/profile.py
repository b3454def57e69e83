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
CLIPPED_SHARE = 0.9950
"""Mean of min(x^2, 9) for a standard normal x."""


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
        (n, 4): the statistic, chi2 that the best of the profiles explains; the amplitude it asks
        for in units of the lines' peaks; the statistic of all lines but the one that contributes
        most; and the variance of the residuals, against which the statistics are to be judged.

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

    best = _hermite(u, weighted, square)
    for at in BUMP_OFFSETS:
        bump = jnp.maximum(1.0 - jnp.abs(u - at) / BUMP_HALF_WIDTH, 0.0)
        z, amplitude, others = _test(bump, weighted, square)
        better = z > best[0]
        others = jnp.maximum(others, 0.0)
        best = tuple(
            jnp.where(better, new, old)
            for new, old in zip((z, amplitude, others), best, strict=True)
        )
    z, amplitude, others = best
    return jnp.stack([z**2, amplitude, others**2, _noise_variance(residual, root)], axis=-1)


def _test(shape: Array, weighted: Array, square: Array) -> tuple[Array, Array, Array]:
    """z, the amplitude, and the z of all lines but the one that contributes most, each (n,)."""
    norm = jnp.sum(square * shape**2, axis=-1).reshape(len(square), -1)
    dot = jnp.sum(weighted * shape, axis=-1).reshape(len(square), -1)
    strongest = jnp.abs(dot) >= jnp.max(jnp.abs(dot), axis=1, keepdims=True)

    def over(lines: Array) -> tuple[Array, Array]:
        total = jnp.sum(jnp.where(lines, norm, 0.0), axis=1)
        return jnp.sum(jnp.where(lines, dot, 0.0), axis=1), jnp.where(total > 0, total, jnp.inf)

    along, total = over(jnp.ones_like(strongest))
    other, rest = over(~strongest)
    return along / jnp.sqrt(total), along / total, other / jnp.sqrt(rest)


def _hermite(u: Array, weighted: Array, square: Array) -> tuple[Array, ...]:
    """Lengths of (z3, z4) and of (h3, h4), as from `_test`."""
    gauss = jnp.exp(-0.5 * u * u)
    third = (2.0 * u * u - 3.0) * u * gauss * np.float32(np.sqrt(2.0 / 6.0))
    fourth = ((4.0 * u * u - 12.0) * u * u + 3.0) * gauss * np.float32(1.0 / np.sqrt(24.0))
    both = zip(_test(third, weighted, square), _test(fourth, weighted, square), strict=True)
    return tuple(jnp.hypot(*pair) for pair in both)


def _noise_variance(residual: Array, root: Array) -> Array:
    """(n,) variance of the residuals [sigma^2], which a few strong ones hardly raise."""
    squared = residual**2
    count = jnp.maximum(jnp.sum(root > 0, axis=(1, 2)), 1)
    variance = jnp.ones(len(squared), squared.dtype)
    for _ in range(3):
        clipped = jnp.minimum(squared, 9.0 * variance[:, None, None])
        variance = jnp.sum(clipped, axis=(1, 2)) / (CLIPPED_SHARE * count)
    return variance
