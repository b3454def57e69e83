"""How ``denoise`` learns: coefficients of clean spectra, with the noise put into the statistics.

For coefficients a, the statistic b of a noisy spectrum is normal with mean A a and covariance A
(what the basis leaves of a clean spectrum is far below the noise), so that no spectrum has to be
made in training. Three examples in four have white noise and all bins; the others a noise that
changes along the spectrum, gaps, or an end that is missing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.networks.denoise.any_noise import statistics
from nebulines.networks.denoise.basis import Basis, Statistics, white_statistics
from nebulines.networks.denoise.grid import N_BINS
from nebulines.networks.denoise.network import NOISE_KNOTS, Denoise
from nebulines.networks.denoise.posterior import log_prob, warp

NOISE_RANGE = (0.002, 0.15)
"""Noise in a bin of spectra of unit norm, drawn evenly in its logarithm."""
N_SHAPES = 400
WHITE_SHARE = 0.75
"""Of the examples: white noise, no bin missing."""
_RANGE = (0.02, 99.98)  # percentiles of the coordinates of a training set


class CleanGalaxies(NamedTuple):
    """Clean spectra of unit norm: coefficients (N, K), line fluxes (N, L), and the prior (N, 1)
    that each was drawn from."""

    coefficients: np.ndarray
    flux: np.ndarray
    prior: np.ndarray


class Noisy(NamedTuple):
    """Examples: the first m with white noise, the others with any noise.

    Attributes:
        truth: (n, K) coefficients of clean spectra of unit norm.
        flux: (n, L) of their lines.
        prior: (n, 1) that they were drawn from.
        b: (n, K).
        weight: (m,) inverse variance of the white ones.
        a: (n - m, K, K) of the others.
    """

    truth: Any
    flux: Any
    prior: Any
    b: Any
    weight: Any
    a: Any


class Shapes(NamedTuple):
    """Noise shapes: A for a mean variance of 1 (m, K, K), and its Cholesky factor."""

    a: np.ndarray
    lower: np.ndarray


def noise_shapes(basis: Basis, n: int, seed: Any) -> Shapes:
    """Noise that changes along the spectrum and bins that are missing, in many ways."""
    rng = np.random.default_rng(seed)
    vectors = np.asarray(basis.vectors, float)
    a = np.stack([(vectors * random_weight(rng)) @ vectors.T for _ in range(n)])
    lower = np.linalg.cholesky(a + 1e-9 * np.eye(len(vectors)))
    return Shapes(a.astype(np.float32), lower.astype(np.float32))


def random_weight(rng: np.random.Generator) -> np.ndarray:
    """Inverse variances (825,) of one made-up observation, their median 1 where not missing.

    Example:
        >>> random_weight(np.random.default_rng(0)).shape
        (825,)
    """
    x = np.linspace(-1.0, 1.0, N_BINS)
    log_sigma = rng.normal(0.0, 0.25) * x + rng.normal(0.0, 0.2) * x**2
    log_sigma = log_sigma + 0.1 * rng.normal(size=N_BINS)
    sky = rng.uniform(0.0, 0.15) * (x > rng.uniform(0.0, 1.0))
    log_sigma = log_sigma + np.where(rng.random(N_BINS) < sky, rng.uniform(0.3, 1.5), 0.0)
    weight = np.exp(-2.0 * (log_sigma - np.median(log_sigma)))
    if rng.random() < 0.3:
        cut = int(rng.integers(0, N_BINS // 4))
        weight[slice(None, cut) if rng.random() < 0.5 else slice(N_BINS - cut, None)] = 0.0
    for _ in range(rng.integers(0, 4)):
        start = int(rng.integers(0, N_BINS))
        weight[start : start + int(rng.integers(1, 30))] = 0.0
    return weight


def sample(
    galaxies: CleanGalaxies, shapes: Shapes, key: Array, n: int, *, noise: float | None = None
) -> Noisy:
    """n examples from clean galaxies, of one noise or of all."""
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
    chosen = rng.integers(0, len(galaxies.flux), n)
    rows, flux, prior = (part[chosen].astype(np.float32) for part in galaxies)
    low, high = (float(np.log(end)) for end in NOISE_RANGE)
    sigma = np.exp(rng.uniform(low, high, n)).astype(np.float32)
    sigma = sigma if noise is None else np.full(n, noise, np.float32)
    half, normal = round(WHITE_SHARE * n), rng.normal(size=rows.shape).astype(np.float32)
    weight = sigma[:half] ** -2
    white = weight[:, None] * rows[:half] + np.sqrt(weight)[:, None] * normal[:half]
    shape = rng.integers(0, len(shapes.a), n - half)
    level = sigma[half:, None]
    a = shapes.a[shape] / np.square(level)[..., None]
    other = np.einsum("nij,nj->ni", a, rows[half:])
    other += np.einsum("nij,nj->ni", shapes.lower[shape], normal[half:]) / level
    return Noisy(rows, flux, prior, np.concatenate([white, other]), weight, a)


def found(basis: Basis, batch: Noisy) -> Statistics:
    """Statistics of a batch."""
    half = len(batch.weight)
    white = white_statistics(basis, batch.b[:half], batch.weight)
    other = statistics(basis, jnp.asarray(batch.a), batch.b[half:])
    return Statistics(*(jnp.concatenate(pair) for pair in zip(white, other, strict=True)))


def has_scale(seen: Statistics) -> Array:
    """Spectra (n,) of unit norm whose scale is not lost in the noise."""
    return (seen.first > 0.3) & (seen.first < 3.0)


def loss(network: Denoise, batch: Noisy, key: Array | None = None) -> Array:
    """-log p of the true lines for each of them, plus the square error of the mean in units of that
    of the linear answer; spectra whose scale is lost do not count."""
    network = eqx.tree_at(fixed_parts, network, jax.lax.stop_gradient(fixed_parts(network)))
    basis = network.basis
    seen = jax.tree.map(jax.lax.stop_gradient, found(basis, batch))
    usable = has_scale(seen)
    scale = jnp.where(usable, seen.scale, 1.0)[:, None]
    truth, y = batch.truth / scale, warp(basis, batch.flux / scale)
    posterior = network(seen, batch.prior)
    density = log_prob(posterior, y) / basis.n_lines
    error = jnp.sum(jnp.square(posterior.mean - truth), axis=-1)
    error = error / jnp.sum(seen.variance, axis=-1)
    return jnp.mean(jnp.where(usable, jnp.minimum(error, 20.0) - density, 0.0))


def fixed_parts(network: Denoise) -> tuple[Any, ...]:
    """What gradients leave alone."""
    return (
        network.basis,
        network.y_centre,
        network.y_spread,
        network.u_low,
        network.u_high,
        network.line_profile,
        network.most_noise,
        network.widening,
        network.loosening,
    )


def fitted_to(
    network: Denoise, basis: Basis, profiles: np.ndarray, galaxies: CleanGalaxies
) -> Denoise:
    """A network that knows the basis and the ranges of a training set."""
    u = galaxies.coefficients @ np.asarray(basis.coordinates).T
    y = np.concatenate([warp(basis, jnp.asarray(galaxies.flux, jnp.float32)),
                        u[:, basis.n_lines :]], axis=1)  # fmt: skip
    knots = len(NOISE_KNOTS)
    parts = (basis, y.mean(axis=0), y.std(axis=0), *np.percentile(u, _RANGE, axis=0), profiles,
             NOISE_RANGE[1], np.ones((2, knots, basis.n_lines)),
             np.ones((2, knots, basis.size)))  # fmt: skip
    as_arrays = jax.tree.map(lambda part: jnp.asarray(part, jnp.float32), parts)
    return eqx.tree_at(fixed_parts, network, as_arrays)
