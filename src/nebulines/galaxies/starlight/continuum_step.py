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

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nebulines.fitting.small_solve import inverse
from nebulines.galaxies.starlight.continuum_linear import (
    GasBeside,
    Linear,
    Shape,
    Tables,
    Weighed,
    solve_linear,
    weigh,
)
from nebulines.galaxies.starlight.velocity_kernel import (
    convolved,
    curvature,
    gathered,
    slope,
)
from nebulines.kept_programs import keep_programs

LARGEST_SHIFT = 5.0
LARGEST_VARIANCE = 36.0
LARGEST_REDDENING = 1.5
LARGEST_COEFFICIENT = 0.5
POLYNOMIAL_ORDER = 6
"""Of the multiplicative polynomial that stands for errors of the flux calibration."""
_LONGEST = (1.5, 6.0, 0.2, 0.2)
_PRIOR_SIGMA = (5.0, 12.0, 3.0, 0.3)
_PRIOR_MEAN = (0.0, 4.0, 0.1, 0.0)
"""Of v [channels], q [channels^2], E(B-V) [mag] and a polynomial's coefficient: where the data say
nothing, the answer stays there."""
Moving = Literal["dust", "polynomial"]
"""What moves in a step beside v and q: E(B-V), with the polynomial held, or the reverse."""


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
        residual: (n, p) of the model at the shape that was given, in units of the noise.
    """

    shape: Shape
    stars: jax.Array
    gas: jax.Array
    amplitude: jax.Array
    amplitude_variance: jax.Array
    weights: jax.Array
    covariance: jax.Array
    chi2: jax.Array
    residual: jax.Array


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
    weighed = weigh(shape, tables, data, weight, profiles, near)
    linear = solve_linear(weighed.gram, weighed.moment, tables.mixing)
    derived = _derive(shape, tables, data, near, weighed, linear, moving=moving)
    move = _move(shape, tables, near, weighed, linear, derived, moving=moving)
    return Stepped(
        move.shape,
        derived.stars,
        move.gas,
        derived.amplitude,
        move.amplitude_variance,
        linear.weights,
        move.covariance,
        move.chi2,
        derived.residual,
    )


class _Derived(NamedTuple):
    """The model and its derivatives, weighted: stars and gas (n, p), amplitudes (n, L), residual
    (n, p), derivatives (n, D, p), and these times the light with zeros around (n, D, p + 2 taps).
    """

    stars: jax.Array
    gas: jax.Array
    amplitude: jax.Array
    residual: jax.Array
    directions: jax.Array
    around: jax.Array


@keep_programs(static_argnames=("moving",))
def _derive(
    shape: Shape,
    tables: Tables,
    data: jax.Array,
    near: jax.Array,
    weighed: Weighed,
    linear: Linear,
    *,
    moving: Moving,
) -> _Derived:
    """A program of its own: else XLA works the derivatives out again for every tap."""
    root, n_taps = weighed.root, weighed.taps.shape[1]
    light = weighed.light * root
    half = n_taps // 2
    bare = convolved(weighed.taps, linear.mixture @ tables.vectors[:, half:-half])
    amplitude, gas = _amplitudes(weighed.gas, linear, near, data)
    residual = (data - bare * weighed.light) * root - gas
    directions = _directions(bare, light, weighed.reddened * root, tables, moving)
    around = jnp.pad(directions * light[:, None, :], ((0, 0), (0, 0), (n_taps, n_taps)))
    return _Derived(bare * weighed.light, gas, amplitude, residual, directions, around)


class _Moved(NamedTuple):
    """What is new in `Stepped`, under the names it has there."""

    shape: Shape
    gas: jax.Array
    amplitude_variance: jax.Array
    covariance: jax.Array
    chi2: jax.Array


@keep_programs(static_argnames=("moving",))
def _move(
    shape: Shape,
    tables: Tables,
    near: jax.Array,
    weighed: Weighed,
    linear: Linear,
    derived: _Derived,
    *,
    moving: Moving,
) -> _Moved:
    root = weighed.root
    cross = gathered(weighed.taps, derived.around) @ tables.vectors.T
    normal = _normal(derived.directions, cross, weighed.gas, near, linear)
    change, variance = _improve(shape, normal, derived.directions, derived.residual, moving)
    safe = jnp.where(root > 0, root, 1.0)
    return _Moved(
        _bounded(_flat(shape) + change),
        jnp.where(root > 0, derived.gas / safe, 0.0),
        _added_variance(weighed.gas, linear, derived.amplitude),
        variance[:, :3],
        jnp.sum(derived.residual**2, axis=1),
    )


def _amplitudes(
    gas: GasBeside | None, linear: Linear, near: jax.Array, data: jax.Array
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


def _normal(
    directions: jax.Array, cross: jax.Array, gas: GasBeside | None, near: jax.Array, linear: Linear
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


def _added_variance(gas: GasBeside | None, linear: Linear, amplitude: jax.Array) -> jax.Array:
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
