"""The filter bank: spectra on one axis with noise of one shape, fitted without their channels.

One matrix product turns a spectrum into the series (see `bank_tables`) of its inner products with
every line; the Levenberg-Marquardt steps read those and the tabulated Gram matrix: some hundred
numbers for a spectrum, instead of its channels times lines. The problem solved is exactly that
of `direct` (variable projection, Kaufman's Jacobian).

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

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.fitting.bank_tables import (
    GRAM_SHIFT_NODES,
    SHAPE_NODES,
    SHIFT_NODES,
    AnchorTables,
    BankShape,
    GramLayout,
    Ranges,
)
from nebulines.fitting.direct import CONVERGED
from nebulines.fitting.information import signal_share
from nebulines.fitting.profile import lonely_residual, shared_profile_score
from nebulines.fitting.small_solve import Elements, Rows
from nebulines.kept_programs import keep_programs
from nebulines.one_pass import sum_together
from nebulines.small_tiles import map_small_tiles

LONGEST_SHAPE_STEP = 0.3
"""Of y, in one step."""


class BankSolution(NamedTuple):
    """The fit of n spectra; on the host the n come first, in the compiled code last.

    Attributes:
        theta: (n, 2) delta (log Doppler) and y.
        converged: (n, 1) 1 or 0; not where delta ends at the edge of its range.
        inverse_curvature: (n, 2, 2) covariance of theta.
        area: (n, T) template areas.
        area_covariance: (n, T, T); at fixed theta where bands share theta.
        response: (n, T, 2) by which the areas follow theta.
        continuum: (n, 1) at the reference line.
        chi2, outlier: (n, 1).
        line_free: (n, 2) sum of squared residuals and channel count.
        profile: (n, 4), see `profile`.
        n_used: (n, 1) channels.
        coverage: (n, L) share of each line's area inside the window.
    """

    theta: Any
    converged: Any
    inverse_curvature: Any
    area: Any
    area_covariance: Any
    response: Any
    continuum: Any
    chi2: Any
    outlier: Any
    line_free: Any
    profile: Any
    n_used: Any
    coverage: Any


def solution_width(n_templates: int, n_lines: int) -> int:
    """Numbers in a packed `BankSolution` of one spectrum."""
    return sum(int(np.prod(shape)) for shape in _shapes(n_templates, n_lines))


def _shapes(t: int, lines: int) -> BankSolution:
    return BankSolution(
        (2,), (1,), (2, 2), (t,), (t, t), (t, 2), (1,), (1,), (1,), (2,), (4,), (1,), (lines,)
    )


def unpack(packed: np.ndarray, n_templates: int, n_lines: int) -> BankSolution:
    """The parts of packed solutions (n, `solution_width`)."""
    shapes = _shapes(n_templates, n_lines)
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    parts = np.split(packed, ends[:-1], axis=1)
    return BankSolution(*(p.reshape(-1, *s) for p, s in zip(parts, shapes, strict=True)))


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


class _Bases(NamedTuple):
    shift: Array
    shift_slope: Array
    shape: Array
    shape_slope: Array


def _bases(theta: Array, ranges: Ranges) -> _Bases:
    """Chebyshev bases (order, n) at theta (2, n), and their derivatives by delta and y."""
    half = 0.5 * (1.0 - ranges.y_low)
    u = theta[0] / ranges.shift
    w = (theta[1] - 0.5 * (1.0 + ranges.y_low)) / half
    return _Bases(
        _chebyshev(u, SHIFT_NODES),
        _chebyshev_slope(u, SHIFT_NODES) / ranges.shift,
        _chebyshev(w, SHAPE_NODES),
        _chebyshev_slope(w, SHAPE_NODES) / half,
    )


def _spread_basis(rho: Array, ranges: Ranges, n_spread: int) -> Array:
    """(n_spread, n)."""
    if n_spread == 1:
        return jnp.ones((1, len(rho)), rho.dtype)
    half = 0.5 * (ranges.rho_high - ranges.rho_low)
    return _chebyshev((rho - 0.5 * (ranges.rho_high + ranges.rho_low)) / half, n_spread)


class _Projected(NamedTuple):
    """A tile seen through the tables: series (T, shift, shape, n) of inner products with the
    templates, inner products with the continuum (C, n), data squared (n,), rho basis (S, n)."""

    series: Array
    continuum: Array
    square: Array
    spread: Array


class _Reduced(NamedTuple):
    """chi2 (n,), its gradient (2, n) by theta, and its curvature (3, n): dd, dy, yy."""

    chi2: Array
    gradient: Array
    curvature: Array


class _Point(NamedTuple):
    at: _Reduced
    gram: Elements
    coefficients: list[Array]
    cross: Array


def _project(weighted: Array, spread: Array, tables: AnchorTables) -> _Projected:
    """Inner products of a tile (K, n), times the root weight, with everything in the tables."""
    n_templates, n_nodes, rank = tables.series.shape
    n_spread, n = spread.shape
    z = (tables.directions.T @ weighted).reshape(n_templates, 1, rank, n) * spread[:, None]
    # sum over directions and rho at once
    mixed = tables.series.reshape(n_templates, n_nodes // n_spread, n_spread * rank)
    series = jnp.einsum("tsq,tqn->tsn", mixed, z.reshape(n_templates, -1, n))
    series = series.reshape(n_templates, SHIFT_NODES, SHAPE_NODES, n)
    return _Projected(series, tables.continuum.T @ weighted, jnp.sum(weighted**2, axis=0), spread)


def _full_basis(bases: _Bases, spread: Array, n_shift: int) -> Array:
    """(N, n) product basis at the tile's points."""
    both = bases.shift[:n_shift, None, None] * bases.shape[:, None] * spread
    return both.reshape(-1, spread.shape[1])


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


