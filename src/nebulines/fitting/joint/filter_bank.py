"""The filter bank of several bands: one velocity and broadening, the tables of every band.

As in `direct` the joint problem is the sum of the bands' reduced problems; here each of them
is read from tables (see `filter_bank`). The bands share delta, a log Doppler shift from where the
rows of a call begin, and the shape variable y of one common scale; a band whose anchor lies
elsewhere sees delta plus a constant of the row.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.fitting.bank.bases import spread_basis
from nebulines.fitting.bank.filter_bank import TILE_ROWS
from nebulines.fitting.bank.reduced import (
    Point,
    Projected,
    Reduced,
    evaluate,
    minimise,
    project,
    restrict,
    two_by_two,
)
from nebulines.fitting.bank.solution import (
    BankSolution,
    best_fit,
    describe,
    solution_width,
    unpack,
)
from nebulines.fitting.bank.tables import AnchorTables, BankShape, Ranges
from nebulines.fitting.direct.solve import CONVERGED
from nebulines.kept_programs import keep_programs
from nebulines.small_tiles import map_small_tiles

EDGE = 1e-3
"""Share of the range of delta at whose end a fit has not converged."""


class BandRows(NamedTuple):
    """n rows of one band.

    Attributes:
        data: (n, K) normalised spectra in the window of the band's anchor.
        spread: (n,) line-spread factor of each row.
        away: (n,) the band's delta minus the shared one.
    """

    data: Any
    spread: Any
    away: Any


class BandTables(NamedTuple):
    """What the tables of one band need beside their static facts."""

    tables: AnchorTables
    ranges: Ranges


class Solved(NamedTuple):
    """The fit of n objects in one band, on the host: its `BankSolution`, and its information
    (n, 2, 2) on delta and y."""

    solution: BankSolution
    curvature: np.ndarray


def unpack_band(packed: np.ndarray, n_templates: int, n_lines: int) -> Solved:
    """The parts of what `fit_bands_around` packs for one band (n, `band_width`)."""
    dd, dy, yy = packed[:, -3:].T.astype(float)
    curvature = np.stack([np.stack([dd, dy], -1), np.stack([dy, yy], -1)], -2)
    return Solved(unpack(packed[:, :-3], n_templates, n_lines), curvature)


def band_width(n_templates: int, n_lines: int) -> int:
    """Numbers that `fit_bands_around` packs for one object in one band."""
    return solution_width(n_templates, n_lines) + 3


@keep_programs(static_argnames=("facts", "keep_model"))
def fit_bands_around(
    theta: Array,
    bands: tuple[BandRows, ...],
    n_tiles: Array | int,
    known: tuple[BandTables, ...],
    broadening_scale: Array,
    facts: tuple[BankShape, ...],
    n_steps: Array | int,
    keep_model: bool,
) -> tuple[tuple[Array, Array], ...]:
    """Fit n objects around one anchor in each band.

    Args:
        theta: (n, 2) delta and y to start from; n a multiple of the filter bank's `TILE_ROWS`.
        bands: rows of each band.
        n_tiles: tiles to fit; what is behind them is zero.
        known: tables of each band, with one scale and range of y.
        broadening_scale: s0 [km/s] of y.
        facts: static facts of each band.
        n_steps: Levenberg-Marquardt steps; 0 measures at ``theta``.
        keep_model: whether to give the best fits.

    Returns:
        For each band the packed solution (n, `band_width`), and the best fit (n, K), NaN where no
        channel is used, or (n, 0).
    """

    def fit(part: tuple[Array, tuple[BandRows, ...]]) -> tuple[tuple[Array, Array], ...]:
        return _fit_few(*part, known, broadening_scale, facts, n_steps, keep_model)

    return map_small_tiles(fit, (theta, bands), TILE_ROWS, n_tiles)


class _Seen(NamedTuple):
    """A band of a tile: through its tables, its rho basis, its data times the root weight."""

    projected: Projected
    spread: Array
    weighted: Array


def _fit_few(
    theta: Array,
    bands: tuple[BandRows, ...],
    known: tuple[BandTables, ...],
    broadening_scale: Array,
    facts: tuple[BankShape, ...],
    n_steps: Array | int,
    keep_model: bool,
) -> tuple[tuple[Array, Array], ...]:
    seen = tuple(_see(*parts) for parts in zip(bands, known, facts, strict=True))
    low, high = _limits(bands, known)
    end = minimise(
        theta.T,
        lambda at: _total(_evaluate_all(at, seen, bands, known)),
        jnp.sum(jnp.stack([of.projected.square for of in seen]), axis=0),
        (low, high),
        known[0].ranges,
        n_steps,
    )
    points = _evaluate_all(end, seen, bands, known, honest=True)
    last, settled = _last_step(end, points, known, (low, high), n_steps)
    return tuple(
        _of_band(end, last, settled, *parts, broadening_scale, keep_model)
        for parts in zip(points, seen, bands, known, facts, strict=True)
    )


def _see(rows: BandRows, known: BandTables, facts: BankShape) -> _Seen:
    spread = spread_basis(rows.spread, known.ranges, facts.n_spread)
    weighted = rows.data.T * known.tables.root[:, None]
    return _Seen(project(weighted, spread, known.tables), spread, weighted)


def _limits(bands: tuple[BandRows, ...], known: tuple[BandTables, ...]) -> tuple[Array, Array]:
    """Lowest and highest theta (2, n) that the tables of all bands hold."""
    pairs = [(rows.away, of.ranges) for rows, of in zip(bands, known, strict=True)]
    low = jnp.max(jnp.stack([-ranges.shift - away for away, ranges in pairs]), axis=0)
    high = jnp.min(jnp.stack([ranges.shift - away for away, ranges in pairs]), axis=0)
    one = jnp.ones_like(low)
    return jnp.stack([low, known[0].ranges.y_low * one]), jnp.stack([high, one])


def _evaluate_all(
    theta: Array,
    seen: tuple[_Seen, ...],
    bands: tuple[BandRows, ...],
    known: tuple[BandTables, ...],
    honest: bool = False,
) -> tuple[Point, ...]:
    """The reduced problem of every band at theta (2, n)."""
    return tuple(
        evaluate(theta.at[0].add(rows.away), of.projected, tables.tables, tables.ranges, honest)
        for of, rows, tables in zip(seen, bands, known, strict=True)
    )


def _total(points: tuple[Point, ...]) -> Reduced:
    return jax.tree.map(lambda *of_bands: sum(of_bands), *(point.at for point in points))


def _last_step(
    theta: Array,
    points: tuple[Point, ...],
    known: tuple[BandTables, ...],
    limits: tuple[Array, Array],
    n_steps: Array | int,
) -> tuple[Array, Array]:
    """The small step (2, n) that is left to the minimum, to be taken to first order, and whether
    (n,) there is no more; no step where the place was given."""
    low, high = limits
    gradient, curvature = restrict(theta, _total(points), known[0].ranges)
    step = jnp.stack(two_by_two(curvature).solve(list(gradient)))
    edge = EDGE * known[0].ranges.shift
    inside = (theta[0] > low[0] + edge) & (theta[0] < high[0] - edge)
    small = jnp.sum(gradient * step, axis=0) < CONVERGED
    settled = inside & small
    moved = jnp.clip(theta + step, low, high) - theta
    measured = jnp.asarray(n_steps) == 0
    return jnp.where(settled & ~measured, moved, 0.0), settled | measured


def _of_band(
    theta: Array,
    last: Array,
    settled: Array,
    point: Point,
    seen: _Seen,
    rows: BandRows,
    known: BandTables,
    facts: BankShape,
    broadening_scale: Array,
    keep_model: bool,
) -> tuple[Array, Array]:
    """One band's packed solution (n, width) and best fit (n, K) or (n, 0)."""
    tables, ranges = known
    own = theta.at[0].add(rows.away)
    best = best_fit(own, point, seen.spread, tables, ranges)
    residual = seen.weighted - best
    alone = describe(own, point, residual, rows.spread, tables, broadening_scale, ranges, facts)
    area = jnp.stack(point.coefficients[: len(tables.series)])
    solution = alone._replace(
        theta=own + last,
        converged=settled.astype(theta.dtype),
        area=area - jnp.sum(alone.response * last, axis=1),
    )
    n = theta.shape[1]
    parts = [part.reshape(-1, n) for part in solution] + [point.at.curvature]
    packed = jnp.concatenate(parts).T
    if not keep_model:
        return packed, jnp.zeros((n, 0))
    used = tables.root[:, None] > 0
    return packed, jnp.where(used, best / jnp.where(used, tables.root[:, None], 1.0), jnp.nan).T
