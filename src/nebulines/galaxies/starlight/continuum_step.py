"""One step of the fit of starlight, for a batch: stellar templates that are not negative, their
velocity, dispersion and reddening, a multiplicative polynomial, and gas lines beside them.

The model of a spectrum on the rest-frame grid is

    m = P(lambda) 10^(-0.4 k(lambda) E(B-V)) [K(v, q) * sum_k x_k T_k] + sum_l a_l g_l,

x_k >= 0, K a Gaussian of mean v and variance q, P a polynomial with mean 1, g_l the profiles of
gas lines. The x and a are solved for exactly at every step (variable projection), v, q, E(B-V) and
the polynomial by Gauss-Newton; the derivatives of the convolution are those of its result,
dm/dv = -m', dm/dq = m''/2.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve

from nebulines.galaxies.starlight.nnls import NonNegative, solve_nonnegative
from nebulines.galaxies.starlight.velocity_kernel import curvature, moved, slope

LARGEST_SHIFT = 5.0
LARGEST_VARIANCE = 36.0
LARGEST_REDDENING = 1.5
LARGEST_COEFFICIENT = 0.5
_NNLS_STEPS = 8
_LONGEST = (1.5, 6.0, 0.2, 0.2)
_PRIOR_SIGMA = (5.0, 12.0, 3.0, 0.3)
_PRIOR_MEAN = (0.0, 4.0, 0.1, 0.0)
"""Of v [channels], q [channels^2], E(B-V) [mag] and a polynomial's coefficient: where the data say
nothing, the answer stays there."""
_HELD = 1e12


class Shape(NamedTuple):
    """What is not linear, of n spectra: v (n,) [channels], q (n,) [channels^2], E(B-V) (n,) and
    the coefficients (n, P) of the polynomial."""

    velocity: jax.Array
    variance: jax.Array
    reddening: jax.Array
    polynomial: jax.Array


class Tables(NamedTuple):
    """What all spectra share: shifted vectors (TAPS, r, p), mixing (k, r), dust (p,) and the
    polynomials (P, p)."""

    shifted: jax.Array
    mixing: jax.Array
    dust: jax.Array
    polynomials: jax.Array


class Stepped(NamedTuple):
    """Outcome of a step.

    Attributes:
        shape: for the next step.
        stars, gas: (n, p) the model at the shape that was given.
        amplitude: (n, L) of the gas profiles.
        amplitude_variance: (n, L) what the freedom of the starlight adds to their variance.
        weights: (n, k) of the templates.
        covariance: (n, 3) variances of v, q, E(B-V).
        chi2: (n,).
    """

    shape: Shape
    stars: jax.Array
    gas: jax.Array
    amplitude: jax.Array
    amplitude_variance: jax.Array
    weights: jax.Array
    covariance: jax.Array
    chi2: jax.Array


class _Gas(NamedTuple):
    """Gas lines, weighted (n, L, m), the inverse of their Gram matrix (n, L, L), and their
    amplitudes beside the r vectors: alone (n, L), and what a unit of each vector takes off
    (n, L, r)."""

    lines: jax.Array
    inverse: jax.Array
    alone: jax.Array
    taken: jax.Array


class _Linear(NamedTuple):
    """The linear part: template weights, the mixture of vectors (n, r), Hessian of the templates
    with the barrier (n, k, k)."""

    solved: NonNegative
    mixture: jax.Array
    hessian: jax.Array


@partial(jax.jit, static_argnames=("with_gas",))
def take_step(
    shape: Shape,
    tables: Tables,
    data: jax.Array,
    weight: jax.Array,
    profiles: jax.Array,
    near: jax.Array,
    free: jax.Array,
    *,
    with_gas: bool,
) -> Stepped:
    """Solve the linear part at a shape and improve the shape.

    Args:
        shape: where to start.
        tables: of the basis.
        data, weight: (n, p) flux and inverse variance, in units in which the noise is about 1.
        profiles: (n, L, m) gas lines on the channels ``near``; (n, 0, m) without.
        near: (m,) numbers of the channels that lines may reach.
        free: (3 + P,) 1 for what may move, 0 for what is held.
        with_gas: whether there are profiles.

    Returns:
        `Stepped`.
    """
    root = jnp.sqrt(weight)
    target = data * root
    broad = moved(shape.velocity, shape.variance, tables.shifted)
    reddened = jnp.exp(-shape.reddening[:, None] * tables.dust)
    calibration = 1.0 + shape.polynomial @ tables.polynomials
    light = reddened * calibration
    vectors = broad * (light * root)[:, None, :]
    gas = None
    if with_gas:
        lines = profiles * root[:, None, near]
        gas = _gas(lines, vectors[:, :, near], target[:, near])
    linear = _solve_linear(vectors, target, gas, near, tables.mixing)
    bare = jnp.einsum("na,nap->np", linear.mixture, broad)
    amplitude, gas_model = _amplitudes(gas, linear, near, data)
    residual = target - bare * light * root - gas_model
    directions = _directions(bare, light * root, reddened * root, tables)
    normal = _normal(directions, vectors, gas, near, linear, tables.mixing)
    change, inverse = _improve(shape, normal, directions, residual, free)
    safe = jnp.where(root > 0, root, 1.0)
    return Stepped(
        _bounded(_flat(shape) + change),
        bare * light,
        jnp.where(root > 0, gas_model / safe, 0.0),
        amplitude,
        _added_variance(gas, linear, tables.mixing, amplitude),
        linear.solved.x,
        jnp.diagonal(inverse, axis1=1, axis2=2)[:, :3],
        jnp.sum(residual**2, axis=1),
    )


def _gas(lines: jax.Array, vectors: jax.Array, target: jax.Array) -> _Gas:
    gram = jnp.einsum("nap,nbp->nab", lines, lines)
    size = jnp.diagonal(gram, axis1=1, axis2=2)
    ridge = jnp.where(size > 0, 1e-6 * size, 1.0)
    eye = jnp.eye(lines.shape[1], dtype=lines.dtype)
    factor = cho_factor(gram + ridge[:, :, None] * eye, lower=True)
    inverse = cho_solve(factor, jnp.broadcast_to(eye, gram.shape))
    alone = jnp.einsum("nab,nb->na", inverse, jnp.einsum("nap,np->na", lines, target))
    taken = inverse @ jnp.einsum("nap,nbp->nab", lines, vectors)
    return _Gas(lines, inverse, alone, taken)


def _solve_linear(
    vectors: jax.Array,
    target: jax.Array,
    gas: _Gas | None,
    near: jax.Array,
    mixing: jax.Array,
) -> _Linear:
    gram = jnp.einsum("nap,nbp->nab", vectors, vectors)
    moment = jnp.einsum("nap,np->na", vectors, target)
    if gas is not None:
        mixed = jnp.einsum("nap,nbp->nab", gas.lines, vectors[:, :, near])
        gram = gram - jnp.einsum("nga,ngb->nab", mixed, gas.taken)
        moment = moment - jnp.einsum("nga,ng->na", mixed, gas.alone)
    templates = jnp.einsum("ka,nab,lb->nkl", mixing, gram, mixing)
    solved = solve_nonnegative(templates, moment @ mixing.T, steps=_NNLS_STEPS)
    size = jnp.diagonal(templates, axis1=1, axis2=2)
    stiff = (solved.barrier + 1e-5 * size)[:, :, None] * jnp.eye(len(mixing), dtype=gram.dtype)
    return _Linear(solved, solved.x @ mixing, templates + stiff)


def _amplitudes(
    gas: _Gas | None, linear: _Linear, near: jax.Array, data: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Amplitudes (n, L) of the gas and its model (n, p), weighted."""
    if gas is None:
        return jnp.zeros((len(data), 0), data.dtype), jnp.zeros_like(data)
    amplitude = gas.alone - jnp.einsum("nga,na->ng", gas.taken, linear.mixture)
    model = jnp.einsum("ng,ngp->np", amplitude, gas.lines)
    return amplitude, jnp.zeros_like(data).at[:, near].set(model)