def _evaluate(
    theta: Array, seen: _Projected, tables: AnchorTables, ranges: Ranges, honest: bool = False
) -> _Point:
    """The reduced problem at theta, from the tables alone; with ``honest`` the curvature counts
    only the part of each line that is signal (see `information`)."""
    bases = _bases(theta, ranges)
    t, c = len(tables.series), tables.continuum.shape[1]
    layout = GramLayout(t, c)
    packed = tables.gram @ _full_basis(bases, seen.spread, GRAM_SHIFT_NODES)
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
    return _Point(_Reduced(chi2, gradient, jnp.stack(curvature)), gram, coefficients, cross)


def _matched(series: Array, bases: _Bases) -> tuple[Array, Array, Array]:
    """Inner products of the data with the templates (T, n), and their slopes by delta and y."""
    by_shape, by_slope = sum_together((series * bases.shape, series * bases.shape_slope), 2)
    shift, shift_slope = bases.shift, bases.shift_slope
    value, by_delta, by_y = sum_together(
        (by_shape * shift, by_shape * shift_slope, by_slope * shift), 1
    )
    return value, by_delta, by_y


def _restrict(theta: Array, at: _Reduced, ranges: Ranges) -> tuple[Array, Array]:
    """Gradient and curvature of what is free: delta always, y unless pressed against a bound."""
    pressed_low = (theta[1] <= ranges.y_low) & (at.gradient[1] < 0)
    pressed_high = (theta[1] >= 1.0) & (at.gradient[1] > 0)
    free = ~(pressed_low | pressed_high)
    gradient = jnp.stack([at.gradient[0], jnp.where(free, at.gradient[1], 0.0)])
    dd, dy, yy = at.curvature
    return gradient, jnp.stack([dd, jnp.where(free, dy, 0.0), jnp.where(free, yy, 0.0)])


def _two(curvature: Array) -> Elements:
    dd, dy, yy = curvature
    return Elements([[dd, dy], [dy, yy]])


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
    spread = _spread_basis(rho, ranges, facts.n_spread)
    weighted = data.T * tables.root[:, None]
    seen = _project(weighted, spread, tables)
    low = jnp.stack([-ranges.shift, ranges.y_low])[:, None]
    high = jnp.stack([ranges.shift, 1.0 + 0.0 * ranges.y_low])[:, None]
    theta = minimise(
        theta.T,
        lambda at: _evaluate(at, seen, tables, ranges).at,
        seen.square,
        (low, high),
        ranges,
        n_steps,
    )
    point = _evaluate(theta, seen, tables, ranges, honest=True)
    best = _best_fit(theta, point, spread, tables, ranges)
    parts = _describe(theta, point, weighted - best, rho, tables, broadening_scale, ranges, facts)
    parts = parts._replace(area_covariance=parts.area_covariance + _from_theta(parts))
    packed = jnp.concatenate([part.reshape(-1, len(rho)) for part in parts]).T
    if not keep_model:
        return packed, jnp.zeros((len(rho), 0))
    used = tables.root[:, None] > 0
    return packed, jnp.where(used, best / jnp.where(used, tables.root[:, None], 1.0), jnp.nan).T


