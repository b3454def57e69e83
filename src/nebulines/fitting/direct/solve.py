"""The direct path: line profiles evaluated channel by channel, for any axis, mask and noise.

Variable projection (Golub & Pereyra 1973) with Kaufman's (1975) Jacobian: line fluxes and
continuum are linear and solved exactly at every step; Levenberg-Marquardt moves only velocity
and broadening, two numbers for each group of tied lines. A tile is n spectra x W windows of
K channels; windows share velocity and broadening and nothing else, so each has its own small
linear system.

Both line shapes solve the heat equation, dP/d(sigma^2) = P''/2, so the two derivatives with
respect to the line's offset that every kernel returns give the whole Jacobian.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from nebulines.fitting.components.profile import profile_score
from nebulines.fitting.direct.linearise import (
    Fixed,
    Linearised,
    Point,
    continuum_ends,
    evaluate,
    fixed_parts,
)
from nebulines.fitting.direct.tile import (
    FitOptions,
    Solution,
    Tile,
)
from nebulines.fitting.residuals import lonely_residual
from nebulines.fitting.small_solve import (
    inverse,
    solve,
)
from nebulines.kept_programs import keep_programs
from nebulines.small_tiles import map_small_tiles

CONVERGED = 5e-2
"""A fit has converged when chi2 can fall by no more than this, and the step that is left, at most
0.2 sigma, is then taken to first order; of SN3 spectra with S/N 5 to 30 half are then within 0.002
sigma of the minimum and 99 of 100 within 0.06."""
ROUNDING = 1e-8
"""Error of chi2 in float32, as a share of the sum of the squared data."""


def _free(theta: Array, gradient: Array, tile: Tile) -> Array:
    """Parameters that are not pressed against a bound."""
    at_low = (theta <= tile.lower) & (gradient < 0)
    at_high = (theta >= tile.upper) & (gradient > 0)
    return ~(at_low | at_high) & (tile.upper > tile.lower)


def _restrict(at: Linearised, free: Array) -> tuple[Array, Array]:
    gradient = jnp.where(free, at.gradient, 0.0)
    return gradient, jnp.where(free[:, :, None] & free[:, None, :], at.curvature, 0.0)


def _newton_step(theta: Array, at: Linearised, damping: Array, tile: Tile) -> Array:
    """The damped step, clipped to the bounds and to a trust region in each parameter."""
    gradient, curvature = _restrict(at, _free(theta, at.gradient, tile))
    diagonal = jnp.diagonal(curvature, axis1=1, axis2=2)
    unit = jnp.eye(theta.shape[-1], dtype=theta.dtype)
    damped = curvature + damping[:, None, None] * diagonal[:, :, None] * unit
    step = solve(damped, gradient[..., None])[..., 0]
    n_groups = theta.shape[-1] // 2
    limit = jnp.where(jnp.arange(theta.shape[-1]) < n_groups, 1.5, 0.3)
    return jnp.clip(theta + jnp.clip(step, -limit, limit), tile.lower, tile.upper)


def _where(accept: Array, new: Linearised, old: Linearised) -> Linearised:
    def choose(a, b):
        return jnp.where(accept.reshape(accept.shape + (1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(choose, new, old)


class _State(NamedTuple):
    """Best point so far, the damping (n,), and the point to try next."""

    theta: Array
    at: Linearised
    damping: Array
    trial: Array


def _tolerance(fixed: Fixed) -> Array:
    """(n,) changes of chi2 that do not matter: what convergence means, and the rounding that
    bright lines make visible."""
    return CONVERGED + ROUNDING * jnp.sum(fixed.data**2, axis=(1, 2, 3))


def _accepted(new: Linearised, old: Linearised, tolerance: Array) -> Array:
    return new.chi2 <= old.chi2 * (1 + 1e-6) + tolerance


def _advance(state: _State, tile: Tile, fixed: Fixed, options: FitOptions) -> _State:
    """One Levenberg-Marquardt step; a step that raises chi2 is refused."""
    new = evaluate(state.trial, tile, fixed, options).at
    accept = _accepted(new, state.at, _tolerance(fixed))
    damping = jnp.where(accept, state.damping * 0.1, jnp.maximum(state.damping * 10.0, 1e-3))
    theta = jnp.where(accept[:, None], state.trial, state.theta)
    at = _where(accept, new, state.at)
    return _State(theta, at, damping, _newton_step(theta, at, damping, tile))


TILE_ROWS = 16
"""Spectra fitted at once."""


@keep_programs(static_argnames=("options",))
def fit_tile(
    theta: Array,
    tile: Tile,
    options: FitOptions,
    n_steps: Array | int,
    n_tiles: Array | int | None = None,
) -> Solution:
    """Fit a tile.

    Args:
        theta: (n, 2 G) start values; n is at most `TILE_ROWS`, or a multiple of it.
        tile: the data.
        options: axis kind, line shape, continuum order, sign of the amplitudes (static).
        n_steps: Levenberg-Marquardt steps, at least 1.
        n_tiles: times `TILE_ROWS` spectra are fitted, what is behind them is zero; None = all.

    Returns:
        A `Solution` at the last point tried; ``converged`` is False where that point is not a
        minimum, and a second call from there goes on.
    """

    def fit(theta: Array, tile: Tile) -> Solution:
        fixed = fixed_parts(tile, options)
        # the first pass of the loop evaluates the start: the body is compiled once
        state = _State(theta, _nowhere(theta), jnp.full(len(theta), 1e-2), theta)
        state = jax.lax.fori_loop(
            0, n_steps, lambda _, state: _advance(state, tile, fixed, options), state
        )
        return _solution(state.trial, state.at, tile, fixed, options)

    return _in_small_tiles(fit, theta, tile, n_tiles)


@keep_programs(static_argnames=("options",))
def describe_tile(
    theta: Array, tile: Tile, options: FitOptions, n_tiles: Array | int | None = None
) -> Solution:
    """`fit_tile` without a step: a smaller program, which is compiled sooner.

    Args:
        theta, tile, options, n_tiles: as of `fit_tile`.
    """

    def describe(theta: Array, tile: Tile) -> Solution:
        return _solution(theta, _nowhere(theta), tile, fixed_parts(tile, options), options)

    return _in_small_tiles(describe, theta, tile, n_tiles)


def _in_small_tiles(
    work: Callable[[Array, Tile], Solution], theta: Array, tile: Tile, n_tiles: Array | int | None
) -> Solution:
    own = tile._replace(templates=None, group=None)  # what each spectrum has for itself

    def few(part: tuple[Array, Tile]) -> Solution:
        return work(part[0], part[1]._replace(templates=tile.templates, group=tile.group))

    return map_small_tiles(few, (theta, own), TILE_ROWS, n_tiles)


def _nowhere(theta: Array) -> Linearised:
    """What every point is better than."""
    n, size = theta.shape
    return Linearised(jnp.full(n, jnp.inf), jnp.zeros((n, size)), jnp.zeros((n, size, size)))


def _solution(
    trial: Array, best: Linearised, tile: Tile, fixed: Fixed, options: FitOptions
) -> Solution:
    """The solution at the last point tried, ``best`` being the one before."""
    point = evaluate(trial, tile, fixed, options, honest=True)
    tolerance = _tolerance(fixed)
    accept = _accepted(point.at, best, tolerance)
    gradient, curvature = _restrict(point.at, _free(trial, point.at.gradient, tile))
    step = solve(curvature, gradient[..., None])[..., 0]
    converged = accept & (jnp.sum(gradient * step, axis=1) < tolerance)
    step = jnp.where(converged[:, None], step, 0.0)
    return _describe(trial, step, point, converged, tile, fixed, options)


def _describe(
    theta: Array,
    step: Array,
    point: Point,
    converged: Array,
    tile: Tile,
    fixed: Fixed,
    options: FitOptions,
) -> Solution:
    """The solution at a point, with the last small step (n, 2 G) taken to first order."""
    used = tile.weight > 0
    root = fixed.root[:, :, 0, :]
    sigma_residual = point.residual
    model = tile.data - jnp.where(used, sigma_residual / jnp.where(used, root, 1.0), tile.data)
    last = 2.0 * tile.offset[..., -1:] - tile.offset[..., -2:-1]
    spacing = jnp.diff(tile.offset, axis=-1, append=last)
    seen = jnp.where(used, spacing / jnp.where(used, root, 1.0), 0.0)
    coverage = jnp.einsum("nwjk,nwk->nwj", point.value, seen)
    width = tile.lsf if options.shape == "gaussian" else 0.5 * tile.lsf
    total = jnp.sqrt(width**2 + point.sigma**2)
    width = total[..., None]
    real = (tile.group.sum(-1) > 0)[None, :, :, None]
    far = used & ~jnp.any(real & (jnp.abs(point.distance) < 4.0 * width), axis=2)
    squared = sigma_residual**2
    response = solve(point.gram, point.cross)
    follow = 0.0 if options.positive else jnp.einsum("nwpd,nd->nwp", response, step)
    return Solution(
        theta=jnp.clip(theta + step, tile.lower, tile.upper),
        converged=converged,
        chi2=point.at.chi2,
        inverse_curvature=inverse(point.at.curvature),
        coefficients=point.coefficients - follow,
        block_covariance=inverse(point.gram),
        response=response,
        model=model,
        coverage=coverage,
        line_free=_sum_and_count(squared, far),
        outlier=jnp.max(lonely_residual(sigma_residual), axis=1),
        profile=profile_score(
            sigma_residual,
            root,
            tile.offset,
            tile.offset[..., :1] - point.distance[..., 0],
            total,
            point.strength / total,
        ),
        n_used=jnp.sum(used, axis=(1, 2)),
        ends=continuum_ends(tile.offset, tile.weight),
    )


def _sum_and_count(squared: Array, where: Array) -> Array:
    total = jnp.sum(jnp.where(where, squared, 0.0), axis=(1, 2))
    return jnp.stack([total, jnp.sum(where, axis=(1, 2)).astype(total.dtype)], axis=-1)
