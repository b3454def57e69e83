"""Spectra on one logarithmic rest-frame grid, and back to their own channels.

The channels of the grid are 1e-4 apart in log10 of the wavelength (69 km/s), those of SDSS and
MaNGA: such spectra are only moved by whole channels, what is left of the shift is remembered.
Others are rebinned with the flux conserved; the variance of a channel is chosen such that the
information per wavelength stays what it was (the noise of rebinned channels is correlated).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.fitting.tiles import map_tiles
from nebulines.spectra import Spectra

LOG10_STEP = 1e-4
CHANNEL_KMS = SPEED_OF_LIGHT_KMS * np.log(10.0) * LOG10_STEP
"""Width of a channel of the grid [km/s]."""
_SLAB = 64
_SIDES = 256


@dataclass(frozen=True)
class RestGrid:
    """A logarithmic grid of p channels.

    Attributes:
        first: log10 of the first wavelength.
        size: p.

    Example:
        >>> grid = RestGrid.covering(4000.0, 5000.0)
        >>> bool(grid.wavelength[0] <= 4000.0 and grid.wavelength[-1] >= 5000.0)
        True
    """

    first: float
    size: int

    @classmethod
    def covering(cls, low: float, high: float) -> RestGrid:
        """The grid that holds two wavelengths [Angstrom]; its ends are multiples of 256
        channels, so that few grids differ."""
        ends = np.log10([low, high]) / LOG10_STEP / _SIDES
        start, stop = int(np.floor(ends[0])) * _SIDES, int(np.ceil(ends[1])) * _SIDES
        return cls(start * LOG10_STEP, stop - start + 1)

    @property
    def wavelength(self) -> np.ndarray:
        """(p,) [Angstrom]."""
        return np.asarray(10.0 ** (self.first + LOG10_STEP * np.arange(self.size)))

    @property
    def edges(self) -> np.ndarray:
        """(p + 1,) borders of the channels [Angstrom]."""
        return np.asarray(10.0 ** (self.first + LOG10_STEP * (np.arange(self.size + 1) - 0.5)))

    def channel(self, wavelength: np.ndarray) -> np.ndarray:
        """Fractional channels of rest wavelengths [Angstrom]."""
        return np.asarray((np.log10(wavelength) - self.first) / LOG10_STEP)


@dataclass(frozen=True)
class OnGrid:
    """n spectra on a grid.

    Channel j of a spectrum lies in channel j + whole of the grid, or, where its own channels
    differ from those of the grid (``whole`` is None), wherever its wavelength puts it.

    Attributes:
        grid: the grid.
        flux: (n, p) float32, 0 where not used.
        weight: (n, p) float32 inverse variance, 0 where not used.
        fraction: (n,) what rounding to whole channels took from the position of every feature.
        moved: (n,) channels that the spectrum was moved blueward on purpose.
        whole: (n,) or None.
    """

    grid: RestGrid
    flux: np.ndarray
    weight: np.ndarray
    fraction: np.ndarray
    moved: np.ndarray
    whole: np.ndarray | None = None

    @property
    def offset(self) -> np.ndarray:
        """(n,) channels to add to a velocity that is measured on the grid."""
        return self.fraction + self.moved

    def rows(self, index: np.ndarray | slice) -> OnGrid:
        """A subset of the spectra."""
        return replace(
            self,
            flux=self.flux[index],
            weight=self.weight[index],
            fraction=self.fraction[index],
            moved=self.moved[index],
            whole=None if self.whole is None else self.whole[index],
        )

    def move(self, channels: np.ndarray) -> OnGrid:
        """The spectra moved blueward by whole channels (n,)."""
        if not np.any(channels):
            return self
        index = np.arange(self.grid.size) + channels[:, None]
        inside = (index >= 0) & (index < self.grid.size)
        at = np.clip(index, 0, self.grid.size - 1)
        flux, weight = (
            np.where(inside, np.take_along_axis(part, at, axis=1), 0.0).astype(np.float32)
            for part in (self.flux, self.weight)
        )
        return replace(self, flux=flux, weight=weight, moved=self.moved + channels)


def onto_grid(spectra: Spectra, redshift: np.ndarray, grid: RestGrid) -> OnGrid:
    """Spectra on the grid.

    Args:
        spectra: n spectra on a wavelength axis, with variances (inf or masked = not used).
        redshift: (n,).
        grid: in the medium of the axis.

    Returns:
        `OnGrid`.
    """
    shift = _whole_channels(spectra, redshift, grid)
    flux, variance, good = _clean(spectra)
    if shift is not None:
        return _moved(flux, variance, good, shift, grid)
    values = spectra.axis.per_spectrum(len(spectra))

    def work(start: int) -> tuple[np.ndarray, np.ndarray]:
        rows = range(start, min(start + _SLAB, len(spectra)))
        done = [
            _rebinned(values[i], flux[i], variance[i], good[i], grid.edges * (1.0 + redshift[i]))
            for i in rows
        ]
        return np.stack([d[0] for d in done]), np.stack([d[1] for d in done])

    pieces = map_tiles(work, list(range(0, len(spectra), _SLAB)))
    parts = [np.concatenate(part) for part in zip(*pieces, strict=True)]
    none = np.zeros(len(spectra), int)
    return OnGrid(grid, parts[0], parts[1], np.zeros(len(spectra)), none)


def _clean(spectra: Spectra) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flux and variance with harmless numbers where a channel is not used, and where it is."""
    flux, variance = np.asarray(spectra.flux), np.asarray(spectra.variance)
    with np.errstate(invalid="ignore"):
        good = np.isfinite(flux) & np.isfinite(variance) & (variance > 0)
    if spectra.mask is not None:
        good &= ~np.asarray(spectra.mask, bool)
    return np.where(good, flux, 0.0), np.where(good, variance, 1.0), good


