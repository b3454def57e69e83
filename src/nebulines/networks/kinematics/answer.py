"""From line windows to velocities: the whole of the network ``kinematics`` in one function."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from nebulines.instruments.line_spread import LineSpreadShape
from nebulines.kept_programs import keep_programs
from nebulines.networks.kinematics.line_stack import Stack, stack_lines
from nebulines.networks.kinematics.line_windows import LineWindows
from nebulines.networks.kinematics.mixture import BROADENING_LARGEST, Mixture
from nebulines.networks.kinematics.network import Kinematics
from nebulines.networks.kinematics.posterior import Box, mass_between, moments, where_found
from nebulines.small_tiles import map_small_tiles

TRAINED_RANGE_KMS = 1000.0
"""Width of the velocity range that lost sources were spread over in training."""


class Answer(NamedTuple):
    """What the network says of n spectra, each (n,).

    Attributes:
        offset, offset_err: posterior mean and standard deviation of the offset [km/s], given
            that the lines were found.
        broadening, broadening_err: the same of the broadening [km/s].
        best_offset, best_broadening: of the most probable component, where a fit should start.
        lost: probability that the lines were not found.
        inside: probability of the ranges asked for under everything that was trained on.
        edge: probability that the broadening is beyond nine tenths of what was trained on.
        scale: FWHM of the line spread / 1.2067 [km/s].
        snr: of all lines together.
        score, rival: improvement of chi2 by lines at the best offset and elsewhere.
    """

    offset: Array
    offset_err: Array
    broadening: Array
    broadening_err: Array
    best_offset: Array
    best_broadening: Array
    lost: Array
    inside: Array
    edge: Array
    scale: Array
    snr: Array
    score: Array
    rival: Array


class Ranges(NamedTuple):
    """Flat prior: offsets and broadenings from low to high [km/s], each () or (n,)."""

    low_offset: Any
    high_offset: Any
    low_broadening: Any
    high_broadening: Any


TILE_ROWS = 128
"""Spectra read at once."""


@keep_programs(static_argnames=("shape",))
def answer(
    network: Kinematics,
    windows: LineWindows,
    trials: Any,
    ranges: Ranges,
    shape: LineSpreadShape,
    n_tiles: Any = None,
) -> Answer:
    """Posterior means and errors of n spectra.

    Args:
        network: trained.
        windows: of the n spectra; n is at most `TILE_ROWS`, or a multiple of it.
        trials: (K,) offsets to search [km/s].
        ranges: of the flat prior.
        shape: of the line spread.
        n_tiles: times `TILE_ROWS` spectra are read, what is behind them is zero; None = all.

    Returns:
        `Answer` of the n spectra.
    """
    n = len(windows.data)
    ranges = Ranges(*(jnp.broadcast_to(part, n) for part in ranges))
    own_axes = {"strength": 3, "separation": 3, "rarity": 2}  # of those that each spectrum has
    common = {
        name: getattr(windows, name)
        for name, axes in own_axes.items()
        if jnp.ndim(getattr(windows, name)) < axes
    }
    own = windows._replace(**dict.fromkeys(common))

    def read_tile(tile: tuple[LineWindows, Ranges]) -> Answer:
        return _answer(network, tile[0]._replace(**common), trials, tile[1], shape)

    return map_small_tiles(read_tile, (own, ranges), TILE_ROWS, n_tiles)


def _answer(
    network: Kinematics,
    windows: LineWindows,
    trials: Any,
    ranges: Ranges,
    shape: LineSpreadShape,
) -> Answer:
    """`answer` for one tile."""
    stack, mixture, box = read(network, windows, trials, ranges, shape)
    inner = moments(where_found(mixture), box)
    total = jnp.maximum(mass_between(mixture, 0.0, BROADENING_LARGEST), 1e-20)
    high = mass_between(mixture, _NEAR_EDGE, BROADENING_LARGEST)
    best = jnp.argmax(mixture.log_weight[:, :-1], axis=1)[:, None]
    best_u, best_r = (
        jnp.take_along_axis(part, best, axis=1)[:, 0] for part in (mixture.mean_u, mixture.mean_r)
    )
    return Answer(
        offset=stack.offset + stack.scale * inner.mean_u,
        offset_err=stack.scale * inner.sigma_u,
        broadening=stack.scale * inner.mean_r,
        broadening_err=stack.scale * inner.sigma_r,
        best_offset=stack.offset + stack.scale * best_u,
        best_broadening=stack.scale * jnp.clip(jnp.abs(best_r), 0.0, BROADENING_LARGEST),
        lost=jnp.exp(mixture.log_weight[:, -1]),
        inside=inner.inside / total,
        edge=high / total,
        scale=stack.scale,
        snr=stack.snr,
        score=stack.score,
        rival=stack.rival,
    )


_NEAR_EDGE = 0.9 * BROADENING_LARGEST


def read(
    network: Kinematics,
    windows: LineWindows,
    trials: Any,
    ranges: Ranges,
    shape: LineSpreadShape,
) -> tuple[Stack, Mixture, Box]:
    """The profile that the network is shown, its posterior, and the prior's box in its units."""
    stack, box = profile(windows, trials, ranges, shape)
    return stack, network.posterior(stack.features, stack.snr), box


def profile(
    windows: LineWindows, trials: Any, ranges: Ranges, shape: LineSpreadShape
) -> tuple[Stack, Box]:
    """What the network is shown of n spectra, and the prior's box (n,) in its units."""
    stack = stack_lines(windows, trials, shape=shape)
    low_r = jnp.minimum(ranges.low_broadening / stack.scale, 0.98 * BROADENING_LARGEST)
    high_r = jnp.minimum(ranges.high_broadening / stack.scale, BROADENING_LARGEST)
    box = Box(
        (ranges.low_offset - stack.offset) / stack.scale,
        (ranges.high_offset - stack.offset) / stack.scale,
        low_r,
        jnp.maximum(high_r, low_r + 1e-3),
        stack.scale / TRAINED_RANGE_KMS,
    )
    return stack, box
