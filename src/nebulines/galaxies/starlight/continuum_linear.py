"""The linear part of the fit of starlight: the products of the moved stellar vectors, gas lines
projected out of them, and the templates that are not negative.

Vectors are moved piece by piece and forgotten: all of a tile would not fit the cache.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nebulines.fitting.small_solve import inverse
from nebulines.galaxies.starlight.nnls import solve_nonnegative
from nebulines.galaxies.starlight.velocity_kernel import kernel, moved
from nebulines.kept_programs import keep_programs


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


class GasBeside(NamedTuple):
    """Gas lines, weighted (n, L, m), the inverse of their Gram matrix (n, L, L), and their
    amplitudes beside the r vectors: alone (n, L), and what a unit of each vector takes off
    (n, L, r)."""

    lines: jax.Array
    inverse: jax.Array
    alone: jax.Array
    taken: jax.Array


class Weighed(NamedTuple):
    """The model before its linear part is solved: the kernels (n, taps), square root of the
    weight, reddening and light (n, p), the gas, and the normal equations of the vectors (n, r, r),
    (n, r), gas projected out."""

    taps: jax.Array
    root: jax.Array
    reddened: jax.Array
    light: jax.Array
    gas: GasBeside | None
    gram: jax.Array
    moment: jax.Array


class Linear(NamedTuple):
    """The linear part: template weights (n, k), the mixture of vectors (n, r), and the covariance
    that the templates' freedom leaves to it (n, r, r)."""

    weights: jax.Array
    mixture: jax.Array
    freedom: jax.Array


@keep_programs()
def weigh(
    shape: Shape,
    tables: Tables,
    data: jax.Array,
    weight: jax.Array,
    profiles: jax.Array,
    near: jax.Array,
) -> Weighed:
    """The normal equations of the vectors at a shape.

    Args:
        shape, tables, data, weight, profiles, near: as for `take_step`.

    Returns:
        `Weighed`.
    """
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
    return Weighed(taps, root, reddened, light, gas, gram, moment)


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


def _gas(lines: jax.Array, vectors: jax.Array, target: jax.Array) -> tuple[GasBeside, jax.Array]:
    """The gas, and the products (n, L, r) of its lines with the vectors."""
    solved = inverse(jnp.einsum("nap,nbp->nab", lines, lines), 1e-6)
    alone = jnp.einsum("nab,nb->na", solved, jnp.einsum("nap,np->na", lines, target))
    mixed = jnp.einsum("nap,nbp->nab", lines, vectors)
    return GasBeside(lines, solved, alone, solved @ mixed), mixed


def solve_linear(gram: jax.Array, moment: jax.Array, mixing: jax.Array) -> Linear:
    """The templates that fit best without being negative.

    Args:
        gram, moment: normal equations of n spectra, `Weighed`.
        mixing: (k, r) templates as sums of vectors.

    Returns:
        `Linear`.
    """
    mixed = np.asarray(mixing)
    solved = solve_nonnegative(np.asarray(gram), np.asarray(moment), mixed)
    parts: list[Any] = [solved.x, solved.x @ mixed, solved.freedom]
    return Linear(*(part.astype(np.float32) for part in parts))
