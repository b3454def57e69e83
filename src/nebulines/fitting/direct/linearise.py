"""Line profiles channel by channel, and the problem of velocity and broadening that they leave.

Variable projection (Golub & Pereyra 1973) with Kaufman's (1975) Jacobian: line fluxes and
continuum are linear and solved exactly. Both line shapes solve the heat equation,
dP/d(sigma^2) = P''/2, so the two derivatives with respect to the line's offset that every kernel
returns give the whole Jacobian.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.fitting.direct.tile import (
    VELOCITY_UNIT_KMS,
    FitOptions,
    Tile,
    broadening_of,
)
from nebulines.fitting.information import signal_share
from nebulines.fitting.small_solve import (
    forward_substitute,
    inverse,
    scaled_cholesky,
    solve,
)
from nebulines.lineshapes import gaussian_kernel, sincgauss_kernel


class Linearised(NamedTuple):
    """The problem at one point: chi2, gradient and Gauss-Newton matrix of the reduced problem."""

    chi2: Array
    gradient: Array
    curvature: Array


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


def continuum_ends(offset: Array, weight: Array) -> Array:
    """(n, W, 2) lowest and highest offset of the used channels."""
    used = weight > 0
    low = jnp.min(jnp.where(used, offset, jnp.inf), axis=-1)
    return jnp.stack([low, jnp.max(jnp.where(used, offset, -jnp.inf), axis=-1)], axis=-1)


def _continuum_basis(offset: Array, weight: Array, order: int) -> Array:
    """Legendre polynomials (n, W, order + 1, K) over the used channels of each window."""
    low, high = jnp.split(continuum_ends(offset, weight), 2, axis=-1)
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


class Fixed(NamedTuple):
    """What does not change with theta, all times the square root of the weight: data
    (n, W, 1, K), continuum basis (n, W, C, K), and that root (n, W, 1, K)."""

    data: Array
    continuum: Array
    root: Array


def fixed_parts(tile: Tile, options: FitOptions) -> Fixed:
    """`Fixed` of a tile."""
    root = jnp.sqrt(tile.weight)[:, :, None, :]
    continuum = _continuum_basis(tile.offset, tile.weight, options.continuum_order)
    return Fixed(tile.data[:, :, None, :] * root, continuum * root, root)


class Point(NamedTuple):
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


def evaluate(
    theta: Array, tile: Tile, fixed: Fixed, options: FitOptions, honest: bool = False
) -> Point:
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
    return Point(at, gram, coefficients, cross, value, residual, distance, sigma, strength)


def linearise(theta: Array, tile: Tile, options: FitOptions) -> Linearised:
    """chi2, gradient and Gauss-Newton curvature at theta, linear parameters projected out."""
    return evaluate(theta, tile, fixed_parts(tile, options), options).at
