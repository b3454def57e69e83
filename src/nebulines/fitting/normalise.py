"""Spectra in units of their own noise: what the compiled fit reads.

Fluxes of 1e-17 and of 1e4 counts both become numbers of order one, so that float32 serves; a
row's mean is taken out (the continuum absorbs it) and given back with the result.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nebulines.fitting.tiles import empty_aligned, map_tiles
from nebulines.spectra import Spectra

LARGEST_FLUX = 1e34
"""What float32 results can hold; larger numbers (and variances beyond the square) count as
missing."""
MONSTROUS_SNR = 1e9
"""A channel that is this many sigma away from the middle of its spectrum is no measurement."""

CONSTANT = 1e-5
"""Deviations from the mean [sigma] below which a spectrum is a constant and its rounding."""


class Normalised(NamedTuple):
    """n spectra in units of their noise.

    Attributes:
        data: (n, m) float32, (flux - level) / scale; 0 where not used.
        weight: (n, m) float32 inverse variance of ``data``; 0 where not used.
        level, scale: (n,) in the unit of the flux.
        bad_variance: (n,) zero, negative or non-finite variances were left out.
        estimated: True when the noise is unknown and the weights are 0 or 1.
        lightest, heaviest: (m,) smallest and largest weight of each channel in any row.
    """

    data: np.ndarray
    weight: np.ndarray
    level: np.ndarray
    scale: np.ndarray
    bad_variance: np.ndarray
    estimated: bool
    lightest: np.ndarray
    heaviest: np.ndarray

    def rows(self, index: np.ndarray | slice) -> Normalised:
        """A subset of the rows."""
        return self._replace(
            data=self.data[index],
            weight=self.weight[index],
            level=self.level[index],
            scale=self.scale[index],
            bad_variance=self.bad_variance[index],
        )

    def constant(self) -> np.ndarray:
        """Rows (n,) that are one number in every channel, with noise that only the data could
        tell, or that are all zero: filled in where nothing was observed."""
        few = self.data[:, :: max(self.data.shape[1] // 4, 1)]
        rows = np.all(np.abs(few) < CONSTANT, axis=1) & (self.estimated | (self.level == 0.0))
        rows[rows] = np.all(np.abs(self.data[rows]) < CONSTANT, axis=1)
        return rows

    def same_weight(self, expected: np.ndarray, tolerance: float) -> bool:
        """Whether all rows have the weights (m,), to a relative tolerance."""
        low, high = (1.0 - tolerance) * expected, (1.0 + tolerance) * expected
        return bool(np.all(self.lightest >= low) and np.all(self.heaviest <= high))


def normalise(spectra: Spectra, *, estimate_noise: bool, slab_rows: int = 512) -> Normalised:
    """Bring spectra to units of their noise and decide which channels can be used.

    Args:
        spectra: the data.
        estimate_noise: ignore variances and treat the noise as unknown, constant in a row.
        slab_rows: rows worked on at once, on each core.

    Returns:
        A `Normalised`; a row without any usable channel has scale 1 and zero weights.
    """
    variance = None if estimate_noise else spectra.variance
    n, m = np.shape(spectra.flux)
    data, weight = empty_aligned((n, m)), empty_aligned((n, m))

    def work(start: int) -> tuple[np.ndarray, ...]:
        rows = slice(start, start + slab_rows)
        return _normalise_slab(
            np.asarray(spectra.flux[rows]),
            None if spectra.mask is None else np.asarray(spectra.mask[rows], bool),
            None if variance is None else np.asarray(variance[rows]),
            data[rows],
            weight[rows],
        )

    starts = list(range(0, n, slab_rows))
    level, scale, bad, low, high = zip(*map_tiles(work, starts), strict=True)
    lightest = np.min([np.broadcast_to(one, m) for one in low], axis=0)
    heaviest = np.max([np.broadcast_to(one, m) for one in high], axis=0)
    if lightest.min() == heaviest.max() == 1.0:
        weight = np.broadcast_to(np.float32(1.0), (n, m))
    else:
        for start, one in zip(starts, low, strict=True):
            if one.ndim == 0:
                weight[start : start + slab_rows] = 1.0
    return Normalised(
        data,
        weight,
        np.concatenate(level),
        np.concatenate(scale),
        np.concatenate(bad),
        variance is None,
        lightest,
        heaviest,
    )


def _normalise_slab(
    flux: np.ndarray,
    mask: np.ndarray | None,
    variance: np.ndarray | None,
    data: np.ndarray,
    weight: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """Fill data and weight of a few rows; returns level, scale, bad_variance, and the smallest
    and largest weight of each channel (m,).

    Even weights, all of them 1, are not filled, which for most spectra saves half the time: the
    smallest and largest weight are then one number ().
    """
    ends = None if variance is None else _row_ends(variance)
    used, bad_variance = _usable(flux, mask, variance, ends)
    if used is not None:
        flux = np.where(used, flux, 0.0)
    level = _level(flux, used)
    scale, even = _noise_and_weight(flux, used, variance, weight, ends)
    monstrous = np.flatnonzero(~(np.abs(level) < 1e-3 * MONSTROUS_SNR * scale))
    if len(monstrous):
        if even:
            weight[:], even = 1.0, False
        used = np.ones(flux.shape, bool) if used is None else used
        flux = np.array(flux)
        _leave_out_monsters(flux, used, variance, level, scale, weight, monstrous)
    np.subtract(flux, _column(level, flux), out=data, casting="same_kind")
    data *= _column(1.0 / scale, data)
    if used is not None:
        data[~used] = 0.0
    least_most = (np.float32(1.0),) * 2 if even else (weight.min(axis=0), weight.max(axis=0))
    return level, scale, bad_variance, *(np.asarray(end) for end in least_most)


Ends = tuple[np.ndarray, np.ndarray]
"""Smallest and largest variance of each row (n,)."""


def _row_ends(variance: np.ndarray) -> Ends:
    if variance.strides[1] == 0:  # one number for all channels of a row
        variance = variance[:, :1]
    return variance.min(axis=1, initial=np.inf), variance.max(axis=1, initial=0.0)


def _usable(
    flux: np.ndarray, mask: np.ndarray | None, variance: np.ndarray | None, ends: Ends | None
) -> tuple[np.ndarray | None, np.ndarray]:
    """Channels (n, m) that can be used, None for all of them, and rows (n,) that lost some for
    their variance."""
    none_lost = np.zeros(len(flux), bool)
    if (mask is None or not mask.any()) and _in_range(flux, ends):
        return None, none_lost
    with np.errstate(invalid="ignore"):
        used = np.abs(flux) < LARGEST_FLUX
        if mask is not None:
            used &= ~mask
        if variance is None:
            return used, none_lost
        exact = variance.astype(np.float64)
        good = (exact > LARGEST_FLUX**-2) & (exact < LARGEST_FLUX**2)
    return used & good, np.any(used & ~good, axis=1)


def _in_range(flux: np.ndarray, ends: Ends | None) -> bool:
    """Whether all numbers are such as spectra have, told without another array; a NaN is not."""
    if not -LARGEST_FLUX < flux.min(initial=0.0) <= flux.max(initial=0.0) < LARGEST_FLUX:
        return False
    if ends is None:
        return True
    low, high = float(ends[0].min(initial=1.0)), float(ends[1].max(initial=1.0))
    return LARGEST_FLUX**-2 < low <= high < LARGEST_FLUX**2


def _column(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """(n, 1) in the type of ``like``, so that float32 stays float32 (half the time of float64)."""
    return values[:, None].astype(like.dtype)


def _level(flux: np.ndarray, used: np.ndarray | None) -> np.ndarray:
    """Mean (n,) of rows whose flux is 0 where not used, rounded as the flux is: exactly what is
    taken out is given back."""
    count = flux.shape[1] if used is None else used.sum(axis=1)
    total = np.einsum("ij->i", flux)  # half the time of sum(axis=1)
    return (total / np.maximum(count, 1)).astype(flux.dtype).astype(np.float64)


def _noise_and_weight(
    flux: np.ndarray,
    used: np.ndarray | None,
    variance: np.ndarray | None,
    weight: np.ndarray,
    ends: Ends | None = None,
) -> tuple[np.ndarray, bool]:
    """Noise (n,) of a row, the unit of its data: the root of the harmonic mean of its variances,
    which a few enormous ones do not raise. Fills the weights, whose mean over the used channels
    is 1, unless they are even (True). ``ends`` are those of all channels, where they are known."""
    if variance is None:
        if used is None:
            return _noise_from_differences(flux, np.ones(flux.shape, bool)), True
        weight[:] = used
        return _noise_from_differences(flux, used), False
    if used is not None or ends is None:
        variance = variance if used is None else np.where(used, variance, np.inf)
        ends = _row_ends(variance)
    lowest, highest = ends
    if used is None and np.all(lowest == highest):
        return np.sqrt(lowest.astype(np.float64)), True
    lowest = np.where(np.isfinite(lowest), lowest, 1.0).astype(variance.dtype)
    np.divide(lowest[:, None], variance, out=weight, casting="same_kind")
    total = weight.sum(axis=1).astype(np.float64)
    count = weight.shape[1] if used is None else used.sum(axis=1)
    share = np.where(total > 0, count / np.where(total > 0, total, 1.0), 1.0)
    weight *= _column(share, weight)
    return np.where(total > 0, np.sqrt(lowest * share), 1.0), False


def _leave_out_monsters(
    flux: np.ndarray,
    used: np.ndarray,
    variance: np.ndarray | None,
    level: np.ndarray,
    scale: np.ndarray,
    weight: np.ndarray,
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
    flux[rows] = np.where(used[rows], flux[rows], 0.0)
    inner = weight[rows]
    scale[rows], _ = _noise_and_weight(flux[rows], used[rows], part, inner)
    weight[rows] = inner


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
