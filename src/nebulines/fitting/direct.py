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

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.fitting.information import signal_share
from nebulines.fitting.profile import lonely_residual, profile_score
from nebulines.fitting.small_solve import (
    forward_substitute,
    inverse,
    scaled_cholesky,
    solve,
)
from nebulines.kept_programs import keep_programs
from nebulines.lineshapes import gaussian_kernel, sincgauss_kernel
from nebulines.small_tiles import map_small_tiles

VELOCITY_UNIT_KMS = 100.0
"""The first nonlinear parameter is the velocity step from the start in this unit."""


CONVERGED = 5e-2
"""A fit has converged when chi2 can fall by no more than this, and the step that is left, at most
0.2 sigma, is then taken to first order; of SN3 spectra with S/N 5 to 30 half are then within 0.002
sigma of the minimum and 99 of 100 within 0.06."""
ROUNDING = 1e-8
"""Error of chi2 in float32, as a share of the sum of the squared data."""


class Tile(NamedTuple):
    """What the compiled fit reads; shapes with n spectra, W windows, K channels, J lines a window,
    T templates a window, G kinematic groups.

    Attributes:
        data: (n, W, K) flux in units of the row's noise.
        weight: (n, W, K) inverse variance of ``data``; 0 = not used.
        offset: (n, W, K) channel position minus the window's reference [axis unit].
        position: (n, W, J) line position at the start velocity [axis unit].
        reference: (n, W) position that offsets are counted from [axis unit].
        center: (n, W, J) position minus reference, computed in float64.
        lsf: (n, W, J) Gaussian sigma, or first zero of the sinc [axis unit]; 1 where padded.
        templates: (W, T, J) relative strength of each line in each template; 0 where padded.
        group: (W, J, G) one-hot kinematic group of each line.
        broadening_scale: (n,) [km/s], s0 of `broadening_of`.
        lower, upper: (n, 2 G) bounds of the parameters.
    """

    data: Any
    weight: Any
    offset: Any
    position: Any
    center: Any
    lsf: Any
    templates: Any
    group: Any
    broadening_scale: Any
    lower: Any
    upper: Any


class Linearised(NamedTuple):
    """The problem at one point: chi2, gradient and Gauss-Newton matrix of the reduced problem."""

    chi2: Array
    gradient: Array
    curvature: Array


class Solution(NamedTuple):
    """The fit of a tile.

    Attributes:
        theta: (n, 2 G) velocity steps [VELOCITY_UNIT_KMS] and shape variables y.
        converged: (n,) bool.
        chi2: (n,) in units of the weights.
        inverse_curvature: (n, 2 G, 2 G) covariance of theta for unit-variance data.
        coefficients: (n, W, T + C) template areas, then continuum coefficients.
        block_covariance: (n, W, T + C, T + C) their covariance at fixed theta.
        response: (n, W, T + C, 2 G) minus their derivative with respect to theta.
        model: (n, W, K) best fit.
        coverage: (n, W, J) share of each line's area that usable channels see.
        line_free: (n, 2) sum of weighted squared residuals away from lines, and channel count.
        outlier: (n,) largest residual that its neighbours do not share, in sigma.
        profile: (n, 4) of `profile.profile_score`.
        n_used: (n,) channels used.
        ends: (n, W, 2) lowest and highest offset used.
    """

    theta: Any
    converged: Any
    chi2: Any
    inverse_curvature: Any
    coefficients: Any
    block_covariance: Any
    response: Any
    model: Any
    coverage: Any
    line_free: Any
    outlier: Any
    profile: Any
    n_used: Any
    ends: Any


def broadening_of(y: ArrayLike, scale: ArrayLike) -> Array:
    """Broadening [km/s] s = s0 sqrt(1/y^2 - 1) of the shape variable y = 1/sqrt(1 + (s/s0)^2),
    in which the profile is regular at s = 0."""
    return jnp.sqrt(jnp.maximum(1.0 / jnp.square(y) - 1.0, 0.0)) * jnp.asarray(scale)


def shape_variable(broadening: Array, scale: Array) -> Array:
    """The inverse of `broadening_of`."""
    return 1.0 / jnp.sqrt(1.0 + (broadening / scale) ** 2)


