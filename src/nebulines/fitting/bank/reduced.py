"""The reduced problem of the filter bank: chi2 by velocity and broadening alone, from the tables.

Spectra lie on the last axis throughout, so that the vectors of the processor work on one number
of many spectra.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.fitting.bank.bases import Bases, bases_at, full_basis
from nebulines.fitting.bank.tables import (
    GRAM_SHIFT_NODES,
    SHAPE_NODES,
    SHIFT_NODES,
    AnchorTables,
    GramLayout,
    Ranges,
)
from nebulines.fitting.information import signal_share
from nebulines.fitting.small_solve import Elements, Rows
from nebulines.one_pass import sum_together

LONGEST_SHAPE_STEP = 0.3
"""Of y, in one step."""


class Projected(NamedTuple):
    """A tile seen through the tables: series (T, shift, shape, n) of inner products with the
    templates, inner products with the continuum (C, n), data squared (n,), rho basis (S, n)."""

    series: Array
    continuum: Array
    square: Array
    spread: Array


class Reduced(NamedTuple):
    """chi2 (n,), its gradient (2, n) by theta, and its curvature (3, n): dd, dy, yy."""

    chi2: Array
    gradient: Array
    curvature: Array


class Point(NamedTuple):
    """The reduced problem at one theta: chi2 and slopes, factored Gram matrix of templates and
    continuum, their coefficients, (n,) each, and by how much theta moves them (2, P, n)."""

    at: Reduced
    gram: Elements
    coefficients: list[Array]
    cross: Array


def project(weighted: Array, spread: Array, tables: AnchorTables) -> Projected:
    """Inner products of a tile (K, n), times the root weight, with everything in the tables;
    ``spread`` is its `spread_basis`."""
    n_templates, n_nodes, rank = tables.series.shape
    n_spread, n = spread.shape
    z = (tables.directions @ weighted).reshape(n_templates, 1, rank, n) * spread[:, None]
    # sum over directions and rho at once
    mixed = tables.series.reshape(n_templates, n_nodes // n_spread, n_spread * rank)
    series = jnp.einsum("tsq,tqn->tsn", mixed, z.reshape(n_templates, -1, n))
    series = series.reshape(n_templates, SHIFT_NODES, SHAPE_NODES, n)
    return Projected(series, tables.continuum.T @ weighted, jnp.sum(weighted**2, axis=0), spread)


def _rows(packed: Array, size: int) -> Rows:
    """The symmetric matrix of an upper triangle (pairs, n), element by element."""
    rows: Rows = [[None] * size for _ in range(size)]  # type: ignore[list-item]
    for k, (i, j) in enumerate(zip(*np.triu_indices(size), strict=True)):
        rows[i][j] = rows[j][i] = packed[k]
    return rows


def _quadratic(packed: Array, strength: Array) -> Array:
    """strength^T A strength (n,) for the upper triangle (pairs, n) of A."""
    first, second = np.triu_indices(len(strength))
    twice = np.where(first == second, 1.0, 2.0).astype(np.float32)[:, None]
    return jnp.sum(twice * packed * strength[first] * strength[second], axis=0)


def evaluate(
    theta: Array, seen: Projected, tables: AnchorTables, ranges: Ranges, honest: bool = False
) -> Point:
    """The reduced problem at theta, from the tables alone; with ``honest`` the curvature counts
    only the part of each line that is signal (see `information`)."""
    bases = bases_at(theta, ranges)
    t, c = len(tables.series), tables.continuum.shape[1]
    layout = GramLayout(t, c)
    packed = tables.gram @ full_basis(bases, seen.spread, GRAM_SHIFT_NODES)
    linear, to_delta, to_y, dd, dy, yy = jnp.split(packed, layout.ends[:-1])
    slopes = jnp.stack([to_delta, to_y]).reshape(2, t + c, t, -1)
    value, by_delta, by_y = _matched(seen.series, bases)
    rhs = [*value, *seen.continuum]
    gram = Elements(_rows(linear, t + c))
    half_rhs = gram.half(rhs)
    coefficients = gram.rest(half_rhs)
    strength = jnp.stack(coefficients[:t])
    cross = jnp.sum(slopes * strength, axis=2)  # (2, P, n)
    matched = jnp.stack([jnp.sum(strength * by_delta, axis=0), jnp.sum(strength * by_y, axis=0)])
    gradient = matched - jnp.sum(cross * jnp.stack(coefficients), axis=1)
    if honest:
        variance = jnp.stack([row[i] for i, row in enumerate(gram.inverse()[:t])])
        strength = strength * jnp.sqrt(signal_share(strength, variance, axis=0))
        cross = jnp.sum(slopes * strength, axis=2)
    half = jnp.stack(gram.half([cross[:, p] for p in range(t + c)]), axis=1)
    crossed = jnp.sum(strength[:, None] * dy.reshape(t, t, -1) * strength, axis=(0, 1))
    full = (_quadratic(dd, strength), crossed, _quadratic(yy, strength))
    pairs = ((0, 0), (0, 1), (1, 1))
    curvature = [
        whole - jnp.sum(half[i] * half[j], axis=0)
        for whole, (i, j) in zip(full, pairs, strict=True)
    ]
    chi2 = seen.square - sum(part**2 for part in half_rhs)
    return Point(Reduced(chi2, gradient, jnp.stack(curvature)), gram, coefficients, cross)


def _matched(series: Array, bases: Bases) -> tuple[Array, Array, Array]:
    """Inner products of the data with the templates (T, n), and their slopes by delta and y."""
    by_shape, by_slope = sum_together((series * bases.shape, series * bases.shape_slope), 2)
    shift, shift_slope = bases.shift, bases.shift_slope
    value, by_delta, by_y = sum_together(
        (by_shape * shift, by_shape * shift_slope, by_slope * shift), 1
    )
    return value, by_delta, by_y


def restrict(theta: Array, at: Reduced, ranges: Ranges) -> tuple[Array, Array]:
    """Gradient and curvature of what is free: delta always, y unless pressed against a bound."""
    pressed_low = (theta[1] <= ranges.y_low) & (at.gradient[1] < 0)
    pressed_high = (theta[1] >= 1.0) & (at.gradient[1] > 0)
    free = ~(pressed_low | pressed_high)
    gradient = jnp.stack([at.gradient[0], jnp.where(free, at.gradient[1], 0.0)])
    dd, dy, yy = at.curvature
    return gradient, jnp.stack([dd, jnp.where(free, dy, 0.0), jnp.where(free, yy, 0.0)])


def two_by_two(curvature: Array) -> Elements:
    dd, dy, yy = curvature
    return Elements([[dd, dy], [dy, yy]])


def minimise(
    theta: Array,
    evaluate: Callable[[Array], Reduced],
    square: Array,
    limits: tuple[Array, Array],
    ranges: Ranges,
    n_steps: Array | int,
) -> Array:
    """Levenberg-Marquardt from theta (2, n).

    Args:
        theta: delta and y to start from.
        evaluate: the reduced problem at theta (2, n).
        square: (n,) sum of the squared data, whose rounding no step needs to overcome.
        limits: lowest and highest theta (2, n) or (2, 1).
        ranges: of the tables.
        n_steps: steps.

    Returns:
        The last theta (2, n) tried.
    """
    low, high = limits
    longest = jnp.stack([0.5 * (high[0] - low[0]), jnp.full_like(low[0], LONGEST_SHAPE_STEP)])
    slack = 1e-5 * square

    def body(_: int, state: tuple[Array, Reduced, Array, Array]) -> Any:
        best, at, damping, trial = state
        new = evaluate(trial)
        accept = new.chi2 <= at.chi2 + slack
        damping = jnp.where(accept, damping * 0.1, jnp.maximum(damping * 10.0, 1e-3))
        best = jnp.where(accept, trial, best)
        at = jax.tree.map(lambda a, b: jnp.where(accept, a, b), new, at)
        gradient, curvature = restrict(best, at, ranges)
        raised = jnp.stack([1.0 + damping, jnp.ones_like(damping), 1.0 + damping])
        step = jnp.stack(two_by_two(curvature * raised).solve(list(gradient)))
        return best, at, damping, jnp.clip(best + jnp.clip(step, -longest, longest), low, high)

    # the first pass of the loop evaluates the start: the body is compiled once
    n = theta.shape[1]
    nowhere = Reduced(jnp.full(n, jnp.inf), jnp.zeros((2, n)), jnp.zeros((3, n)))
    state = (theta, nowhere, jnp.full(n, 1e-2, theta.dtype), theta)
    return jax.lax.fori_loop(0, n_steps, body, state)[3]
