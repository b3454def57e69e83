"""Velocity search: where in a stated range do the lines of one set of spectra lie?

At every trial velocity the flux in a box at each line, above a clipped running mean, is compared
with templates of relative line strengths (``lines/data/line_strengths.ecsv``). For a template
with peak heights t_l, box sums N_l and variances M_l the improvement of chi2 is

    score = (sum_l t_l N_l)^2 / sum_l t_l^2 M_l        (0 where the sum is negative).

Fixed strengths keep H-alpha from being mistaken for [N II] 6583 at low S/N, which free
amplitudes cannot tell apart; the fit that follows leaves the amplitudes free. Box sums are
differences of cumulative sums, so the cost per spectrum is a few passes over its channels and
one look-up for every line, trial velocity and width.
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
        trial: (n,) index of the best velocity.
        width: (n,) index of the best trial width.
        score: (n,) improvement of chi2.
        rival: (n,) best score away from the first peak.
        shift: (n,) channels from the best trial to the peak of the score.
    """

    trial: Array
    width: Array
    score: Array
    rival: Array
    shift: Array


def _smooth(values: Array, half_widths: tuple[int, ...]) -> Array:
    """Box sums (n, width, 2 m + 1) of values (n, m) at channel edges and centres (every half
    channel), over +-``half_widths`` half channels."""
    total = _cumulative(values)
    middle = 0.5 * (total[:, 1:] + total[:, :-1])
    fine = jnp.stack([total[:, :-1], middle], axis=2).reshape(total.shape[0], -1)
    fine = jnp.concatenate([fine, total[:, -1:]], axis=1)
    sums = []
    for half in half_widths:
        padded = jnp.pad(fine, ((0, 0), (half, half)), mode="edge")
        sums.append(padded[:, 2 * half :] - padded[:, : fine.shape[1]])
    return jnp.stack(sums, axis=1)


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


def _look_up(smooth: Array, place: Array) -> Array:
    """Values (n, ..., line, velocity) of arrays (n, ..., edge) at places (line, velocity) for
    all spectra or (n, line, velocity)."""
    if place.ndim == 2:
        return jnp.take(smooth, place, axis=-1)
    flat = place.reshape(place.shape[0], *([1] * (smooth.ndim - 2)), -1)
    return jnp.take_along_axis(smooth, flat, axis=-1).reshape(*smooth.shape[:-1], *place.shape[1:])


def _box_sums(data, weight, half, half_widths) -> tuple[Array, Array]:
    """Weighted excess and weight in boxes of every width at every half channel, 0 at the ends."""
    excess = (data - clipped_continuum(data, weight, half)) * weight
    inside = jnp.ones(2 * data.shape[1] + 1).at[jnp.array([0, -1])].set(0.0)
    return _smooth(excess, half_widths) * inside, _smooth(weight, half_widths) * inside


def _scores(signal, variance, place, strengths, rarity) -> Array:
    """Best score over the classes (n, width, velocity).

    A line's signal is the largest within half a channel, so that a coarse velocity grid meets
    the peaks of all lines at once.
    """
    around = jnp.pad(signal, ((0, 0), (0, 0), (1, 1)))
    peak = jnp.maximum(jnp.maximum(around[..., :-2], around[..., 2:]), signal)
    numerator = jnp.einsum("tl,nslv->ntsv", strengths, _look_up(peak, place))
    denominator = jnp.einsum("tl,nslv->ntsv", strengths**2, _look_up(variance, place))
    score = jnp.maximum(numerator, 0.0) ** 2 / jnp.maximum(denominator, 1e-12)
    return jnp.max(score * (1.0 - rarity[:, None, None]), axis=1)


@partial(jax.jit, static_argnames=("half", "half_widths"))
def comb_score(
    data: Array,
    weight: Array,
    place: Array,
    strengths: Array,
    rarity: Array,
    half: int,
    half_widths: tuple[int, ...],
) -> Array:
    """Score of every trial velocity (n, velocity), best over widths (arguments of `search`)."""
    return jnp.max(
        _scores(*_box_sums(data, weight, half, half_widths), place, strengths, rarity), axis=1
    )


@partial(jax.jit, static_argnames=("half", "half_widths", "exclude"))
def search(
    data: Array,
    weight: Array,
    place: Array,
    strengths: Array,
    rarity: Array,
    half: int,
    half_widths: tuple[int, ...],
    exclude: int,
) -> SearchResult:
    """Find the best trial velocity of every spectrum.

    Args:
        data: (n, m) flux in units of the row's noise, any additive level.
        weight: (n, m) inverse variance; 0 = not used.
        place: line positions in half channels from the first channel's edge, (line, velocity)
            for all spectra or (n, line, velocity); 0 outside the axis.
        strengths: (template, line) relative peak heights.
        rarity: (template,) share of the score that a rare class forgoes.
        half: half length of the continuum's running mean [channels].
        half_widths: half lengths of the boxes, one for each trial width [half channels].
        exclude: trials on both sides of the best that cannot be its rival.

    Returns:
        A `SearchResult`.
    """
    signal, variance = _box_sums(data, weight, half, half_widths)
    score = _scores(signal, variance, place, strengths, rarity)  # (n, width, velocity)
    best_width = jnp.argmax(jnp.max(score, axis=2), axis=1)
    over_width = jnp.max(score, axis=1)
    trial = jnp.argmax(over_width, axis=1)
    grid = jnp.arange(over_width.shape[1])
    away = jnp.abs(grid[None, :] - trial[:, None]) > exclude
    rival = jnp.max(jnp.where(away, over_width, 0.0), axis=1)
    row = jnp.arange(data.shape[0])
    at = place[:, trial].T if place.ndim == 2 else place[row, :, trial]  # (n, line)
    shift = _refine(signal[row, best_width], variance[row, best_width], at, strengths)
    return SearchResult(trial, best_width, jnp.max(over_width, axis=1), rival, shift)


def _refine(signal: Array, variance: Array, at: Array, strengths: Array, reach: int = 4) -> Array:
    """Shift (n,) [channels] of the best score within +-``reach`` half channels of places
    (n, line), by a parabola through its three best points."""
    near = at[:, :, None] + jnp.arange(-reach, reach + 1)
    near = jnp.where(at[:, :, None] > 0, jnp.clip(near, 0, signal.shape[1] - 1), 0)
    numerator = jnp.einsum("tl,nlv->ntv", strengths, _look_up(signal, near))
    denominator = jnp.einsum("tl,nlv->ntv", strengths**2, _look_up(variance, near))
    score = jnp.maximum(numerator, 0.0) ** 2 / jnp.maximum(denominator, 1e-12)
    score = jnp.max(score, axis=1)
    peak = jnp.argmax(score, axis=1)
    return 0.5 * (_parabola_peak(score, peak) - reach)


def _parabola_peak(score: Array, peak: Array) -> Array:
    last = score.shape[1] - 1
    around = jnp.stack([jnp.clip(peak + k, 0, last) for k in (-1, 0, 1)], axis=1)
    left, middle, right = jnp.moveaxis(jnp.take_along_axis(score, around, axis=1), 1, 0)
    bend = left - 2.0 * middle + right
    shift = jnp.where(bend < 0, 0.5 * (left - right) / jnp.where(bend < 0, bend, -1.0), 0.0)
    inside = (peak > 0) & (peak < last)
    return peak + jnp.where(inside, jnp.clip(shift, -0.5, 0.5), 0.0)
