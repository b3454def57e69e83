"""Measured ratios against every Gaussian of every class: the compiled part of `regions`."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.fitting.tiles import run_tiles
from nebulines.kept_programs import keep_programs
from nebulines.nebular.region_densities import CLASS_NAMES, GRID, Densities
from nebulines.runtime import configure
from nebulines.small_tiles import map_small_tiles

TILE_ROWS = 64
"""Sources weighed at once."""
CALL_ROWS = 32 * TILE_ROWS
"""Sources given to one call: one shape, compiled once, serves any number."""
_LEAST = 1e-37


class Tables(NamedTuple):
    """`Densities` in single precision: ``integrals`` (d, grid, C), ``means`` and ``variance``
    (d, C), ``log_weights`` (C,) with the shares of the classes, and ``member`` (C, class), 1 where
    a Gaussian is of a class."""

    integrals: np.ndarray
    means: np.ndarray
    variance: np.ndarray
    log_weights: np.ndarray
    member: np.ndarray

    @classmethod
    def of(cls, known: Densities, shares: np.ndarray) -> Tables:
        """Of the learned densities, and the share (class,) of each class."""
        member = known.classes[:, None] == np.arange(len(CLASS_NAMES))
        with np.errstate(divide="ignore"):
            logs = np.log(known.weights * shares[known.classes])
        parts = known.integrals, known.means.T, known.sigma.T**2, logs, member
        return cls(*(part.astype(np.float32) for part in parts))


def weigh(
    terms: np.ndarray, seen: np.ndarray, known: Densities, shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Probability of every class, and how far the nearest Gaussian is.

    Args:
        terms: (n, d, 4) of `likelihood`, from `region_ratios.Ratio.terms`.
        seen: (n, d) bool, ratios that count for the distance.
        known: densities of the d ratios.
        shares: (class,) before anything is measured.

    Returns:
        (n, class), summing to 1, and (n,): the least sum of squared distances of the seen ratios,
        in units of the width of the Gaussian and the error.

    Example:
        >>> from nebulines.nebular.region_densities import densities
        >>> nothing, unseen = np.full((1, 7, 4), np.nan), np.zeros((1, 7), bool)
        >>> probability, distance = weigh(nothing, unseen, densities(), np.full(5, 0.2))
        >>> probability.round(3).tolist(), distance.tolist()
        ([[0.2, 0.2, 0.2, 0.2, 0.2]], [0.0])
    """
    configure()
    tables = Tables.of(known, shares)
    rows = np.asarray(terms, np.float32), np.asarray(seen, np.float32)

    def work(index: np.ndarray) -> tuple[np.ndarray, ...]:
        count = int(index[-1] - index[0]) + 1
        found = _weigh(*(part[index] for part in rows), tables, -(-count // TILE_ROWS))
        return tuple(map(np.asarray, found))

    each, distance = run_tiles(work, len(terms), CALL_ROWS)
    each = each.astype(float)
    return each / each.sum(axis=1, keepdims=True), distance


@keep_programs()
def _weigh(terms: Array, seen: Array, tables: Tables, n_tiles: Array) -> tuple[Array, Array]:
    work = partial(_weigh_few, tables=tables)
    return map_small_tiles(lambda part: work(*part), (terms, seen), TILE_ROWS, n_tiles)


def _weigh_few(terms: Array, seen: Array, tables: Tables) -> tuple[Array, Array]:
    logs, distance = tables.log_weights, jnp.zeros(())
    for k, integrals in enumerate(tables.integrals):
        likely = likelihood(terms[:, k])
        logs = logs + jnp.log(likely @ integrals + _LEAST)
        total = jnp.sum(likely, axis=1)
        place = likely @ _GRID / total
        width = jnp.maximum(likely @ _GRID**2 / total - place**2, 0.0)
        squared = (place[:, None] - tables.means[k]) ** 2 / (width[:, None] + tables.variance[k])
        distance = distance + seen[:, k, None] * squared
    each = jnp.exp(logs - jnp.max(logs, axis=1, keepdims=True)) @ tables.member
    return each, jnp.min(distance, axis=1)


_GRID = GRID.astype(np.float32)


def likelihood(terms: Array) -> Array:
    """(n, grid) of each true ratio r, highest value 1; 1 everywhere where nothing is known.

    Args:
        terms: (n, 4) measured ratio x, and a, b, c of its variance a + b r + c r^2.

    Example:
        >>> found = likelihood(jnp.array([[0.01, 1e-6, 0.0, 0.0]]))
        >>> round(float(GRID[found[0].argmax()]), 3)
        -2.025
    """
    measured, constant, linear, square = (terms[:, i, None] for i in range(4))
    ratio = 10.0**_GRID
    variance = constant + ratio * (linear + ratio * square)
    logs = -0.5 * ((measured - ratio) ** 2 / variance + jnp.log(variance))
    logs = jnp.where(jnp.isfinite(logs), logs, 0.0)
    return jnp.exp(logs - jnp.max(logs, axis=1, keepdims=True))
