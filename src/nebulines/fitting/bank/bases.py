"""The Chebyshev bases of the filter bank: shift, shape and line spread of every spectrum."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from nebulines.fitting.bank.tables import (
    SHAPE_NODES,
    SHIFT_NODES,
    Ranges,
)


def _chebyshev(x: Array, count: int) -> Array:
    """T_0 ... T_(count-1) at x (n,): (count, n)."""
    values = [jnp.ones_like(x), x]
    while len(values) < count:
        values.append(2.0 * x * values[-1] - values[-2])
    return jnp.stack(values[:count])


def _chebyshev_slope(x: Array, count: int) -> Array:
    """Derivatives of T_0 ... T_(count-1): k U_(k-1)."""
    second = [jnp.zeros_like(x), jnp.ones_like(x), 2.0 * x]
    while len(second) < count:
        second.append(2.0 * x * second[-1] - second[-2])
    return jnp.stack([k * u for k, u in enumerate(second[:count])])


class Bases(NamedTuple):
    """Chebyshev polynomials (order, n) of delta and of y, and their slopes."""

    shift: Array
    shift_slope: Array
    shape: Array
    shape_slope: Array


def bases_at(theta: Array, ranges: Ranges) -> Bases:
    """`Bases` at theta (2, n), delta and y, inside the ranges of the tables."""
    half = 0.5 * (1.0 - ranges.y_low)
    u = theta[0] / ranges.shift
    w = (theta[1] - 0.5 * (1.0 + ranges.y_low)) / half
    return Bases(
        _chebyshev(u, SHIFT_NODES),
        _chebyshev_slope(u, SHIFT_NODES) / ranges.shift,
        _chebyshev(w, SHAPE_NODES),
        _chebyshev_slope(w, SHAPE_NODES) / half,
    )


def spread_basis(rho: Array, ranges: Ranges, n_spread: int) -> Array:
    """Chebyshev polynomials (n_spread, n) of the line-spread factors rho (n,)."""
    if n_spread == 1:
        return jnp.ones((1, len(rho)), rho.dtype)
    half = 0.5 * (ranges.rho_high - ranges.rho_low)
    return _chebyshev((rho - 0.5 * (ranges.rho_high + ranges.rho_low)) / half, n_spread)


def full_basis(bases: Bases, spread: Array, n_shift: int) -> Array:
    """Products (n_shift shapes spreads, n) of the polynomials of delta, y and rho, in the order
    of the tables."""
    both = bases.shift[:n_shift, None, None] * bases.shape[:, None] * spread
    return both.reshape(-1, spread.shape[1])
