"""The network's first look: at which offset do the lines of a source stand out together?

At every trial offset each line's flux in a triangular window is compared with typical relative
strengths t_l of lines (see `nebulines.lines.line_strengths`): for weighted sums N_l of variance
M_l the score is (sum_l t_l N_l)^2 / sum_l t_l^2 M_l, the improvement of chi2. As in the search
of the fit, a rare class forgoes a share of it: else a nebula whose [N II] outshines H-alpha, one
line further on, would rival every H II region.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.networks.kinematics.line_kernels import Rows, channels_together

TYPICAL_FWHM_KMS = 60.0
"""FWHM of the broadening that the narrow triangle is made for."""
TRIAL_STEP_KMS = 42.0
"""Spacing of the trials, at most: half of the narrowest triangle there is."""
WIDE_STEPS = 3
"""Half width of the wide triangle in trial steps, on top of the narrow one."""
_ALIKE_STEPS = 2.7  # distance at which sums under narrow triangles no longer share their noise
VARIANCE_EVERY = 3
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


@lru_cache
def trial_offsets(low: float, high: float) -> np.ndarray:
    """Evenly spaced offsets to search (K,) [km/s]; their number takes few values, since each is
    compiled.

    Example:
        >>> trial_offsets(-500.0, 500.0).shape
        (25,)
    """
    steps = max(2, int(np.ceil((high - low) / TRIAL_STEP_KMS - 1e-9)))
    return np.linspace(low, high, steps + -steps % 8 + 1).astype(np.float32)


def search_lines(rows: Rows, strength: Array, trials: Array, rarity: Array | float = 0.0) -> Found:
    """Find the offset of every source.

    Args:
        rows: windows of n spectra.
        strength: (n, T, L) or (T, L) typical peaks of the lines.
        trials: (K,) evenly spaced offsets [km/s].
        rarity: (n, T) or (T,) share of its score that a class forgoes, or 0.

    Returns:
        `Found` of the n spectra; the offset is refined by a parabola through three trials.
    """
    score = search_scores(rows, strength, trials, rarity)  # trials first, spectra last
    best = jnp.argmax(score, axis=0)
    step = trials[1] - trials[0]
    shift = _parabola(score, best)
    top = jnp.max(score, axis=0)
    fwhm = jnp.max(rows.width, axis=0)
    apart = jnp.abs(jnp.arange(len(trials))[:, None] - best) * step
    away = apart > 1.5 * jnp.hypot(fwhm, TYPICAL_FWHM_KMS)
    rival = jnp.max(jnp.where(away, score, 0.0), axis=0)
    return Found(trials[best] + step * shift, top, rival)


def search_scores(rows: Rows, strength: Array, trials: Array, rarity: Array | float = 0.0) -> Array:
    """Score (K, n) of every trial, the better of two widths."""
    spacing = jnp.abs(rows.offset[:, 1] - rows.offset[:, 0])
    half = jnp.maximum(jnp.hypot(rows.width, TYPICAL_FWHM_KMS), 1.2 * spacing)
    signal, variance = _triangle_sums(rows, trials, half)
    share = 1.0 - jnp.atleast_2d(jnp.asarray(rarity)).T[:, None]
    return _best_scores(signal, variance, strength, share)


def _triangle_sums(rows: Rows, trials: Array, half: Array) -> tuple[Array, Array]:
    """Weighted sums (L, K, n) under triangles of half length (L, n) around trials, and the
    variance of every `VARIANCE_EVERY`-th of them."""
    offset = jax.lax.optimization_barrier(rows.offset / half[:, None])
    at = jax.lax.optimization_barrier(trials[:, None] / half[:, None])

    # a few channels at a time: a sum over a product is not vectorised
    def add(step: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
        signal, variance = sums
        for c in (step * together + k for k in range(together)):
            away = offset[:, c][:, None]
            triangle = jnp.maximum(1.0 - jnp.abs(away - at), 0.0)
            signal = signal + triangle * rows.value[:, c][:, None]
            few = jnp.maximum(1.0 - jnp.abs(away - at_few), 0.0)
            variance = variance + few * few * rows.weight[:, c][:, None]
        return signal, variance

    at_few = at[:, ::VARIANCE_EVERY]
    n_channels = offset.shape[1]
    together = channels_together(n_channels)
    sums = (jnp.zeros_like(at), jnp.zeros_like(at_few))
    return jax.lax.fori_loop(0, n_channels // together, add, sums)


def _best_scores(signal: Array, variance: Array, strength: Array, share: Array) -> Array:
    """Best score (K, n) of T classes, which keep a share (T, 1, n or 1) of it, and of two widths
    for sums (L, K, n) and their variances."""
    shape = "tl" if strength.ndim == 2 else "ntl"
    numerator = jnp.einsum(f"{shape},lkn->tkn", strength, signal)
    denominator = jnp.einsum(f"{shape},lkn->tkn", strength**2, variance)
    inverse = jnp.repeat(share / jnp.maximum(denominator, 1e-6), VARIANCE_EVERY, axis=1)
    wide, growth = _widen(numerator)
    best = jnp.maximum(jnp.maximum(numerator, 0.0), jnp.maximum(wide, 0.0) / np.sqrt(growth))
    return jnp.max(jnp.square(best) * inverse[:, : best.shape[1]], axis=0)


def _widen(values: Array) -> tuple[Array, float]:
    """Sums over neighbouring trials under a wide triangle, and how their variance grows,
    neighbours being correlated by the narrow triangle (all but the furthest ones)."""
    taps = 1.0 - np.abs(np.arange(-WIDE_STEPS + 1, WIDE_STEPS)) / WIDE_STEPS
    reach = np.arange(-2 * WIDE_STEPS + 2, 2 * WIDE_STEPS - 1)
    alike = np.maximum(1.0 - np.abs(reach) / _ALIKE_STEPS, 0.0)
    padded = jnp.pad(values, ((0, 0), (WIDE_STEPS - 1, WIDE_STEPS - 1), (0, 0)))
    n_trials = values.shape[1]
    total = sum(float(tap) * padded[:, k : k + n_trials] for k, tap in enumerate(taps))
    return jnp.asarray(total), float(np.convolve(taps, taps) @ alike)


def _parabola(score: Array, best: Array) -> Array:
    last = len(score) - 1
    around = jnp.clip(best + jnp.arange(-1, 2)[:, None], 0, last)
    left, middle, right = jnp.take_along_axis(score, around, axis=0)
    bend = left - 2.0 * middle + right
    shift = jnp.where(bend < 0, 0.5 * (left - right) / jnp.where(bend < 0, bend, -1.0), 0.0)
    inside = (best > 0) & (best < last)
    return jnp.where(inside, jnp.clip(shift, -0.5, 0.5), 0.0)
