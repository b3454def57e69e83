"""Spectra in units of their own noise: what the compiled fit reads.

Fluxes of 1e-17 and of 1e4 counts both become numbers of order one, so that float32 serves; a
row's mean is taken out (the continuum absorbs it) and given back with the result.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nebulines.fitting.tiles import map_tiles
from nebulines.spectra import Spectra

LARGEST_FLUX = 1e34
"""What float32 results can hold; larger numbers (and variances beyond the square) count as
missing."""
MONSTROUS_SNR = 1e9
"""A channel that is this many sigma away from the middle of its spectrum is no measurement."""


class Normalised(NamedTuple):
    """n spectra in units of their noise.

    Attributes:
        data: (n, m) float32, (flux - level) / scale; 0 where not used.
        weight: (n, m) float32 inverse variance of ``data``; 0 where not used.
        level, scale: (n,) in the unit of the flux.
        bad_variance: (n,) zero, negative or non-finite variances were left out.
        estimated: True when the noise is unknown and the weights are 0 or 1.
    """

    data: np.ndarray
    weight: np.ndarray
    level: np.ndarray
    scale: np.ndarray
    bad_variance: np.ndarray
    estimated: bool

    def rows(self, index: np.ndarray | slice) -> Normalised:
        """A subset of the rows."""
        return Normalised(
            self.data[index],
            self.weight[index],
            self.level[index],
            self.scale[index],
            self.bad_variance[index],
            self.estimated,
        )


def normalise(spectra: Spectra, *, estimate_noise: bool, slab_rows: int = 256) -> Normalised:
    """Bring spectra to units of their noise and decide which channels can be used.

    Args:
        spectra: the data.
        estimate_noise: ignore variances and treat the noise as unknown, constant in a row.
        slab_rows: rows worked on at once, on each core.

    Returns:
        A `Normalised`; a row without any usable channel has scale 1 and zero weights.
    """
    variance = None if estimate_noise else spectra.variance
    estimated = variance is None

    def work(start: int) -> tuple[np.ndarray, ...]:
        rows = slice(start, start + slab_rows)
        return _normalise_slab(
            np.asarray(spectra.flux[rows]),
            None if spectra.mask is None else np.asarray(spectra.mask[rows], bool),
            None if variance is None else np.asarray(variance[rows]),
        )

    pieces = map_tiles(work, list(range(0, len(spectra), slab_rows)))
    data, weight, level, scale, bad = (np.concatenate(p) for p in zip(*pieces, strict=True))
    return Normalised(data, weight, level, scale, bad, estimated)


def _normalise_slab(
    flux: np.ndarray, mask: np.ndarray | None, variance: np.ndarray | None
) -> tuple[np.ndarray, ...]:
    """The arrays of `Normalised` for a few rows."""
    with np.errstate(invalid="ignore"):
        used = np.abs(flux) < LARGEST_FLUX
    if mask is not None:
        used &= ~mask
    bad_variance = np.zeros(len(flux), bool)
    if variance is not None:
        with np.errstate(invalid="ignore"):
            good = np.isfinite(variance) & (variance > 0)
            if variance.dtype != np.float32:
                good &= (variance > LARGEST_FLUX**-2) & (variance < LARGEST_FLUX**2)
        bad_variance = np.any(used & ~good, axis=1)
        used &= good
    flux, level, scale = _level_and_scale(flux, used, variance)
    monstrous = np.flatnonzero(~(np.abs(level) < 1e-3 * MONSTROUS_SNR * scale))
    if len(monstrous):
        flux = np.array(flux)
        _leave_out_monsters(flux, used, variance, level, scale, monstrous)
    if variance is None:
        weight = used.astype(np.float32)
    else:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            unit = _column(scale, variance)
            weight = unit / variance * unit
    data = (flux - _column(level, flux)) / _column(scale, flux)
    if not used.all():
        data, weight = np.where(used, data, 0.0), np.where(used, weight, 0.0)
    single = np.float32
    data, weight = data.astype(single, copy=False), weight.astype(single, copy=False)
    return data, weight, level, scale, bad_variance


def _column(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """(n, 1) in the type of ``like``, so that float32 stays float32 (half the time of float64)."""
    return values[:, None].astype(like.dtype)


def _level_and_scale(
    flux: np.ndarray, used: np.ndarray, variance: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flux with 0 where not used, its mean (n,) and its noise (n,)."""
    if not used.all():
        flux = np.where(used, flux, 0.0)
    level = flux.sum(axis=1, dtype=np.float64) / np.maximum(used.sum(axis=1), 1)
    if flux.dtype == np.float32:  # exactly what is taken out is given back
        level = level.astype(np.float32).astype(np.float64)
    if variance is None:
        return flux, level, _noise_from_differences(flux, used)
    return flux, level, _typical_noise(variance, used)


def _leave_out_monsters(
    flux: np.ndarray,
    used: np.ndarray,
    variance: np.ndarray | None,
    level: np.ndarray,
    scale: np.ndarray,
    rows: np.ndarray,
) -> None:
    """In ``rows``, in place: use the median for a level, and leave out channels that are
    absurdly far from it, so that they spoil neither the level nor float32."""
    part = None if variance is None else variance[rows]
    count = used[rows].sum(axis=1)
    ordered = np.sort(np.where(used[rows], flux[rows], np.inf).astype(float), axis=1)
    middle = np.take_along_axis(ordered, (np.maximum(count - 1, 0) // 2)[:, None], axis=1)[:, 0]
    level[rows] = np.where(count > 0, middle, 0.0)
    distance = np.abs(flux[rows] - level[rows, None])
    used[rows] &= distance < MONSTROUS_SNR * scale[rows, None]
    flux[rows], _, scale[rows] = _level_and_scale(flux[rows], used[rows], part)


def _typical_noise(variance: np.ndarray, used: np.ndarray) -> np.ndarray:
    """(n,) root mean square of the noise over the used channels (harmonic, so that a few
    enormous variances do not matter)."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inverse = np.reciprocal(variance, dtype=np.float64)
        inverse = (inverse if used.all() else np.where(used, inverse, 0.0)).sum(axis=1)
    count = used.sum(axis=1)
    ok = (inverse > 0) & np.isfinite(inverse) & (count > 0)
    return np.sqrt(np.where(ok, count / np.where(ok, inverse, 1.0), 1.0))


def _noise_from_differences(flux: np.ndarray, used: np.ndarray) -> np.ndarray:
    """(n,) noise from the median absolute difference of neighbouring channels,
    sigma = MAD / (0.6745 sqrt 2); robust against lines."""
    if flux.shape[1] < 3:
        return np.ones(len(flux))
    difference = np.abs(np.diff(flux, axis=1))
    both = used[:, 1:] & used[:, :-1]
    if both.all():
        middle = np.median(difference, axis=1)
    else:
        padded = np.sort(np.where(both, difference, np.inf), axis=1)
        at = np.maximum(both.sum(axis=1) // 2 - (both.sum(axis=1) > 0), 0)
        middle = np.take_along_axis(padded, at[:, None], axis=1)[:, 0]
    sigma = middle.astype(np.float64) / (0.6745 * np.sqrt(2.0))
    spread = np.sqrt(np.mean(flux.astype(np.float64) ** 2, axis=1))
    sigma = np.where(np.isfinite(sigma) & (sigma > 1e-6 * spread), sigma, spread)
    return np.where(np.isfinite(sigma) & (sigma > 0), sigma, 1.0)
