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
import jax.numpy as jnp
from jax import Array


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


def white_statistics(basis: Basis, b: Array, weight: Array) -> Statistics:
    """Statistics for noise that is the same in every bin of a spectrum, none missing: every
    step is a product.

    Args:
        basis: of clean spectra.
        b: (n, K) weight times V x.
        weight: (n,) inverse variance.
    """
    first = first_scale(basis, weight * jnp.sum(jnp.square(basis.mean)), b)
    safe = positive(first)[:, None]
    variance = 1.0 / (weight[:, None] * jnp.square(safe) + 1.0 / basis.variance)
    best = variance * (b * safe + basis.mean / basis.variance)
    spread = variance, variance @ jnp.square(basis.coordinates).T
    loose = 1.0 / (weight[:, None] * jnp.square(safe) + 1.0 / basis.loose_variance)
    turned = basis.loose_vectors @ basis.mean / basis.loose_variance
    along = loose * (safe * (b @ basis.loose_vectors.T) + turned)
    rows = basis.coordinates[: basis.n_lines] @ basis.loose_vectors.T
    lines = along @ rows.T, loose @ jnp.square(rows).T
    return in_units(basis, first, best, weight, spread, lines)


def first_scale(basis: Basis, information: Array, b: Array) -> Array:
    """The scale (n,) from the mean spectrum m alone: m b over its information m A m (n,)."""
    return (b @ basis.mean) / jnp.maximum(information, 1e-30)


def positive(scale: Array) -> Array:
    """Scales, 1 in place of those that are not positive."""
    return jnp.where(scale > 0, scale, 1.0)


def in_units(
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
        1.0 / (jnp.sqrt(jnp.maximum(weight, 1e-30)) * positive(first) * norm),
    )
