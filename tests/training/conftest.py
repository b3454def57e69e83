"""A task that is learned in a second: a straight line."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from nebulines.training.task import Task


def build(key, **size):
    return eqx.nn.Linear(2, 1, key=key)


@jax.jit
def _draw(key):
    x = jax.random.normal(key, (4096, 2))
    return x, x @ jnp.array([2.0, -1.0]) + 0.5


def sample(key, n):
    x, y = _draw(key)
    return x[:n], y[:n]


def loss(network, batch, key=None):
    x, y = batch
    return jnp.mean(jnp.square(jax.vmap(network)(x)[:, 0] - y))


@pytest.fixture
def line_task() -> Task:
    return Task("line", build, sample, loss)