class FitOptions(NamedTuple):
    """Static choices of the compiled fit; ``near`` as in `lineshapes.sincgauss_kernel`."""

    kind: str
    shape: str
    continuum_order: int
    positive: bool
    mixed: bool
    near: int = 0


def _line_profiles(theta: Array, tile: Tile, options: FitOptions):
    """The kernel (n, W, J, K) at theta, and the factors (n, W, J) that turn its derivatives
    into dP/dvelocity = -slope P' + drift P'' and dP/dy = bend P''."""
    n_groups = tile.group.shape[-1]
    step = jnp.einsum("ng,wjg->nwj", theta[:, :n_groups], tile.group)
    y = jnp.einsum("ng,wjg->nwj", theta[:, n_groups:], tile.group)
    y = jnp.where(y > 0, y, 1.0)  # padded lines belong to no group
    unit = VELOCITY_UNIT_KMS / SPEED_OF_LIGHT_KMS
    epsilon = step * unit
    if options.kind == "wavelength":
        stretch = 1.0 + epsilon
        shift, slope = tile.position * epsilon, tile.position * unit
        log_slope = unit / stretch
    else:
        stretch = 1.0 / (1.0 + epsilon)
        shift, slope = -tile.position * epsilon * stretch, -tile.position * unit * stretch**2
        log_slope = -unit * stretch
    scale = tile.broadening_scale[:, None, None]
    sigma_per_kms = tile.position * stretch / SPEED_OF_LIGHT_KMS
    sigma = sigma_per_kms * broadening_of(y, scale)
    distance = tile.offset[:, :, None, :] - (tile.center + shift)[..., None]
    if options.shape == "gaussian":
        total = jnp.sqrt(tile.lsf**2 + sigma**2)
        kernel = gaussian_kernel(distance, total[..., None])
    else:
        kernel = sincgauss_kernel(distance, tile.lsf[..., None], sigma[..., None], options.near)
    bend = -((sigma_per_kms * scale) ** 2) / y**3
    return kernel, (slope, sigma**2 * log_slope, bend), distance, sigma


def _ends(offset: Array, weight: Array) -> Array:
    """(n, W, 2) lowest and highest offset of the used channels."""
    used = weight > 0
    low = jnp.min(jnp.where(used, offset, jnp.inf), axis=-1)
    return jnp.stack([low, jnp.max(jnp.where(used, offset, -jnp.inf), axis=-1)], axis=-1)


def _continuum_basis(offset: Array, weight: Array, order: int) -> Array:
    """Legendre polynomials (n, W, order + 1, K) over the used channels of each window."""
    low, high = jnp.split(_ends(offset, weight), 2, axis=-1)
    ok = high > low
    x = jnp.where(ok, 2.0 * (offset - low) / jnp.where(ok, high - low, 1.0) - 1.0, 0.0)
    x = jnp.clip(x, -1.0, 1.0)
    basis = [jnp.ones_like(x), x]
    for k in range(2, order + 1):
        basis.append(((2 * k - 1) * x * basis[-1] - (k - 1) * basis[-2]) / k)
    return jnp.stack(basis[: order + 1], axis=2)


def _solve_linear(gram: Array, rhs: Array, n_templates: int, positive: bool) -> Array:
    """Coefficients (n, W, P); with ``positive`` templates below zero are removed in turn."""
    if not positive:
        return solve(gram, rhs[..., None])[..., 0]
    is_template = jnp.arange(gram.shape[-1]) < n_templates

    def without_negative(_: int, state: tuple[Array, Array]) -> tuple[Array, Array]:
        coefficients, active = state
        active = active & ~(is_template & (coefficients < 0))
        reduced = jnp.where(active[..., :, None] & active[..., None, :], gram, 0.0)
        return solve(reduced, jnp.where(active, rhs, 0.0)[..., None])[..., 0], active

    state = jnp.zeros_like(rhs), jnp.ones(rhs.shape, bool)
    coefficients, _ = jax.lax.fori_loop(0, 4, without_negative, state)
    return jnp.where(is_template, jnp.maximum(coefficients, 0.0), coefficients)


class _Fixed(NamedTuple):
    """What does not change with theta, all times the square root of the weight: data
    (n, W, 1, K), continuum basis (n, W, C, K), and that root (n, W, 1, K)."""

    data: Array
    continuum: Array
    root: Array


