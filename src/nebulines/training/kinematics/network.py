"""How the network ``kinematics`` learns: mock line windows, and the posterior's log density."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from nebulines.instruments.line_spread import LineSpreadShape
from nebulines.networks.kinematics.line_search import trial_offsets
from nebulines.networks.kinematics.line_stack import stack_lines
from nebulines.networks.kinematics.mixture import log_prob
from nebulines.networks.kinematics.network import Kinematics
from nebulines.networks.kinematics.posterior import Box, log_prob_within
from nebulines.training.kinematics.line_windows import mock_windows, settings
from nebulines.training.task import Task, pick

SHAPES: tuple[LineSpreadShape, ...] = ("sinc", "gaussian")
REPEATS = 4
"""Spectra of a source, each with noise of its own: the noise is cheap, the source is not."""
_TILE_ROWS = 64


class Example(NamedTuple):
    """What the network sees of n sources, and the answer.

    Attributes:
        features, snr: (n, F), (n,) from `stack_lines`.
        u, r: (n,) offset from the centre of the profile, and broadening, in its units.
        log_flat: (n,) log density in u of a source that was not found.
    """

    features: Array
    snr: Array
    u: Array
    r: Array
    log_flat: Array


@partial(jax.jit, static_argnames="n")
def sample(key: Array, n: int) -> Example:
    """n examples, half of which are seen through a sinc, half through a Gaussian."""
    tiles = -(-n // (2 * _TILE_ROWS))
    halves = []
    for part, shape in zip(jax.random.split(key), SHAPES, strict=True):
        # a few dozen at a time: what they need stays in the processor's fast memory
        drawn = jax.lax.map(partial(_sample_tile, shape=shape), jax.random.split(part, tiles))
        halves.append(jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), drawn))
    # shapes alternate, so that any number of examples holds both
    return jax.tree.map(lambda a, b: jnp.stack([a, b], 1).reshape(-1, *a.shape[1:])[:n], *halves)


def _sample_tile(key: Array, *, shape: LineSpreadShape) -> Example:
    low, high = settings()["source"]["velocity"]
    windows, truth = mock_windows(key, _TILE_ROWS, shape=shape, repeats=REPEATS)
    stack = stack_lines(windows, jnp.asarray(trial_offsets(low, high)), shape=shape)
    u = (truth.offset - stack.offset) / stack.scale
    log_flat = jnp.log(stack.scale / (high - low))
    return Example(stack.features, stack.snr, u, truth.broadening / stack.scale, log_flat)


def loss(network: Kinematics, batch: Example, key: Array | None = None) -> Array:
    """Mean of -log p(u, r | spectrum), less the part that the S/N alone explains."""
    posterior = network.posterior(batch.features, batch.snr)
    density = log_prob(posterior, batch.u, batch.r, batch.log_flat)
    return -jnp.mean(density - 2.0 * jnp.log1p(batch.snr))


def build(key: Array, **size: int) -> Kinematics:
    """The network with initial weights."""
    return Kinematics(key=key, **size)


class Measured(NamedTuple):
    """What the network sees of n spectra that went through the whole of the package, and the
    answer.

    Attributes:
        features, snr, u, r: as of `Example`.
        box: of the flat prior that u and r were drawn from, or a wider one, as a user states it.
    """

    features: Array
    snr: Array
    u: Array
    r: Array
    box: Box


class Both(NamedTuple):
    """Examples of both kinds."""

    measured: Measured
    mock: Example


MOCK_SHARE = 0.25
"""Of a batch of both kinds, and of its loss."""
_LARGEST_LOSS = 12.0  # of one spectrum: one whose lines were missed must not outweigh the rest


def settling_loss(network: Kinematics, batch: Both, key: Array | None = None) -> Array:
    """Mean of -log p(u, r | spectrum) of both kinds, of measured spectra within their box."""
    measured = measured_loss(network, batch.measured)
    return (1.0 - MOCK_SHARE) * measured + MOCK_SHARE * loss(network, batch.mock)


def measured_loss(network: Kinematics, seen: Measured) -> Array:
    """Mean of -log p(u, r | spectrum) of measured spectra within their box."""
    density = log_prob_within(network.posterior(seen.features, seen.snr), seen.box, seen.u, seen.r)
    return jnp.mean(jnp.minimum(-density, _LARGEST_LOSS))


def settling_task(network: Kinematics, learn: Measured, judge: Measured) -> Task:
    """Going on with a trained network: most of a batch are spectra as a user's are measured, with
    all that normalisation, continuum and the length of windows leave in them, the rest
    (`MOCK_SHARE`) mock windows.

    Args:
        network: to begin with.
        learn, judge: spectra to learn from, and others that judge.
    """

    def sample_of(measured: Measured, key: Array, n: int) -> Both:
        pick_key, mock_key = jax.random.split(key)
        mock = int(MOCK_SHARE * n)
        return Both(pick(measured, pick_key, n - mock), sample(mock_key, mock))

    return Task(
        "kinematics",
        lambda key: network,
        partial(sample_of, learn),
        settling_loss,
        validation=partial(sample_of, judge),
    )


KINEMATICS = Task("kinematics", build, sample, loss)
