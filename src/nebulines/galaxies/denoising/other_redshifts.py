"""Whether a spectrum speaks for another redshift than the one that it was brought to rest with.

In bins even in the logarithm of the wavelength, another redshift is the galaxy moved by whole bins.
Galaxies of the kind c (`nebulines.networks.denoise.galaxy_kinds`) have W_c^T W_c as second moment;
moved by k bins they fill the same bins. Of what is in these, E_ckj are the eigenvectors that
galaxies are made of and l_ckj their powers. With white noise q = sigma^2 / s^2, s the norm of the
clean spectrum, the evidence of a spectrum x is but for a factor

    p_k = sum_c share_c prod_j (1 + l / q)^-1/2 exp((E x / s)^2 l / (2 q (l + q))),

and the odds of all other redshifts against the given one are sum_k p_k / p_0.

Every spectrum gets a coarse look: one kind of galaxies, three modes of the same powers for all k,
bins taken three together, every third k, the best k in place of the sum. Those that it leaves in
doubt get the whole.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.networks.denoise.galaxy_kinds import BEYOND, GalaxyKinds
from nebulines.networks.denoise.grid import N_BINS
from nebulines.networks.weights import load

EVERY = 2
"""Bins between the redshifts of the whole look."""
SHIFTS = np.arange(-BEYOND, BEYOND + 1, EVERY)
"""Bins (S,) towards the red by which galaxies are moved."""
_MODES = 3
_COARSE = 3
_COARSE_SHIFTS = np.arange(-BEYOND, BEYOND + 1, _COARSE)
_AT_ONCE = 64
"""Spectra that get a whole look together."""
_LEAST_NOISE = 0.01
"""In a bin, relative to the norm of a spectrum: smaller noise counts as this, for it is less than
what the modes leave of galaxies."""
DOUBT = 4.0
"""Log odds of the coarse look above which the whole one follows."""


class Modes(NamedTuple):
    """What galaxies at other redshifts are made of.

    Attributes:
        shapes: (J C S, bin) orthonormal for each of C kinds and S shifts, the first mode of all
            before the second.
        power: (J, C, S) mean squares of galaxies of unit norm along them.
        share: (C,) of the kinds.
    """

    shapes: Array
    power: Array
    share: Array


class Moved(NamedTuple):
    """Galaxies at other redshifts, for both looks: ``coarse`` on 275 bins, ``whole`` on 825."""

    coarse: Modes
    whole: Modes


@functools.cache
def moved_galaxies() -> Moved:
    """The package's galaxies at other redshifts, worked out once."""
    kinds: GalaxyKinds = load("galaxy_kinds").network
    share, shapes = np.asarray(kinds.share, float), np.asarray(kinds.shapes, float)
    every = (np.sqrt(share)[:, None, None] * shapes).reshape(1, -1, shapes.shape[2])
    coarse = _modes(every, np.ones(1), _COARSE_SHIFTS, _taken_together)
    return Moved(coarse, _modes(shapes, share, SHIFTS, np.asarray))


def _modes(kinds: np.ndarray, share: np.ndarray, shifts: np.ndarray, taken: Any) -> Modes:
    """The first eigenvectors of the second moments of kinds (C, m, 825 + 120) moved by shifts (S,),
    their bins ``taken`` together."""
    shapes = np.stack(
        [[taken(_moved_by(kind, bins)) for bins in shifts] for kind in kinds]
    )  # C, S, m, bin
    _, root, modes = np.linalg.svd(shapes, full_matrices=False)
    first = np.moveaxis(modes[:, :, :_MODES], 2, 0).reshape(-1, shapes.shape[3])
    power = np.moveaxis(np.square(root[:, :, :_MODES]), 2, 0)
    return Modes(*(jnp.asarray(part, jnp.float32) for part in (first, power, share)))


def _moved_by(shapes: np.ndarray, bins: int) -> np.ndarray:
    """What shapes (m, 825 + 120) have in the usual bins when moved towards the red."""
    return shapes[:, BEYOND - bins : BEYOND - bins + N_BINS]


