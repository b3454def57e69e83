"""Judge de-noised spectra: square errors, the Bayes bound, line fluxes, coverage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from nebulines.galaxies.denoising.training_sets import CleanSet

DECADES = 3.0
"""Range of true line flux that is compared, from the largest downwards."""
N_BINS = 10
_BLOCK = 500


class Bound(NamedTuple):
    """What a library says of n noisy spectra.

    Attributes:
        mean: (n, channel) posterior mean of the clean spectrum.
        log_flux: (n, L) posterior mean of log10 of the line fluxes.
        effective: (n,) library spectra that the answer rests on.
    """

    mean: np.ndarray
    log_flux: np.ndarray
    effective: np.ndarray


def bayes_bound(noisy: np.ndarray, sigma: float, library: CleanSet) -> Bound:
    """Posterior means over a library drawn from the prior of the test set.

    E[y | x] = sum_i w_i y_i with the weights of `library_weights`: for white noise no method has a
    smaller mean square error, up to the finite size of the library, which shows in ``effective``.

    Args:
        noisy: (n, channel) spectra whose clean ones have unit norm.
        sigma: noise of a channel.
        library: galaxies that are not in the test set.

    Example:
        >>> clean = np.eye(2, 4)
        >>> library = CleanSet(clean, *(np.ones((2, 1)),) * 7)
        >>> bayes_bound(clean, 0.1, library).mean.round(3).tolist() == clean.tolist()
        True
    """
    flux = np.log10(np.maximum(library.line_flux, 1e-9))
    parts = [
        (weight @ library.spectra, weight @ flux, 1.0 / np.sum(np.square(weight), axis=1))
        for weight in library_weights(noisy, sigma, library.spectra)
    ]
    return Bound(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def library_weights(
    noisy: np.ndarray, sigma: float | np.ndarray, spectra: np.ndarray
) -> Iterator[np.ndarray]:
    """Posterior probabilities (block, N) of the spectra of a library, block after block of the
    noisy ones: w_i ~ exp(-1/2 sum_k (x_k - y_ik)^2 / sigma_k^2).

    Args:
        noisy: (n, channel).
        sigma: noise of all channels, or (channel,).
        spectra: (N, channel).

    Example:
        >>> next(library_weights(np.eye(2), 0.1, np.eye(2))).round(3).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    inverse = np.broadcast_to(np.asarray(sigma, np.float32) ** -2, spectra.shape[1:])
    power = 0.5 * np.square(spectra) @ inverse
    for start in range(0, len(noisy), _BLOCK):
        log_weight = (noisy[start : start + _BLOCK] * inverse) @ spectra.T - power
        weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
        yield weight / weight.sum(axis=1, keepdims=True)


def library_quantiles(
    noisy: np.ndarray,
    sigma: float | np.ndarray,
    spectra: np.ndarray,
    values: np.ndarray,
    shares: Sequence[float],
) -> np.ndarray:
    """Quantiles (q, n, m) of the library's posterior of some values, and so the best answer that
    there is, as far as the library is large enough.

    Args:
        noisy, sigma, spectra: as in `library_weights`.
        values: (N, m) of the spectra of the library.
        shares: q probabilities.

    Example:
        >>> library_quantiles(np.eye(2), 0.1, np.eye(2), np.array([[1.0], [2.0]]), [0.5]).tolist()
        [[[1.0], [2.0]]]
    """
    order = np.argsort(values, axis=0)
    blocks = []
    for weight in library_weights(noisy, sigma, spectra):
        found = np.empty((len(shares), len(weight), values.shape[1]))
        for k, rank in enumerate(order.T):
            total = np.cumsum(weight[:, rank], axis=1)
            for q, share in enumerate(shares):
                place = np.minimum((total < share).sum(axis=1), len(rank) - 1)
                found[q, :, k] = values[rank[place], k]
        blocks.append(found)
    return np.concatenate(blocks, axis=1)


