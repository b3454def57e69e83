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

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.constants import SINC_FWHM_PER_WIDTH
from nebulines.instruments.line_spread import LineSpreadShape
from nebulines.networks.kinematics.line_kernels import Rows, kernel_parts, project
from nebulines.networks.kinematics.line_neighbours import Nodes, others_of, without_neighbours
from nebulines.networks.kinematics.line_search import search_lines
from nebulines.networks.kinematics.line_windows import LineWindows
from nebulines.networks.kinematics.rough_broadening import HALF_NODES, NODES, rough_broadening

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


class _Sum(NamedTuple):
    """Lines added up: the profile (M, n) over its noise, each line's share (L, n) of the weight
    and its S/N (L, n)."""

    profile: Array
    share: Array
    line_snr: Array


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
    rows = _spectra_last(windows)
    found = search_lines(rows, windows.strength, jnp.asarray(trials), windows.rarity)
    present = jnp.any(windows.strength > 0, axis=-2)
    present = jnp.broadcast_to(present, windows.width.shape).T
    zero = rows.width / SINC_FWHM_PER_WIDTH
    count = jnp.maximum(jnp.sum(present, axis=0), 1)
    scale = jnp.sum(jnp.where(present, zero, 0.0), axis=0) / count
    total, broadening = _add_lines(rows, windows.separation, found.offset, scale, present, shape)
    snr = jnp.maximum(jnp.asarray(_MIDDLE) @ total.profile, 0.0)
    spacing = jnp.abs(rows.offset[:, 1] - rows.offset[:, 0])
    share = total.share
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
    shown = [2.0 * total.profile / (1.0 + snr), _bright(total.line_snr), jnp.stack(conditions)]
    features = jnp.concatenate(shown).T
    features = jnp.where(jnp.isfinite(features), jnp.clip(features, -20.0, 20.0), 0.0)
    return Stack(features, found.offset, scale, snr, found.score, found.rival)


def _spectra_last(windows: LineWindows) -> Rows:
    """The windows laid out for `Rows`, once."""
    weight = jnp.broadcast_to(windows.weight, windows.data.shape)
    parts = (windows.data * weight, weight, windows.offset, windows.width)
    return Rows(*jax.lax.optimization_barrier(tuple(jnp.moveaxis(p, 0, -1) for p in parts)))


def _add_lines(
    rows: Rows,
    separation: Array,
    centre: Array,
    scale: Array,
    present: Array,
    shape: LineSpreadShape,
) -> tuple[_Sum, Array]:
    """The lines of n spectra added up around ``centre`` (n,), and the broadening (n,) [km/s]
    by which their neighbours were taken out."""
    position = jnp.asarray(NODES)[:, None] * scale
    nodes = Nodes(position, kernel_parts(position + centre, rows.width, shape=shape), HALF_NODES)
    signal, norm = project(rows, nodes.parts, HALF_NODES, shape=shape)
    norm = jnp.where(present, norm, 0.0)
    profile = signal / jnp.maximum(norm, 1e-3)[:, None]
    seen = norm > 0.05 * jnp.max(norm, axis=0)
    profile = jnp.where(seen[:, None], profile, 0.0)
    others = others_of(separation, centre, rows.width, shape=shape)
    broadening = jnp.full_like(scale, FIRST_BROADENING_KMS)
    first = _sum_of(without_neighbours(profile, norm, broadening, nodes, others), norm)
    broadening = scale * rough_broadening(first.profile, shape=shape)
    return _sum_of(without_neighbours(profile, norm, broadening, nodes, others), norm), broadening


def _sum_of(profile: Array, norm: Array) -> _Sum:
    """Profiles (L, M, n) added with the weights of matched filtering, for amplitudes, not
    negative, that a moderate broadening gives."""
    amplitude = jnp.maximum(_matched(profile), 0.0)
    line_snr = amplitude * jnp.sqrt(norm)
    weight = amplitude * line_snr**2 / (1.0 + line_snr**2)
    each, line_snr, norm = jax.lax.optimization_barrier((weight * norm, line_snr, norm))
    total = sum(one * alone for one, alone in zip(each, profile, strict=True))
    power = each**2 / jnp.maximum(norm, 1e-20)
    all_power = jnp.maximum(jnp.sum(power, axis=0), 1e-20)
    return _Sum(total / jnp.sqrt(all_power), power / all_power, line_snr)


def _matched(profile: Array) -> Array:
    """Profiles (L, M, n) weighted with `_MIDDLE`: (L, n)."""
    taps = jnp.asarray(_MIDDLE)

    # a loop: a sum that is written out is worked out again wherever it is used
    def add(m: Array, found: Array) -> Array:
        return found + taps[m] * profile[:, m]

    return jax.lax.fori_loop(*_SEEN, add, jnp.zeros_like(profile[:, 0]))


def _bright(line_snr: Array) -> Array:
    """log S/N of the brightest lines (B, n), the brightest first."""
    # ranks by counting: a few comparisons, where sorting takes long
    each, other = line_snr[:, None], line_snr[None]
    earlier = np.tri(len(line_snr), k=-1, dtype=bool)[:, :, None]
    above = (other > each) | (earlier & (other == each))
    rank = jnp.sum(above, axis=1, dtype=jnp.int32)
    places = jnp.arange(BRIGHTEST)[:, None, None]
    return jnp.sum(jnp.where(rank == places, jnp.log1p(line_snr), 0.0), axis=1) - 1.5


def _middle() -> np.ndarray:
    """Node weights of a moderately broadened line, for noise of unit variance at every node."""
    taps = np.exp(-0.5 * np.square(NODES))
    taps = taps.astype(float)
    distance = np.subtract.outer(NODES, NODES).astype(float)
    return (taps / np.sqrt(taps @ np.sinc(distance) @ taps)).astype(np.float32)


_MIDDLE = _middle()
_SEEN = (HALF_NODES - 6, HALF_NODES + 7)  # nodes whose weight is more than 1e-5 of the largest
