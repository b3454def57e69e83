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

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.fitting.small_solve import (
    backward_substitute,
    forward_substitute,
    inverse,
    scaled_cholesky,
    solve,
)
from nebulines.lineshapes import gaussian_kernel, sincgauss_kernel

VELOCITY_UNIT_KMS = 100.0
"""The first nonlinear parameter is the velocity step from the start in this unit."""


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
        core: (n, 2) the same within the lines' cores.
        outlier: (n,) largest residual that its neighbours do not share, in sigma.
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
    core: Any
    outlier: Any


def broadening_of(y: Array, scale: Array) -> Array:
    """Broadening [km/s] s = s0 sqrt(1/y^2 - 1) of the shape variable y = 1/sqrt(1 + (s/s0)^2),
    in which the profile is regular at s = 0."""
    return scale * jnp.sqrt(jnp.maximum(1.0 / y**2 - 1.0, 0.0))


def shape_variable(broadening: Array, scale: Array) -> Array:
    """The inverse of `broadening_of`."""
    return 1.0 / jnp.sqrt(1.0 + (broadening / scale) ** 2)


class FitOptions(NamedTuple):
    """Static choices of the compiled fit."""

    kind: str
    shape: str
    continuum_order: int
    positive: bool


def _line_profiles(theta: Array, tile: Tile, options: FitOptions):
    """P (n, W, J, K) and its derivatives by velocity step and shape variable."""
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
        value, first, second = gaussian_kernel(distance, total[..., None])
    else:
        value, first, second = sincgauss_kernel(distance, tile.lsf[..., None], sigma[..., None])
    by_velocity = (sigma**2 * log_slope)[..., None] * second - slope[..., None] * first
    by_shape = -((sigma_per_kms * scale) ** 2 / y**3)[..., None] * second
    return value, by_velocity, by_shape, distance, sigma


def _continuum_basis(offset: Array, weight: Array, order: int) -> Array:
    """Legendre polynomials (n, W, order + 1, K) over the used channels of each window."""
    used = weight > 0
    low = jnp.min(jnp.where(used, offset, jnp.inf), axis=-1, keepdims=True)
    high = jnp.max(jnp.where(used, offset, -jnp.inf), axis=-1, keepdims=True)
    ok = high > low
    x = jnp.where(ok, 2.0 * (offset - low) / jnp.where(ok, high - low, 1.0) - 1.0, 0.0)
    x = jnp.clip(x, -1.0, 1.0)
    basis = [jnp.ones_like(x), x]
    for k in range(2, order + 1):
        basis.append(((2 * k - 1) * x * basis[-1] - (k - 1) * basis[-2]) / k)
    return jnp.stack(basis[: order + 1], axis=2)


def _solve_linear(gram: Array, rhs: Array, n_templates: int, positive: bool) -> Array:
    """Coefficients (n, W, P); with ``positive`` templates below zero are removed in turn."""
    coefficients = solve(gram, rhs[..., None])[..., 0]
    if not positive:
        return coefficients
    is_template = jnp.arange(gram.shape[-1]) < n_templates
    active = jnp.ones(coefficients.shape, bool)
    for _ in range(3):
        active = active & ~(is_template & (coefficients < 0))
        keep = active[..., :, None] & active[..., None, :]
        reduced = jnp.where(keep, gram, 0.0)
        coefficients = solve(reduced, jnp.where(active, rhs, 0.0)[..., None])[..., 0]
    return jnp.where(is_template, jnp.maximum(coefficients, 0.0), coefficients)


def _design(theta: Array, tile: Tile, continuum: Array, options: FitOptions):
    """Everything linear at theta: basis, Gram matrix, coefficients, residual, Jacobian."""
    value, by_velocity, by_shape, distance, sigma = _line_profiles(theta, tile, options)
    basis = jnp.einsum("wtj,nwjk->nwtk", tile.templates, value)
    basis = jnp.concatenate([basis, continuum], axis=2)
    weighted = basis * tile.weight[:, :, None, :]
    gram = jnp.einsum("nwpk,nwqk->nwpq", weighted, basis)
    rhs = jnp.einsum("nwpk,nwk->nwp", weighted, tile.data)
    n_templates = tile.templates.shape[1]
    coefficients = _solve_linear(gram, rhs, n_templates, options.positive)
    model = jnp.einsum("nwp,nwpk->nwk", coefficients, basis)
    strength = jnp.einsum("nwt,wtj->nwj", coefficients[..., :n_templates], tile.templates)
    grouped = strength[:, :, None, :] * jnp.moveaxis(tile.group, -1, 1)[None]  # (n, W, G, J)
    jacobian = jnp.concatenate(
        [
            jnp.einsum("nwgj,nwjk->nwgk", grouped, by_velocity),
            jnp.einsum("nwgj,nwjk->nwgk", grouped, by_shape),
        ],
        axis=2,
    )
    return weighted, gram, coefficients, model, jacobian, value, distance, sigma


def _reduce(tile: Tile, weighted, gram, model, jacobian) -> tuple[Linearised, Array]:
    residual = (tile.data - model) * tile.weight
    chi2 = jnp.sum(residual * (tile.data - model), axis=(1, 2))
    gradient = jnp.einsum("nwdk,nwk->nd", jacobian, residual)
    cross = jnp.einsum("nwpk,nwdk->nwpd", weighted, jacobian)
    full = jnp.einsum("nwdk,nwek->nde", jacobian * tile.weight[:, :, None, :], jacobian)
    lower, scale = scaled_cholesky(gram)
    half = forward_substitute(lower, cross * scale[..., None])
    curvature = full - jnp.einsum("nwpd,nwpe->nde", half, half)
    response = backward_substitute(lower, half) * scale[..., None]
    return Linearised(chi2, gradient, curvature), response


