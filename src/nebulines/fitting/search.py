"""Velocity search: where in a stated range do the lines of one set of spectra lie?

At every trial velocity the flux in a box at each line, above a clipped running mean, is compared
with templates of relative line strengths (``lines/data/line_strengths.ecsv``). For a template
with peak heights t_l, box sums N_l and variances M_l the improvement of chi2 is

    score = (sum_l t_l N_l)^2 / sum_l t_l^2 M_l - penalty        (0 where the sum is negative).

Fixed strengths keep H-alpha from being mistaken for [N II] 6583 at low S/N, which free
amplitudes cannot tell apart; the fit that follows leaves the amplitudes free. Box sums are
differences of cumulative sums, so the cost per spectrum is a few passes over its channels and
two look-ups for every line, trial velocity and width.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class SearchResult(NamedTuple):
    """Best trial of every spectrum.

    Attributes:
        trial: (n,) fractional index on the velocity grid (parabola through the best score).
        width: (n,) index of the best trial width.
        score: (n,) improvement of chi2.
        rival: (n,) best score away from the first peak.
    """

    trial: Array
    width: Array
    score: Array
    rival: Array


def _box_sum(total: Array, low: Array, high: Array) -> Array:
    """Integral between fractional channel edges of a cumulative sum (n, m + 1)."""

    def at(edge: Array) -> Array:
        edge = jnp.clip(edge, 0.0, total.shape[1] - 1.0)
        below = jnp.minimum(jnp.floor(edge).astype(jnp.int32), total.shape[1] - 2)
        share = edge - below
        if edge.ndim == 3:  # one grid for all spectra: (line, width, velocity)
            left, right = jnp.take(total, below, axis=1), jnp.take(total, below + 1, axis=1)
        else:
            flat = below.reshape(below.shape[0], -1)
            left = jnp.take_along_axis(total, flat, axis=1).reshape(below.shape)
            right = jnp.take_along_axis(total, flat + 1, axis=1).reshape(below.shape)
        return left + share * (right - left)

    return at(high) - at(low)


def _cumulative(values: Array) -> Array:
    return jnp.pad(jnp.cumsum(values, axis=1), ((0, 0), (1, 0)))


def _running_mean(data: Array, weight: Array, half: int) -> Array:
    m = data.shape[1]
    index = jnp.arange(m)
    low, high = jnp.maximum(index - half, 0), jnp.minimum(index + half + 1, m)
    sums = _cumulative(data * weight)
    norm = _cumulative(weight)
    total = jnp.take(sums, high, axis=1) - jnp.take(sums, low, axis=1)
    count = jnp.take(norm, high, axis=1) - jnp.take(norm, low, axis=1)
    return total / jnp.maximum(count, 1e-12)


def clipped_continuum(data: Array, weight: Array, half: int) -> Array:
    """Running mean (n, m) over +-``half`` channels, without what stands out of the noise."""
    used = weight > 0
    keep = used.astype(data.dtype)
    continuum = jnp.zeros_like(data)
    for clip in (3.0, 2.5, 2.5, 2.5):
        continuum = _running_mean(data, keep, half)
        residual = jnp.where(used, data - continuum, 0.0)
        kept = keep > 0
        count = jnp.maximum(jnp.sum(kept, axis=1, keepdims=True), 1)
        rms = jnp.sqrt(jnp.sum(jnp.where(kept, residual, 0.0) ** 2, axis=1, keepdims=True) / count)
        keep = (used & (residual < clip * rms) & (residual > -3.0 * rms)).astype(data.dtype)
    return continuum


def _scores(data, weight, low, high, strengths, penalty, half) -> Array:
    """Best score over the classes (n, width, velocity)."""
    excess = (data - clipped_continuum(data, weight, half)) * weight
    signal = _box_sum(_cumulative(excess), low, high)
    variance = _box_sum(_cumulative(weight), low, high)
    numerator = jnp.einsum("tl,nlsv->ntsv", strengths, signal)
    denominator = jnp.einsum("tl,nlsv->ntsv", strengths**2, variance)
    score = jnp.maximum(numerator, 0.0) ** 2 / jnp.maximum(denominator, 1e-12)
    return jnp.max(score - penalty[:, None, None], axis=1)


@partial(jax.jit, static_argnames=("half",))
def comb_score(
    data: Array,
    weight: Array,
    low: Array,
    high: Array,
    strengths: Array,
    penalty: Array,
    half: int,
) -> Array:
    """Score of every trial velocity (n, velocity), best over widths (arguments of `search`)."""
    return jnp.max(_scores(data, weight, low, high, strengths, penalty, half), axis=1)


@partial(jax.jit, static_argnames=("half", "exclude"))
def search(
    data: Array,
    weight: Array,
    low: Array,
    high: Array,
    strengths: Array,
    penalty: Array,
    half: int,
    exclude: int,
) -> SearchResult:
    """Find the best trial velocity of every spectrum.

    Args:
        data: (n, m) flux in units of the row's noise, any additive level.
        weight: (n, m) inverse variance; 0 = not used.
        low, high: box edges as fractional channels, (line, width, velocity) for all spectra or
            (n, line, width, velocity).
        strengths: (template, line) relative peak heights.
        penalty: (template,) subtracted from the score.
        half: half length of the continuum's running mean [channels].
        exclude: trials on both sides of the best that cannot be its rival.

    Returns:
        A `SearchResult`.
    """
    score = _scores(data, weight, low, high, strengths, penalty, half)
    best_width = jnp.argmax(jnp.max(score, axis=2), axis=1)
    over_width = jnp.max(score, axis=1)
    trial = jnp.argmax(over_width, axis=1)
    grid = jnp.arange(over_width.shape[1])
    away = jnp.abs(grid[None, :] - trial[:, None]) > exclude
    rival = jnp.max(jnp.where(away, over_width, 0.0), axis=1)
    return SearchResult(
        _parabola_peak(over_width, trial), best_width, jnp.max(over_width, axis=1), rival
    )


def _parabola_peak(score: Array, peak: Array) -> Array:
    last = score.shape[1] - 1
    around = jnp.stack([jnp.clip(peak + k, 0, last) for k in (-1, 0, 1)], axis=1)
    left, middle, right = jnp.moveaxis(jnp.take_along_axis(score, around, axis=1), 1, 0)
    bend = left - 2.0 * middle + right
    shift = jnp.where(bend < 0, 0.5 * (left - right) / jnp.where(bend < 0, bend, -1.0), 0.0)
    inside = (peak > 0) & (peak < last)
    return peak + jnp.where(inside, jnp.clip(shift, -0.5, 0.5), 0.0)
