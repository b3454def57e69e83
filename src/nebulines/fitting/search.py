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
SEARCH_BINS_IN_HALF = 8
"""The same where it is only to show where lines are: as many are found."""


def clipped_continuum(
    data: Array,
    weight: Array,
    half: int,
    channels: slice = slice(None),
    bins_in_half: int = BINS_IN_HALF,
) -> Array:
    """Local mean of spectra (m, n) over about +-``half`` channels, piecewise linear, without
    what stands out of the noise, in some of the channels; ``weight`` is (m, n), or (m, 1) for
    all of them."""
    m, step = len(data), max(1, half // bins_in_half)
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


def _cumulative(values: Array, around: int, block: int = 16) -> Array:
    """Sums of all channels before each edge, for values (m, n) with ``around`` zeros on both
    sides: (m + 1 + 2 around, n). In blocks: XLA's own takes log2(m) passes."""
    m, n = values.shape
    length = m + 1 + 2 * around
    padded = jnp.pad(values, ((around + 1, around + -length % block), (0, 0)))
    padded = padded.reshape(-1, block, n)
    within = [padded[:, 0]]
    for k in range(1, block):
        within.append(within[-1] + padded[:, k])
    before = jnp.cumsum(within[-1], axis=0) - within[-1]
    return (jnp.stack(within, axis=1) + before[:, None]).reshape(-1, n)[:length]


class _Sums(NamedTuple):
    """Sums of m channels up to every edge and centre, in half channels from ``lead`` half
    channels before the first edge: (2 (m + lead), n)."""

    up_to: Array
    lead: int

    @classmethod
    def of(cls, values: Array, half_widths: tuple[int, ...]) -> _Sums:
        """Of values (m, n), far enough beyond the ends for boxes of these half lengths."""
        around = max(half_widths) // 2 + 2
        edges = _cumulative(values, around)
        both = jnp.stack([edges[:-1], 0.5 * (edges[1:] + edges[:-1])], axis=1)
        return cls(both.reshape(-1, values.shape[1]), 2 * around)

    @property
    def n_places(self) -> int:
        """Edges and centres of the m channels."""
        return len(self.up_to) - 2 * self.lead + 1

    def boxes(self, half: int, shift: int = 0) -> Array:
        """Sums (2 m + 1, n) in boxes of +-``half`` half channels around every edge and centre,
        or ``shift`` half channels further on."""
        middle, n = self.lead + shift, self.n_places
        return self.up_to[middle + half :][:n] - self.up_to[middle - half :][:n]

    def at(self, place: Array, half: Array) -> Array:
        """Sums (k, n) in boxes around places (k, n) of each spectrum, of half lengths (n,)."""
        first, last = (
            jnp.take_along_axis(self.up_to, self.lead + place + end, axis=0)
            for end in (-half, half)
        )
        return jnp.where(self.has(place), last - first, 0.0)

    def has(self, place: Array) -> Array:
        """Whether places lie between the ends."""
        return (place > 0) & (place < self.n_places - 1)


def _look_up(values: Array, place: Array) -> Array:
    """Values (line, velocity, n) of arrays (place, n) at places (line, velocity) for all spectra
    or (line, velocity, n)."""
    if place.ndim == 2:
        return jnp.take(values, place, axis=0)
    found = jnp.take_along_axis(values, place.reshape(-1, place.shape[-1]), axis=0)
    return found.reshape(place.shape)


def excess_and_weight(data, weight, half, half_widths, channels=slice(None)) -> tuple[_Sums, _Sums]:
    """Sums of the weighted excess over the continuum, and of the weight.

    Args:
        data, weight: (n, m), weight also (1, m).
        half: half length of the local mean that stands for the continuum [channels].
        half_widths: of the boxes [half channels].
        channels: those to keep, as a slice.
    """
    data, weight = data.T, weight.T
    continuum = clipped_continuum(data, weight, half, channels, SEARCH_BINS_IN_HALF)
    data, weight = data[channels], weight[channels]
    return _Sums.of((data - continuum) * weight, half_widths), _Sums.of(weight, half_widths)


def _class_scores(signal: Array, variance: Array, strengths: Array, rarity: Array) -> Array:
    """Best score over the classes, for sums (line, ..., n)."""

    def add_lines(factors: Array, values: Array) -> Array:
        return (factors @ values.reshape(len(values), -1)).reshape(-1, *values.shape[1:])

    numerator, denominator = add_lines(strengths, signal), add_lines(strengths**2, variance)
    common = (1.0 - rarity).reshape(-1, *[1] * (signal.ndim - 1))
    significance = numerator * jnp.sqrt(common / jnp.maximum(denominator, 1e-12))
    return jnp.maximum(jnp.max(significance, axis=0), 0.0) ** 2


def scores_of(
    signal: _Sums,
    variance: _Sums,
    half_widths: tuple[int, ...],
    place: Array,
    strengths: Array,
    rarity: Array,
) -> Array:
    """Score of every trial (width, velocity, n).

    A line's signal is the largest within half a channel, so that a coarse velocity grid meets
    the peaks of all lines at once.
    """
    place = place if place.ndim == 2 else jnp.moveaxis(place, 0, -1)
    inside = signal.has(place if place.ndim == 3 else place[..., None])
    found = []
    for half in half_widths:
        left, middle, right = (signal.boxes(half, shift) for shift in (-1, 0, 1))
        peak = jnp.maximum(jnp.maximum(left, right), middle)
        lines, noise = (
            jnp.where(inside, _look_up(sums, place), 0.0) for sums in (peak, variance.boxes(half))
        )
        found.append(_class_scores(lines, noise, strengths, rarity))
    return jnp.stack(found)


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
    n_tiles: Array | int | None = None,
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
        n_tiles: times `TILE_ROWS` spectra are searched, what is behind them is not read; None =
            all.

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
        n_tiles,
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
    signal, variance = excess_and_weight(data, weight, half, half_widths, channels)
    score = scores_of(signal, variance, half_widths, place, strengths, rarity)
    best_width = first_highest(jnp.max(score, axis=1))
    over_width = jnp.max(score, axis=0)
    trial = first_highest(over_width)
    grid = jnp.arange(len(over_width))[:, None]
    away = jnp.abs(grid - trial) > exclude
    rival = jnp.max(jnp.where(away, over_width, 0.0), axis=0)
    row = jnp.arange(data.shape[0])
    at = place[:, trial] if place.ndim == 2 else place[row, :, trial].T  # (line, n)
    widest = jnp.asarray(half_widths)[best_width]
    shift = _refine(signal, variance, widest, at, strengths, rarity)
    score = jnp.max(over_width, axis=0)
    return SearchResult(trial, best_width, score, rival, shift)


def _refine(
    signal: _Sums,
    variance: _Sums,
    half: Array,
    at: Array,
    strengths: Array,
    rarity: Array,
    reach: int = 4,
) -> Array:
    """Shift (n,) [channels] of the best score with boxes of half lengths (n,) within +-``reach``
    half channels of places (line, n), by a parabola through its three best points."""
    near = at[:, None, :] + jnp.arange(-reach, reach + 1)[:, None]  # (line, shift, n)
    near = jnp.where(at[:, None, :] > 0, jnp.clip(near, 0, signal.n_places - 1), 0)
    flat = near.reshape(-1, near.shape[-1])
    here, noise = (sums.at(flat, half).reshape(near.shape) for sums in (signal, variance))
    score = _class_scores(here, noise, strengths, rarity)  # (shift, n)
    return 0.5 * (parabola_peak(score, first_highest(score)) - reach)


def first_highest(values: Array) -> Array:
    """``argmax(values, axis=0)``, in half the time.

    Example:
        >>> first_highest(jnp.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
        [1, 0]
    """
    index = jnp.arange(len(values)).reshape(-1, *[1] * (values.ndim - 1))
    highest = values >= jnp.max(values, axis=0)
    return jnp.min(jnp.where(highest, index, len(values) - 1), axis=0)


def parabola_peak(score: Array, peak: Array) -> Array:
    """Where (n,) the parabola through the best of scores (velocity, n) and its neighbours is
    highest, within half a trial; ``peak`` (n,) is the number of the best."""
    last = score.shape[0] - 1
    around = jnp.stack([jnp.clip(peak + k, 0, last) for k in (-1, 0, 1)])
    left, middle, right = jnp.take_along_axis(score, around, axis=0)
    bend = left - 2.0 * middle + right
    shift = jnp.where(bend < 0, 0.5 * (left - right) / jnp.where(bend < 0, bend, -1.0), 0.0)
    inside = (peak > 0) & (peak < last)
    return peak + jnp.where(inside, jnp.clip(shift, -0.5, 0.5), 0.0)
