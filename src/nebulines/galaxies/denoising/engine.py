"""De-noise spectra on the bins, in blocks: posterior, residual gate, the fit behind the gate."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.galaxies.denoising.gate import Gate, judge
from nebulines.networks.denoise import Denoise
from nebulines.networks.denoise_basis import (
    Basis,
    Statistics,
    project,
    statistics,
    white_statistics,
)

BLOCK = 1024
_INNER_DRAWS = 48
"""Draws that errors are made of."""
_LEAST_NOISE = 0.003
"""Relative to the norm of a spectrum: smaller noise is taken to be this."""
_FREE = 1e4
"""Factor on the prior variance in the fit behind the gate."""


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


def denoise_bins(
    network: Denoise, flux: np.ndarray, weight: np.ndarray, *, draws: int = 0, seed: int = 0
) -> Clean:
    """De-noise spectra that lie on the bins.

    Args:
        network: of `nebulines.networks.weights.load`.
        flux, weight: (n, 825) and its inverse variance, 0 = no data.
        draws: posterior draws to keep.
        seed: of the draws.

    Returns:
        `Clean`; spectra that the gate does not let pass have the fit's answer.
    """
    parts, key = [], jax.random.key(seed)
    for number, start in enumerate(range(0, len(flux), BLOCK)):
        block = slice(start, start + BLOCK)
        parts.append(
            _block(network, flux[block], weight[block], draws, jax.random.fold_in(key, number))
        )
    if not parts:
        raise ValueError("no spectra")
    return _joined(parts)


def posterior_means(network: Denoise, flux: Any, weight: Any) -> Array:
    """Posterior means (n, 825) of spectra with white noise and no missing bins, nothing else:
    the fastest way.

    Args:
        network: as above.
        flux: (n, 825).
        weight: (n,) inverse variance.
    """
    return _white_means(network, jnp.asarray(flux), jnp.asarray(weight))


@eqx.filter_jit
def _white_means(network: Denoise, flux: Array, weight: Array) -> Array:
    vectors = network.basis.vectors
    found = white_statistics(network.basis, weight[:, None] * (flux @ vectors.T), weight)
    return (found.scale[:, None] * network.means(found)) @ vectors


def _block(network: Denoise, flux: Any, weight: Any, draws: int, key: Array) -> Clean:
    n, basis = len(flux), network.basis
    flux, weight = _padded(flux), _padded(weight)
    white = bool(np.all(weight == weight[:, :1]) and np.all(weight[:, 0] > 0))
    weight = np.minimum(weight, _largest_weight(basis, flux, weight))
    found = (_white if white else _general)(basis, flux, weight)
    posterior_mean, sample = _answer(network, found, key, max(draws, _INNER_DRAWS))
    error = np.array(_errors(basis, sample[:_INNER_DRAWS], found.scale))[:n]
    gate = judge(network, flux, weight, posterior_mean, found, n)
    mean, kept = np.array(posterior_mean)[:n], np.array(sample[:draws, :n])
    rows = np.flatnonzero(gate.refused)
    if len(rows):
        mean[rows], error[rows], kept[:, rows] = fit_in_basis(
            basis, flux[rows], weight[rows], draws=draws, seed=key_numbers(key)
        )
    for part in (mean, error):
        part[gate.lost] = np.nan
    kept[:, gate.lost] = np.nan
    clean = (mean @ np.asarray(basis.vectors)).astype(np.float32)
    return Clean(clean, error.astype(np.float32), mean, kept if draws else None, gate)


def key_numbers(key: Array) -> list[int]:
    """The numbers of a key, to seed numpy with.

    Example:
        >>> key_numbers(jax.random.key(3))
        [0, 3]
    """
    return np.asarray(jax.random.key_data(key)).tolist()


def _padded(rows: Any) -> np.ndarray:
    rows = np.asarray(rows, np.float32)
    missing = BLOCK - len(rows)
    return np.concatenate([rows, np.repeat(rows[:1], missing, axis=0)]) if missing else rows


def _largest_weight(basis: Basis, flux: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Inverse variances (n, 1) of the smallest noise that is believed."""
    mean = np.asarray(basis.mean @ basis.vectors)
    information = np.maximum(weight @ np.square(mean), 1e-30)
    norm = np.abs((weight * flux) @ mean) / information
    return 1.0 / np.maximum(np.square(_LEAST_NOISE * norm), 1e-37)[:, None]