class Scatter(NamedTuple):
    """Scatter of log10 of recovered over true line flux [dex].

    Attributes:
        everywhere: over all points.
        filled: over the bins of true flux with more than n / 11 points.
        recovered: share of the points with a positive flux.
        near: share within a factor of two of the truth.
        number: of points.
        number_filled: of points in filled bins.
    """

    everywhere: float
    filled: float
    recovered: float
    near: float
    number: int
    number_filled: int


def flux_scatter(found: np.ndarray, truth: np.ndarray) -> Scatter:
    """The paper's scatter for one line.

    Args:
        found: (n,) recovered fluxes; not positive = not recovered.
        truth: (n,) true ones; those within three decades of the 99.9th percentile count.

    Source: Scourfield et al. 2023, section 4.3: ten bins of true flux; a bin is filled that
    holds more than N / (10 + 1) points.

    Example:
        >>> truth = np.geomspace(1.0, 999.0, 400)
        >>> flux_scatter(10.0**0.1 * truth, truth).everywhere < 1e-6
        True
    """
    log_truth = np.log10(np.maximum(truth, 1e-12))
    top = np.percentile(log_truth, 99.9)
    used = log_truth > top - DECADES
    bins = bin_numbers(log_truth[used], top)
    count = np.bincount(bins, minlength=N_BINS)
    full = (count > used.sum() / (N_BINS + 1))[bins]
    good = found[used] > 0
    difference = np.log10(np.where(good, found[used], 1.0)) - log_truth[used]
    return Scatter(
        float(np.std(difference[good])),
        float(np.std(difference[good & full])),
        float(good.mean()),
        float(np.mean(good & (np.abs(difference) < np.log10(2.0)))),
        int(used.sum()),
        int(full.sum()),
    )


def bin_numbers(log_truth: np.ndarray, top: float) -> np.ndarray:
    """Number (n,) of the bin of each log10 of a true flux, 0 to 9 over three decades.

    Example:
        >>> bin_numbers(np.array([-3.0, -0.01, 0.5]), 0.0).tolist()
        [0, 9, 9]
    """
    place = N_BINS * (log_truth - top + DECADES) / DECADES
    return np.clip(np.floor(place).astype(int), 0, N_BINS - 1)


def mean_square(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean square error of a bin."""
    return float(np.mean(np.square(np.asarray(found, float) - truth)))


def neighbours_agree(latent: np.ndarray, kind: np.ndarray, *, k: int = 15) -> dict[int, float]:
    """How well classes separate in a latent space: share of the members of each class whose k
    nearest neighbours (not themselves) are mostly of it.

    Args:
        latent: (n, d), each dimension scaled to unit spread here.
        kind: (n,) numbers of classes.

    Example:
        >>> latent = np.concatenate([np.zeros((30, 2)), np.ones((30, 2))])
        >>> neighbours_agree(latent + 0.01 * np.arange(60)[:, None] % 3, np.arange(60) // 30)
        {0: 1.0, 1: 1.0}
    """
    from scipy.spatial import cKDTree

    scaled = latent / np.maximum(latent.std(axis=0), 1e-12)
    near = cKDTree(scaled).query(scaled, k=k + 1)[1][:, 1:]
    names = np.unique(kind)
    votes = np.stack([(kind[near] == name).sum(axis=1) for name in names], axis=1)
    said = names[np.argmax(votes, axis=1)]
    return {int(name): round(float(np.mean(said[kind == name] == name)), 3) for name in names}


def strengthened(
    galaxies: CleanSet, profiles: np.ndarray, factor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Spectra (n, channel) of unit norm with all lines stronger by a factor (n,), and the
    fluxes of the lines (n, L) in the same unit.

    Args:
        galaxies: clean ones.
        profiles: (L, channel) of lines of unit flux.
        factor: (n,) 1 or more.
    """
    extra = (factor - 1.0)[:, None] * galaxies.line_flux
    spectra = galaxies.spectra + extra @ profiles
    flux = factor[:, None] * galaxies.line_flux
    norm = np.linalg.norm(spectra, axis=1, keepdims=True)
    return spectra / norm, flux / norm


def as_dict(scatter: Scatter) -> dict[str, Any]:
    """Plain numbers, three digits."""
    return {name: round(value, 3) for name, value in scatter._asdict().items()}
