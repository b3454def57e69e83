"""Velocity search: where in a stated range do the lines of one set of spectra lie?

At every trial velocity the flux in a box at each line, above a clipped local mean, is compared
with templates of relative line strengths (``lines/data/line_strengths.ecsv``). For a template
with peak heights t_l, box sums N_l and variances M_l the improvement of chi2 is

    score = (sum_l t_l N_l)^2 / sum_l t_l^2 M_l        (0 where the sum is negative).

Fixed strengths keep H-alpha from being mistaken for [N II] 6583 at low S/N, which free
amplitudes cannot tell apart; the fit that follows leaves the amplitudes free. Box sums are
differences of cumulative sums, so the cost per spectrum is a few passes over its channels and
one look-up for every line, trial velocity and width.

Spectra are searched a few at a time, so that what is made on the way stays in the processor's
fast memory.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.kept_programs import keep_programs
from nebulines.small_tiles import map_small_tiles


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


@lru_cache(maxsize=32)
def _hats(n_channels: int, half: int, step: int = 1) -> np.ndarray:
    """Linear interpolation from nodes ``half`` channels apart (channel, node), in the middle of
    every ``step`` channels; rows sum to 1."""
    n_nodes = max(2, round((n_channels - 1) / half) + 1)
    nodes = np.linspace(0.0, max(n_channels - 1, 1), n_nodes)
    first = np.arange(0, n_channels, step)
    middle = 0.5 * (first + np.minimum(first + step, n_channels) - 1.0)
    distance = np.abs(middle[:, None] - nodes[None, :]) / (nodes[1] - nodes[0])
    return np.maximum(1.0 - distance, 0.0).astype(np.float32)


BINS_IN_HALF = 16
"""The local mean is made of bins, so many in its half length."""


def clipped_continuum(
    data: Array, weight: Array, half: int, channels: slice = slice(None)
) -> Array:
    """Local mean of spectra (m, n) over about +-``half`` channels, piecewise linear, without
    what stands out of the noise, in some of the channels; ``weight`` is (m, n), or (m, 1) for
    all of them."""
    m, step = len(data), max(1, half // BINS_IN_HALF)
    hats = jnp.asarray(_hats(m, half, step))
    used = (weight > 0).astype(data.dtype)
    count = _binned(used, step)
    mean = _binned(data * used, step) / jnp.maximum(count, 1.0)

    def at_nodes(kept: Array) -> Array:
        return (hats.T @ (kept * mean)) / jnp.maximum(hats.T @ kept, 1e-3)

    kept = jnp.broadcast_to(count, mean.shape)
    for clip in (2.5, 2.5):
        residual = (mean - hats @ at_nodes(kept)) * jnp.sqrt(count)
        inside = kept > 0
        bins = jnp.maximum(jnp.sum(inside, axis=0), 1)
        rms = jnp.sqrt(jnp.sum(jnp.where(inside, residual**2, 0.0), axis=0) / bins)
        kept = jnp.where((residual < clip * rms) & (residual > -3.0 * rms), count, 0.0)
    return jnp.asarray(_hats(m, half)[channels]) @ at_nodes(kept)


def _binned(values: Array, step: int) -> Array:
    """Sums over every ``step`` channels of (m, n)."""
    if step == 1:
        return values
    m, n = values.shape
    padded = jnp.pad(values, ((0, -m % step), (0, 0))).reshape(-1, step, n)
    return sum(padded[:, k] for k in range(1, step)) + padded[:, 0]


def _cumulative(values: Array, block: int = 16) -> Array:
    """0 and the cumulative sums (m + 1, n) along the channels, in blocks: XLA's own takes log2(m)
    passes."""
    m, n = values.shape
    padded = jnp.pad(values, ((0, -m % block), (0, 0))).reshape(-1, block, n)
    within = [padded[:, 0]]
    for k in range(1, block):
        within.append(within[-1] + padded[:, k])
    before = jnp.cumsum(within[-1], axis=0) - within[-1]
    total = (jnp.stack(within, axis=1) + before[:, None]).reshape(-1, n)[:m]
    return jnp.pad(total, ((1, 0), (0, 0)))


def _smooth(values: Array, half_widths: tuple[int, ...]) -> Array:
    """Box sums (2 m + 1, width, n) of values (m, n) at channel edges and centres (every half
    channel), over +-``half_widths`` half channels."""
    m, n = values.shape
    total = _cumulative(values)
    middle = 0.5 * (total[1:] + total[:-1])
    fine = jnp.stack([total[:-1], middle], axis=1).reshape(2 * m, n)
    fine = jnp.concatenate([fine, total[-1:]], axis=0)
    sums = []
    for half in half_widths:
        padded = jnp.pad(fine, ((half, half), (0, 0)), mode="edge")
        sums.append(padded[2 * half :] - padded[: 2 * m + 1])
    return jnp.stack(sums, axis=1)


def _look_up(values: Array, place: Array) -> Array:
    """Values (line, velocity, ..., n) of arrays (edge, ..., n) at places (line, velocity) for
    all spectra or (n, line, velocity)."""
    if place.ndim == 2:
        return jnp.take(values, place, axis=0)
    index = jnp.moveaxis(place, 0, -1)  # (line, velocity, n)
    flat = index.reshape(-1, *([1] * (values.ndim - 2)), index.shape[-1])
    found = jnp.take_along_axis(values, flat, axis=0)
    return found.reshape(*place.shape[1:], *found.shape[1:])


def _box_sums(data, weight, half, half_widths, channels=slice(None)) -> tuple[Array, Array]:
    """Weighted excess and weight (edge, width, n) in boxes of every width, 0 at the ends."""
    data, weight = data.T, weight.T
    continuum = clipped_continuum(data, weight, half, channels)
    data, weight = data[channels], weight[channels]
    excess = (data - continuum) * weight
    inside = jnp.ones((2 * len(data) + 1, 1, 1)).at[jnp.array([0, -1])].set(0.0)
    return _smooth(excess, half_widths) * inside, _smooth(weight, half_widths) * inside


def _class_scores(signal: Array, variance: Array, strengths: Array, rarity: Array) -> Array:
    """Best score over the classes, for sums (line, ..., n)."""

    def add_lines(factors: Array, values: Array) -> Array:
        return (factors @ values.reshape(len(values), -1)).reshape(-1, *values.shape[1:])

    numerator, denominator = add_lines(strengths, signal), add_lines(strengths**2, variance)
    score = jnp.maximum(numerator, 0.0) ** 2 / jnp.maximum(denominator, 1e-12)
    common = (1.0 - rarity).reshape(-1, *[1] * (score.ndim - 1))
    return jnp.max(score * common, axis=0)


def _scores(signal, variance, place, strengths, rarity) -> Array:
    """Score of every trial (velocity, width, n).

    A line's signal is the largest within half a channel, so that a coarse velocity grid meets
    the peaks of all lines at once.
    """
    around = jnp.pad(signal, ((1, 1), (0, 0), (0, 0)))
    peak = jnp.maximum(jnp.maximum(around[:-2], around[2:]), signal)
    return _class_scores(_look_up(peak, place), _look_up(variance, place), strengths, rarity)


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


TILE_ROWS = 64
"""Spectra searched at once."""


@keep_programs(static_argnames=("half", "half_widths", "exclude", "channels"))
def search(
    data: Array,
    weight: Array,
    place: Array,
    strengths: Array,
    rarity: Array,
    half: int,
    half_widths: tuple[int, ...],
    exclude: int,
    channels: tuple[int, int] | None = None,
) -> SearchResult:
    """Find the best trial velocity of every spectrum.

    Args:
        data: (n, m) flux in units of the row's noise, any additive level; n is at most
            `TILE_ROWS` or a multiple of it.
        weight: inverse variance (n, m), or (1, m) for all spectra; 0 = not used.
        place: line positions in half channels from the first channel's edge, (line, velocity)
            for all spectra or (n, line, velocity); 0 outside the axis.
        strengths: (template, line) relative peak heights.
        rarity: (template,) share of the score that a rare class forgoes.
        half: half length of the continuum's local mean [channels].
        half_widths: half lengths of the boxes, one for each trial width [half channels].
        exclude: trials on both sides of the best that cannot be its rival.
        channels: first and last + 1 of those that hold all boxes, from whose first edge places
            are counted; None = all.

    Returns:
        A `SearchResult`.
    """
    one = partial(
        _search_tile,
        strengths=strengths,
        rarity=rarity,
        half=half,
        half_widths=half_widths,
        exclude=exclude,
        channels=slice(*(channels or (None,))),
    )
    own_weight, own_place = weight.shape[0] == len(data), place.ndim == 3
    rows = (data, weight if own_weight else None, place if own_place else None)
    return map_small_tiles(
        lambda part: one(
            part[0], part[1] if own_weight else weight, part[2] if own_place else place
        ),
        rows,
        TILE_ROWS,
    )


def _search_tile(
    data: Array,
    weight: Array,
    place: Array,
    *,
    strengths: Array,
    rarity: Array,
    half: int,
    half_widths: tuple[int, ...],
    exclude: int,
    channels: slice,
) -> SearchResult:
    signal, variance = _box_sums(data, weight, half, half_widths, channels)
    score = _scores(signal, variance, place, strengths, rarity)  # (velocity, width, n)
    best_width = jnp.argmax(jnp.max(score, axis=0), axis=0)
    over_width = jnp.max(score, axis=1)
    trial = jnp.argmax(over_width, axis=0)
    grid = jnp.arange(over_width.shape[0])[:, None]
    away = jnp.abs(grid - trial) > exclude
    rival = jnp.max(jnp.where(away, over_width, 0.0), axis=0)
    row = jnp.arange(data.shape[0])
    at = place[:, trial] if place.ndim == 2 else place[row, :, trial].T  # (line, n)
    shift = _refine(signal, variance, best_width, at, strengths, rarity)
    score = jnp.max(over_width, axis=0)
    return SearchResult(trial, best_width, score, rival, shift)


def _refine(
    signal: Array,
    variance: Array,
    width: Array,
    at: Array,
    strengths: Array,
    rarity: Array,
    reach: int = 4,
) -> Array:
    """Shift (n,) [channels] of the best score of one width (n,) within +-``reach`` half
    channels of places (line, n), by a parabola through its three best points."""
    n_edges, n_widths, n = signal.shape
    near = at[:, None, :] + jnp.arange(-reach, reach + 1)[:, None]
    near = jnp.where(at[:, None, :] > 0, jnp.clip(near, 0, n_edges - 1), 0)
    flat = (near * n_widths + width).reshape(-1, n)
    here, noise = (
        jnp.take_along_axis(part.reshape(-1, part.shape[-1]), flat, axis=0).reshape(near.shape)
        for part in (signal, variance)
    )
    score = _class_scores(here, noise, strengths, rarity)  # (shift, n)
    return 0.5 * (_parabola_peak(score, jnp.argmax(score, axis=0)) - reach)


def _parabola_peak(score: Array, peak: Array) -> Array:
    last = score.shape[0] - 1
    around = jnp.stack([jnp.clip(peak + k, 0, last) for k in (-1, 0, 1)])
    left, middle, right = jnp.take_along_axis(score, around, axis=0)
    bend = left - 2.0 * middle + right
    shift = jnp.where(bend < 0, 0.5 * (left - right) / jnp.where(bend < 0, bend, -1.0), 0.0)
    inside = (peak > 0) & (peak < last)
    return peak + jnp.where(inside, jnp.clip(shift, -0.5, 0.5), 0.0)
