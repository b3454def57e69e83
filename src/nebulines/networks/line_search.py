"""The network's first look: at which offset do the lines of a source stand out together?

At every trial offset each line's flux in a triangular window is compared with typical relative
strengths t_l of lines (see `nebulines.lines.line_strengths`): for weighted sums N_l of variance
M_l the score is (sum_l t_l N_l)^2 / sum_l t_l^2 M_l, the improvement of chi2.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from nebulines.networks.line_windows import LineWindows

TYPICAL_FWHM_KMS = 60.0
"""FWHM of the broadening that the narrow triangle is made for."""
WIDE_STEPS = 5
"""Half width of the wide triangle in trial steps, on top of the narrow one."""
VARIANCE_EVERY = 4
"""The variance of the sums is computed at every so many trials: it hardly changes with offset."""


class Found(NamedTuple):
    """The best trial of n spectra.

    Attributes:
        offset: (n,) [km/s].
        score: (n,) improvement of chi2.
        rival: (n,) the same for the best offset elsewhere.
    """

    offset: Array
    score: Array
    rival: Array


def search_lines(windows: LineWindows, trials: Array) -> Found:
    """Find the offset of every source.

    Args:
        windows: of n spectra.
        trials: (K,) evenly spaced offsets [km/s].

    Returns:
        `Found` of the n spectra; the offset is refined by a parabola through three trials.
    """
    trials = jnp.asarray(trials)
    score = search_scores(windows, trials)
    best = jnp.argmax(score, axis=1)
    step = trials[1] - trials[0]
    shift = _parabola(score, best)
    top = jnp.max(score, axis=1)
    fwhm = jnp.max(windows.width, axis=1)
    apart = jnp.abs(jnp.arange(len(trials)) - best[:, None]) * step
    away = apart > 1.5 * jnp.hypot(fwhm, TYPICAL_FWHM_KMS)[:, None]
    rival = jnp.max(jnp.where(away, score, 0.0), axis=1)
    return Found(trials[best] + step * shift, top, rival)


def search_scores(windows: LineWindows, trials: Array) -> Array:
    """Score (n, K) of every trial, the better of two widths."""
    spacing = jnp.abs(windows.offset[:, :, 1] - windows.offset[:, :, 0])
    half = jnp.maximum(jnp.hypot(windows.width, TYPICAL_FWHM_KMS), 1.2 * spacing)
    signal, variance = _triangle_sums(windows, trials, half.T)
    narrow = _class_scores(signal, variance, windows.strength)
    wide = _class_scores(_widen(signal, 1), _widen(variance, 2), windows.strength)
    return jnp.maximum(narrow, wide).T


def _triangle_sums(windows: LineWindows, trials: Array, half: Array) -> tuple[Array, Array]:
    """Weighted sums (L, K, n) under triangles of half length (L, n) around trials, and their
    variance."""
    # channel by channel, spectra along the last axis: XLA vectorises such a loop
    offset, weight = (jnp.moveaxis(part, 0, -1) for part in (windows.offset, windows.weight))
    offset = offset / half[:, None]
    value = jnp.moveaxis(windows.data, 0, -1) * weight
    at = trials[:, None] / half[:, None]

    def add(c: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
        triangle = jnp.maximum(1.0 - jnp.abs(offset[:, c][:, None] - at), 0.0)
        signal = sums[0] + triangle * value[:, c][:, None]
        few = triangle[:, ::VARIANCE_EVERY]
        return signal, sums[1] + few * few * weight[:, c][:, None]

    zero = jnp.zeros_like(at)
    sums = (zero, zero[:, ::VARIANCE_EVERY])
    signal, variance = jax.lax.fori_loop(0, offset.shape[1], add, sums)
    return signal, jnp.repeat(variance, VARIANCE_EVERY, axis=1)[:, : len(trials)]


def _class_scores(signal: Array, variance: Array, strength: Array) -> Array:
    """Best score (K, n) of T classes for sums (L, K, n)."""
    shape = "tl" if strength.ndim == 2 else "ntl"
    numerator = jnp.einsum(f"{shape},lkn->tkn", strength, signal)
    denominator = jnp.einsum(f"{shape},lkn->tkn", strength**2, variance)
    score = jnp.square(jnp.maximum(numerator, 0.0)) / jnp.maximum(denominator, 1e-6)
    return jnp.max(score, axis=0)


def _widen(values: Array, power: int) -> Array:
    """Sums over neighbouring trials under a wide triangle; with ``power`` 2 the variance of such
    sums, neighbours being correlated by the narrow triangle (all but the furthest ones)."""
    taps = 1.0 - jnp.abs(jnp.arange(-WIDE_STEPS + 1, WIDE_STEPS)) / WIDE_STEPS
    if power == 2:
        reach = jnp.arange(-2 * WIDE_STEPS + 2, 2 * WIDE_STEPS - 1)
        alike = jnp.maximum(1.0 - jnp.abs(reach) / 4.5, 0.0)
        lag = jnp.convolve(taps, taps)
        return values * jnp.sum(lag * alike)
    padded = jnp.pad(values, ((0, 0), (WIDE_STEPS - 1, WIDE_STEPS - 1), (0, 0)))
    n_trials = values.shape[1]
    return sum(tap * padded[:, k : k + n_trials] for k, tap in enumerate(taps))


def _parabola(score: Array, best: Array) -> Array:
    last = score.shape[1] - 1
    around = jnp.clip(best[:, None] + jnp.arange(-1, 2), 0, last)
    left, middle, right = jnp.take_along_axis(score, around, axis=1).T
    bend = left - 2.0 * middle + right
    shift = jnp.where(bend < 0, 0.5 * (left - right) / jnp.where(bend < 0, bend, -1.0), 0.0)
    inside = (best > 0) & (best < last)
    return jnp.where(inside, jnp.clip(shift, -0.5, 0.5), 0.0)
