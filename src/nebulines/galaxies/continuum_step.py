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

from nebulines.galaxies.nnls import solve_nonnegative

TAPS = 64
"""Channels of the velocity kernel: shifts of 6 and sigmas of 6 channels fit in."""
LARGEST_SHIFT = 6.0
LARGEST_VARIANCE = 40.0
LARGEST_REDDENING = 1.5
_STEPS_NNLS = 10
_LONGEST = (1.5, 6.0, 0.2, 0.2)
_PRIOR_SIGMA = (5.0, 12.0, 3.0, 0.3)
_PRIOR_MEAN = (0.0, 4.0, 0.1, 0.0)
"""Of v [channels], q [channels^2], E(B-V) [mag] and a polynomial's coefficient: where the data say
nothing, the answer stays there."""


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


def shift_table(vectors: jax.Array) -> jax.Array:
    """Vectors (r, p) moved by -32 ... 31 channels (TAPS, r, p), constant beyond their ends."""
    half = TAPS // 2
    padded = jnp.pad(vectors, ((0, 0), (half, half)), mode="edge")
    p = vectors.shape[1]
    return jnp.stack([padded[:, half - t : half - t + p] for t in range(-half, half)])


def kernel(velocity: jax.Array, variance: jax.Array) -> jax.Array:
    """Gaussians (n, TAPS) of mean ``velocity`` and variance ``variance`` [channels], exact for
    what the grid resolves, however narrow: the inverse Fourier transform of exp(-q w^2 / 2)."""
    half = TAPS // 2
    tap = jnp.arange(-half, half, dtype=velocity.dtype)
    frequency = 2.0 * jnp.pi / TAPS * jnp.arange(-half, half, dtype=velocity.dtype)
    damping = jnp.exp(-0.5 * variance[:, None] * frequency**2)
    phase = frequency[:, None] * (tap - velocity[:, None])[:, None, :]
    return jnp.einsum("nf,nft->nt", damping, jnp.cos(phase)) / TAPS


def _slope(values: jax.Array) -> jax.Array:
    """First derivative along the channels, to fourth order."""
    p = jnp.pad(values, ((0, 0), (2, 2)), mode="edge")
    return (8.0 * (p[:, 3:-1] - p[:, 1:-3]) - (p[:, 4:] - p[:, :-4])) / 12.0


def _curvature(values: jax.Array) -> jax.Array:
    """Second derivative along the channels, to fourth order."""
    p = jnp.pad(values, ((0, 0), (2, 2)), mode="edge")
    near = p[:, 3:-1] + p[:, 1:-3]
    return (16.0 * near - 30.0 * values - (p[:, 4:] + p[:, :-4])) / 12.0


def _solve(matrix: jax.Array, right: jax.Array) -> jax.Array:
    factor = jax.scipy.linalg.cho_factor(matrix, lower=True)
    return jax.scipy.linalg.cho_solve(factor, right)


