"""Where starlight lies: a search over whole channels, for starts of the fit that are not near.

Spectra and templates are divided by their own running mean, which removes dust, calibration and
noise of low frequency; the velocity is the shift at which a few vectors made of the templates
explain most of what is left.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nebulines.galaxies.denoising.rest_grid import OnGrid
from nebulines.galaxies.starlight.in_turn import in_turn
from nebulines.galaxies.starlight.stellar_basis import StellarBasis
from nebulines.kept_programs import keep_programs

_REACH = 75
_VECTORS = 5
_SIGMA = 2.2
"""Channels (150 km/s) by which the templates of the search are broadened."""
CLEAR = 16.0
"""Improvement of chi2 over the given redshift from which another velocity is taken."""


class Found(NamedTuple):
    """Shift (n,) [channels] at which starlight is found, 0 where nothing is clear, and by how
    much (n,) chi2 falls at the best shift against no features at all."""

    shift: np.ndarray
    score: np.ndarray


def running_mean(flux: np.ndarray, weight: np.ndarray, reach: int = _REACH) -> np.ndarray:
    """Weighted mean over +-``reach`` channels, twice; 0 where there is no weight."""
    from scipy.ndimage import uniform_filter1d

    size = 2 * reach + 1
    count = uniform_filter1d(weight, size, axis=1, mode="constant")
    rises = count > 1e-6 * np.max(count, axis=1, keepdims=True, initial=0.0)
    safe = np.where(rises, count, 1.0)
    for _ in range(2):
        total = uniform_filter1d(flux * weight, size, axis=1, mode="constant")
        flux = np.where(rises, total / safe, 0.0)
    return np.asarray(flux)


def find_shift(data: OnGrid, used: np.ndarray, basis: StellarBasis, *, most: int) -> Found:
    """Search shifts of up to ``most`` channels.

    Args:
        data: n spectra.
        used: (n, p) bool, channels without gas lines.
        basis: stellar templates.
        most: largest shift either way.

    Returns:
        `Found`.
    """
    weight = np.where(used, data.weight, 0.0)
    level = running_mean(data.flux, weight)
    rises = level > 0
    ratio = np.where(rises, data.flux / np.where(rises, level, 1.0) - 1.0, 0.0)
    weight = np.where(rises, weight * level**2, 0.0).astype(np.float32)
    shifts = np.arange(-most, most + 1)
    tables = _tables(basis, most)
    n, m, r = len(weight), len(shifts), len(_features(basis))

    def work(rows: np.ndarray) -> tuple[np.ndarray, ...]:
        found = _products(weight[rows], ratio[rows].astype(np.float32), *tables)
        return tuple(np.asarray(part) for part in found)

    products, pairs = in_turn(work, n)
    moment = products.reshape(-1, m, r)
    gram = np.empty((n, m, r, r), np.float32)
    upper = np.triu_indices(r)
    gram[:, :, *upper] = pairs.reshape(-1, m, len(upper[0]))
    gram[:, :, upper[1], upper[0]] = gram[:, :, *upper]
    size = np.trace(gram, axis1=2, axis2=3)[..., None, None]
    gram = gram + (1e-4 * size + 1e-20) * np.eye(r)
    solution = np.linalg.solve(gram, moment[..., None])[..., 0]
    score = np.einsum("nsa,nsa->ns", solution, moment)
    best = np.argmax(score, axis=1)
    top = np.take_along_axis(score, best[:, None], axis=1)[:, 0]
    clear = top > score[:, most] + CLEAR
    return Found(np.where(clear, shifts[best], 0), top)


@keep_programs()
def _products(
    weight: jax.Array, ratio: jax.Array, first: jax.Array, second: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Here and not by numpy, whose threads for large products wait with the processor busy."""
    return (weight * ratio) @ first, weight @ second


@lru_cache(maxsize=4)
def _tables(basis: StellarBasis, most: int) -> tuple[jax.Array, jax.Array]:
    """Features at every shift, (p, shifts r), and the products of their pairs."""
    vectors = _features(basis)
    moved = np.stack([np.roll(vectors, s, axis=1) for s in range(-most, most + 1)])
    first, second = np.triu_indices(len(vectors))
    pairs = moved[:, first] * moved[:, second]
    p = vectors.shape[1]
    return jnp.asarray(moved.reshape(-1, p).T), jnp.asarray(pairs.reshape(-1, p).T)


@lru_cache(maxsize=4)
def _features(basis: StellarBasis) -> np.ndarray:
    """(r, p) features of the templates, divided by their running mean."""
    from scipy.ndimage import gaussian_filter1d

    flux = gaussian_filter1d((basis.mixing @ basis.vectors).astype(float), _SIGMA, axis=1)
    ratio = flux / running_mean(flux, np.ones_like(flux)) - 1.0
    return np.linalg.svd(ratio, full_matrices=False)[2][:_VECTORS].astype(np.float32)
