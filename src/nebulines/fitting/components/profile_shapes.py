"""Profiles that another velocity component leaves under a fitted line, and their scores.

Distances from the line are in sigma of the line as seen, arrays (lines, channels, n) with the
spectra on the fastest axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.constants import FWHM_PER_SIGMA, SINC_FWHM_PER_WIDTH
from nebulines.one_pass import sum_rows, sum_together

BUMP_OFFSETS = (-6.4, -4.8, -3.6, -2.6, 2.6, 3.6, 4.8, 6.4)
"""Centres of the bumps in sigma of the line."""
BUMP_HALF_WIDTH = 1.9
"""Half of a bump's base (a triangle) in sigma of the line."""
SPLIT_SHARES = (0.35, 0.5, 0.65)
"""Flux of the bluer of two lines under one."""
SPLIT_DISTANCES = (0.6, 0.8, 0.9, 0.95)
"""Their dispersion in sigma of the line; what is left of its variance is their own."""
SPLIT_WIDTHS = (0.6, 1.6)
"""Width of the redder of the two over that of the bluer."""
SPLIT_SINC = 0.5
"""Share of their variance, as that of a Gaussian of the same FWHM, that is a sinc's."""
SPLIT_ORDERS = range(3, 11)
"""Gauss-Hermite functions that they are made of."""


class Scores(NamedTuple):
    """Scores of T profiles in n spectra, each (T, n).

    Attributes:
        deviate: z, the sum of residuals along the profile over its error.
        amplitude: that the profile asks for, in units of the lines' peaks.
        others: z of all lines but the one that contributes most.
    """

    deviate: Array
    amplitude: Array
    others: Array


def wing_scores(u: Array, weighted: Array, scale: Array) -> Scores:
    """Scores of skewness and kurtosis together: the third and fourth Gauss-Hermite functions.

    Args:
        u: (lines, H, n) distances.
        weighted: residuals times ``scale``.
        scale: the line's peak times the root weight.
    """
    return Scores(*(jnp.hypot(*pair) for pair in _scores(_hermite(u, (3, 4)), weighted, scale)))


def bump_scores(u: Array, weighted: Array, scale: Array) -> Scores:
    """Scores of a bump at each of `BUMP_OFFSETS`; arguments as of `wing_scores`."""
    bumps = [jnp.maximum(1.0 - jnp.abs(u - at) / BUMP_HALF_WIDTH, 0.0) for at in BUMP_OFFSETS]
    every = jax.lax.optimization_barrier(jnp.stack(bumps))
    return _judged(*sum_together(((scale * every) ** 2, weighted * every), 2))


def _scores(shapes: list[Array], weighted: Array, scale: Array) -> Scores:
    """Scores of T shapes (lines, H, n)."""
    norm = jnp.stack([jnp.sum((scale * shape) ** 2, axis=1) for shape in shapes])
    dot = jnp.stack([jnp.sum(weighted * shape, axis=1) for shape in shapes])
    return _judged(norm, dot)


def split_scores(u: Array, weighted: Array, scale: Array) -> Scores:
    """Scores of two lines under one, from the sums over channels that all of them share; the
    functions are taken to be orthogonal over the channels, as they are over the line. Arguments
    as of `wing_scores`."""
    made = _splits()
    # written out: for every number that is added, all functions would be worked out again
    each = jax.lax.optimization_barrier(jnp.stack(_hermite(u, tuple(SPLIT_ORDERS))))
    sums = sum_rows((scale * each) ** 2, 2), sum_rows(weighted * each, 2)
    norm, dot = jax.lax.optimization_barrier(sums)
    n = norm.shape[-1]
    flat = (made**2 @ norm.reshape(len(norm), -1)), (made @ dot.reshape(len(dot), -1))
    return _judged(*(part.reshape(len(made), -1, n) for part in flat))


def _judged(norm: Array, dot: Array) -> Scores:
    """Scores from the shapes' squares and their products with the residuals,
    both (T, lines, n)."""
    if norm.shape[1] == 1:
        total = jnp.where(norm[:, 0] > 0, norm[:, 0], jnp.inf)
        deviate = dot[:, 0] * jax.lax.rsqrt(total)
        return Scores(deviate, dot[:, 0] / total, jnp.zeros_like(deviate))
    size = jnp.abs(dot)
    weaker = size < jnp.max(size, axis=1, keepdims=True)
    total, along, rest, other = sum_together(
        (norm, dot, jnp.where(weaker, norm, 0.0), jnp.where(weaker, dot, 0.0)), 1
    )
    total, rest = (jnp.where(part > 0, part, jnp.inf) for part in (total, rest))
    root_total, root_rest = jax.lax.rsqrt(total), jax.lax.rsqrt(rest)
    return Scores(along * root_total, along / total, other * root_rest)


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
    and a dispersion d at -(1 - f) d / sqrt(f (1 - f)) and f d / sqrt(f (1 - f)), of variance
    1 - d^2 together."""
    u = np.linspace(-10.0, 10.0, 2001)
    with jax.ensure_compile_time_eval():
        functions = np.stack([np.asarray(f) for f in _hermite(u, tuple(SPLIT_ORDERS))])
    found = []
    for share, d, ratio in product(SPLIT_SHARES, SPLIT_DISTANCES, SPLIT_WIDTHS):
        apart = d / np.sqrt(share * (1.0 - share))
        blue = (1.0 - d * d) / (share + (1.0 - share) * ratio**2)
        lines = _line(u + (1.0 - share) * apart, blue), _line(u - share * apart, blue * ratio**2)
        found.append(functions @ (share * lines[0] + (1.0 - share) * lines[1]))
    each = np.stack(found)
    return (each / np.linalg.norm(each, axis=1, keepdims=True)).astype(np.float32)


def _line(u: np.ndarray, variance: float) -> np.ndarray:
    """A line of unit area, a sinc broadened by a Gaussian: its Fourier transform, up to the
    sinc's end."""
    end = np.pi * SINC_FWHM_PER_WIDTH / (FWHM_PER_SIGMA * np.sqrt(SPLIT_SINC * variance))
    t = (np.arange(64) + 0.5) / 64 * end
    weight = np.exp(-0.5 * (1.0 - SPLIT_SINC) * variance * t**2)
    return np.cos(u[:, None] * t) @ weight * (end / 64 / np.pi)
