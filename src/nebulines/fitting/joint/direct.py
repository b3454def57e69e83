"""The joint fit: one set of nonlinear parameters, the chi2 of all bands.

Every band keeps its own axis, line spread, continuum and noise; its line fluxes and continuum are
linear and projected out in that band alone (variable projection, as for one band:
`nebulines.fitting.direct`). Only velocity and broadening are shared, so chi2, gradient and
Gauss-Newton matrix of the joint problem are the sums of those of the bands:

    chi2(theta) = sum_b chi2_b(theta),   g = sum_b g_b,   S = sum_b S_b.

With S_b the curvature of band b in units of its stated noise and f_b what the residuals say the
noise is in those units, the covariance of theta is S^-1 (sum_b f_b^2 S_b) S^-1, which is S^-1
where the stated noise is taken as it is. Line areas a_b follow theta by their response R_b, so that
cov(a_b, a_c) = R_b cov(theta) R_c^T, plus f_b^2 G_b^-1 for b = c: shared kinematics correlate
the fluxes of different bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.fitting.direct.linearise import Linearised, linearise
from nebulines.fitting.direct.problem import Piece
from nebulines.fitting.direct.solve import CONVERGED, ROUNDING, TILE_ROWS, describe_tile
from nebulines.fitting.direct.tile import FitOptions, Tile, broadening_of
from nebulines.fitting.direct.windows import WindowPlan
from nebulines.fitting.fitted import Fitted
from nebulines.fitting.joint.problem import JointProblem
from nebulines.fitting.small_solve import solve
from nebulines.fitting.start import Start
from nebulines.fitting.tiles import run_tiles, tile_size
from nebulines.kept_programs import keep_programs
from nebulines.small_tiles import map_small_tiles

CALL_ROWS = 32 * TILE_ROWS
"""Objects in one call of the compiled fit, which works on a tile at a time."""
FIRST_STEPS = 3
MORE_STEPS = 15
"""Steps that most objects converge in; the others go on, ..."""
LATE_FACTORS = (1.0, 0.3, 3.0)
"""... from the broadening that they came to, and from others, in units of it."""
LONGEST_STEP = (1.5, 0.3)
"""Trust region of the velocity step (in units of the fit of one band) and of the shape variable."""


class Joint(NamedTuple):
    """The joint fit of n objects.

    Attributes:
        bands: each band's fit at the shared velocity and broadening; the covariance of its areas
            is that at fixed theta.
        response: for each band (n, T, 2 G): minus the derivative of the areas with respect to
            theta (velocity steps, then y).
        curvature: for each band (n, 2 G, 2 G): its information on theta, in units of the
            stated noise.
        chi2: (n,) of all bands.
        converged: (n,) bool.
    """

    bands: tuple[Fitted, ...]
    response: tuple[np.ndarray, ...]
    curvature: tuple[np.ndarray, ...]
    chi2: np.ndarray
    converged: np.ndarray


class _State(NamedTuple):
    theta: Array
    at: Linearised
    damping: Array
    trial: Array


@keep_programs(static_argnames=("options",))
def minimise(
    theta: Array,
    tiles: tuple[Tile, ...],
    options: tuple[FitOptions, ...],
    n_steps: Array | int,
    n_tiles: Array | int | None = None,
) -> tuple[Array, Array, Array]:
    """Levenberg-Marquardt on the sum of the bands' chi2.

    Args:
        theta: (n, 2 G) start; n is at most `TILE_ROWS`, or a multiple of it.
        tiles: of each band, expanded around the same velocities, with the same broadening scale.
        options: of each band (static).
        n_steps: points tried, the start among them.
        n_tiles: times `TILE_ROWS` objects are fitted, what is behind them is zero; None = all.

    Returns:
        The best point tried (n, 2 G), the small step (n, 2 G) that is left to the minimum, and
        whether it is small enough to be taken to first order (n,).
    """
    own = tuple(tile._replace(templates=None, group=None) for tile in tiles)

    def improve(part: tuple[Array, tuple[Tile, ...]]) -> tuple[Array, Array, Array]:
        whole = tuple(
            few._replace(templates=tile.templates, group=tile.group)
            for few, tile in zip(part[1], tiles, strict=True)
        )
        return _minimise_few(part[0], whole, options, n_steps)

    return map_small_tiles(improve, (theta, own), TILE_ROWS, n_tiles)


def _minimise_few(
    theta: Array, tiles: tuple[Tile, ...], options: tuple[FitOptions, ...], n_steps: Array | int
) -> tuple[Array, Array, Array]:
    lower, upper = tiles[0].lower, tiles[0].upper
    slack = CONVERGED + ROUNDING * sum(
        jnp.sum(tile.weight * tile.data**2, axis=(1, 2)) for tile in tiles
    )
    n, size = theta.shape
    nowhere = Linearised(jnp.full(n, jnp.inf), jnp.zeros((n, size)), jnp.zeros((n, size, size)))
    longest = jnp.where(jnp.arange(size) < size // 2, *LONGEST_STEP)

    def evaluate(point: Array) -> Linearised:
        parts = [linearise(point, t, o) for t, o in zip(tiles, options, strict=True)]
        return jax.tree.map(lambda *of_bands: sum(of_bands), *parts)

    def step(point: Array, at: Linearised, damping: Array) -> tuple[Array, Array]:
        pressed = (point <= lower) & (at.gradient < 0) | (point >= upper) & (at.gradient > 0)
        free = ~pressed & (upper > lower)
        gradient = jnp.where(free, at.gradient, 0.0)
        curvature = jnp.where(free[:, :, None] & free[:, None, :], at.curvature, 0.0)
        raised = curvature * (1.0 + damping[:, None, None] * jnp.eye(size, dtype=theta.dtype))
        return solve(raised, gradient[..., None])[..., 0], gradient

    def advance(_: int, state: _State) -> _State:
        new = evaluate(state.trial)
        accept = new.chi2 <= state.at.chi2 * (1 + 1e-6) + slack
        damping = jnp.where(accept, state.damping * 0.1, jnp.maximum(state.damping * 10.0, 1e-3))
        best = jnp.where(accept[:, None], state.trial, state.theta)
        at = jax.tree.map(
            lambda a, b: jnp.where(accept.reshape((n,) + (1,) * (a.ndim - 1)), a, b),
            new,
            state.at,
        )
        move = jnp.clip(step(best, at, damping)[0], -longest, longest)
        return _State(best, at, damping, jnp.clip(best + move, lower, upper))

    # the first pass of the loop evaluates the start: the body is compiled once
    state = _State(theta, nowhere, jnp.full(n, 1e-2, theta.dtype), theta)
    state = jax.lax.fori_loop(0, n_steps, advance, state)
    left, gradient = step(state.theta, state.at, jnp.zeros(n))
    converged = jnp.sum(gradient * left, axis=1) < slack
    left = jnp.clip(state.theta + left, lower, upper) - state.theta
    return state.theta, jnp.where(converged[:, None], left, 0.0), converged


def describe_band(
    band: int,
    problem: JointProblem,
    piece: Piece,
    theta: Array,
    left: Array,
    n_tiles: int | None = None,
) -> tuple[Fitted, np.ndarray, np.ndarray]:
    """One band at theta, moved by the last small step to first order: its fit with the areas'
    covariance at fixed theta, response, curvature."""
    direct = problem.direct[band]
    frozen = piece.tile._replace(lower=theta, upper=theta)
    solution = describe_tile(theta, frozen, direct.options, n_tiles)
    inverse = np.asarray(solution.inverse_curvature, float)
    at_end = solution._replace(theta=theta + left, inverse_curvature=np.zeros_like(inverse))
    fitted = direct.collect(at_end, piece)
    response = template_order(np.asarray(solution.response), direct.plan)
    area = fitted.area - np.einsum("ntd,nd->nt", response, np.asarray(left))
    if direct.options.positive:
        area = np.maximum(area, 0.0)
    return fitted._replace(area=area), response, _information(inverse)


def template_order(values: np.ndarray, plan: WindowPlan) -> np.ndarray:
    """Values (n, W, P, ...) of the templates of each window, as (n, T, ...)."""
    window, local = np.nonzero(plan.templates >= 0)
    order = np.argsort(plan.templates[window, local])
    return values[:, window[order], local[order]]


def _information(inverse: np.ndarray) -> np.ndarray:
    """Curvatures (n, p, p) from their inverses, 0 for parameters that a band does not see."""
    diagonal = np.einsum("npp->np", inverse)
    seen = diagonal > 0
    scale = np.where(seen, 1.0 / np.sqrt(np.where(seen, diagonal, 1.0)), 0.0)
    normal = inverse * scale[:, :, None] * scale[:, None, :]
    blind = (~seen)[:, None, :] * np.eye(inverse.shape[1])
    information = np.linalg.pinv(normal + blind, hermitian=True) - blind
    return information * scale[:, :, None] * scale[:, None, :]


def fit_jointly(problem: JointProblem, start: Start, rows: np.ndarray | None = None) -> Joint:
    """Fit n objects in all bands.

    Args:
        problem: the bands.
        start: where to begin.
        rows: indices (k,) of the objects to fit; None = all.

    Returns:
        `Joint` of the objects.
    """
    chosen = np.arange(problem.n_rows) if rows is None else rows
    size = tile_size(len(chosen), CALL_ROWS)

    def fit(
        rows: np.ndarray,
        velocity: np.ndarray,
        broadening: np.ndarray,
        steps: int,
    ) -> Joint:
        def work(index: np.ndarray) -> tuple[np.ndarray, ...]:
            around = start.velocity[rows[index]]
            begin = velocity[index], broadening[index]
            n_tiles = -(-(int(index[-1] - index[0]) + 1) // TILE_ROWS)
            return flat(_fit_tile(problem, rows[index], around, begin, steps, n_tiles))

        return joint_of(run_tiles(work, len(rows), size), len(problem.direct))

    begin = start.velocity[chosen, None], start.broadening[chosen, None]
    joint = fit(chosen, *begin, FIRST_STEPS)
    for factor in LATE_FACTORS:
        late = np.flatnonzero(~joint.converged)
        if not len(late):
            break
        first = joint.bands[0]
        there = np.asarray(broadening_of(first.y[late], first.broadening_scale[late, None]))
        wide = factor * np.maximum(there, 1.0)
        again = fit(chosen[late], first.velocity[late], wide, MORE_STEPS)
        _keep_better(joint, late, again)
    return joint


def shared_scale(pieces: list[Piece], problem: JointProblem) -> list[Piece]:
    """The pieces with the broadening scale of the sharpest band, so that the shape variable y
    means the same in all of them."""
    scale = np.min([piece.tile.broadening_scale for piece in pieces], axis=0)
    n_groups = problem.n_groups
    narrow, wide = (
        1.0 / np.sqrt(1.0 + (s / scale) ** 2) for s in problem.direct[0].config.broadening_range
    )
    if problem.prepared[0].model.frozen_width:
        narrow = wide = np.ones_like(scale)

    def bounded(limits: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [limits[:, :n_groups], np.repeat(y[:, None], n_groups, axis=1)], axis=1
        ).astype(np.float32)

    return [
        piece._replace(
            tile=piece.tile._replace(
                broadening_scale=scale,
                lower=bounded(piece.tile.lower, wide),
                upper=bounded(piece.tile.upper, narrow),
            )
        )
        for piece in pieces
    ]


def _fit_tile(
    problem: JointProblem,
    rows: np.ndarray,
    around: np.ndarray,
    begin: tuple[np.ndarray, np.ndarray],
    steps: int,
    n_tiles: int,
) -> Joint:
    pieces = shared_scale([direct.piece(rows, around) for direct in problem.direct], problem)
    options = tuple(direct.options for direct in problem.direct)
    tiles = tuple(piece.tile for piece in pieces)
    theta, left, converged = minimise(pieces[0].theta(*begin), tiles, options, steps, n_tiles)
    described = [
        describe_band(band, problem, piece, theta, left, n_tiles)
        for band, piece in enumerate(pieces)
    ]
    bands, response, curvature = (tuple(part) for part in zip(*described, strict=True))
    chi2 = np.sum([fitted.chi2 for fitted in bands], axis=0)
    return Joint(bands, response, curvature, chi2, np.asarray(converged))


def flat(joint: Joint) -> tuple[np.ndarray, ...]:
    """All arrays of a joint fit, one after another."""
    parts = [array for fitted in joint.bands for array in fitted]
    return (*parts, *joint.response, *joint.curvature, joint.chi2, joint.converged)


def joint_of(arrays: Sequence[np.ndarray], n_bands: int) -> Joint:
    """The inverse of `flat`."""
    width = len(Fitted._fields)
    bands = tuple(Fitted(*arrays[k * width : (k + 1) * width]) for k in range(n_bands))
    rest = arrays[n_bands * width :]
    response, curvature = tuple(rest[:n_bands]), tuple(rest[n_bands : 2 * n_bands])
    return Joint(bands, response, curvature, *rest[2 * n_bands :])


def put(joint: Joint, rows: np.ndarray, again: Joint) -> None:
    """Replace rows (k,) by those of another fit."""
    for mine, other in zip(flat(joint), flat(again), strict=True):
        mine[rows] = other


def _keep_better(joint: Joint, rows: np.ndarray, again: Joint) -> None:
    """Replace rows (k,) by a second fit where that has the lower chi2."""
    old, new = joint.chi2[rows], again.chi2
    better = (new < old) | (again.converged & ~joint.converged[rows] & (new < old + 1e-2))
    for mine, other in zip(flat(joint), flat(again), strict=True):
        mine[rows[better]] = other[better]
