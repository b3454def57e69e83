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

from threading import Lock
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_factor

from nebulines.fitting.small_solve import forward_substitute, inverse
from nebulines.galaxies.starlight.nnls import solve_nonnegative
from nebulines.galaxies.starlight.velocity_kernel import (
    convolved,
    curvature,
    gathered,
    kernel,
    moved,
    slope,
)
from nebulines.kept_programs import keep_programs

LARGEST_SHIFT = 5.0
LARGEST_VARIANCE = 36.0
LARGEST_REDDENING = 1.5
LARGEST_COEFFICIENT = 0.5
POLYNOMIAL_ORDER = 6
"""Of the multiplicative polynomial that stands for errors of the flux calibration."""
_NNLS_STEPS = 8
_LONGEST = (1.5, 6.0, 0.2, 0.2)
_PRIOR_SIGMA = (5.0, 12.0, 3.0, 0.3)
_PRIOR_MEAN = (0.0, 4.0, 0.1, 0.0)
"""Of v [channels], q [channels^2], E(B-V) [mag] and a polynomial's coefficient: where the data say
nothing, the answer stays there."""
Moving = Literal["dust", "polynomial"]
"""What moves in a step beside v and q: E(B-V), with the polynomial held, or the reverse."""
_LAPACK = Lock()
"""XLA's programs with LAPACK in them can wait for each other for ever when two threads run them;
those without do not."""


class Shape(NamedTuple):
    """What is not linear, of n spectra: v (n,) [channels], q (n,) [channels^2], E(B-V) (n,) and
    the coefficients (n, P) of the polynomial."""

    velocity: jax.Array
    variance: jax.Array
    reddening: jax.Array
    polynomial: jax.Array


class Tables(NamedTuple):
    """What all spectra share: shifted vectors (taps, r, c) of pieces of c channels that follow
    each other, the vectors (r, p + taps) with their ends continued, mixing (k, r), dust (p,) and
    the polynomials (P, p)."""

    shifted: tuple[jax.Array, ...]
    vectors: jax.Array
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


class _Weighed(NamedTuple):
    """The model before its linear part is solved: the kernels (n, taps), square root of the
    weight, reddening and light (n, p), the gas, and the normal equations of the vectors (n, r, r),
    (n, r), gas projected out."""

    taps: jax.Array
    root: jax.Array
    reddened: jax.Array
    light: jax.Array
    gas: _Gas | None
    gram: jax.Array
    moment: jax.Array


class _Linear(NamedTuple):
    """The linear part: template weights (n, k), the mixture of vectors (n, r), and the covariance
    that the templates' freedom leaves to it (n, r, r)."""

    weights: jax.Array
    mixture: jax.Array
    freedom: jax.Array


def take_step(
    shape: Shape,
    tables: Tables,
    data: jax.Array,
    weight: jax.Array,
    profiles: jax.Array,
    near: jax.Array,
    *,
    moving: Moving,
) -> Stepped:
    """Solve the linear part at a shape and improve the shape.

    Args:
        shape: where to start.
        tables: of the basis.
        data, weight: (n, p) flux and inverse variance, in units in which the noise is about 1.
        profiles: (n, L, m) gas lines on the channels ``near``; (n, 0, m) without.
        near: (m,) numbers of the channels that lines may reach.
        moving: what may move beside the kinematics.

    Returns:
        `Stepped`; its variance of E(B-V) is 0 where this is held.
    """
    weighed = _weigh(shape, tables, data, weight, profiles, near)
    with _LAPACK:
        linear = jax.block_until_ready(_solve_linear(weighed.gram, weighed.moment, tables.mixing))
    return _move(shape, tables, data, near, weighed, linear, moving=moving)


@keep_programs()
def _weigh(
    shape: Shape,
    tables: Tables,
    data: jax.Array,
    weight: jax.Array,
    profiles: jax.Array,
    near: jax.Array,
) -> _Weighed:
    n_taps = len(tables.shifted[0])
    taps = kernel(shape.velocity, shape.variance, n_taps)
    root = jnp.sqrt(weight)
    reddened = jnp.exp(-shape.reddening[:, None] * tables.dust)
    light = reddened * (1.0 + shape.polynomial @ tables.polynomials)
    gram, moment = _products(taps, tables.shifted, light * root, data * root)
    gas = None
    if profiles.shape[1]:
        ahead = near + n_taps - jnp.arange(n_taps)[:, None]
        under = moved(taps, jnp.moveaxis(tables.vectors[:, ahead], 0, 1))
        under = under * (light * root)[:, None, near]
        gas, mixed = _gas(profiles * root[:, None, near], under, (data * root)[:, near])
        gram = gram - jnp.einsum("nga,ngb->nab", mixed, gas.taken)
        moment = moment - jnp.einsum("nga,ng->na", mixed, gas.alone)
    return _Weighed(taps, root, reddened, light, gas, gram, moment)