def _fixed(tile: Tile, options: FitOptions) -> _Fixed:
    root = jnp.sqrt(tile.weight)[:, :, None, :]
    continuum = _continuum_basis(tile.offset, tile.weight, options.continuum_order)
    return _Fixed(tile.data[:, :, None, :] * root, continuum * root, root)


class _Point(NamedTuple):
    """The problem at one theta, weighted: gram matrix and coefficients of the linear part,
    residual, and the projections that the reduced problem needs."""

    at: Linearised
    gram: Array
    coefficients: Array
    cross: Array
    value: Array
    residual: Array
    distance: Array
    sigma: Array
    strength: Array


class _Factors(NamedTuple):
    """Factors of `_line_profiles` and the kinematic groups (1, W, G, J)."""

    slope: Array
    drift: Array
    bend: Array
    in_group: Array


def _by_kernel(factors: _Factors, strength: Array) -> tuple[Array, Array]:
    """Weights (n, W, 2 G, J) of the kernels' first and second derivatives in the model's
    derivatives by velocity and shape of each group."""
    along, across, shape = (
        factors.in_group * (strength * factor)[:, :, None, :]
        for factor in (-factors.slope, factors.drift, factors.bend)
    )
    by_first = jnp.concatenate([along, jnp.zeros_like(along)], axis=2)
    return by_first, jnp.concatenate([across, shape], axis=2)


def _jacobian(factors: _Factors, strength: Array, first: Array, second: Array) -> Array:
    """Derivatives (n, W, 2 G, K) of the model at fixed areas."""
    by_first, by_second = _by_kernel(factors, strength)
    along = jnp.einsum("nwdj,nwjk->nwdk", by_first, first)
    return along + jnp.einsum("nwdj,nwjk->nwdk", by_second, second)


def _line_gradient(
    factors: _Factors, strength: Array, first: Array, second: Array, residual: Array
) -> Array:
    """Gradient (n, 2 G) from each line's projection on the residual."""
    by_first, by_second = _by_kernel(factors, strength)
    seen = (jnp.einsum("nwjk,nwk->nwj", part, residual) for part in (first, second))
    parts = zip((by_first, by_second), seen, strict=True)
    return sum(jnp.einsum("nwdj,nwj->nd", by, part) for by, part in parts)  # type: ignore


def _evaluate(
    theta: Array, tile: Tile, fixed: _Fixed, options: FitOptions, honest: bool = False
) -> _Point:
    """The problem at theta; with ``honest`` the curvature counts only the part of each line that
    is signal (see `information`), as stated errors must."""
    kernel, (slope, drift, bend), distance, sigma = _line_profiles(theta, tile, options)
    value, first, second = kernel.value * fixed.root, kernel.first, kernel.second
    # one template for each line needs no mixing, only the padding set to zero
    if options.mixed:
        parts = [
            tile.templates[:, :, j, None] * value[:, :, None, j] for j in range(value.shape[2])
        ]
        templates = sum(parts[1:], start=parts[0])
    else:
        templates = jnp.einsum("wjj->wj", tile.templates)[:, :, None] * value
    basis = jnp.concatenate([templates, fixed.continuum, fixed.data], axis=2)
    square = jnp.einsum("nwpk,nwqk->nwpq", basis, basis)
    gram, rhs = square[..., :-1, :-1], square[..., :-1, -1]
    coefficients = _solve_linear(gram, rhs, tile.templates.shape[1], options.positive)
    minus = jnp.concatenate([-coefficients, jnp.ones_like(coefficients[..., :1])], axis=-1)
    residual = jnp.einsum("nwp,nwpk->nwk", minus, basis)
    n_templates = tile.templates.shape[1]
    areas = coefficients[..., :n_templates]
    strength = jnp.einsum("nwt,wtj->nwj", areas, tile.templates)
    factors = _Factors(slope, drift, bend, jnp.moveaxis(tile.group, -1, 1)[None])
    gradient = None
    if honest:
        weighted = residual * fixed.root[:, :, 0]
        gradient = _line_gradient(factors, strength, first, second, weighted)
        variance = jnp.diagonal(inverse(gram), axis1=-2, axis2=-1)[..., :n_templates]
        n, n_windows = areas.shape[:2]
        share = signal_share(areas.reshape(n, -1), variance.reshape(n, -1))
        share = jnp.sqrt(share).reshape(n, n_windows, n_templates)
        certain = jnp.einsum("nwt,wtj->nwj", areas * share, tile.templates)
    else:
        certain = strength
    jacobian = _jacobian(factors, certain, first, second) * fixed.root
    moving = jnp.concatenate([jacobian, residual[:, :, None, :]], axis=2)
    # the windows are added afterwards: contracted with the channels they take three times as long
    inner = jnp.sum(jnp.einsum("nwdk,nwek->nwde", moving, moving), axis=1)
    cross = jnp.einsum("nwpk,nwdk->nwpd", basis[:, :, :-1], jacobian)
    lower, scale = scaled_cholesky(gram)
    half = forward_substitute(lower, cross * scale[..., None])
    projected = jnp.sum(jnp.einsum("nwpd,nwpe->nwde", half, half), axis=1)
    curvature = inner[:, :-1, :-1] - projected
    if gradient is None:
        gradient = inner[:, :-1, -1]
    at = Linearised(inner[:, -1, -1], gradient, curvature)
    return _Point(at, gram, coefficients, cross, value, residual, distance, sigma, strength)