def _directions(bare: jax.Array, light: jax.Array, plain: jax.Array, tables: Tables) -> jax.Array:
    """Derivatives (n, 3 + P, p) of the weighted model."""
    first = jnp.stack(
        [-slope(bare) * light, 0.5 * curvature(bare) * light, -tables.dust * bare * light], axis=1
    )
    return jnp.concatenate([first, (bare * plain)[:, None, :] * tables.polynomials], axis=1)


def _normal(
    directions: jax.Array,
    vectors: jax.Array,
    gas: _Gas | None,
    near: jax.Array,
    linear: _Linear,
    mixing: jax.Array,
) -> jax.Array:
    """Gram matrix of the derivatives with gas and templates projected out."""
    normal = jnp.einsum("nap,nbp->nab", directions, directions)
    cross = jnp.einsum("nap,nbp->nab", directions, vectors)
    if gas is not None:
        seen = jnp.einsum("nap,ngp->nag", directions[:, :, near], gas.lines)
        normal = normal - jnp.einsum("nag,ngh,nbh->nab", seen, gas.inverse, seen)
        cross = cross - seen @ gas.taken
    cross = cross @ mixing.T
    factor = cho_factor(linear.hessian, lower=True)
    return normal - cross @ cho_solve(factor, jnp.swapaxes(cross, 1, 2))


