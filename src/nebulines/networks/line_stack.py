"""From line windows to one profile in units of the line spread: what the network is shown.

Around the offset that the search found, each window is compared with the line spread at steps
of 0.8 of its width (for a sinc: finer than its critical sampling, so that nothing is lost).
With N_l(m) the weighted sum over channels of data times line spread, step m away, and M_l its
variance,

1. amplitudes a_l follow from N_l, the neighbours' share (their side lobes) being taken out;
2. the profiles are added with the weights of matched filtering, S(m) = sum_l a_l N_l(m), where
   a_l is shrunk towards zero for lines that do not stand out of the noise;
3. S is divided by its own noise, sqrt(sum_l a_l^2 M_l).

However many lines there are, at whatever resolution and sampling, the outcome is one profile
whose shape depends on (v - v_0)/w and s/w alone, w being the width of the line spread: the
sufficient statistic of velocity and broadening as far as the amplitudes are known.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.constants import FWHM_PER_SIGMA, SINC_FWHM_PER_WIDTH
from nebulines.instruments.line_spread import LineSpreadShape
from nebulines.lineshapes import sincgauss_peak
from nebulines.lineshapes.trigonometry import sine_cosine
from nebulines.networks.line_search import search_lines
from nebulines.networks.line_windows import LineWindows, Neighbour, neighbours

HALF_NODES = 11
NODE_STEP = 0.8
"""Nodes of the profile on each side, and their spacing in widths of the line spread."""
FIRST_BROADENING_KMS = 25.0
"""Broadening assumed for neighbouring lines before the profile has been seen."""
BRIGHTEST = 4
"""Lines whose S/N the network is told."""


class Stack(NamedTuple):
    """What the network is shown of n spectra.

    Attributes:
        features: (n, F).
        offset: (n,) [km/s] where the profile is centred.
        scale: (n,) [km/s] unit of the profile: FWHM of the line spread / 1.2067.
        snr: (n,) S/N of all lines together.
        score, rival: (n,) of the search.
    """

    features: Array
    offset: Array
    scale: Array
    snr: Array
    score: Array
    rival: Array


def feature_count() -> int:
    """Number of features F."""
    return 2 * HALF_NODES + 1 + BRIGHTEST + 9


def stack_lines(windows: LineWindows, trials: Array, *, shape: LineSpreadShape) -> Stack:
    """Search the lines and add their profiles.

    Args:
        windows: of n spectra.
        trials: (K,) offsets to search [km/s].
        shape: of the line spread.

    Returns:
        `Stack` of the n spectra.
    """
    found = search_lines(windows, trials)
    present = jnp.any(windows.strength > 0, axis=-2)
    present = jnp.broadcast_to(present, windows.width.shape).T
    # from here on, spectra lie on the last axis
    width = windows.width.T
    zero = width / SINC_FWHM_PER_WIDTH
    count = jnp.maximum(jnp.sum(present, axis=0), 1)
    scale = jnp.sum(jnp.where(present, zero, 0.0), axis=0) / count
    nodes = jnp.asarray(_NODES)[:, None] * scale
    around = windows.offset - found.offset[:, None, None]
    signal, norm = _project(windows, around, nodes, shape)
    norm = jnp.where(present, norm, 0.0)
    profile = signal / jnp.maximum(norm, 1e-3)[:, None]
    seen = norm > 0.05 * jnp.max(norm, axis=0)
    profile = jnp.where(seen[:, None], profile, 0.0)
    others = neighbours(windows.separation, found.offset, shape=shape)
    overlap = _overlap(others, nodes, width, shape)
    broadening = jnp.full_like(scale, FIRST_BROADENING_KMS)
    for again in (True, False):
        alone = _without_neighbours(profile, overlap, shape, norm, broadening)
        amplitude, line_snr = _amplitudes(alone, norm)
        weight = amplitude * line_snr**2 / (1.0 + line_snr**2)
        total = jnp.sum((weight * norm)[:, None] * alone, axis=0)
        power = jnp.maximum(jnp.sum(weight**2 * norm, axis=0), 1e-20)
        stacked = total / jnp.sqrt(power)
        if again:
            broadening = scale * _rough_broadening(stacked, shape)
    share = weight**2 * norm / power
    snr = jnp.maximum(jnp.asarray(_MIDDLE) @ stacked, 0.0)
    spacing = jnp.abs(windows.offset[:, :, 1] - windows.offset[:, :, 0]).T
    conditions = [
        jnp.log(1.0 + snr) - 2.5,
        jnp.full_like(scale, 1.0 if shape == "sinc" else -1.0),
        jnp.log(scale) - 4.2,
        4.0 * jnp.log(jnp.sum(share * zero, axis=0) / scale + 1e-3),
        jnp.log(jnp.sum(share * zero / spacing, axis=0) + 1e-3),
        0.5 * jnp.log(1.0 + found.score) - 2.0,
        0.5 * jnp.log(1.0 + found.rival) - 1.5,
        1.0 / jnp.maximum(jnp.sum(share**2, axis=0), 0.05) - 2.0,
        broadening / scale - 1.0,
    ]
    bright = -jnp.sort(-jnp.log1p(jnp.maximum(line_snr, 0.0)), axis=0)
    bright = jnp.pad(bright, ((0, max(0, BRIGHTEST - bright.shape[0])), (0, 0)))[:BRIGHTEST]
    shown = 2.0 * stacked / (1.0 + snr)
    features = jnp.concatenate([shown, bright - 1.5, jnp.stack(conditions)]).T
    features = jnp.where(jnp.isfinite(features), jnp.clip(features, -20.0, 20.0), 0.0)
    return Stack(features, found.offset, scale, snr, found.score, found.rival)


_NODES = (NODE_STEP * np.arange(-HALF_NODES, HALF_NODES + 1)).astype(np.float32)


def _middle() -> np.ndarray:
    """Node weights of a moderately broadened line, for noise of unit variance at every node."""
    taps = np.exp(-0.5 * np.square(NODE_STEP * np.arange(-HALF_NODES, HALF_NODES + 1)))
    distance = NODE_STEP * np.subtract.outer(np.arange(len(taps)), np.arange(len(taps)))
    return (taps / np.sqrt(taps @ np.sinc(distance) @ taps)).astype(np.float32)


_MIDDLE = _middle()


def _project(
    windows: LineWindows, around: Array, nodes: Array, shape: LineSpreadShape
) -> tuple[Array, Array]:
    """Weighted sums (L, M, n) of data times line spread at the nodes (M, n), and the variance
    (L, n) of the middle one."""
    # channel by channel, spectra along the last axis: XLA vectorises such a loop, but not a sum
    # over a product of kernels
    away, weight = (jnp.moveaxis(part, 0, -1) for part in (around, windows.weight))
    value = jnp.moveaxis(windows.data, 0, -1) * weight
    kernel = _sincs if shape == "sinc" else _gaussians
    channel, node, combine = kernel(away, nodes, windows.width.T)
    zero = jnp.zeros((away.shape[0], *nodes.shape))

    def add(c: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
        here = [part[:, c][:, None] for part in channel]
        seen = combine(here, node)
        signal = sums[0] + seen * value[:, c][:, None]
        return signal, sums[1] + jnp.square(seen[:, HALF_NODES]) * weight[:, c]

    return jax.lax.fori_loop(0, away.shape[1], add, (zero, zero[:, 0]))


def _gaussians(away: Array, nodes: Array, width: Array) -> tuple:
    """Gaussians of the differences of channels (L, C, n) and nodes (M, n): what to prepare of
    each, and how to combine them."""
    unit = (np.sqrt(0.5) * FWHM_PER_SIGMA) / width
    x, y = away * unit[:, None], nodes * unit[:, None]
    return [x], [y], lambda x, y: jnp.exp(-jnp.square(x[0] - y[0]))


def _sincs(away: Array, nodes: Array, width: Array) -> tuple:
    """The same for sincs, with sines of the two terms only."""
    unit = (np.pi * SINC_FWHM_PER_WIDTH) / width
    x, y = away * unit[:, None], nodes * unit[:, None]
    channel = jax.lax.optimization_barrier([x, *sine_cosine(x)])
    node = jax.lax.optimization_barrier([y, *sine_cosine(y)])

    def combine(x: list[Array], y: list[Array]) -> Array:
        difference = x[0] - y[0]
        sine = x[1] * y[2] - x[2] * y[1]
        near = jnp.abs(difference) < 1e-2
        return jnp.where(near, 1.0, sine / jnp.where(near, 1.0, difference))

    return channel, node, combine


class _Overlap(NamedTuple):
    """How line k shows in the window of line l, (L, L, ..., n), first l, then k.

    Attributes:
        distance: (L, L, M, n) of the nodes from line k [km/s].
        width: (L, L, n) FWHM of the line spread there, in the units of window l.
        stretch: (L, L, n), see `Neighbour`.
        sinc: (L, L, M, n) of unit peak, where the line spread is one.
    """

    distance: Array
    width: Array
    stretch: Array
    sinc: Array


def _overlap(others: Neighbour, nodes: Array, width: Array, shape: LineSpreadShape) -> _Overlap:
    separation, stretch = (jnp.moveaxis(part, 0, -1) for part in others)
    distance = nodes - separation[:, :, None]
    spread = width * stretch
    if shape == "gaussian":
        return _Overlap(distance, spread, stretch, distance)
    x = distance * ((np.pi * SINC_FWHM_PER_WIDTH) / spread)[:, :, None]
    near = jnp.abs(x) < 1e-2
    sinc = jnp.where(near, 1.0, sine_cosine(x)[0] / jnp.where(near, 1.0, x))
    return _Overlap(distance, spread, stretch, sinc)


def _without_neighbours(
    profile: Array, overlap: _Overlap, shape: LineSpreadShape, norm: Array, broadening: Array
) -> Array:
    """Profiles (L, M, n) in units of the peak, the other lines' share taken out, for lines of
    some broadening (n,) [km/s]."""
    n_lines = len(profile)
    if n_lines == 1:
        return profile
    other = 1.0 - np.eye(n_lines, dtype=np.float32)
    correlation = _neighbour(overlap, broadening, shape) * other[:, :, None, None]
    central = correlation[:, :, HALF_NODES]
    raw = profile[:, HALF_NODES]
    amplitude = _shrink(raw, norm) * raw
    for _ in range(3):
        left = raw - jnp.sum(central * amplitude, axis=1)
        amplitude = 0.3 * amplitude + 0.7 * _shrink(left, norm) * jnp.maximum(left, 0.0)
    return profile - jnp.sum(correlation * amplitude[:, None], axis=1)


def _neighbour(overlap: _Overlap, broadening: Array, shape: LineSpreadShape) -> Array:
    """What a line of unit peak leaves at the nodes (L, L, M, n), seen through the line spread.

    For a sinc: its wings, damped by the broadening, and a Gaussian core with the curvature of
    the exact profile (within 6 % of the peak).
    """
    broadening = broadening * overlap.stretch
    if shape == "gaussian":
        sigma = overlap.width / FWHM_PER_SIGMA
        line2 = sigma**2 + broadening**2
        both2 = sigma**2 + line2
        factor = jnp.sqrt(2.0 * line2 / both2)[:, :, None]
        return factor * jnp.exp(-0.5 * overlap.distance**2 / both2[:, :, None])
    zero = overlap.width / SINC_FWHM_PER_WIDTH
    b2 = jnp.square(np.pi * broadening / zero)
    wings = jnp.exp(-0.5 * b2)
    peak = sincgauss_peak(zero, broadening) * zero
    small = b2 < 0.1
    core2 = (peak - wings) / jnp.where(small, 1.0, (peak - wings) / b2 - wings / 3.0)
    core2 = jnp.where(small, 5.0, core2)
    steep = (-0.5 * np.pi**2) / (core2 * jnp.square(zero))
    core = jnp.exp(jnp.square(overlap.distance) * steep[:, :, None])
    return core + (wings / peak)[:, :, None] * (overlap.sinc - core)


_NARROW, _WIDE = 0.5, 2.0  # widths of the two weights whose ratio tells the broadening
_REGULAR = 3.0  # what noise may contribute to either


def _rough_broadening(stacked: Array, shape: LineSpreadShape) -> Array:
    """Broadening (n,) in widths of the line spread, from two weighted sums of the profile."""
    narrow, wide = (jnp.asarray(_taps(width)) @ stacked for width in (_NARROW, _WIDE))
    ratio, broadening = _ratio_table(shape)
    first = (jnp.maximum(wide, 0.0) + _REGULAR * ratio[4]) / (jnp.maximum(narrow, 0.0) + _REGULAR)
    return jnp.interp(first, jnp.asarray(ratio), jnp.asarray(broadening))


def _taps(width: float) -> np.ndarray:
    taps = np.exp(-0.5 * np.square(NODE_STEP * np.arange(-HALF_NODES, HALF_NODES + 1) / width))
    return (taps / taps.sum()).astype(np.float32)


@lru_cache
def _ratio_table(shape: LineSpreadShape) -> tuple[np.ndarray, np.ndarray]:
    """Ratios of the two sums (k,), increasing, and the broadenings (k,) that give them."""
    broadening = np.linspace(0.0, 3.5, 36)
    node = NODE_STEP * np.arange(-HALF_NODES, HALF_NODES + 1)
    if shape == "sinc":
        t, weights = np.polynomial.legendre.leggauss(80)
        t, weights = 0.5 * (t + 1.0), 0.5 * weights
        damping = np.exp(-0.5 * np.square(np.pi * broadening[:, None] * t))
        profile = (weights * damping) @ np.cos(np.pi * np.outer(t, node))
    else:
        sigma2 = (SINC_FWHM_PER_WIDTH / FWHM_PER_SIGMA) ** 2
        profile = np.exp(-0.5 * node**2 / (2.0 * sigma2 + broadening[:, None] ** 2))
    ratio = (profile @ _taps(_WIDE)) / (profile @ _taps(_NARROW))
    return ratio.astype(np.float32), broadening.astype(np.float32)


def _shrink(amplitude: Array, norm: Array) -> Array:
    snr2 = jnp.square(amplitude) * norm
    return snr2 / (1.0 + snr2)


def _amplitudes(profile: Array, norm: Array) -> tuple[Array, Array]:
    """Amplitude (L, n), not negative, and S/N (L, n) of each line, for a moderate broadening."""
    matched = jnp.sum(profile * _MIDDLE[:, None], axis=1)
    return jnp.maximum(matched, 0.0), jnp.maximum(matched, 0.0) * jnp.sqrt(norm)
