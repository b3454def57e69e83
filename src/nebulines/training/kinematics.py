"""How the network ``kinematics`` learns: mock line windows, and the posterior's log density."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.networks.kinematics import Kinematics
from nebulines.networks.line_stack import stack_lines
from nebulines.networks.mixture import log_prob
from nebulines.training.line_windows import mock_windows, settings
from nebulines.training.task import Task

TRIAL_STEP_KMS = 25.0
"""Spacing of the offsets searched."""


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


def trials_between(low: float, high: float) -> np.ndarray:
    """Offsets [km/s] to search, about `TRIAL_STEP_KMS` apart.

    Example:
        >>> trials_between(-500.0, 500.0).shape
        (41,)
    """
    return np.linspace(low, high, 1 + max(2, int(np.ceil((high - low) / TRIAL_STEP_KMS - 1e-9))))


@partial(jax.jit, static_argnames="n")
def sample(key: Array, n: int) -> Example:
    """n examples, half of which are seen through a sinc, half through a Gaussian."""
    low, high = settings()["source"]["velocity"]
    trials = jnp.asarray(trials_between(low, high), jnp.float32)
    halves = []
    for part, shape in zip(jax.random.split(key), ("sinc", "gaussian"), strict=True):
        windows, truth = mock_windows(part, (n + 1) // 2, shape=shape)  # type: ignore[arg-type]
        stack = stack_lines(windows, trials, shape=shape)  # type: ignore[arg-type]
        u = (truth.offset - stack.offset) / stack.scale
        log_flat = jnp.log(stack.scale / (high - low))
        halves.append(
            Example(stack.features, stack.snr, u, truth.broadening / stack.scale, log_flat)
        )
    return jax.tree.map(lambda *parts: jnp.concatenate(parts)[:n], *halves)


def loss(network: Kinematics, batch: Example, key: Array | None = None) -> Array:
    """Mean of -log p(u, r | spectrum), less the part that the S/N alone explains."""
    posterior = network.posterior(batch.features, batch.snr)
    density = log_prob(posterior, batch.u, batch.r, batch.log_flat)
    return -jnp.mean(density - 2.0 * jnp.log1p(batch.snr))


def build(key: Array, **size: int) -> Kinematics:
    """The network with initial weights."""
    return Kinematics(key=key, **size)


KINEMATICS = Task("kinematics", build, sample, loss)