@partial(jax.jit, static_argnames=("with_gas",))
def take_step(
    shape: Shape,
    tables: Tables,
    data: jax.Array,
    weight: jax.Array,
    profiles: jax.Array,
    free: jax.Array,
    *,
    with_gas: bool,
) -> Stepped:
    """Solve the linear part at a shape and improve the shape.

    Args:
        shape: where to start.
        tables: of the basis.
        data, weight: (n, p) flux and inverse variance, in units in which the noise is about 1.
        profiles: (n, L, p) gas lines; (n, 0, p) without.
        free: (3 + P,) 1 for what may move, 0 for what is held.
        with_gas: whether there are profiles.

    Returns:
        `Stepped`.
    """
    root = jnp.sqrt(weight)
    r = tables.mixing.shape[1]
    moved = jnp.einsum(
        "nt,tq->nq", kernel(shape.velocity, shape.variance), tables.shifted.reshape(TAPS, -1)
    ).reshape(len(data), r, -1)
    factor = jnp.exp(-shape.reddening[:, None] * tables.dust)
    calibration = 1.0 + shape.polynomial @ tables.polynomials
    vectors = moved * (factor * calibration * root)[:, None, :]
    target = data * root
    gas = profiles * root[:, None, :]
    gram = jnp.einsum("nap,nbp->nab", vectors, vectors)
    moment = jnp.einsum("nap,np->na", vectors, target)
    onto_gas = jnp.zeros((len(data), 0, r), data.dtype)
    if with_gas:
        gas_gram = jnp.einsum("nap,nbp->nab", gas, gas)
        size = jnp.diagonal(gas_gram, axis1=1, axis2=2)
        ridge = jnp.where(size > 0, 1e-6 * size, 1.0)
        gas_gram = gas_gram + ridge[:, :, None] * jnp.eye(gas.shape[1], dtype=data.dtype)
        mixed = jnp.einsum("nap,nbp->nab", gas, vectors)
        gas_moment = jnp.einsum("nap,np->na", gas, target)
        onto_gas = _solve(gas_gram, mixed)
        gas_alone = _solve(gas_gram, gas_moment[..., None])[..., 0]
        gram = gram - jnp.einsum("nga,ngb->nab", mixed, onto_gas)
        moment = moment - jnp.einsum("nga,ng->na", mixed, gas_alone)
    templates = jnp.einsum("ka,nab,lb->nkl", tables.mixing, gram, tables.mixing)
    solved = solve_nonnegative(templates, moment @ tables.mixing.T, steps=_STEPS_NNLS)
    mixture = solved.x @ tables.mixing
    stars = jnp.einsum("na,nap->np", mixture, vectors)
    gas_model = jnp.zeros_like(stars)
    amplitude = jnp.zeros(gas.shape[:2], data.dtype)
    if with_gas:
        amplitude = gas_alone - jnp.einsum("nga,na->ng", onto_gas, mixture)
        gas_model = jnp.einsum("ng,ngp->np", amplitude, gas)
    residual = target - stars - gas_model
    bare = jnp.einsum("na,nap->np", mixture, moved)
    light = factor * calibration * root
    slopes = [-_slope(bare) * light, 0.5 * _curvature(bare) * light, -tables.dust * stars]
    uncalibrated = bare * factor * root
    directions = jnp.concatenate(
        [jnp.stack(slopes, axis=1), uncalibrated[:, None, :] * tables.polynomials], axis=1
    )
    normal = jnp.einsum("nap,nbp->nab", directions, directions)
    cross = jnp.einsum("nap,nbp->nab", directions, vectors)
    if with_gas:
        seen = jnp.einsum("nap,ngp->nag", directions, gas)
        normal = normal - jnp.einsum(
            "nag,nbg->nab", seen, jnp.swapaxes(_solve(gas_gram, jnp.swapaxes(seen, 1, 2)), 1, 2)
        )
        cross = cross - jnp.einsum("nag,ngb->nab", seen, onto_gas)
    k = tables.mixing.shape[0]
    eye = jnp.eye(k, dtype=data.dtype)
    size = jnp.diagonal(templates, axis1=1, axis2=2)
    hessian = templates + (solved.barrier + 1e-5 * size)[:, :, None] * eye
    cross = cross @ tables.mixing.T
    normal = normal - cross @ _solve(hessian, jnp.swapaxes(cross, 1, 2))
    gradient = jnp.einsum("nap,np->na", directions, residual)
    held = jnp.stack([jnp.asarray(_PRIOR_SIGMA)[i] ** -2 for i in _kinds(tables)])
    mean = jnp.stack([jnp.asarray(_PRIOR_MEAN)[i] for i in _kinds(tables)])
    at = _flat(shape)
    diagonal = jnp.diagonal(normal, axis1=1, axis2=2)
    stiff = held + 1e-4 * jnp.maximum(diagonal, 0.0) + (1.0 - free) * 1e12
    normal = normal + stiff[:, :, None] * jnp.eye(len(held), dtype=data.dtype)
    pull = (gradient + held * (mean - at)) * free
    inverse = jnp.linalg.inv(normal)
    longest = jnp.stack([jnp.asarray(_LONGEST)[i] for i in _kinds(tables)])
    change = jnp.clip(jnp.einsum("nab,nb->na", inverse, pull), -longest, longest) * free
    added = jnp.zeros(amplitude.shape, data.dtype)
    if with_gas:
        path = jnp.swapaxes(onto_gas @ tables.mixing.T, 1, 2)
        added = jnp.sum(path * _solve(hessian, path), axis=1)
    safe = jnp.where(root > 0, root, 1.0)
    stars_free = bare * factor * calibration
    return Stepped(
        _bounded(at + change),
        stars_free,
        jnp.where(root > 0, gas_model / safe, 0.0),
        amplitude,
        added,
        solved.x,
        jnp.diagonal(inverse, axis1=1, axis2=2)[:, :3],
        jnp.sum(residual**2, axis=1),
    )


def _kinds(tables: Tables) -> list[int]:
    return [0, 1, 2] + [3] * tables.polynomials.shape[0]


def _flat(shape: Shape) -> jax.Array:
    first = jnp.stack([shape.velocity, shape.variance, shape.reddening], axis=1)
    return jnp.concatenate([first, shape.polynomial], axis=1)


def _bounded(flat: jax.Array) -> Shape:
    return Shape(
        jnp.clip(flat[:, 0], -LARGEST_SHIFT, LARGEST_SHIFT),
        jnp.clip(flat[:, 1], 0.0, LARGEST_VARIANCE),
        jnp.clip(flat[:, 2], 0.0, LARGEST_REDDENING),
        jnp.clip(flat[:, 3:], -0.5, 0.5),
    )
