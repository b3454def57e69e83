"""Do the residuals under the lines ask for another velocity component?

A score test: with one component fitted, how much would chi2 fall if every line had, in the same
proportion, another profile? Three families of profiles are tried, and none needs another fit:

- skewness and kurtosis, the third and fourth Gauss-Hermite functions of the fitted line (van der
  Marel & Franx 1993, ApJ 407, 525), for components that blend with it: z3^2 + z4^2;
- a bump of the line's own width some widths off, for components that stand apart: z^2 where z > 0;
- two narrower lines, of equal or unequal width, under a fitted line that has taken both for one, at
  the same mean and of the same width together: of their sum in Gauss-Hermite functions the third
  to the tenth, the lower ones being what the fit has taken already: z^2 where z > 0.

z = sum_k r_k tau_k / |tau| with residuals r in sigma and the template tau = sum of the lines' own,
each as high as its line. Without a second component r is white noise less its projection on the
fitted model, so that z has a variance of at most 1 whatever tau is: the test is never too eager,
and sharp where tau is orthogonal to the model, as these functions are for separate lines.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from nebulines.fitting.components.profile_shapes import bump_scores, split_scores, wing_scores
from nebulines.fitting.residuals import clipped_variance

HALF_WIDTH = 24
"""Channels looked at on either side of a line."""
SHARED_HALF_WIDTH = 12
"""The same for spectra that share channels, whose lines are not broad."""


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
    n, _, n_channels = residual.shape
    length = min(2 * HALF_WIDTH, n_channels)
    nearest = jnp.sum(offset[:, :, None, :] < center[..., None], axis=-1)
    first = jnp.clip(nearest - HALF_WIDTH, 0, n_channels - length)

    def cut(channels: Array, start: Array) -> Array:
        """(J, H): the channels (K,) around each line of one window."""
        return jax.vmap(lambda at: jax.lax.dynamic_slice(channels, (at,), (length,)))(start)

    def near(values: Array) -> Array:
        """(W J, H, n): the same of all windows, spectra on the fastest axis."""
        return jnp.moveaxis(jax.vmap(jax.vmap(cut))(values, first).reshape(n, -1, length), 0, -1)

    def by_line(values: Array) -> Array:
        return values.reshape(n, -1).T[:, None, :]

    u = (near(offset) - by_line(center)) / by_line(width)
    scale = near(root) * jnp.maximum(by_line(height), 0.0)
    every = residual.reshape(n, -1).T
    used = jnp.sum(root > 0, axis=(1, 2))
    return _score(u, near(residual) * scale, scale, clipped_variance(every, used)).T


def shared_profile_score(
    residual: Array,
    root: Array,
    offset: Array,
    around: Array,
    center: Array,
    width: Array,
    height: Array,
) -> Array:
    """`profile_score` for n spectra with the same channels and nearly the same velocity.

    Args:
        residual: (K, n) in sigma.
        root, offset: (K,), common to the spectra.
        around: (L,) positions that the lines lie around.
        center, width, height: (L, n) of the lines.

    Returns:
        (4, n) as from `profile_score`, except that bumps are sought in the sum of all lines: the
        third number is 0 where a bump is the best profile.
    """
    nearest = jnp.sum(offset < around[:, None], axis=-1)
    index, inside = _around(nearest, SHARED_HALF_WIDTH, len(offset))
    u = (offset[index][..., None] - center[:, None, :]) / width[:, None, :]
    weight = jnp.where(inside, root[index], 0.0)[..., None]
    scale = weight * jnp.maximum(height, 0.0)[:, None, :]
    variance = clipped_variance(residual, jnp.sum(root > 0))
    return _score(u, residual[index] * scale, scale, variance, together=True)


def _around(nearest: Array, half: int, n_channels: int) -> tuple[Array, Array]:
    """Indices (..., 2 half) of the channels around each line, and which of them exist."""
    index = nearest[..., None] + jnp.arange(-half, half)
    return jnp.clip(index, 0, n_channels - 1), (index >= 0) & (index < n_channels)


def _score(
    u: Array, weighted: Array, scale: Array, variance: Array, *, together: bool = False
) -> Array:
    """The test (4, n) from channels around lines, (lines, H, n): distances in sigma of the line,
    residuals times scale, and scale: the line's peak times the root weight.

    With ``together`` the lines are added up, channel by channel, before the search for bumps.
    """
    # written out once, where many sums read them
    u, weighted, scale = jax.lax.optimization_barrier((u, weighted, scale))
    wings = wing_scores(u, weighted, scale)
    if together:
        u = jnp.mean(u, axis=0, keepdims=True)
        weighted = jnp.sum(weighted, axis=0, keepdims=True)
        scale = jnp.sqrt(jnp.sum(scale**2, axis=0, keepdims=True))
    found = zip(bump_scores(u, weighted, scale), split_scores(u, weighted, scale), strict=True)
    deviate, *more = (jnp.concatenate(pair) for pair in found)
    highest = jnp.max(deviate, axis=0)
    chosen = jax.lax.optimization_barrier(
        tuple(jnp.where(deviate == highest, part, -jnp.inf) for part in more)
    )
    best = (highest, *(jnp.max(part, axis=0) for part in chosen))
    better = highest > wings.deviate
    z, amplitude, others = (
        jnp.where(better, jnp.maximum(value, 0.0), wing)
        for wing, value in zip(wings, best, strict=True)
    )
    return jnp.stack([z**2, amplitude, others**2, variance])