def _whole_channels(spectra: Spectra, redshift: np.ndarray, grid: RestGrid) -> np.ndarray | None:
    """(n,) grid channel of the first channel of each spectrum; None when the axis has another
    step."""
    values = spectra.axis.values
    if values.ndim != 1 or spectra.axis.scale is not None or len(values) < 2:
        return None
    step = np.diff(np.log10(values))
    if np.abs(step - LOG10_STEP).max() > 1e-3 * LOG10_STEP:
        return None
    return grid.channel(values[0] / (1.0 + redshift))


def _moved(
    flux: np.ndarray, variance: np.ndarray, good: np.ndarray, shift: np.ndarray, grid: RestGrid
) -> OnGrid:
    whole = np.round(shift).astype(int)
    weight = np.where(good, 1.0 / variance, 0.0)
    flux, weight = (_rows_at(part, whole, grid.size) for part in (flux, weight))
    return OnGrid(grid, flux, weight, shift - whole, np.zeros_like(whole), whole)


def _rows_at(values: np.ndarray, first: np.ndarray, size: int) -> np.ndarray:
    """Rows (n, m) laid into (n, size) float32 from channel ``first`` (n,) on; 0 around them."""
    laid = np.zeros((len(values), size), np.float32)
    for row, begin, whole in zip(values, first, laid, strict=True):
        low, high = np.clip([begin, begin + len(row)], 0, size)
        whole[low:high] = row[low - begin : high - begin]
    return laid


def _rebinned(
    values: np.ndarray, flux: np.ndarray, variance: np.ndarray, good: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean flux and inverse variance (p,) of one spectrum between edges (p + 1,)."""
    borders = np.concatenate(
        [[1.5 * values[0] - 0.5 * values[1]], 0.5 * (values[1:] + values[:-1]),
         [1.5 * values[-1] - 0.5 * values[-2]]]
    )  # fmt: skip
    width = np.diff(borders)
    sums = [
        np.concatenate([[0.0], np.cumsum(part * width)])
        for part in (good.astype(float), flux, np.where(good, width * variance, 0.0))
    ]
    length, total, noise = (np.diff(np.interp(edges, borders, part)) for part in sums)
    usable = length > 0.5 * np.diff(edges)
    safe = np.where(usable, length, 1.0)
    weight = np.where(usable & (noise > 0), length * safe / np.where(noise > 0, noise, 1.0), 0.0)
    return (np.where(usable, total / safe, 0.0).astype(np.float32), weight.astype(np.float32))


def off_grid(model: np.ndarray, data: OnGrid, spectra: Spectra, redshift: np.ndarray) -> np.ndarray:
    """A smooth model (n, p) on the grid, at the channels of the spectra (n, channel).

    Cubic interpolation; beyond the ends of the grid the value at its end.
    """
    if data.whole is not None:
        return _rows_from(model, data.whole - data.moved, spectra.axis.n_channels)

    def work(start: int) -> np.ndarray:
        rows = slice(start, start + _SLAB)
        return _cubic(model[rows], _channels_of(spectra[rows], data.rows(rows), redshift[rows]))

    return np.concatenate(map_tiles(work, list(range(0, len(spectra), _SLAB))))


def _rows_from(values: np.ndarray, first: np.ndarray, size: int) -> np.ndarray:
    """The channels ``first`` (n,) to first + size of rows (n, p), continued with their ends."""
    taken = np.empty((len(values), size), values.dtype)
    for row, begin, part in zip(values, first, taken, strict=True):
        low, high = np.clip([-begin, len(row) - begin], 0, size)
        part[low:high] = row[low + begin : high + begin]
        part[:low], part[high:] = row[0], row[-1]
    return taken


def _channels_of(spectra: Spectra, data: OnGrid, redshift: np.ndarray) -> np.ndarray:
    """Where the channels of the spectra lie on the grid: (n, channel), fractional."""
    wavelength = spectra.axis.per_spectrum(len(spectra)) / (1.0 + redshift[:, None])
    return data.grid.channel(wavelength) - data.moved[:, None]


def _cubic(values: np.ndarray, channel: np.ndarray) -> np.ndarray:
    """Four-point Lagrange interpolation of rows (n, p) at fractional channels (n, m)."""
    last = values.shape[1] - 1
    channel = np.clip(channel, 0.0, float(last))
    base = np.clip(np.floor(channel).astype(np.int64), 1, max(last - 2, 1))
    t = (channel - base).astype(values.dtype)
    weights = (
        -t * (t - 1.0) * (t - 2.0) / 6.0,
        (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0,
        -(t + 1.0) * t * (t - 2.0) / 2.0,
        (t + 1.0) * t * (t - 1.0) / 6.0,
    )
    rows = np.arange(len(values))[:, None]
    return np.asarray(
        sum(w * values[rows, base + k] for k, w in zip((-1, 0, 1, 2), weights, strict=True))
    )
