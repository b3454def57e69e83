"""De-noise spectra on the bins, in blocks: posterior, residual gate, the fit behind the gate."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.fitting.tiles import map_tiles, tile_size
from nebulines.galaxies.denoising.gate import Evidence, Gate, evidence, judge, looked_again
from nebulines.galaxies.denoising.other_redshifts import Modes, moved_galaxies
from nebulines.networks.denoise.any_noise import (
    Sums,
    project,
    statistics_of_bins,
    sums_over_bins,
)
from nebulines.networks.denoise.basis import Basis, Statistics, white_statistics
from nebulines.networks.denoise.network import POPULATION, Denoise

BLOCK = 1024
_LEAST_NOISE = 0.003
"""Relative to the norm of a spectrum: smaller noise is taken to be this."""
_CHUNK = 128
"""Spectra that are fitted at once, if there are more than a few."""
_FREE = 1e4
"""Factor on the prior variance in the fit behind the gate."""
_ROUNDING = 1e-5
"""Of the information of a bin, added in that fit to all of its ways: where most bins are missing
there are some of which the data say less than rounding makes up."""


class Clean(NamedTuple):
    """De-noised spectra on the bins.

    Attributes:
        flux: (n, 825) posterior mean, float32; NaN where there is no answer.
        error: (n, 825) standard deviation.
        coefficients: (n, K) posterior mean in the unit of the data.
        draws: (draw, n, K) coefficients of posterior draws, or None.
        gate: flags and what they are made of.
    """

    flux: np.ndarray
    error: np.ndarray
    coefficients: np.ndarray
    draws: np.ndarray | None
    gate: Gate


class _Answer(NamedTuple):
    """Of a block, in the unit of the data: spectra and errors (n, 825), coefficients (n, K), draws
    (draw, n, K), and what the gate looks at."""

    flux: Array
    error: Array
    mean: Array
    drawn: Array
    seen: Evidence


def denoise_bins(
    network: Denoise,
    flux: np.ndarray,
    weight: np.ndarray,
    *,
    draws: int = 0,
    seed: int = 0,
    prior: float,
) -> Clean:
    """De-noise spectra that lie on the bins.

    Args:
        network: of `nebulines.networks.weights.load`.
        flux: (n, 825).
        weight: (n, 825) inverse variance, 0 = no data; (n, 1) where all bins of a spectrum have
            the same.
        draws: posterior draws to keep.
        seed: of the draws.
        prior: `POPULATION` or `WIDE` of `nebulines.networks.denoise.network`, of those that the
            network knows.

    Returns:
        `Clean`; spectra that the gate does not let pass have the fit's answer.
    """
    if not len(flux):
        raise ValueError("no spectra")
    n, basis = len(flux), network.basis
    shapes = (n, flux.shape[1]), (n, flux.shape[1]), (n, basis.size), (draws, n, basis.size)
    kept = [np.empty(shape, np.float32) for shape in shapes]
    key = np.asarray(jax.random.key_data(jax.random.key(seed)))
    # two threads that trace the same function at once take five times as long
    tracing, traced = threading.Lock(), set[int]()
    moved = moved_galaxies()

    def work(start: int) -> Evidence:
        rows = slice(start, start + BLOCK)
        part = _columns(weight[rows])
        options = key, np.uint32(start // BLOCK), np.float32(prior)
        with tracing:
            tables = moved.coarse, None if part.shape[1] == 1 else sums_over_bins(basis)
            parts = _padded(flux[rows]), _padded(part)
            answer = functools.partial(_answer, network, *tables, *parts, *options, draws=draws)
            found = None if part.shape[1] in traced else answer()
            traced.add(part.shape[1])
        found = found or answer()
        for whole, block in zip(kept, found[:4], strict=True):
            whole[..., rows, :] = np.asarray(block)[..., : n - start, :]
        seen = Evidence(*(np.asarray(part)[: n - start] for part in found.seen))
        return looked_again(seen, moved.whole, flux[rows], kept[0][rows], part)

    every = map_tiles(work, list(range(0, n, BLOCK)))
    seen = Evidence(*(np.concatenate(part) for part in zip(*every, strict=True)))
    gate = judge(seen, float(network.most_noise))
    clean, error, mean, drawn = kept
    refused = np.flatnonzero(gate.refused)
    for start in range(0, len(refused), BLOCK):
        rows = refused[start : start + BLOCK]
        mean[rows], error[rows], drawn[:, rows] = fit_in_basis(
            basis, flux[rows], _columns(weight[rows]), draws=draws, seed=[seed, start]
        )
        clean[rows] = mean[rows] @ np.asarray(basis.vectors)
    for part in kept:
        part[..., gate.lost, :] = np.nan
    return Clean(clean, error, mean, drawn if draws else None, gate)


def posterior_means(
    network: Denoise, flux: Any, weight: Any, *, prior: float = POPULATION
) -> Array:
    """Posterior means (n, 825) of spectra with white noise and no missing bins, nothing else:
    the fastest way.

    Args:
        network: as above.
        flux: (n, 825).
        weight: (n,) inverse variance.
        prior: as above.
    """
    return _white_means(network, *(jnp.asarray(part) for part in (flux, weight, prior)))


@eqx.filter_jit
def _white_means(network: Denoise, flux: Array, weight: Array, prior: Array) -> Array:
    vectors = network.basis.vectors
    found = white_statistics(network.basis, weight[:, None] * (flux @ vectors.T), weight)
    return (found.scale[:, None] * network.means(found, prior)) @ vectors


def _columns(weight: Any) -> np.ndarray:
    """Weights (n, 1) where those of a spectrum are all the same and above zero."""
    weight = np.asarray(weight, np.float32)
    white = np.all(weight[:, 0] > 0) and np.array_equal(
        weight, np.broadcast_to(weight[:, :1], weight.shape)
    )
    return weight[:, :1] if white else weight


def _padded(rows: Any, length: int = BLOCK) -> np.ndarray:
    rows = np.asarray(rows, np.float32)
    missing = length - len(rows)
    return np.concatenate([rows, np.repeat(rows[:1], missing, axis=0)]) if missing else rows


@functools.partial(jax.jit, static_argnames=("draws",))
def _answer(
    network: Denoise,
    coarse: Modes,
    sums: Sums | None,
    flux: Any,
    weight: Any,
    key: Array,
    block: Any,
    prior: Any,
    draws: int,
) -> _Answer:
    """Everything that a block needs, in one program."""
    basis, key = network.basis, jax.random.fold_in(jax.random.wrap_key_data(key), block)
    weight, found, projected = _seen(network, sums, flux, weight)
    posterior = network(found, prior)
    scale = found.scale[:, None]
    mean = scale * posterior.mean
    lines = network.line_moments(posterior)
    drawn = scale * network.draws(posterior, key, draws) if draws else jnp.zeros((0, *mean.shape))
    return _Answer(
        mean @ basis.vectors,
        scale * network.errors(posterior, lines[1]),
        mean,
        drawn,
        evidence(network, flux, weight, mean, scale * lines[0], found, projected, coarse),
    )


def _seen(
    network: Denoise, sums: Sums | None, flux: Array, weight: Array
) -> tuple[Array, Statistics, Array]:
    """Weights that are believed, statistics of the spectra, and their weighted products (n, L) with
    the profiles of lines."""
    basis, profiles = network.basis, network.line_profile
    if sums is None:
        both = flux @ jnp.concatenate([basis.vectors, profiles]).T
        along, norm = both[:, : basis.size], jnp.sum(jnp.square(basis.mean))
        weight = _believed(weight, along @ basis.mean, norm)
        found = white_statistics(basis, weight * along, weight[:, 0])
        return weight, found, weight * both[:, basis.size :]
    mean = basis.mean @ basis.vectors
    weight = _believed(weight, (weight * flux) @ mean, weight @ jnp.square(mean))
    return weight, *statistics_of_bins(basis, sums, flux, weight, profiles)


def _believed(weight: Array, along: Array, information: Array) -> Array:
    """Inverse variances of no smaller a noise than is believed, from the products of the data and
    of the mean spectrum with the mean spectrum."""
    norm = jnp.abs(along) / jnp.maximum(information, 1e-30)
    most = 1.0 / jnp.maximum(jnp.square(_LEAST_NOISE * norm), 1e-37)
    return jnp.minimum(weight, most[:, None])


def fit_in_basis(
    basis: Basis, flux: np.ndarray, weight: np.ndarray, *, draws: int, seed: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Least squares in the basis, all but free of the prior.

    Args:
        basis: K vectors, a profile of every line among them.
        flux: (n, 825).
        weight: (n, 825), or (n, 1) where it is the same in all bins.
        draws: from the normal distribution of the answer.
        seed: of these.

    Returns:
        Coefficients (n, K), errors (n, 825), draws (draw, n, K).
    """
    vectors = np.asarray(basis.vectors, float)
    right = (weight * flux).astype(float) @ vectors.T
    power = np.sum(weight * np.square(flux), axis=1) / np.mean(weight, axis=1)
    prior = _FREE * power[:, None] * np.asarray(basis.variance, float)
    normal = np.random.default_rng(seed).normal(size=(draws, *right.shape))
    if weight.shape[1] == 1:
        variance = 1.0 / (weight + 1.0 / prior)
        best = variance * right
        return best, np.sqrt(variance @ np.square(vectors)), best + np.sqrt(variance) * normal
    unit = np.mean(weight, axis=1, dtype=float)[:, None]
    information = unit[..., None] * _chunked(functools.partial(_information, basis), weight / unit)
    known = 1.0 / prior + _ROUNDING * unit
    covariance = np.linalg.inv(information + np.eye(basis.size) * known[:, None])
    best = np.einsum("nij,nj->ni", covariance, right)
    error = _chunked(functools.partial(_deviations, basis), unit[..., None] * covariance) / np.sqrt(
        unit
    )
    if not draws:
        return best, error, normal
    lower = np.linalg.cholesky(covariance)
    return best, error, best + np.einsum("nij,dnj->dni", lower, normal)


@jax.jit
def _information(basis: Basis, weight: Array) -> Array:
    return project(basis, jnp.zeros_like(weight), weight)[0]


@jax.jit
def _deviations(basis: Basis, covariance: Array) -> Array:
    pairs = (basis.vectors[:, None] * basis.vectors).reshape(-1, basis.vectors.shape[1])
    return jnp.sqrt(jnp.maximum(covariance.reshape(len(covariance), -1) @ pairs, 0.0))


def _chunked(work: Callable[[np.ndarray], Array], rows: np.ndarray) -> np.ndarray:
    """A compiled function of rows, a fixed number of them at a time, so that it is compiled
    once or twice."""
    size = tile_size(len(rows), _CHUNK)
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    found = [np.asarray(work(_padded(part, size)))[: len(part)] for part in parts]
    return np.concatenate(found)