def _products(
    taps: jax.Array, shifted: tuple[jax.Array, ...], light: jax.Array, target: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Products of the moved vectors with each other (n, r, r) and with the target (n, r), piece by
    piece: all vectors of a tile at once would not fit the cache."""
    n, r = len(taps), shifted[0].shape[1]
    gram, moment, start = jnp.zeros((n, r, r), taps.dtype), jnp.zeros((n, r), taps.dtype), 0
    for piece in shifted:
        here = slice(start, start + piece.shape[2])
        vectors = moved(taps, piece) * light[:, None, here]
        gram = gram + jnp.einsum("nap,nbp->nab", vectors, vectors)
        moment = moment + jnp.einsum("nap,np->na", vectors, target[:, here])
        start = here.stop
    return gram, moment


def _gas(lines: jax.Array, vectors: jax.Array, target: jax.Array) -> tuple[_Gas, jax.Array]:
    """The gas, and the products (n, L, r) of its lines with the vectors."""
    solved = inverse(jnp.einsum("nap,nbp->nab", lines, lines), 1e-6)
    alone = jnp.einsum("nab,nb->na", solved, jnp.einsum("nap,np->na", lines, target))
    mixed = jnp.einsum("nap,nbp->nab", lines, vectors)
    return _Gas(lines, solved, alone, solved @ mixed), mixed


@jax.jit  # LAPACK is set up where a program is traced, so that it cannot be kept
def _solve_linear(gram: jax.Array, moment: jax.Array, mixing: jax.Array) -> _Linear:
    templates = jnp.einsum("ka,nab,lb->nkl", mixing, gram, mixing)
    solved = solve_nonnegative(templates, moment @ mixing.T, steps=_NNLS_STEPS)
    size = jnp.diagonal(templates, axis1=1, axis2=2)
    stiff = (solved.barrier + 1e-5 * size)[:, :, None] * jnp.eye(len(mixing), dtype=gram.dtype)
    lower, _ = cho_factor(templates + stiff, lower=True)
    many = jnp.broadcast_to(mixing, (len(gram), *mixing.shape))
    # LAPACK would call up threads for so many columns
    half = forward_substitute(lower, many)
    return _Linear(solved.x, solved.x @ mixing, jnp.einsum("nka,nkb->nab", half, half))


@keep_programs(static_argnames=("moving",))
def _move(
    shape: Shape,
    tables: Tables,
    data: jax.Array,
    near: jax.Array,
    weighed: _Weighed,
    linear: _Linear,
    *,
    moving: Moving,
) -> Stepped:
    root, gas = weighed.root, weighed.gas
    light = weighed.light * root
    half = weighed.taps.shape[1] // 2
    bare = convolved(weighed.taps, linear.mixture @ tables.vectors[:, half:-half])
    amplitude, gas_model = _amplitudes(gas, linear, near, data)
    residual = (data - bare * weighed.light) * root - gas_model
    directions = _directions(bare, light, weighed.reddened * root, tables, moving)
    crossed = _crossed(directions, bare, weighed, tables, moving)
    normal = _normal(directions, crossed, gas, near, linear)
    change, variance = _improve(shape, normal, directions, residual, moving)
    safe = jnp.where(root > 0, root, 1.0)
    return Stepped(
        _bounded(_flat(shape) + change),
        bare * weighed.light,
        jnp.where(root > 0, gas_model / safe, 0.0),
        amplitude,
        _added_variance(gas, linear, amplitude),
        linear.weights,
        variance[:, :3],
        jnp.sum(residual**2, axis=1),
    )


def _amplitudes(
    gas: _Gas | None, linear: _Linear, near: jax.Array, data: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Amplitudes (n, L) of the gas and its model (n, p), weighted."""
    if gas is None:
        return jnp.zeros((len(data), 0), data.dtype), jnp.zeros_like(data)
    amplitude = gas.alone - jnp.einsum("nga,na->ng", gas.taken, linear.mixture)
    model = jnp.einsum("ng,ngp->np", amplitude, gas.lines)
    return amplitude, jnp.zeros_like(data).at[:, near].set(model)


def _directions(
    bare: jax.Array, light: jax.Array, plain: jax.Array, tables: Tables, moving: Moving
) -> jax.Array:
    """Derivatives (n, D, p) of the weighted model: by v, q, and what else moves."""
    kinematics = [-slope(bare) * light, 0.5 * curvature(bare) * light]
    if moving == "dust":
        return jnp.stack([*kinematics, -tables.dust * bare * light], axis=1)
    calibration = (bare * plain)[:, None, :] * tables.polynomials
    return jnp.concatenate([jnp.stack(kinematics, axis=1), calibration], axis=1)


def _moved_columns(moving: Moving) -> np.ndarray:
    """Which numbers of a shape the derivatives belong to."""
    polynomial = np.arange(3, 3 + POLYNOMIAL_ORDER)
    return np.array([0, 1, 2]) if moving == "dust" else np.array([0, 1, *polynomial])


def _crossed(
    directions: jax.Array, bare: jax.Array, weighed: _Weighed, tables: Tables, moving: Moving
) -> jax.Array:
    """Products (n, D, r) of the derivatives with the moved vectors, by moving the derivatives back
    instead. Polynomials are so smooth that they are taken as constant under a kernel."""
    light = (weighed.light * weighed.root)[:, None, :]
    half = weighed.taps.shape[1] // 2
    if moving == "dust":
        return gathered(weighed.taps, directions * light) @ tables.vectors.T
    calibration = (bare * weighed.reddened * weighed.root)[:, None, :]
    back = gathered(weighed.taps, jnp.concatenate([directions[:, :2], calibration], axis=1) * light)
    polynomials = jnp.pad(tables.polynomials, ((0, 0), (half, half)), mode="edge")
    bent = polynomials[:, None, :] * tables.vectors
    kinematics = jnp.einsum("nap,rp->nar", back[:, :2], tables.vectors)
    return jnp.concatenate([kinematics, jnp.einsum("np,jrp->njr", back[:, 2], bent)], axis=1)


def _normal(
    directions: jax.Array, cross: jax.Array, gas: _Gas | None, near: jax.Array, linear: _Linear
) -> jax.Array:
    """Gram matrix of the derivatives with gas and templates projected out."""
    normal = jnp.einsum("nap,nbp->nab", directions, directions)
    if gas is not None:
        seen = jnp.einsum("nap,ngp->nag", directions[:, :, near], gas.lines)
        normal = normal - jnp.einsum("nag,ngh,nbh->nab", seen, gas.inverse, seen)
        cross = cross - seen @ gas.taken
    return normal - jnp.einsum("nar,nrs,nbs->nab", cross, linear.freedom, cross)


def _improve(
    shape: Shape, normal: jax.Array, directions: jax.Array, residual: jax.Array, moving: Moving
) -> tuple[jax.Array, jax.Array]:
    """The Gauss-Newton step (n, 3 + P), no longer than allowed, and the variances (n, 3 + P); 0
    for what is held."""
    columns = _moved_columns(moving)
    kinds = np.minimum(columns, 3)
    tight = jnp.asarray(_PRIOR_SIGMA)[kinds] ** -2
    mean, longest = jnp.asarray(_PRIOR_MEAN)[kinds], jnp.asarray(_LONGEST)[kinds]
    diagonal = jnp.maximum(jnp.diagonal(normal, axis1=1, axis2=2), 0.0)
    stiff = (tight + 1e-4 * diagonal)[:, :, None] * jnp.eye(len(columns), dtype=normal.dtype)
    solved = inverse(normal + stiff)
    flat = _flat(shape)
    pull = jnp.einsum("nap,np->na", directions, residual) + tight * (mean - flat[:, columns])
    change = jnp.clip(jnp.einsum("nab,nb->na", solved, pull), -longest, longest)
    none = jnp.zeros_like(flat)
    variance = jnp.diagonal(solved, axis1=1, axis2=2)
    return none.at[:, columns].set(change), none.at[:, columns].set(variance)


def _added_variance(gas: _Gas | None, linear: _Linear, amplitude: jax.Array) -> jax.Array:
    """(n, L) variance of the gas's amplitudes that comes from the templates' freedom."""
    if gas is None:
        return jnp.zeros_like(amplitude)
    return jnp.einsum("nga,nab,ngb->ng", gas.taken, linear.freedom, gas.taken)


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
