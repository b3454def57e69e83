"""The filter bank: spectra on one axis with noise of one shape, fitted without their channels.

One matrix product turns a spectrum into the series (see `tables`) of its inner products with
every line; the Levenberg-Marquardt steps read those and the tabulated Gram matrix: some hundred
numbers for a spectrum, instead of its channels times lines. The problem solved is exactly that
of `direct.solve` (variable projection, Kaufman's Jacobian).

Spectra lie on the last axis throughout, so that the vectors of the processor work on one number
of many spectra.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from nebulines.fitting.bank.bases import spread_basis
from nebulines.fitting.bank.reduced import evaluate, minimise, project
from nebulines.fitting.bank.solution import BankSolution, best_fit, describe
from nebulines.fitting.bank.tables import (
    AnchorTables,
    BankShape,
    Ranges,
)
from nebulines.kept_programs import keep_programs
from nebulines.small_tiles import map_small_tiles

TILE_ROWS = 64
"""Spectra fitted at once."""


@keep_programs(static_argnames=("facts", "keep_model"))
def fit_around(
    theta: Array,
    data: Array,
    rho: Array,
    n_tiles: Array | int,
    tables: AnchorTables,
    broadening_scale: Array,
    ranges: Ranges,
    facts: BankShape,
    n_steps: Array | int,
    keep_model: bool,
) -> tuple[Array, Array]:
    """Fit n spectra around one anchor, n a multiple of `TILE_ROWS`.

    Args:
        theta: (n, 2) delta and y to start from.
        data: (n, K) normalised spectra in the anchor's window.
        rho: (n,) line-spread factor of each row.
        n_tiles: tiles of `TILE_ROWS` spectra to fit; what is behind them is zero.
        tables: of the anchor.
        broadening_scale: s0 [km/s] for rho = 1.
        ranges: of the Chebyshev variables.
        facts: static facts.
        n_steps: Levenberg-Marquardt steps.
        keep_model: whether to give the best fit.

    Returns:
        Packed `BankSolution` (n, width), and the best fit (n, K), NaN where no channel is used,
        or (n, 0).
    """

    def fit(tile: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        return _fit_tile(*tile, tables, broadening_scale, ranges, facts, n_steps, keep_model)

    return map_small_tiles(fit, (theta, data, rho), TILE_ROWS, n_tiles)


def _fit_tile(
    theta: Array,
    data: Array,
    rho: Array,
    tables: AnchorTables,
    broadening_scale: Array,
    ranges: Ranges,
    facts: BankShape,
    n_steps: Array | int,
    keep_model: bool,
) -> tuple[Array, Array]:
    """One tile of `fit_around`."""
    spread = spread_basis(rho, ranges, facts.n_spread)
    weighted = data.T * tables.root[:, None]
    seen = project(weighted, spread, tables)
    low = jnp.stack([-ranges.shift, ranges.y_low])[:, None]
    high = jnp.stack([ranges.shift, 1.0 + 0.0 * ranges.y_low])[:, None]
    theta = minimise(
        theta.T,
        lambda at: evaluate(at, seen, tables, ranges).at,
        seen.square,
        (low, high),
        ranges,
        n_steps,
    )
    point = evaluate(theta, seen, tables, ranges, honest=True)
    best = best_fit(theta, point, spread, tables, ranges)
    parts = describe(theta, point, weighted - best, rho, tables, broadening_scale, ranges, facts)
    parts = parts._replace(area_covariance=parts.area_covariance + _from_theta(parts))
    packed = jnp.concatenate([part.reshape(-1, len(rho)) for part in parts]).T
    if not keep_model:
        return packed, jnp.zeros((len(rho), 0))
    used = tables.root[:, None] > 0
    return packed, jnp.where(used, best / jnp.where(used, tables.root[:, None], 1.0), jnp.nan).T


def _from_theta(parts: BankSolution) -> Array:
    """(T T, n): covariance of the areas that comes from that of theta, J C J^T."""
    n = parts.area.shape[1]
    moved = parts.response[:, :, None] * parts.inverse_curvature.reshape(2, 2, n)
    moved = jnp.sum(moved, axis=1)  # (T, 2, n)
    return jnp.sum(moved[:, None] * parts.response, axis=2).reshape(-1, n)
