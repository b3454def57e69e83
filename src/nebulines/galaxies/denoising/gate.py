"""Which de-noised spectra can be trusted: residuals of the whole spectrum and of each line, the
range of the training, and what of the bins was seen."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nebulines.networks.denoise import Denoise
from nebulines.networks.denoise_basis import Statistics
from nebulines.spectra import Flag

RESIDUAL_SIGMAS, RESIDUAL_CHI2 = 6.0, 1.3
"""POOR_FIT: chi2 stands so many of its own deviations above the bins, and so far above 1."""
LINE_SIGMAS, LINE_SHARE = 4.0, 0.1
"""A line is refused where its residual is so many sigmas and this share of its flux."""
FEATURE_SIGMAS = 5.5
"""POOR_FIT: a line-like residual at any wavelength (wrong redshift, sky, cosmic ray)."""
RANGE_SIGMAS, STRONG_SIGMAS = 3.0, 0.0
"""OUT_OF_RANGE: a coordinate lies so many of its errors outside what was trained on; a line above
the strongest of the training, none."""
LEAST_SIGNAL = 3.0
"""LOW_SNR: the whole continuum is fewer sigmas than this."""
LEAST_BINS, FEW_BINS = 0.3, 0.7
"""NO_DATA below the first share of the bins, OUT_OF_RANGE below the second."""
_NOISE_MARGIN = 1.05
_NEAR = 2
_LINE_SHAPE = np.array([0.2, 0.6, 0.2])  # of a line, bin by bin


class Gate(NamedTuple):
    """What is said of n spectra.

    Attributes:
        flags: (n,) bits of `Flag`.
        refused: (n,) the network's answer is replaced by the fit.
        lost: (n,) there is no answer at all.
        chi2: (n,) of the residuals for each bin.
        line_residual: (n, L) residual flux of each line in sigmas.
    """

    flags: np.ndarray
    refused: np.ndarray
    lost: np.ndarray
    chi2: np.ndarray
    line_residual: np.ndarray


def judge(network: Denoise, flux: Any, weight: Any, mean: Any, found: Statistics, n: int) -> Gate:
    """Judge the first n de-noised spectra.

    Args:
        network: with the ranges of its training.
        flux, weight: (m, 825) the data.
        mean: (m, K) posterior means in the unit of the data.
        found: statistics of the spectra.
        n: spectra to judge; the rest are padding.
    """
    basis = network.basis
    vectors = np.asarray(basis.vectors)
    mean, seen = np.asarray(mean)[:n], np.asarray(weight)[:n] > 0
    weight, flux = np.asarray(weight)[:n], np.asarray(flux)[:n]
    residual = flux - mean @ vectors
    count = np.maximum(seen.sum(axis=1), 1)
    chi2 = np.sum(weight * np.square(residual), axis=1) / count
    lines = _line_residuals(network, residual, weight)
    sigmas, flux_left = lines
    line_flux = mean @ np.asarray(basis.coordinates)[: basis.n_lines].T
    wrong = (np.abs(sigmas) > LINE_SIGMAS) & (np.abs(flux_left) > LINE_SHARE * np.abs(line_flux))
    poor = _unknown_feature(residual, weight)
    poor |= ((chi2 - 1.0) * np.sqrt(count / 2.0) > RESIDUAL_SIGMAS) & (chi2 > RESIDUAL_CHI2)
    outside, noisy = _outside(network, found, n), _noise(network, found, weight, n)
    share = seen.mean(axis=1)
    signal = _signal(basis, flux, weight)
    lost = (share < LEAST_BINS) | ~(np.asarray(found.first)[:n] > 0) | ~np.isfinite(chi2)
    lost |= ~(signal > LEAST_SIGNAL)
    flags = np.zeros(n, np.int32)
    flags[share < LEAST_BINS] |= Flag.NO_DATA
    flags[(share >= LEAST_BINS) & ~(signal > LEAST_SIGNAL)] |= Flag.LOW_SNR
    flags[(share < 1.0)] |= Flag.MASKED_CHANNELS
    flags[_hidden_lines(network, seen)] |= Flag.LINE_OUTSIDE_BAND
    flags[poor | wrong.any(axis=1)] |= Flag.POOR_FIT
    flags[outside | noisy | (share < FEW_BINS)] |= Flag.OUT_OF_RANGE
    refused = (poor | wrong.any(axis=1) | outside) & ~lost
    return Gate(flags, refused, lost, chi2, sigmas)


def _line_residuals(
    network: Denoise, residual: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Residual flux (n, L) of each line by a matched filter, in sigmas and in flux."""
    profiles = np.asarray(network.line_profile)
    information = weight @ np.square(profiles).T
    flux = (weight * residual) @ profiles.T / np.maximum(information, 1e-30)
    return flux * np.sqrt(information), np.where(information > 0, flux, 0.0)


def _unknown_feature(residual: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Whether a residual (n,) as wide as a line stands out anywhere."""
    from scipy.ndimage import correlate1d

    signal = correlate1d(weight * residual, _LINE_SHAPE, axis=1, mode="constant")
    information = correlate1d(weight, np.square(_LINE_SHAPE), axis=1, mode="constant")
    sigmas = np.abs(signal) / np.sqrt(np.maximum(information, 1e-30))
    return np.any(sigmas > FEATURE_SIGMAS, axis=1)


def _outside(network: Denoise, found: Statistics, n: int) -> np.ndarray:
    """Whether a coordinate (n,) lies outside what was trained on, its error considered."""
    u, sigma = np.asarray(found.u)[:n], np.asarray(found.sigma_u)[:n]
    low, high = np.asarray(network.u_low), np.asarray(network.u_high)
    upwards = np.full(u.shape[1], RANGE_SIGMAS)
    upwards[: network.basis.n_lines] = STRONG_SIGMAS
    beyond = (u - upwards * sigma > high) | (u + RANGE_SIGMAS * sigma < low)
    return np.asarray(beyond.any(axis=1))


def _noise(network: Denoise, found: Statistics, weight: np.ndarray, n: int) -> np.ndarray:
    """Whether there is more noise (n,) than was trained on."""
    mean = np.where((weight > 0).any(axis=1), np.max(weight, axis=1), 1.0)
    middle = np.ma.median(np.ma.masked_equal(weight, 0.0), axis=1).filled(0.0)
    relative = 1.0 / np.sqrt(np.maximum(np.minimum(middle, mean), 1e-37))
    return relative > _NOISE_MARGIN * float(network.most_noise) * np.asarray(found.scale)[:n]


def _signal(basis: Any, flux: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """S/N (n,) of the whole spectrum along the mean one; negative for negative continua."""
    mean = np.asarray(basis.mean @ basis.vectors)
    information = weight @ np.square(mean)
    return ((weight * flux) @ mean) / np.sqrt(np.maximum(information, 1e-30))


def _hidden_lines(network: Denoise, seen: np.ndarray) -> np.ndarray:
    """Whether the bins under any line (n,) are missing."""
    middle = np.argmax(np.asarray(network.line_profile), axis=1)
    near = np.clip(middle[:, None] + np.arange(-_NEAR, _NEAR + 1), 0, seen.shape[1] - 1)
    covered = np.any(seen[:, near], axis=2)
    return ~np.all(covered, axis=1)