def log_odds(modes: Modes, flux: Array, scale: Array, variance: Array) -> Array:
    """Log odds (S, n) of other redshifts against the given one, all equally likely beforehand.

    Args:
        modes: of `moved_galaxies`.
        flux: (n, 825), all bins filled; taken together as in the modes.
        scale: (n,) norm of the clean spectra; where there is none, any number.
        variance: (n,) of the noise of a bin.
    """
    unit, noise = _noise(scale, variance)
    along = (modes.shapes @ flux.T).reshape(*modes.power.shape, -1) / unit
    power = modes.power[..., None]
    seen = power / (power + noise)
    known = jnp.sum(jnp.square(along) * seen, axis=0) / noise
    spread = jnp.log(jnp.prod(1.0 - seen, axis=0))
    terms = 0.5 * (known + spread) + jnp.log(modes.share)[:, None, None]
    evidence = jax.nn.logsumexp(terms, axis=0)
    return evidence - evidence[len(evidence) // 2]


def best_coarse(coarse: Modes, flux: Array, scale: Array, variance: Array) -> Array:
    """Log odds (n,) of the best other redshift by the coarse look; compiled.

    Args:
        coarse: of `moved_galaxies`.
        flux, scale, variance: as in `log_odds`.
    """
    unit, noise = _noise(scale, variance)
    power = jnp.mean(coarse.power, axis=(1, 2))[:, None]
    factor = power / (2.0 * unit * unit * noise * (power + noise))
    along = (coarse.shapes @ _taken_together(flux).T).reshape(len(factor), -1, len(flux))
    evidence = sum(part[None] * jnp.square(mode) for part, mode in zip(factor, along, strict=True))
    given = len(evidence) // 2
    return jnp.max(_of_others(evidence), axis=0) - evidence[given]


def _noise(scale: Array, variance: Array) -> tuple[Array, Array]:
    """Unit (n,) of spectra and variance (n,) of the noise in it."""
    unit = jnp.where(scale > 0, scale, 1.0)
    return unit, jnp.maximum(variance / unit / unit, _LEAST_NOISE**2)


def whole_look(
    whole: Modes, flux: np.ndarray, scale: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Log odds (n,) of all other redshifts together, and the bins (n,) by which the best moves
    galaxies, of any number of spectra.

    Args:
        whole: of `moved_galaxies`.
        flux, scale, variance: as in `log_odds`.
    """
    n = len(flux)
    rows = np.resize(np.arange(n), (-(-n // _AT_ONCE), _AT_ONCE))
    found = [_whole_look(whole, *(part[k] for part in (flux, scale, variance))) for k in rows]
    odds, best = (np.concatenate(part)[:n] for part in zip(*found, strict=True))
    return odds, SHIFTS[best]


@jax.jit
def _whole_look(whole: Modes, flux: Array, scale: Array, variance: Array) -> tuple[Array, Array]:
    other = _of_others(log_odds(whole, flux, scale, variance))
    return jax.nn.logsumexp(other, axis=0), jnp.argmax(other, axis=0)


def _of_others(odds: Array) -> Array:
    """Log odds (S, n), of the given redshift minus infinity."""
    return odds.at[len(odds) // 2].set(-jnp.inf)


def filled(flux: Any, fit: Any, weight: Any) -> tuple[Any, Any]:
    """Spectra (n, 825) as if their noise were the same in all bins, and its variance (n,): where
    there is more noise than usual, or nothing was seen, what is left of a fit counts less.

    Args:
        flux, fit: (n, 825).
        weight: (n, 825) inverse variances, or (n, 1) where they are the same in all bins.

    Example:
        >>> weight = np.array([[4.0, 4.0, 0.0]])
        >>> even, variance = filled(np.full((1, 3), 9.0), np.ones((1, 3)), weight)
        >>> even.tolist(), variance.tolist()
        ([[9.0, 9.0, 1.0]], [0.25])
    """
    if weight.shape[1] == 1:
        return flux, 1.0 / weight[:, 0]
    seen = (weight > 0).mean(axis=1).clip(1.0 / weight.shape[1], None)
    usual = (weight.mean(axis=1) / seen).clip(1e-30, None)
    share = (weight / usual[:, None]).clip(None, 1.0)
    return fit + share * (flux - fit), 1.0 / usual


def _taken_together(rows: Any) -> Any:
    """Bins of rows (n, 825), three at a time, with the noise that they had."""
    return sum(rows[:, k::_COARSE] for k in range(_COARSE)) / _COARSE**0.5