@eqx.filter_jit
def _white(basis: Basis, flux: Array, weight: Array) -> Statistics:
    return white_statistics(basis, weight[:, :1] * (flux @ basis.vectors.T), weight[:, 0])


@eqx.filter_jit
def _general(basis: Basis, flux: Array, weight: Array) -> Statistics:
    return statistics(basis, *project(basis, flux, weight))


@eqx.filter_jit
def _answer(network: Denoise, found: Statistics, key: Array, n: int) -> tuple[Array, Array]:
    """Posterior means (n, K) and draws (draw, n, K) in the unit of the data."""
    posterior = network(found)
    drawn = network.draws(posterior, key, n)
    return found.scale[:, None] * posterior.mean, found.scale[:, None] * drawn


@eqx.filter_jit
def _errors(basis: Basis, drawn: Array, scale: Array) -> Array:
    """Standard deviation (n, 825) from draws, what the basis leaves of clean spectra included."""
    around = drawn - jnp.mean(drawn, axis=0)
    covariance = jnp.einsum("dni,dnj->nij", around, around) / (len(drawn) - 1)
    low, high = jnp.tril_indices(basis.size)
    twice = jnp.where(low == high, 1.0, 2.0)
    pairs = basis.vectors[low] * basis.vectors[high] * twice[:, None]
    variance = covariance[:, low, high] @ pairs
    rest = jnp.square(scale)[:, None] * basis.residual
    return jnp.sqrt(jnp.maximum(variance, 0.0) + rest)


def fit_in_basis(
    basis: Basis, flux: np.ndarray, weight: np.ndarray, *, draws: int, seed: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Least squares in the basis, all but free of the prior.

    Args:
        basis: K vectors, a profile of every line among them.
        flux, weight: (n, 825).
        draws: from the normal distribution of the answer.
        seed: of these.

    Returns:
        Coefficients (n, K), errors (n, 825), draws (draw, n, K).
    """
    vectors = np.asarray(basis.vectors, float)
    low, high = np.tril_indices(basis.size)
    information = np.zeros((len(flux), basis.size, basis.size))
    information[:, low, high] = weight.astype(float) @ (vectors[low] * vectors[high]).T
    information[:, high, low] = information[:, low, high]
    right = (weight * flux).astype(float) @ vectors.T
    norm = np.sqrt(
        np.sum(weight * np.square(flux), axis=1) / np.sum(weight, axis=1) * flux.shape[1]
    )
    prior = _FREE * np.square(norm)[:, None] * np.asarray(basis.variance, float)
    covariance = np.linalg.inv(information + np.eye(basis.size) / prior[:, None])
    best = np.einsum("nij,nj->ni", covariance, right)
    error = np.sqrt(np.maximum(np.einsum("nij,ik,jk->nk", covariance, vectors, vectors,
                                         optimize=True), 0.0))  # fmt: skip
    normal = np.random.default_rng(seed).normal(size=(draws, *best.shape))
    lower = np.linalg.cholesky(covariance)
    return best, error, best + np.einsum("nij,dnj->dni", lower, normal)


def _joined(parts: list[Clean]) -> Clean:
    first = parts[0]
    draws = None
    if first.draws is not None:
        draws = np.concatenate([part.draws for part in parts if part.draws is not None], axis=1)
    gate = Gate(*(np.concatenate(values) for values in zip(*(p.gate for p in parts), strict=True)))
    flux, error, mean = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("flux", "error", "coefficients")
    )
    return Clean(flux, error, mean, draws, gate)
