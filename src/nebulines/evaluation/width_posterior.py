"""The exact posterior of equivalent widths given eleven colours, from the population itself.

A galaxy m of the population, seen with a S/N s per Angstrom, has the logarithms of its mean fluxes
in twelve bins within the covariance C of noise and calibration: white noise of
(median flux / s) / sqrt(300) in a bin, a straight and a curved error of known spread, and a level
that says nothing, which is what colours leave out. The colours x of another galaxy then give m the
weight sum_s N(x; m, C(m, s)), s flat in its logarithm, to first order in the noise; with galaxies
drawn from the population itself, those are the weights of the exact posterior of its widths. No
predictor of the same colours, however it learned, does better than what follows from it, up to the
number of galaxies that carry the weight.

Two limits hold for any function f of the colours. The rank correlation of f with measured widths y,
whose ranks are R, is that of the ranks of f with E[R | x], which is largest where both have the
same order. And where a share M(t | x) of the posterior of y lies within the best window of half
width t, no more than the mean of M(t | x) can be predicted to within t: the least median distance
is the t at which that mean is a half.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

from nebulines.galaxies.widths.bins import BIN_EDGES, FINE_EDGES, N_COLOURS
from nebulines.galaxies.widths.errors import measure
from nebulines.galaxies.widths.samples import calibration_shapes, survey_settings, true_blocks

LEAST_EFFECTIVE = 30.0
"""Galaxies that must carry the weight of a posterior for it to count."""
_LEVELS = 12
_DIRECTIONS = 6
_REACH = 7.0  # standard deviations
_LIGHTEST = 1e-7  # of the heaviest weight
_BINS = N_COLOURS + 1


class Library(NamedTuple):
    """m galaxies that stand for the population.

    Attributes:
        log_flux: (m, 12) natural logarithm of the mean flux in each bin over the median flux.
        ew: (m, 10) true widths [Angstrom].
        measured: (m, 10) one measurement of each [Angstrom].
        rank: (m, 10) place of ``measured`` among all of them, 0 to 1.
    """

    log_flux: np.ndarray
    ew: np.ndarray
    measured: np.ndarray
    rank: np.ndarray

    @classmethod
    def draw(cls, n: int, seed: int) -> Library:
        """New galaxies.

        Args:
            n: number of galaxies.
            seed: of a stream that nothing else was drawn from.

        Example:
            >>> Library.draw(20, 0).log_flux.shape
            (20, 12)
        """
        log_flux, widths = [], []
        for fine, ew, _ in true_blocks(n, seed):
            wide = fine.reshape(len(fine), _BINS, -1).mean(axis=-1)
            log_flux.append(np.log(wide / np.median(fine, axis=1, keepdims=True)))
            widths.append(ew)
        ew = np.concatenate(widths).astype(float)
        measured = measure(ew, np.random.default_rng([seed, 1]))[0]
        rank = (rankdata(measured, axis=0) - 0.5) / n
        return cls(np.concatenate(log_flux).astype(np.float32), ew, measured, rank)


class Posterior(NamedTuple):
    """One galaxy's posterior.

    Attributes:
        rows: (k,) galaxies of the library that carry it.
        weight: (k,) of each, adding up to one.
        effective: number of galaxies that carry the weight, 1 / sum of squares.
    """

    rows: np.ndarray
    weight: np.ndarray
    effective: float


def posteriors(colours: Any, library: Library) -> Iterator[Posterior]:
    """The posterior of each of n galaxies.

    Args:
        colours: (n, 11) [dex].
        library: galaxies of the population, none of them among the n.

    Example:
        >>> library = Library.draw(200, 1)
        >>> colour = np.diff(library.log_flux[:2], axis=1) / np.log(10.0)
        >>> [k in one.rows for k, one in enumerate(posteriors(colour, library))]
        [True, True]
    """
    known, noise = _centred(library.log_flux), _white_weight(library.log_flux)
    basis = np.linalg.svd(known[:: max(len(known) // 5000, 1)], full_matrices=False)[2][
        :_DIRECTIONS
    ].T
    place = known @ basis
    for seen in _centred(_log_flux(colours)):
        near = np.flatnonzero((np.abs(place - seen @ basis) < _reach(seen, basis)).all(axis=1))
        log_weight = _log_weights(seen, known[near], noise[near])
        heavy = log_weight > log_weight.max() + np.log(_LIGHTEST)
        weight = np.exp(log_weight[heavy] - log_weight.max())
        weight /= weight.sum()
        yield Posterior(near[heavy], weight, float(1.0 / np.sum(weight**2)))


def _log_flux(colours: Any) -> np.ndarray:
    """Natural logarithm (n, 12) of mean fluxes of colours (n, 11), the first one zero."""
    steps = np.cumsum(np.log(10.0) * np.asarray(colours, float), axis=1)
    return np.concatenate([np.zeros((len(steps), 1)), steps], axis=1)


def _centred(log_flux: np.ndarray) -> np.ndarray:
    return np.asarray(log_flux - log_flux.mean(axis=1, keepdims=True), np.float32)


def _white_weight(log_flux: np.ndarray) -> np.ndarray:
    """Inverse variance (m, 12) of the logarithm of each bin at a S/N of one per Angstrom."""
    return np.asarray(np.diff(BIN_EDGES)[0] * np.exp(2.0 * log_flux), np.float32)


def _levels() -> np.ndarray:
    """S/N per Angstrom that are summed over, even in their logarithm."""
    low, high = np.log(survey_settings()["snr"])
    return np.exp(low + (high - low) * (np.arange(_LEVELS) + 0.5) / _LEVELS)


def _shapes() -> np.ndarray:
    """Straight and curved error of the calibration (2, 12), of unit spread."""
    return calibration_shapes(len(FINE_EDGES) - 1).reshape(2, _BINS, -1).mean(axis=-1)


def _reach(seen: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Distance (k,) along directions (12, k) beyond which nothing has weight, at the least S/N."""
    bends = survey_settings()["calibration"] * _shapes() @ basis
    white = np.sqrt(1.0 / _white_weight(seen - np.median(seen)))[:, None] * basis
    noise = white / survey_settings()["snr"][0]
    return _REACH * np.sqrt(np.sum(bends**2, axis=0) + np.sum(noise**2, axis=0))


def _log_weights(seen: np.ndarray, known: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Logarithm (m,) of the weights of galaxies (m, 12)."""
    total = noise.sum(axis=1, keepdims=True)

    def centred(values: np.ndarray) -> np.ndarray:
        return values - np.sum(noise * values, axis=1, keepdims=True) / total

    away, a, b = (
        centred(np.asarray(part, np.float32)) for part in (seen - known, *_shapes()[:, None])
    )
    pairs = ((away, away), (away, a), (away, b), (a, a), (a, b), (b, b))
    square, along_a, along_b, aa, ab, bb = (
        np.einsum("mk,mk,mk->m", noise, x, y).astype(float) for x, y in pairs
    )
    prior = 1.0 / survey_settings()["calibration"] ** 2
    parts = []
    for level in _levels() ** 2:
        one, both, two = level * aa + prior, level * ab, level * bb + prior
        determinant = one * two - both**2
        taken = two * along_a**2 - 2.0 * both * along_a * along_b + one * along_b**2
        chi2 = level * square - level**2 * taken / determinant
        parts.append(0.5 * (N_COLOURS * np.log(level) - np.log(determinant) - chi2))
    shape = 0.5 * (np.log(noise).sum(axis=1, dtype=float) - np.log(total[:, 0]))
    return np.asarray(shape + np.logaddexp.reduce(parts, axis=0))
