"""Whether a spectrum speaks for another redshift than the one that it was brought to rest with.

In bins even in the logarithm of the wavelength, another redshift is the galaxy moved by whole bins.
With clean spectra s a V, P the mean of a a^T, a galaxy moved by k bins has in the middle of the
bins, which all moved galaxies fill, the second moment s^2 V_k^T P V_k. Of its eigenvectors, E_kj
are those that galaxies are made of; their powers l_j are taken to be the same for all k, the mean.
With white noise q = sigma^2 / s^2 the log evidence of a spectrum x is then, but for what is the
same for all k,

    e_k = sum_j (E_kj x / s)^2 l_j / (2 q (l_j + q)),

and the log odds of k against the redshift that was given are e_k - e_0. Two bins at a time and
every other k are enough: of lines, a bin or two wide, little is lost.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.networks.denoise_basis import Basis

FARTHEST = 60
"""Bins by which a galaxy is moved at most: 0.055 in the logarithm of the wavelength."""
EVERY = 2
"""Bins between redshifts that are looked at, and bins that are taken together."""
_MODES = 6
_LEAST_NOISE = 0.01
"""In a bin, relative to the norm of a spectrum: smaller noise counts as this, for it is less than
what the modes leave of galaxies."""
SHIFTS = np.arange(-FARTHEST, FARTHEST + 1, EVERY)
"""Bins (S,) towards the red by which galaxies are moved."""
_GIVEN = int(np.flatnonzero(SHIFTS == 0)[0])


class Moved(NamedTuple):
    """Galaxies at other redshifts.

    Attributes:
        modes: (J, S, m) orthonormal for each of S shifts, of bins taken two together.
        power: (J,) mean square of the galaxies, of unit norm, along them.
    """

    modes: Array
    power: Array


def moved_galaxies(basis: Basis) -> Moved:
    """The modes of a basis, worked out once."""
    parts = (basis.vectors, basis.mean, basis.variance)
    return _moved(basis.size, *(np.asarray(part, float).tobytes() for part in parts))


@functools.lru_cache(maxsize=4)
def _moved(size: int, vectors: bytes, mean: bytes, variance: bytes) -> Moved:
    along, centre, spread = (np.frombuffer(part) for part in (vectors, mean, variance))
    root = np.linalg.cholesky(np.diag(spread) + np.outer(centre, centre))
    galaxies = root.T @ along.reshape(size, -1)
    count = galaxies.shape[1] - 2 * FARTHEST
    starts = FARTHEST - SHIFTS
    parts = np.stack([_taken_together(galaxies[:, k : k + count]) for k in starts])
    power, turn = np.linalg.eigh(parts @ np.swapaxes(parts, 1, 2))
    power, turn = power[:, : -_MODES - 1 : -1], turn[:, :, : -_MODES - 1 : -1]
    modes = np.einsum("skj,skm->jsm", turn / np.sqrt(power)[:, None], parts)
    return Moved(*(jnp.asarray(part, jnp.float32) for part in (modes, power.mean(axis=0))))


def log_odds(moved: Moved, flux: Array, scale: Array, variance: Array) -> Array:
    """Log odds (n, S) of other redshifts against the given one, all equally likely beforehand.

    Args:
        moved: from `moved_galaxies`.
        flux: (n, 825), all bins filled.
        scale: (n,) norm of the clean spectra; where there is none, any number.
        variance: (n,) of the noise of a bin.
    """
    unit = jnp.where(scale > 0, scale, 1.0)[:, None]
    noise = jnp.maximum(variance[:, None] / unit / unit, _LEAST_NOISE**2)
    factor = moved.power / (2.0 * noise * (moved.power + noise))
    pairs = _taken_together(flux[:, FARTHEST : flux.shape[1] - FARTHEST]) / unit
    along = pairs @ moved.modes.reshape(-1, pairs.shape[1]).T
    size = len(SHIFTS)
    evidence = sum(
        factor[:, mode, None] * jnp.square(along[:, mode * size : (mode + 1) * size])
        for mode in range(_MODES)
    )
    return evidence - evidence[:, _GIVEN, None]  # type: ignore


def best_other(odds: Array) -> Array:
    """Log odds (n,) of the best of the other redshifts.

    Example:
        >>> best_other(jnp.zeros((1, len(SHIFTS))).at[0, 0].set(3.0)).tolist()
        [3.0]
    """
    return jnp.max(jnp.where(SHIFTS == 0, -jnp.inf, odds), axis=1)


def filled(flux: Array, fit: Array, weight: Array) -> tuple[Array, Array]:
    """Spectra (n, 825) as if their noise were the same in all bins, and its variance (n,): where
    there is more noise than usual, or nothing was seen, what is left of a fit counts less.

    Args:
        flux, fit: (n, 825).
        weight: (n, 825) inverse variances, or (n, 1) where they are the same in all bins.

    Example:
        >>> weight = jnp.array([[4.0, 4.0, 0.0]])
        >>> even, variance = filled(jnp.full((1, 3), 9.0), jnp.ones((1, 3)), weight)
        >>> even.tolist(), variance.tolist()
        ([[9.0, 9.0, 1.0]], [0.25])
    """
    if weight.shape[1] == 1:
        return flux, 1.0 / weight[:, 0]
    seen = jnp.maximum(jnp.mean(weight > 0, axis=1), 1.0 / weight.shape[1])
    usual = jnp.maximum(jnp.mean(weight, axis=1) / seen, 1e-30)
    share = jnp.minimum(weight / usual[:, None], 1.0)
    return fit + share * (flux - fit), 1.0 / usual


def _taken_together(rows: Any) -> Any:
    """Bins of rows (n, m), two at a time, with the noise that they had."""
    whole = rows.shape[1] // EVERY * EVERY
    return sum(rows[:, k:whole:EVERY] for k in range(EVERY)) / EVERY**0.5