def minimise(
    theta: Array,
    evaluate: Callable[[Array], _Reduced],
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

    def body(_: int, state: tuple[Array, _Reduced, Array, Array]) -> Any:
        best, at, damping, trial = state
        new = evaluate(trial)
        accept = new.chi2 <= at.chi2 + slack
        damping = jnp.where(accept, damping * 0.1, jnp.maximum(damping * 10.0, 1e-3))
        best = jnp.where(accept, trial, best)
        at = jax.tree.map(lambda a, b: jnp.where(accept, a, b), new, at)
        gradient, curvature = _restrict(best, at, ranges)
        raised = jnp.stack([1.0 + damping, jnp.ones_like(damping), 1.0 + damping])
        step = jnp.stack(_two(curvature * raised).solve(list(gradient)))
        return best, at, damping, jnp.clip(best + jnp.clip(step, -longest, longest), low, high)

    # the first pass of the loop evaluates the start: the body is compiled once
    n = theta.shape[1]
    nowhere = _Reduced(jnp.full(n, jnp.inf), jnp.zeros((2, n)), jnp.zeros((3, n)))
    state = (theta, nowhere, jnp.full(n, 1e-2, theta.dtype), theta)
    return jax.lax.fori_loop(0, n_steps, body, state)[3]


def _best_fit(
    theta: Array, point: _Point, spread: Array, tables: AnchorTables, ranges: Ranges
) -> Array:
    """The model (K, n) times the root weight."""
    t, _, rank = tables.series.shape
    basis = _full_basis(_bases(theta, ranges), spread, SHIFT_NODES)
    series = jnp.moveaxis(tables.series, 1, 2).reshape(t * rank, -1)
    strength = jnp.stack(point.coefficients[:t])[:, None, :]
    coordinates = (series @ basis).reshape(t, rank, -1) * strength
    continuum = tables.continuum @ jnp.stack(point.coefficients[t:])
    return tables.directions @ coordinates.reshape(t * rank, -1) + continuum


def _describe(
    theta: Array,
    point: _Point,
    residual: Array,
    rho: Array,
    tables: AnchorTables,
    broadening_scale: Array,
    ranges: Ranges,
    facts: BankShape,
) -> BankSolution:
    gradient, curvature = _restrict(theta, point.at, ranges)
    step = _two(curvature).solve(list(gradient))
    decrease = gradient[0] * step[0] + gradient[1] * step[1]
    converged = (jnp.abs(theta[0]) < 0.999 * ranges.shift) & (decrease < CONVERGED)
    t = len(tables.series)
    area = jnp.stack(point.coefficients[:t])
    center, width = _centers_and_widths(theta, rho, tables, broadening_scale, facts)
    height = tables.templates.T @ area / width
    residual, center, width, height = jax.lax.optimization_barrier(
        (residual, center, width, height)
    )
    used = tables.root > 0
    squared = residual**2
    far = _far(center, width, tables) & used[:, None]
    inverse = point.gram.inverse()
    response = _response(inverse, point.cross, t)
    # the last small step, to first order
    last = jnp.where(converged, jnp.stack(step), 0.0)
    y = jnp.clip(theta[1] + last[1], ranges.y_low, 1.0)
    spread_of = _two(point.at.curvature).inverse()
    unit = jnp.ones_like(decrease)
    return BankSolution(
        theta=jnp.stack([theta[0] + last[0], y]),
        converged=converged.astype(theta.dtype),
        inverse_curvature=jnp.stack([spread_of[i][j] for i in range(2) for j in range(2)]),
        area=area - jnp.sum(response * last, axis=1),
        area_covariance=jnp.stack([inverse[i][j] for i in range(t) for j in range(t)]),
        response=response,
        continuum=tables.at_reference @ jnp.stack(point.coefficients[t:]),
        chi2=jnp.sum(squared, axis=0),
        outlier=lonely_residual(residual, axis=0),
        line_free=_sum_and_count(squared, far),
        profile=shared_profile_score(
            residual, tables.root, tables.offset, tables.center, center, width, height
        ),
        n_used=jnp.sum(used) * unit,
        coverage=tables.coverage[:, None] * unit,
    )


def _from_theta(parts: BankSolution) -> Array:
    """(T T, n): covariance of the areas that comes from that of theta, J C J^T."""
    n = parts.area.shape[1]
    moved = parts.response[:, :, None] * parts.inverse_curvature.reshape(2, 2, n)
    moved = jnp.sum(moved, axis=1)  # (T, 2, n)
    return jnp.sum(moved[:, None] * parts.response, axis=2).reshape(-1, n)


def _response(inverse: Rows, cross: Array, n_templates: int) -> Array:
    """(T, 2, n): gram^-1 cross, for the templates."""
    size = range(len(inverse))
    return jnp.stack([sum(inverse[i][k] * cross[:, k] for k in size) for i in range(n_templates)])


def _centers_and_widths(
    theta: Array, rho: Array, tables: AnchorTables, broadening_scale: Array, facts: BankShape
) -> tuple[Array, Array]:
    """Positions of the lines (L, n) from the window's middle, and their Gaussian sigmas."""
    sign = 1.0 if facts.kind == "wavelength" else -1.0
    position = tables.position[:, None]
    center = tables.center[:, None] + position * jnp.expm1(sign * theta[0])
    broadening = broadening_scale * jnp.sqrt(jnp.maximum(1.0 / theta[1] ** 2 - 1.0, 0.0))
    sigma = position * jnp.exp(sign * theta[0]) * broadening / SPEED_OF_LIGHT_KMS
    lsf = tables.width[:, None] * rho * (1.0 if facts.shape == "gaussian" else 0.5)
    return center, jnp.sqrt(lsf**2 + sigma**2)


def _far(center: Array, width: Array, tables: AnchorTables) -> Array:
    """Channels (K, n) away from all lines (as in the direct path): away from the nearest, which
    is the same one wherever in the anchor's range the lines lie."""
    nearest = jnp.argmin(jnp.abs(tables.offset[:, None] - tables.center), axis=1)
    return jnp.abs(tables.offset[:, None] - center[nearest]) >= 4.0 * width[nearest]


def _sum_and_count(squared: Array, where: Array) -> Array:
    total = jnp.sum(jnp.where(where, squared, 0.0), axis=0)
    return jnp.stack([total, jnp.sum(where, axis=0).astype(total.dtype)])
