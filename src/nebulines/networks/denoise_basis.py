"""What a noisy spectrum says of a clean one: a linear basis, and statistics that suffice.

A clean spectrum is s a V with a scale s, coefficients a (K) and orthonormal vectors V (K, 825).
With noise of inverse variance w (zero where a bin is missing)

    A = V diag(w) V^T,    b = V diag(w) x

hold all that the spectrum x says of s a. Under a normal prior a ~ N(m, S), S diagonal, at the
scale s the most probable coefficients and their covariance are

    P = (A + S^-1 / s^2)^-1,    s a = P (b + S^-1 m / s).

What the network is given are these in coordinates u = R a: the fluxes of lines (rows of R learned
from clean spectra) and the rest of the space. That prior all but rules out lines much stronger than
usual, so the line fluxes are also given as they come out under a loose prior S + G T G^T, in which
every line (G, its coefficients) may be many times as strong as in the training set.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.networks.denoise_inverse import inverse


class Basis(eqx.Module):
    """Clean spectra of galaxies as K numbers; nothing of it is trained by gradients.

    Attributes:
        vectors: (K, channel) V, orthonormal rows.
        mean: (K,) m of spectra of unit norm.
        variance: (K,) S.
        residual: (channel,) mean square of what the basis leaves of clean spectra.
        coordinates: (K, K) R; the first L rows give line fluxes [unit norm times Angstrom].
        softening: (L,) line flux below which asinh is linear.
        loose_vectors: (K, K) eigenvectors of the loose prior, in rows.
        loose_variance: (K,) its variances along them.
    """

    vectors: Array
    mean: Array
    variance: Array
    residual: Array
    coordinates: Array
    softening: Array
    loose_vectors: Array
    loose_variance: Array

    @classmethod
    def empty(cls, size: int, lines: int, channels: int) -> Basis:
        """A basis of the right shapes to read weights into."""
        return cls(
            jnp.eye(size, channels),
            jnp.ones(size),
            jnp.ones(size),
            jnp.zeros(channels),
            jnp.eye(size),
            jnp.ones(lines),
            jnp.eye(size),
            jnp.ones(size),
        )

    @property
    def size(self) -> int:
        """K."""
        return self.vectors.shape[0]

    @property
    def n_lines(self) -> int:
        """L."""
        return self.softening.shape[0]


class Statistics(NamedTuple):
    """What n noisy spectra say, in units of their scale.

    Attributes:
        scale: (n,) norm of the clean spectra as first estimated, in the unit of the data; not
            positive where there is no signal.
        first: (n,) of that, from the mean spectrum alone.
        coefficients: (n, K) most probable ones.
        variance: (n, K) of their posterior.
        u: (n, K) the same in coordinates R.
        sigma_u: (n, K) standard deviations of these.
        line: (n, L) line fluxes under the loose prior: what the data alone say.
        sigma_line: (n, L) standard deviations of these.
        noise: (n,) typical standard deviation of a bin.
    """

    scale: Array
    first: Array
    coefficients: Array
    variance: Array
    u: Array
    sigma_u: Array
    line: Array
    sigma_line: Array
    noise: Array


def project(basis: Basis, flux: Array, weight: Array) -> tuple[Array, Array]:
    """A (n, K, K) and b (n, K) of spectra (n, channel) with inverse variances (n, channel)."""
    size = basis.size
    low, high = np.tril_indices(size)
    pairs = basis.vectors[low] * basis.vectors[high]
    index = np.zeros((size, size), int)
    index[low, high] = index[high, low] = np.arange(len(low))
    packed = jnp.asarray(weight) @ pairs.T
    a = jnp.take(packed, index.ravel(), axis=1).reshape(-1, size, size)
    return a, (weight * flux) @ basis.vectors.T


def statistics(basis: Basis, a: Array, b: Array) -> Statistics:
    """Statistics for any noise and missing bins, from `project`.

    Args:
        basis: of clean spectra.
        a: (n, K, K).
        b: (n, K).

    Returns:
        `Statistics`; scales that are not positive mean that there is no signal.
    """
    n = len(b)
    missing = -n % AT_ONCE if n > AT_ONCE else 0
    if missing:
        a, b = (jnp.pad(x, ((0, missing), *[(0, 0)] * (x.ndim - 1)), "edge") for x in (a, b))
    tiles = (n + missing + AT_ONCE - 1) // AT_ONCE
    parts = tuple(x.reshape(tiles, -1, *x.shape[1:]) for x in (a, b))
    found = jax.lax.map(lambda part: _tile(basis, *part), parts)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:n], found)


AT_ONCE = 64
"""Spectra whose statistics are worked out together: what the processor keeps near."""


def _tile(basis: Basis, a: Array, b: Array) -> Statistics:
    """`statistics` of a few spectra; both priors' matrices are inverted together, for a program
    half as long."""
    mean, root = basis.mean, jnp.sqrt(basis.variance)
    information = a.reshape(len(a), -1) @ jnp.outer(mean, mean).ravel()
    first = _first_scale(basis, information, b)
    safe = _positive(first)
    both, ways = root[:, None] * root, _loose_ways(basis)
    half = jnp.swapaxes(jnp.tensordot(a, ways, (2, 1)), 1, 2)
    seen = jnp.concatenate([a * both, jnp.tensordot(half, ways, (2, 1))])
    square = jnp.tile(jnp.square(safe), 2)[:, None, None]
    usual, loose = jnp.split(inverse(jnp.eye(basis.size) + square * seen), 2)
    covariance = jax.lax.optimization_barrier(usual * both)
    right = b * safe[:, None] + mean / basis.variance
    best = jnp.einsum("nij,nj->ni", covariance, right)
    spread_u = _variances(covariance, basis.coordinates)
    spread = jnp.diagonal(covariance, axis1=1, axis2=2), spread_u
    weight = jnp.mean(jnp.diagonal(a, axis1=1, axis2=2), axis=1)
    return _in_units(basis, first, best, weight, spread, _loose_lines(basis, loose, b, safe))


def _loose_ways(basis: Basis) -> Array:
    """Directions (K, K) of the loose prior, in rows, times its standard deviations."""
    return basis.loose_vectors * jnp.sqrt(basis.loose_variance)[:, None]


def _loose_lines(basis: Basis, covariance: Array, b: Array, scale: Array) -> tuple[Array, Array]:
    """Line fluxes (n, L) under the loose prior and their variances, in units of the scale (n,),
    from covariances (n, K, K) along `_loose_ways`."""
    ways, root = _loose_ways(basis), jnp.sqrt(basis.loose_variance)
    right = (b * scale[:, None]) @ ways.T + (basis.loose_vectors @ basis.mean) / root
    rows = basis.coordinates[: basis.n_lines] @ ways.T
    flux = jnp.einsum("nij,nj->ni", covariance, right) @ rows.T
    return flux, _variances(covariance, rows)


def _variances(covariance: Array, rows: Array) -> Array:
    """Variances (n, m) of m linear functions of what has covariances (n, K, K)."""
    turned = jnp.tensordot(covariance, rows, (2, 1))
    return jnp.maximum(jnp.sum(turned * rows.T, axis=1), 0.0)


def white_statistics(basis: Basis, b: Array, weight: Array) -> Statistics:
    """Statistics for noise that is the same in every bin of a spectrum, none missing: every
    step is a product.

    Args:
        basis: of clean spectra.
        b: (n, K) weight times V x.
        weight: (n,) inverse variance.
    """
    first = _first_scale(basis, weight * jnp.sum(jnp.square(basis.mean)), b)
    safe = _positive(first)[:, None]
    variance = 1.0 / (weight[:, None] * jnp.square(safe) + 1.0 / basis.variance)
    best = variance * (b * safe + basis.mean / basis.variance)
    spread = variance, variance @ jnp.square(basis.coordinates).T
    loose = 1.0 / (weight[:, None] * jnp.square(safe) + 1.0 / basis.loose_variance)
    turned = basis.loose_vectors @ basis.mean / basis.loose_variance
    along = loose * (safe * (b @ basis.loose_vectors.T) + turned)
    rows = basis.coordinates[: basis.n_lines] @ basis.loose_vectors.T
    lines = along @ rows.T, loose @ jnp.square(rows).T
    return _in_units(basis, first, best, weight, spread, lines)


def _first_scale(basis: Basis, information: Array, b: Array) -> Array:
    return (b @ basis.mean) / jnp.maximum(information, 1e-30)


def _positive(scale: Array) -> Array:
    return jnp.where(scale > 0, scale, 1.0)


def _in_units(
    basis: Basis,
    first: Array,
    best: Array,
    weight: Array,
    spread: tuple[Array, Array],
    lines: tuple[Array, Array],
) -> Statistics:
    """From units of the first scale to those of the norm of the coefficients: variances of these
    and of u, line fluxes and their variances; the mean weight (n,) of a bin says how much noise
    there is."""
    norm = jnp.sqrt(jnp.sum(jnp.square(best), axis=-1))
    scaled = best / norm[:, None]
    return Statistics(
        first * norm,
        first,
        scaled,
        spread[0] / jnp.square(norm)[:, None],
        scaled @ basis.coordinates.T,
        jnp.sqrt(spread[1]) / norm[:, None],
        lines[0] / norm[:, None],
        jnp.sqrt(lines[1]) / norm[:, None],
        1.0 / (jnp.sqrt(jnp.maximum(weight, 1e-30)) * _positive(first) * norm),
    )
