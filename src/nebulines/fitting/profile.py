"""Do the residuals under the lines ask for another velocity component?

A score test: with one component fitted, how much would chi2 fall if every line had, in the same
proportion, another profile? Three families of profiles are tried, and none needs another fit:

- skewness and kurtosis, the third and fourth Gauss-Hermite functions of the fitted line (van der
  Marel & Franx 1993, ApJ 407, 525), for components that blend with it: z3^2 + z4^2;
- a bump of the line's own width some widths off, for components that stand apart: z^2 where z > 0;
- two narrow lines under a fitted line that has taken both for one, at the same mean and of the same
  width together: of their sum in Gauss-Hermite functions the third to the eighth, the lower ones
  being what the fit has taken already: z^2 where z > 0.

z = sum_k r_k tau_k / |tau| with residuals r in sigma and the template tau = sum of the lines' own,
each as high as its line. Without a second component r is white noise less its projection on the
fitted model, so that z has a variance of at most 1 whatever tau is: the test is never too eager,
and sharp where tau is orthogonal to the model, as these functions are for separate lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.one_pass import sum_together

HALF_WIDTH = 24
"""Channels looked at on either side of a line."""
SHARED_HALF_WIDTH = 12
"""The same for spectra that share channels, whose lines are not broad."""
BUMP_OFFSETS = (-7.4, -5.2, -3.2, 3.2, 5.2, 7.4)
"""Centres of the bumps in sigma of the line."""
BUMP_HALF_WIDTH = 2.3
"""Half of a bump's base (a triangle) in sigma of the line."""
SPLIT_SHARES = (0.3, 0.4, 0.5, 0.6, 0.7)
"""Flux of the bluer of two lines under one."""
SPLIT_DISTANCES = (0.6, 0.8, 0.9, 0.95)
"""Their dispersion in sigma of the line; what is left of its variance is their own."""
SPLIT_ORDERS = range(3, 9)
"""Gauss-Hermite functions that they are made of."""
CLIP_SIGMA = 5.0
"""Residuals beyond this say nothing about the noise."""


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
    return _score(u, near(residual) * scale, scale, _noise_variance(every, used)).T


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
    variance = _noise_variance(residual, jnp.sum(root > 0))
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
    wings = tuple(jnp.hypot(*pair) for pair in _tests(_hermite(u, (3, 4)), weighted, scale))
    if together:
        u = jnp.mean(u, axis=0, keepdims=True)
        weighted = jnp.sum(weighted, axis=0, keepdims=True)
        scale = jnp.sqrt(jnp.sum(scale**2, axis=0, keepdims=True))
    bumps = [jnp.maximum(1.0 - jnp.abs(u - at) / BUMP_HALF_WIDTH, 0.0) for at in BUMP_OFFSETS]
    found = zip(_tests(bumps, weighted, scale), _split_tests(u, weighted, scale), strict=True)
    tested = [jnp.concatenate(pair) for pair in found]
    highest = jnp.max(tested[0], axis=0)
    best = (jnp.max(jnp.where(tested[0] == highest, part, -jnp.inf), axis=0) for part in tested)
    better = highest > wings[0]
    z, amplitude, others = (
        jnp.where(better, jnp.maximum(value, 0.0), wing)
        for wing, value in zip(wings, best, strict=True)
    )
    return jnp.stack([z**2, amplitude, others**2, variance])


def _tests(shapes: list[Array], weighted: Array, scale: Array) -> tuple[Array, Array, Array]:
    """For each of T shapes (lines, H, n): z, the amplitude, and the z of all lines but the one
    that contributes most, each (T, n)."""
    norm = jnp.stack([jnp.sum((scale * shape) ** 2, axis=1) for shape in shapes])
    dot = jnp.stack([jnp.sum(weighted * shape, axis=1) for shape in shapes])
    return _judged(norm, dot)


def _split_tests(u: Array, weighted: Array, scale: Array) -> tuple[Array, Array, Array]:
    """The same for two lines under one, from the sums over channels that all of them share; the
    functions are taken to be orthogonal over the channels, as they are over the line."""
    made = _splits()
    functions = _hermite(u, tuple(SPLIT_ORDERS))
    norm = jnp.stack([jnp.sum((scale * one) ** 2, axis=1) for one in functions])
    dot = jnp.stack([jnp.sum(weighted * one, axis=1) for one in functions])
    norm, dot = jax.lax.optimization_barrier((norm, dot))
    n = norm.shape[-1]
    flat = (made**2 @ norm.reshape(len(norm), -1)), (made @ dot.reshape(len(dot), -1))
    return _judged(*(part.reshape(len(made), -1, n) for part in flat))


def _judged(norm: Array, dot: Array) -> tuple[Array, Array, Array]:
    """What `_tests` returns, from the shapes' squares and their products with the residuals,
    both (T, lines, n)."""
    size = jnp.abs(dot)
    weaker = size < jnp.max(size, axis=1, keepdims=True)
    total, along, rest, other = sum_together(
        (norm, dot, jnp.where(weaker, norm, 0.0), jnp.where(weaker, dot, 0.0)), 1
    )
    total, rest = (jnp.where(part > 0, part, jnp.inf) for part in (total, rest))
    return along * jax.lax.rsqrt(total), along / total, other * jax.lax.rsqrt(rest)


def _hermite(u: Any, orders: Sequence[int]) -> list[Any]:
    """Gauss-Hermite functions of ascending orders from 2 on, all of the same square integral,
    which for order 0 is exp(-u^2 / 2)."""
    before, now = np.float32(np.sqrt(2.0)) * u, (2.0 * u * u - 1.0) * np.float32(np.sqrt(0.5))
    gauss = jnp.exp(-0.5 * u * u)
    found = []
    for order in range(3, max(orders) + 1):
        rise, fall = np.float32(np.sqrt(2.0 / order)), np.float32(np.sqrt(1.0 - 1.0 / order))
        before, now = now, rise * u * now - fall * before
        found.append(now * gauss)
    return [found[order - 3] for order in orders]


@lru_cache
def _splits() -> np.ndarray:
    """Two lines under one (T, orders) in Gauss-Hermite functions, of unit length: for a share f
    and a dispersion d at -(1 - f) d / sqrt(f (1 - f)) and f d / sqrt(f (1 - f)), each of variance
    1 - d^2."""
    u = np.linspace(-10.0, 10.0, 2001)
    with jax.ensure_compile_time_eval():
        functions = np.stack([np.asarray(f) for f in _hermite(u, tuple(SPLIT_ORDERS))])
    found = []
    for share, d in product(SPLIT_SHARES, SPLIT_DISTANCES):
        apart, own = d / np.sqrt(share * (1.0 - share)), np.sqrt(1.0 - d * d)
        blue = np.exp(-0.5 * ((u + (1.0 - share) * apart) / own) ** 2)
        red = np.exp(-0.5 * ((u - share * apart) / own) ** 2)
        found.append(functions @ (share * blue + (1.0 - share) * red))
    each = np.stack(found)
    return (each / np.linalg.norm(each, axis=1, keepdims=True)).astype(np.float32)


def _noise_variance(residual: Array, used: Array) -> Array:
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
