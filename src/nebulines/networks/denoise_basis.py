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
    free = _free_ways(basis)
    found = jax.lax.map(lambda part: _tile(basis, free, *part), parts)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:n], found)


AT_ONCE = 64
"""Spectra whose statistics are worked out together: what the processor keeps near."""
MOST_FREE = 20
"""Ways at most in which the loose prior is looser than the usual one."""


def _free_ways(basis: Basis) -> Array:
    """F (K, m) of the loose prior S + S^1/2 F F^T S^1/2."""
    turn, size = basis.loose_vectors, min(MOST_FREE, basis.size)
    looser = (turn.T * basis.loose_variance) @ turn - jnp.diag(basis.variance)
    values, ways = jnp.linalg.eigh(looser)
    values = jnp.where(values > _LEAST_FREE * values[-1], values, 0.0)
    return (ways * jnp.sqrt(values))[:, -size:] / jnp.sqrt(basis.variance)[:, None]


_LEAST_FREE = 1e-6  # of the largest: less is rounding


def _tile(basis: Basis, free: Array, a: Array, b: Array) -> Statistics:
    """`statistics` of a few spectra, in units of the usual prior's standard deviations."""
    mean, root = basis.mean, jnp.sqrt(basis.variance)
    information = a.reshape(len(a), -1) @ jnp.outer(mean, mean).ravel()
    first = _first_scale(basis, information, b)
    safe = _positive(first)
    seen = jnp.square(safe)[:, None, None] * (root[:, None] * root) * a
    covariance = inverse(jnp.eye(basis.size) + seen)
    right = b * safe[:, None] * root + mean / root
    best = jnp.einsum("nij,nj->ni", covariance, right)
    variance = _variances(covariance, basis.coordinates * root)
    spread = basis.variance * jnp.diagonal(covariance, axis1=1, axis2=2), variance
    weight = jnp.mean(jnp.diagonal(a, axis1=1, axis2=2), axis=1)
    turned = jnp.tensordot(covariance, free, (2, 0)), jnp.tensordot(seen, free, (2, 0))
    lines = _loose_lines(basis, free, turned, best, variance)
    return _in_units(basis, first, best * root, weight, spread, lines)


def _loose_lines(
    basis: Basis, free: Array, turned: tuple[Array, Array], best: Array, variance: Array
) -> tuple[Array, Array]:
    """Line fluxes (n, L) under the loose prior and their variances, in units of the scale.

    With C = (1 + B)^-1 under the usual prior, in its units, and c = C (...) the answer, that of
    F t, t ~ N(0, 1), added to the prior is

        t = Y F^T (c - mean),    Y = (1 + F^T C B F)^-1,    c + C F t,    C + C F Y F^T C.

    Args:
        basis: of clean spectra.
        free: F (K, m).
        turned: C F and B F, each (n, K, m).
        best: c (n, K); ``variance`` (n, K) of the coordinates, from C.
    """
    root, n_lines = jnp.sqrt(basis.variance), basis.n_lines
    away, seen = turned
    known = jax.lax.dot_general(away, seen, (((1,), (1,)), ((0,), (0,))))
    loose = inverse(jnp.eye(free.shape[1]) + 0.5 * (known + jnp.swapaxes(known, 1, 2)))
    amount = jnp.einsum("nij,nj->ni", loose, (best - basis.mean / root) @ free)
    rows = basis.coordinates[:n_lines] * root
    lines = jnp.einsum("nkm,lk->nlm", away, rows)
    flux = best @ rows.T + jnp.einsum("nlm,nm->nl", lines, amount)
    added = jnp.sum(jnp.einsum("nlm,nmp->nlp", lines, loose) * lines, axis=2)
    return flux, variance[:, :n_lines] + jnp.maximum(added, 0.0)


def _variances(covariance: Array, rows: Array) -> Array:
    """Variances (n, m) of m linear functions of what has covariances (n, K, K)."""
    pairs = (rows[:, :, None] * rows[:, None, :]).reshape(len(rows), -1)
    return jnp.maximum(covariance.reshape(len(covariance), -1) @ pairs.T, 0.0)


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