def linearise(theta: Array, tile: Tile, options: FitOptions) -> Linearised:
    """chi2, gradient and Gauss-Newton curvature at theta, linear parameters projected out."""
    continuum = _continuum_basis(tile.offset, tile.weight, options.continuum_order)
    weighted, gram, _, model, jacobian, *_ = _design(theta, tile, continuum, options)
    return _reduce(tile, weighted, gram, model, jacobian)[0]


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


def levenberg_marquardt(theta: Array, tile: Tile, options: FitOptions, n_steps: int):
    """``n_steps`` damped Gauss-Newton steps; a step that raises chi2 is refused.

    Returns theta (n, 2 G), the problem linearised there, and the expected further decrease of
    chi2 (n,), small where converged.
    """

    def body(_, state):
        theta, at, damping = state
        trial = _newton_step(theta, at, damping, tile)
        new = linearise(trial, tile, options)
        accept = new.chi2 <= at.chi2 * (1 + 1e-6)
        damping = jnp.where(accept, damping * 0.1, jnp.maximum(damping * 10.0, 1e-3))
        theta = jnp.where(accept[:, None], trial, theta)
        return theta, _where(accept, new, at), damping

    at = linearise(theta, tile, options)
    start = (theta, at, jnp.full(theta.shape[0], 1e-3, theta.dtype))
    theta, at, _ = jax.lax.fori_loop(0, n_steps, body, start)
    gradient, curvature = _restrict(at, _free(theta, at.gradient, tile))
    decrease = jnp.einsum("nd,nd->n", gradient, solve(curvature, gradient[..., None])[..., 0])
    return theta, at, decrease


@partial(jax.jit, static_argnames=("options", "n_steps"))
def fit_tile(theta: Array, tile: Tile, options: FitOptions, n_steps: int = 10) -> Solution:
    """Fit a tile from the best of its start points.

    Args:
        theta: (starts, n, 2 G) start values; the one with the smallest chi2 is taken row by row.
        tile: the data.
        options: axis kind, line shape, continuum order, sign of the amplitudes (static).
        n_steps: Levenberg-Marquardt steps.

    Returns:
        A `Solution`.
    """
    if theta.shape[0] > 1:
        chi2 = jax.lax.map(lambda t: linearise(t, tile, options).chi2, theta)
        best = jnp.argmin(chi2, axis=0)
        theta = jnp.take_along_axis(theta, best[None, :, None], axis=0)
    theta, at, decrease = levenberg_marquardt(theta[0], tile, options, n_steps)
    return _finish(theta, at, decrease, tile, options)


def _finish(theta, at: Linearised, decrease, tile: Tile, options: FitOptions) -> Solution:
    continuum = _continuum_basis(tile.offset, tile.weight, options.continuum_order)
    weighted, gram, coefficients, model, jacobian, value, distance, sigma = _design(
        theta, tile, continuum, options
    )
    _, response = _reduce(tile, weighted, gram, model, jacobian)
    used = tile.weight > 0
    spacing = jnp.gradient(tile.offset, axis=-1)[:, :, None, :]
    coverage = jnp.sum(jnp.where(used[:, :, None, :], value * spacing, 0.0), axis=-1)
    width = tile.lsf if options.shape == "gaussian" else 0.5 * tile.lsf
    width = jnp.sqrt(width**2 + sigma**2)[..., None]
    real = (tile.group.sum(-1) > 0)[None, :, :, None]
    near = jnp.any(real & (jnp.abs(distance) < 2.5 * width), axis=2)
    far = used & ~jnp.any(real & (jnp.abs(distance) < 4.0 * width), axis=2)
    squared = tile.weight * (tile.data - model) ** 2
    return Solution(
        theta=theta,
        converged=decrease < 1e-2,
        chi2=at.chi2,
        inverse_curvature=inverse(at.curvature),
        coefficients=coefficients,
        block_covariance=inverse(gram),
        response=response,
        model=model,
        coverage=coverage,
        line_free=_sum_and_count(squared, far),
        core=_sum_and_count(squared, near & used),
        outlier=_lonely_residual(tile, model),
    )


def _sum_and_count(squared: Array, where: Array) -> Array:
    total = jnp.sum(jnp.where(where, squared, 0.0), axis=(1, 2))
    return jnp.stack([total, jnp.sum(where, axis=(1, 2)).astype(total.dtype)], axis=-1)


def _lonely_residual(tile: Tile, model: Array) -> Array:
    """Largest residual in sigma of a channel that the channels two steps away do not share: one
    or two hot channels in a row, narrower than any line-spread function."""
    sigma = (tile.data - model) * jnp.sqrt(tile.weight)
    left = jnp.pad(sigma, ((0, 0), (0, 0), (2, 0)))[..., :-2]
    right = jnp.pad(sigma, ((0, 0), (0, 0), (0, 2)))[..., 2:]
    lonely = jnp.abs(left) + jnp.abs(right) < 0.5 * jnp.abs(sigma)
    return jnp.max(jnp.where(lonely, jnp.abs(sigma), 0.0), axis=(1, 2))