def _improve(
    shape: Shape, normal: jax.Array, directions: jax.Array, residual: jax.Array, free: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The Gauss-Newton step (n, 3 + P), no longer than allowed, and the inverse of its matrix."""
    kinds = jnp.minimum(jnp.arange(len(free)), 3)
    tight = jnp.asarray(_PRIOR_SIGMA)[kinds] ** -2
    mean, longest = jnp.asarray(_PRIOR_MEAN)[kinds], jnp.asarray(_LONGEST)[kinds]
    diagonal = jnp.maximum(jnp.diagonal(normal, axis1=1, axis2=2), 0.0)
    stiff = tight + 1e-4 * diagonal + (1.0 - free) * _HELD
    inverse = jnp.linalg.inv(normal + stiff[:, :, None] * jnp.eye(len(free), dtype=normal.dtype))
    gradient = jnp.einsum("nap,np->na", directions, residual)
    pull = (gradient + tight * (mean - _flat(shape))) * free
    return jnp.clip(jnp.einsum("nab,nb->na", inverse, pull), -longest, longest) * free, inverse


def _added_variance(
    gas: _Gas | None, linear: _Linear, mixing: jax.Array, amplitude: jax.Array
) -> jax.Array:
    """(n, L) variance of the gas's amplitudes that comes from the templates' freedom."""
    if gas is None:
        return jnp.zeros_like(amplitude)
    path = jnp.swapaxes(gas.taken @ mixing.T, 1, 2)
    return jnp.sum(path * cho_solve(cho_factor(linear.hessian, lower=True), path), axis=1)


def _flat(shape: Shape) -> jax.Array:
    first = jnp.stack([shape.velocity, shape.variance, shape.reddening], axis=1)
    return jnp.concatenate([first, shape.polynomial], axis=1)


def _bounded(flat: jax.Array) -> Shape:
    return Shape(
        jnp.clip(flat[:, 0], -LARGEST_SHIFT, LARGEST_SHIFT),
        jnp.clip(flat[:, 1], 0.0, LARGEST_VARIANCE),
        jnp.clip(flat[:, 2], 0.0, LARGEST_REDDENING),
        jnp.clip(flat[:, 3:], -LARGEST_COEFFICIENT, LARGEST_COEFFICIENT),
    )