def linearise(theta: Array, tile: Tile, options: FitOptions) -> Linearised:
    """chi2, gradient and Gauss-Newton curvature at theta, linear parameters projected out."""
    return _evaluate(theta, tile, _fixed(tile, options), options).at


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


def _tolerance(fixed: _Fixed) -> Array:
    """(n,) changes of chi2 that do not matter: what convergence means, and the rounding that
    bright lines make visible."""
    return CONVERGED + ROUNDING * jnp.sum(fixed.data**2, axis=(1, 2, 3))


def _accepted(new: Linearised, old: Linearised, tolerance: Array) -> Array:
    return new.chi2 <= old.chi2 * (1 + 1e-6) + tolerance


def _advance(state: _State, tile: Tile, fixed: _Fixed, options: FitOptions) -> _State:
    """One Levenberg-Marquardt step; a step that raises chi2 is refused."""
    new = _evaluate(state.trial, tile, fixed, options).at
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
    own = tile._replace(templates=None, group=None)  # what each spectrum has for itself

    def fit(part: tuple[Array, Tile]) -> Solution:
        whole = part[1]._replace(templates=tile.templates, group=tile.group)
        return _fit_small_tile(part[0], whole, options, n_steps)

    return map_small_tiles(fit, (theta, own), TILE_ROWS, n_tiles)


def _fit_small_tile(
    theta: Array, tile: Tile, options: FitOptions, n_steps: Array | int
) -> Solution:
    fixed = _fixed(tile, options)
    n, size = theta.shape
    nowhere = Linearised(jnp.full(n, jnp.inf), jnp.zeros((n, size)), jnp.zeros((n, size, size)))
    # the first pass of the loop evaluates the start: the body is compiled once
    state = _State(theta, nowhere, jnp.full(n, 1e-2), theta)
    state = jax.lax.fori_loop(
        0, n_steps, lambda _, state: _advance(state, tile, fixed, options), state
    )
    trial = state.trial
    point = _evaluate(trial, tile, fixed, options, honest=True)
    tolerance = _tolerance(fixed)
    accept = _accepted(point.at, state.at, tolerance)
    gradient, curvature = _restrict(point.at, _free(trial, point.at.gradient, tile))
    step = solve(curvature, gradient[..., None])[..., 0]
    converged = accept & (jnp.sum(gradient * step, axis=1) < tolerance)
    step = jnp.where(converged[:, None], step, 0.0)
    return _describe(trial, step, point, converged, tile, fixed, options)


def _describe(
    theta: Array,
    step: Array,
    point: _Point,
    converged: Array,
    tile: Tile,
    fixed: _Fixed,
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
        ends=_ends(tile.offset, tile.weight),
    )


def _sum_and_count(squared: Array, where: Array) -> Array:
    total = jnp.sum(jnp.where(where, squared, 0.0), axis=(1, 2))
    return jnp.stack([total, jnp.sum(where, axis=(1, 2)).astype(total.dtype)], axis=-1)
