"""The filter bank: spectra on one axis with noise of one shape, fitted without their channels.

Around an anchor (a Doppler shift) the line profiles are smooth functions of three numbers: the
remaining shift delta, the shape variable y, and the row's line-spread factor rho. They are
tabulated as Chebyshev series over delta, y, rho, and projected on the few directions in channel
space that they span. One matrix product then turns a spectrum into the series of its inner
products with every line; a second table holds the inner products of the lines among themselves
(Gram matrix, with derivatives). The Levenberg-Marquardt steps read only those: some hundred
numbers for a spectrum, instead of its channels times lines.

The problem solved is exactly that of `direct` (variable projection, Kaufman's Jacobian); the
tables are accurate to about 1e-5 of a line's peak.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.fitting.direct import CONVERGED
from nebulines.fitting.information import signal_share
from nebulines.fitting.profile import lonely_residual, shared_profile_score
from nebulines.fitting.small_solve import (
    backward_substitute,
    forward_substitute,
    inverse,
    scaled_cholesky,
    solve,
)
from nebulines.lineshapes import gaussian_kernel, sincgauss_kernel

SHIFT_NODES = 8
SHAPE_NODES = 10
GRAM_SHIFT_NODES = 3
"""Inner products of lines among themselves hardly depend on where the lines fall between
channels: orders above this are below 1e-5 of the diagonal."""
RANK = 24
"""Directions in channel space kept for one template."""


class BankShape(NamedTuple):
    """Static facts of a bank."""

    kind: str
    shape: str
    n_spread: int
    continuum_order: int
    mixed: bool


class Ranges(NamedTuple):
    """Ranges of the Chebyshev variables: |delta| <= shift, y in [y_low, 1],
    rho in [rho_low, rho_high]."""

    shift: Any
    y_low: Any
    rho_low: Any
    rho_high: Any


class AnchorTables(NamedTuple):
    """Tables around one anchor; N = nodes of (delta, y, rho), T templates, C continuum terms.

    Attributes:
        directions: (K, T R) orthonormal directions of each template times the root weight.
        continuum: (K, C) Legendre polynomials times the root weight.
        series: (T, N, R) Chebyshev series of the templates' coordinates.
        gram: (N', M) series, with fewer orders in delta, of the inner products; M counts the
            pairs of [templates, continuum] among themselves, of these with the templates by
            delta and by y, and of the latter among themselves.
        root: (K,) root weight.
        offset: (K,) channel position minus the window's middle.
        center: (L,) line positions at the anchor minus the middle.
        position: (L,) line positions at the anchor.
        width: (L,) line-spread widths for rho = 1.
        templates: (T, L) strength of each line in each template.
        coverage: (L,) share of each line's area inside the window.
    """

    directions: Any
    continuum: Any
    series: Any
    gram: Any
    root: Any
    offset: Any
    center: Any
    position: Any
    width: Any
    templates: Any
    coverage: Any


class BankSolution(NamedTuple):
    """The fit of a tile of n spectra around one anchor.

    Attributes:
        theta: (n, 2) delta (log Doppler) and y.
        converged: (n,) bool.
        inverse_curvature: (n, 2, 2) covariance of theta.
        coefficients: (n, T + C) template areas and continuum.
        block_covariance: (n, T + C, T + C) at fixed theta.
        response: (n, T + C, 2).
        model: (n, K) best fit.
        chi2: (n,).
        line_free: (n, 2) sum of squared residuals and channel count.
        outlier: (n,).
        profile: (n, 4), see `profile`.
    """

    theta: Any
    converged: Any
    inverse_curvature: Any
    coefficients: Any
    block_covariance: Any
    response: Any
    model: Any
    chi2: Any
    line_free: Any
    outlier: Any
    profile: Any


def _nodes(count: int) -> np.ndarray:
    return np.cos(np.pi * (np.arange(count) + 0.5) / count)


def _to_series(count: int) -> np.ndarray:
    """Matrix (count, count) from values at Chebyshev nodes to Chebyshev coefficients."""
    j, k = np.arange(count), np.arange(count)
    matrix = 2.0 / count * np.cos(np.pi * np.outer(k, j + 0.5) / count)
    matrix[0] *= 0.5
    return matrix


def _series_matrix(n_shift: int, n_spread: int) -> np.ndarray:
    first = np.kron(_to_series(n_shift), _to_series(SHAPE_NODES))
    return np.kron(first, _to_series(n_spread))


def _grid(ranges: Ranges, n_shift: int, n_spread: int) -> tuple[Array, Array, Array]:
    """delta, y, rho at all nodes."""
    shift, shape, spread = np.meshgrid(
        _nodes(n_shift), _nodes(SHAPE_NODES), _nodes(n_spread), indexing="ij"
    )
    delta = shift.ravel() * ranges.shift
    y = 0.5 * (1.0 + ranges.y_low) + 0.5 * (1.0 - ranges.y_low) * shape.ravel()
    half = 0.5 * (ranges.rho_high - ranges.rho_low)
    return delta, y, 0.5 * (ranges.rho_high + ranges.rho_low) + half * spread.ravel()


class Anchor(NamedTuple):
    """What tables are built from.

    Attributes:
        offset: (K,) channel positions minus the window's middle [axis unit].
        root: (K,) square root of the common shape of the inverse variance.
        center, position: (L,) line positions at the anchor, from the middle and from zero.
        width: (L,) Gaussian sigma or first zero of the sinc, for rho = 1.
        templates: (T, L) areas.
        broadening_scale: s0 [km/s].
        ranges: of the Chebyshev variables.
    """

    offset: Any
    root: Any
    center: Any
    position: Any
    width: Any
    templates: Any
    broadening_scale: Any
    ranges: Ranges


def build_tables(anchor: Anchor, facts: BankShape) -> AnchorTables:
    """Tables around one anchor.

    The directions come from numpy: compiled LAPACK can block for ever when two threads ask for
    it at once.
    """
    profiles = _profiles(anchor, facts)
    sample = np.asarray(profiles)[_sample_nodes(facts.n_spread)].astype(float)  # (nodes, T, K)
    products = np.einsum("ntk,mtk->tnm", sample, sample, optimize=True)
    square, mixing = np.linalg.eigh(products)
    square, mixing = square[:, -RANK:], mixing[:, :, -RANK:]
    mixing = mixing / np.sqrt(np.maximum(square, 1e-14 * square[:, -1:]))[:, None, :]
    vectors = np.einsum("ntk,tnr->tkr", sample, mixing, optimize=True).astype(np.float32)
    return _assemble(anchor, profiles, vectors, facts)


def _sample_nodes(n_spread: int) -> np.ndarray:
    """Nodes whose profiles span the others: every second of each variable."""
    count = SHIFT_NODES * SHAPE_NODES * n_spread
    index = np.arange(count).reshape(SHIFT_NODES, SHAPE_NODES, n_spread)
    return index[::2, ::2, ::2].ravel()


def _kernels(anchor: Anchor, facts: BankShape, n_shift: int):
    """Kernel (N, L, K) at all nodes, and the factors (N, L, 1) that turn its derivatives into
    those by delta, -slope P' + drift P'', and by y, bend P''."""
    delta, y, rho = _grid(anchor.ranges, n_shift, facts.n_spread)
    position, scale = anchor.position[None, :], anchor.broadening_scale
    sign = 1.0 if facts.kind == "wavelength" else -1.0
    stretch = jnp.exp(sign * delta)[:, None]
    per_kms = position * stretch / SPEED_OF_LIGHT_KMS
    sigma = per_kms * (scale * jnp.sqrt(jnp.maximum(1.0 / y**2 - 1.0, 0.0)))[:, None]
    lsf = anchor.width[None, :] * rho[:, None]
    moved = anchor.center[None, :] + position * jnp.expm1(sign * delta)[:, None]
    distance = anchor.offset - moved[..., None]
    if facts.shape == "gaussian":
        kernel = gaussian_kernel(distance, jnp.sqrt(lsf**2 + sigma**2)[..., None])
    else:
        kernel = sincgauss_kernel(distance, lsf[..., None], sigma[..., None])
    slope, drift = sign * position * stretch, sign * sigma**2
    bend = -((per_kms * scale) ** 2) / y[:, None] ** 3
    return kernel, slope[..., None], drift[..., None], bend[..., None]


def _mix(templates: Array, lines: Array, mixed: bool) -> Array:
    """Templates (N, T, K) of lines (N, L, K); without ties each template is one line."""
    if not mixed:
        return jnp.diagonal(templates)[:, None] * lines
    parts = [templates[:, k, None] * lines[:, None, k] for k in range(lines.shape[1])]
    return sum(parts[1:], start=parts[0])


@partial(jax.jit, static_argnames=("facts",))
def _profiles(anchor: Anchor, facts: BankShape) -> Array:
    """Templates times the root weight (N, T, K) at all nodes."""
    kernel, *_ = _kernels(anchor, facts, SHIFT_NODES)
    return _mix(anchor.templates, kernel.value, facts.mixed) * anchor.root


@partial(jax.jit, static_argnames=("facts",))
def _assemble(anchor: Anchor, profiles: Array, vectors: Array, facts: BankShape) -> AnchorTables:
    """Node values to Chebyshev series."""
    kernel, slope, drift, bend = _kernels(anchor, facts, GRAM_SHIFT_NODES)
    derivatives = (drift * kernel.second - slope * kernel.first, bend * kernel.second)
    value, by_delta, by_y = (
        _mix(anchor.templates, part, facts.mixed) * anchor.root
        for part in (kernel.value, *derivatives)
    )
    polynomials = _legendre(anchor.offset, facts.continuum_order) * anchor.root
    linear = jnp.concatenate(
        [value, jnp.broadcast_to(polynomials, (len(value), *polynomials.shape))], axis=1
    )
    products = [
        jnp.einsum("Npk,Nqk->Npq", a, b).reshape(len(value), -1)
        for a, b in (
            (linear, linear),
            (linear, by_delta),
            (linear, by_y),
            (by_delta, by_delta),
            (by_delta, by_y),
            (by_y, by_y),
        )
    ]
    coordinates = jnp.einsum("Ntk,tkr->tNr", profiles, vectors)
    of_profiles, of_products = (
        jnp.asarray(_series_matrix(count, facts.n_spread), profiles.dtype)
        for count in (SHIFT_NODES, GRAM_SHIFT_NODES)
    )
    last = 2.0 * anchor.offset[-1:] - anchor.offset[-2:-1]
    spacing = jnp.where(anchor.root > 0, jnp.diff(anchor.offset, append=last), 0.0)
    return AnchorTables(
        directions=jnp.moveaxis(vectors, 0, 1).reshape(len(anchor.offset), -1),
        continuum=polynomials.T,
        series=jnp.einsum("sN,tNr->tsr", of_profiles, coordinates),
        gram=of_products @ jnp.concatenate(products, axis=1),
        root=anchor.root,
        offset=anchor.offset,
        center=anchor.center,
        position=anchor.position,
        width=anchor.width,
        templates=anchor.templates,
        coverage=jnp.einsum("lk,k->l", kernel.value[len(value) // 2], spacing),
    )


def _legendre(offset: Array, order: int) -> Array:
    """(C, K) over the whole window, as in the direct path."""
    x = 2.0 * (offset - offset[0]) / (offset[-1] - offset[0]) - 1.0
    basis = [jnp.ones_like(x), x]
    for k in range(2, order + 1):
        basis.append(((2 * k - 1) * x * basis[-1] - (k - 1) * basis[-2]) / k)
    return jnp.stack(basis[: order + 1])


def _chebyshev(x: Array, count: int) -> Array:
    """T_0 ... T_(count-1) at x (n,): (n, count)."""
    values = [jnp.ones_like(x), x]
    while len(values) < count:
        values.append(2.0 * x * values[-1] - values[-2])
    return jnp.stack(values[:count], axis=-1)


def _chebyshev_slope(x: Array, count: int) -> Array:
    """Derivatives of T_0 ... T_(count-1): k U_(k-1)."""
    second = [jnp.zeros_like(x), jnp.ones_like(x), 2.0 * x]
    while len(second) < count:
        second.append(2.0 * x * second[-1] - second[-2])
    return jnp.stack([k * u for k, u in enumerate(second[:count])], axis=-1)


class _Bases(NamedTuple):
    shift: Array
    shift_slope: Array
    shape: Array
    shape_slope: Array


def _bases(theta: Array, ranges: Ranges) -> _Bases:
    """Chebyshev bases at theta and their derivatives by delta and y."""
    half = 0.5 * (1.0 - ranges.y_low)
    u = theta[:, 0] / ranges.shift
    w = (theta[:, 1] - 0.5 * (1.0 + ranges.y_low)) / half
    return _Bases(
        _chebyshev(u, SHIFT_NODES),
        _chebyshev_slope(u, SHIFT_NODES) / ranges.shift,
        _chebyshev(w, SHAPE_NODES),
        _chebyshev_slope(w, SHAPE_NODES) / half,
    )


def _spread_basis(rho: Array, ranges: Ranges, n_spread: int) -> Array:
    if n_spread == 1:
        return jnp.ones((len(rho), 1), rho.dtype)
    half = 0.5 * (ranges.rho_high - ranges.rho_low)
    return _chebyshev((rho - 0.5 * (ranges.rho_high + ranges.rho_low)) / half, n_spread)


class _Projected(NamedTuple):
    """A tile seen through the tables: series (n, T, shift, shape) of inner products with the
    templates, inner products with the continuum (n, C), data squared (n,), rho basis."""

    series: Array
    continuum: Array
    square: Array
    spread: Array


class _Reduced(NamedTuple):
    chi2: Array
    gradient: Array
    curvature: Array


class _Point(NamedTuple):
    at: _Reduced
    gram: Array
    coefficients: Array
    cross: Array


def _project(data: Array, spread: Array, tables: AnchorTables) -> _Projected:
    """Inner products of a tile with everything in the tables."""
    weighted = data * tables.root
    n, (n_templates, n_nodes, rank) = len(data), tables.series.shape
    z = (weighted @ tables.directions).reshape(n, n_templates, 1, rank)
    z = (z * spread[:, None, :, None]).reshape(n, n_templates, -1)
    n_spread = spread.shape[1]
    # sum over directions and rho at once
    mixed = tables.series.reshape(n_templates, n_nodes // n_spread, n_spread * rank)
    series = jnp.einsum("ntq,tsq->nts", z, mixed)
    series = series.reshape(n, n_templates, SHIFT_NODES, SHAPE_NODES)
    return _Projected(series, weighted @ tables.continuum, jnp.sum(weighted**2, axis=1), spread)


def _full_basis(bases: _Bases, spread: Array, n_shift: int) -> Array:
    """(n, N) product basis at the tile's points."""
    n = len(spread)
    both = (bases.shift[:, :n_shift, None] * bases.shape[:, None, :]).reshape(n, -1)
    return (both[:, :, None] * spread[:, None, :]).reshape(n, -1)


def _products(tables: AnchorTables, basis: Array) -> tuple[Array, ...]:
    """Gram matrix of the linear part, its products with the templates by delta and by y, and
    the three products of these among themselves."""
    t, c = len(tables.series), tables.continuum.shape[1]
    p = t + c
    shapes = [(p, p), (p, t), (p, t), (t, t), (t, t), (t, t)]
    ends = np.cumsum([a * b for a, b in shapes])
    parts = jnp.split(basis @ tables.gram, ends[:-1], axis=1)
    return tuple(part.reshape(-1, *s) for part, s in zip(parts, shapes, strict=True))


def _cross(parts: tuple[Array, Array], strength: Array) -> Array:
    """Products (n, P, 2) of the linear part with the model's derivatives by delta and y."""
    return jnp.stack([jnp.einsum("npt,nt->np", part, strength) for part in parts], axis=2)


def _evaluate(
    theta: Array, seen: _Projected, tables: AnchorTables, ranges: Ranges, honest: bool = False
) -> _Point:
    """The reduced problem at theta, from the tables alone; with ``honest`` the curvature counts
    only the part of each line that is signal (see `information`)."""
    bases = _bases(theta, ranges)
    n_templates = len(tables.series)
    basis = _full_basis(bases, seen.spread, GRAM_SHIFT_NODES)
    gram, to_delta, to_y, delta_delta, delta_y, y_y = _products(tables, basis)
    shapes = jnp.stack([bases.shape, bases.shape_slope], axis=2)
    by_shape = jnp.einsum("ntab,nbd->ntad", seen.series, shapes)
    value, by_y = jnp.moveaxis(jnp.einsum("ntad,na->ntd", by_shape, bases.shift), 2, 0)
    by_delta = jnp.einsum("nta,na->nt", by_shape[..., 0], bases.shift_slope)
    rhs = jnp.concatenate([value, seen.continuum], axis=1)
    lower, scale = scaled_cholesky(gram)
    half_rhs = forward_substitute(lower, (rhs * scale)[..., None])
    coefficients = backward_substitute(lower, half_rhs)[..., 0] * scale
    strength = coefficients[:, :n_templates]
    at_ends = (to_delta, to_y)
    seen_slopes = jnp.stack([jnp.sum(strength * part, axis=1) for part in (by_delta, by_y)], 1)
    cross = _cross(at_ends, strength)
    gradient = seen_slopes - jnp.einsum("np,npd->nd", coefficients, cross)
    if honest:
        variance = jnp.diagonal(inverse(gram), axis1=1, axis2=2)[:, :n_templates]
        strength = strength * jnp.sqrt(signal_share(strength, variance))
        cross = _cross(at_ends, strength)
    dd, dy, yy = (
        jnp.einsum("nt,ntu,nu->n", strength, part, strength) for part in (delta_delta, delta_y, y_y)
    )
    full = jnp.stack([jnp.stack([dd, dy], axis=1), jnp.stack([dy, yy], axis=1)], axis=1)
    half = forward_substitute(lower, cross * scale[..., None])
    curvature = full - jnp.einsum("npd,npe->nde", half, half)
    chi2 = seen.square - jnp.sum(coefficients * rhs, axis=1)
    return _Point(_Reduced(chi2, gradient, curvature), gram, coefficients, cross)


def _free(theta: Array, gradient: Array, ranges: Ranges) -> Array:
    """y is free unless pressed against a bound; delta always is."""
    pressed_low = (theta[:, 1] <= ranges.y_low) & (gradient[:, 1] < 0)
    pressed_high = (theta[:, 1] >= 1.0) & (gradient[:, 1] > 0)
    return jnp.stack([jnp.ones_like(pressed_low), ~(pressed_low | pressed_high)], axis=1)


def _restrict(at: _Reduced, free: Array) -> tuple[Array, Array]:
    gradient = jnp.where(free, at.gradient, 0.0)
    return gradient, jnp.where(free[:, :, None] & free[:, None, :], at.curvature, 0.0)


@partial(jax.jit, static_argnames=("facts",))
def fit_tile(
    theta: Array,
    data: Array,
    rho: Array,
    tables: AnchorTables,
    broadening_scale: Array,
    ranges: Ranges,
    facts: BankShape,
    n_steps: Array | int,
) -> BankSolution:
    """Fit n spectra around one anchor.

    Args:
        theta: (n, 2) delta and y to start from.
        data: (n, K) normalised spectra in the anchor's window.
        rho: (n,) line-spread factor of each row.
        tables: of the anchor.
        broadening_scale: s0 [km/s] for rho = 1.
        ranges: of the Chebyshev variables.
        facts: static facts.
        n_steps: Levenberg-Marquardt steps.

    Returns:
        `BankSolution`; a row whose delta ends at the range's edge is not converged.
    """
    spread = _spread_basis(rho, ranges, facts.n_spread)
    seen = _project(data, spread, tables)
    slack = 1e-5 * seen.square

    low = jnp.stack([-ranges.shift, ranges.y_low])
    high = jnp.stack([ranges.shift, 1.0 + 0.0 * ranges.y_low])

    def body(_, state):
        best, at, damping, trial = state
        new = _evaluate(trial, seen, tables, ranges).at
        accept = new.chi2 <= at.chi2 + slack
        damping = jnp.where(accept, damping * 0.1, jnp.maximum(damping * 10.0, 1e-3))
        best = jnp.where(accept[:, None], trial, best)
        at = jax.tree.map(
            lambda a, b: jnp.where(accept.reshape(-1, *([1] * (a.ndim - 1))), a, b), new, at
        )
        gradient, curvature = _restrict(at, _free(best, at.gradient, ranges))
        diagonal = jnp.diagonal(curvature, axis1=1, axis2=2)
        damped = curvature + damping[:, None, None] * diagonal[:, :, None] * jnp.eye(2)
        step = solve(damped, gradient[..., None])[..., 0]
        step = jnp.clip(step, jnp.stack([-ranges.shift, -0.3]), jnp.stack([ranges.shift, 0.3]))
        return best, at, damping, jnp.clip(best + step, low, high)

    # the first pass of the loop evaluates the start: the body is compiled once
    n = len(data)
    nowhere = _Reduced(jnp.full(n, jnp.inf), jnp.zeros((n, 2)), jnp.zeros((n, 2, 2)))
    state = (theta, nowhere, jnp.full(n, 1e-2, data.dtype), theta)
    theta = jax.lax.fori_loop(0, n_steps, body, state)[3]
    point = _evaluate(theta, seen, tables, ranges, honest=True)
    return _describe(theta, point, data, rho, spread, tables, broadening_scale, ranges, facts)


def _describe(
    theta: Array,
    point: _Point,
    data: Array,
    rho: Array,
    spread: Array,
    tables: AnchorTables,
    broadening_scale: Array,
    ranges: Ranges,
    facts: BankShape,
) -> BankSolution:
    gradient, curvature = _restrict(point.at, _free(theta, point.at.gradient, ranges))
    decrease = jnp.einsum("nd,nd->n", gradient, solve(curvature, gradient[..., None])[..., 0])
    inside = jnp.abs(theta[:, 0]) < 0.999 * ranges.shift
    n_templates = len(tables.series)
    basis = _full_basis(_bases(theta, ranges), spread, SHIFT_NODES)
    coordinates = jnp.einsum("ns,tsr->ntr", basis, tables.series)
    coordinates = coordinates * point.coefficients[:, :n_templates, None]
    weighted_model = coordinates.reshape(len(data), -1) @ tables.directions.T
    weighted_model += point.coefficients[:, n_templates:] @ tables.continuum.T
    residual = data * tables.root - weighted_model
    center, width = _centers_and_widths(theta, rho, tables, broadening_scale, facts)
    height = point.coefficients[:, :n_templates] @ tables.templates / width
    residual, center, width, height = jax.lax.optimization_barrier(
        (residual, center, width, height)
    )
    far = _far(center, width, tables)
    used = tables.root > 0
    squared = residual**2
    model = data - jnp.where(used, residual / jnp.where(used, tables.root, 1.0), data)
    return BankSolution(
        theta=theta,
        converged=inside & (decrease < CONVERGED),
        inverse_curvature=inverse(point.at.curvature),
        coefficients=point.coefficients,
        block_covariance=inverse(point.gram),
        response=solve(point.gram, point.cross),
        model=model,
        chi2=jnp.sum(squared, axis=1),
        line_free=_sum_and_count(squared, far & used),
        outlier=lonely_residual(residual),
        profile=shared_profile_score(
            residual, tables.root, tables.offset, tables.center, center, width, height
        ),
    )


def _centers_and_widths(
    theta: Array, rho: Array, tables: AnchorTables, broadening_scale: Array, facts: BankShape
) -> tuple[Array, Array]:
    """Positions of the lines (n, L) from the window's middle, and their Gaussian sigmas."""
    sign = 1.0 if facts.kind == "wavelength" else -1.0
    center = tables.center + tables.position * jnp.expm1(sign * theta[:, :1])
    broadening = broadening_scale * jnp.sqrt(jnp.maximum(1.0 / theta[:, 1:] ** 2 - 1.0, 0.0))
    sigma = tables.position * jnp.exp(sign * theta[:, :1]) * broadening / SPEED_OF_LIGHT_KMS
    lsf = tables.width * rho[:, None] * (1.0 if facts.shape == "gaussian" else 0.5)
    return center, jnp.sqrt(lsf**2 + sigma**2)


def _far(center: Array, width: Array, tables: AnchorTables) -> Array:
    """Channels (n, K) away from all lines (as in the direct path)."""
    closest = jnp.full((len(center), len(tables.offset)), jnp.inf)
    for line in range(tables.center.shape[0]):
        distance = jnp.abs(tables.offset[None, :] - center[:, line, None])
        closest = jnp.minimum(closest, distance / width[:, line, None])
    return closest >= 4.0


def _sum_and_count(squared: Array, where: Array) -> Array:
    total = jnp.sum(jnp.where(where, squared, 0.0), axis=1)
    return jnp.stack([total, jnp.sum(where, axis=1).astype(total.dtype)], axis=-1)
