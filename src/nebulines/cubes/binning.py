"""Square binning: the mean spectrum of n x n spaxels, read as if it were a smaller cube."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from nebulines.cubes.grid import Grid
from nebulines.instruments.line_spread import LineSpread
from nebulines.spectra import Cube, Spectra
from nebulines.spectra.cube import Block
from nebulines.spectral_axis import SpectralAxis

_TAPS = np.arange(-7, 9)


def bin_cube(cube: Cube, grid: Grid) -> Cube:
    """A cube of the bins of ``grid``, as lazy as the one it averages.

    Flux is the mean of the usable spaxels, variance their summed variance over the square of
    their number (no covariance between spaxels). Spaxels whose axes differ (the field angle of
    an imaging interferometer) are first brought to the mean axis of the bin.

    Args:
        cube: the cube.
        grid: its bins and the spaxels in use.

    Example:
        >>> axis = SpectralAxis(np.array([6500.0, 6501.0]), "wavelength", "air")
        >>> read = lambda b: Spectra(np.full((b.size, 2), 3.0), axis, np.ones((b.size, 2)))
        >>> binned = bin_cube(Cube((4, 4, 2), read), Grid((4, 4), width=2))
        >>> binned.shape, binned[0, 0].variance
        ((2, 2, 2), array([[0.25, 0.25]]))
    """
    if grid.width == 1:
        return cube

    def read(block: Block) -> Spectra:
        rows, columns = grid.full(block)
        spectra = cube.read_block(Block(rows.start, rows.stop, columns.start, columns.stop))
        owner = _owners(grid, block)
        return mean_spectra(spectra, owner.ravel(), grid.used_spaxels(block).ravel(), block.size)

    wcs = None if cube.wcs is None else cube.wcs.celestial[:: grid.width, :: grid.width]
    shape = (*grid.binned_shape, cube.shape[2])
    return replace(cube, shape=shape, read_block=read, wcs=wcs)


def _owners(grid: Grid, block: Block) -> np.ndarray:
    """Bin, counted in the block, of every spaxel of a block: (rows, columns)."""
    rows, columns = grid.full(block)
    y = np.arange(rows.stop - rows.start) // grid.width
    x = np.arange(columns.stop - columns.start) // grid.width
    return y[:, None] * block.shape[1] + x


def mean_spectra(
    spectra: Spectra,
    owner: np.ndarray,
    use: np.ndarray,
    n: int,
    *,
    weight: np.ndarray | None = None,
) -> Spectra:
    """Mean of the spectra that share an owner.

    Args:
        spectra: k spectra.
        owner: (k,) which of the n means each one belongs to.
        use: (k,) bool, False leaves one out.
        n: number of means.
        weight: (k,) of each spectrum in its mean; None = all the same. Axes and line spreads
            are those of the mean with equal weights.

    Returns:
        n spectra; a channel without any usable spectrum is masked.
    """
    flux = np.asarray(spectra.flux, float)
    good = np.isfinite(flux) & use[:, None]
    if spectra.mask is not None:
        good &= ~np.asarray(spectra.mask)
    variance = None if spectra.variance is None else np.asarray(spectra.variance, float)
    if variance is not None:
        good &= np.isfinite(variance) & (variance > 0)
        variance = np.where(good, variance, 0.0)
    flux = np.where(good, flux, 0.0)
    axis = _mean_axis(spectra.axis, owner, use, n)
    if not axis.shared:
        position = _positions(spectra.axis, axis, owner)
        flux, good = _resample(flux, good, position)
        flux = np.where(good, flux, 0.0)
    share = good.astype(float) if weight is None else good * weight[:, None]
    count = _sum(share, owner, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = _sum(share * flux, owner, n) / count
        spread = None if variance is None else _sum(share**2 * variance, owner, n) / count**2
    return replace(
        spectra,
        flux=mean,
        axis=axis,
        variance=spread,
        mask=count == 0,
        line_spread=_mean_line_spread(spectra.line_spread, owner, use, n),
        redshift=_mean_rows(spectra.redshift, owner, use, n),
    )


def _sum(values: np.ndarray, owner: np.ndarray, n: int) -> np.ndarray:
    from scipy.sparse import csr_array

    rows = np.arange(len(owner))
    members = csr_array((np.ones(len(owner)), (owner, rows)), shape=(n, len(owner)))
    return members @ values


def _mean_rows(values: Any, owner: np.ndarray, use: np.ndarray, n: int) -> Any:
    """Mean over each bin of one value (or row) a spaxel; None stays None. A bin without a
    spaxel in use gets the mean of all its spaxels, so that axes stay valid."""
    if values is None:
        return None
    values = np.asarray(values, float)
    weight = use & np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    empty = _sum(weight.astype(float), owner, n) == 0
    weight = np.where(empty[owner], np.isfinite(values.reshape(len(values), -1)).all(1), weight)
    shape = (-1,) + (1,) * (values.ndim - 1)
    total = _sum(np.where(weight.reshape(shape), values, 0.0), owner, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / _sum(weight.astype(float), owner, n).reshape(shape)


def _mean_axis(axis: SpectralAxis, owner: np.ndarray, use: np.ndarray, n: int) -> SpectralAxis:
    if axis.scale is not None:
        return replace(axis, scale=_mean_rows(axis.scale, owner, use, n))
    if axis.values.ndim == 2:
        return replace(axis, values=_mean_rows(axis.values, owner, use, n))
    return axis


def _mean_line_spread(
    spread: LineSpread | None, owner: np.ndarray, use: np.ndarray, n: int
) -> LineSpread | None:
    if spread is None:
        return None
    changes: dict[str, Any] = {}
    for name in ("resolution", "fwhm_cm1"):
        law = getattr(spread, name)
        if law is not None and np.ndim(law) == 1:
            changes[name] = _mean_rows(law, owner, use, n)
    if spread.fwhm_table is not None and spread.fwhm_table[1].ndim == 2:
        grid, fwhm = spread.fwhm_table
        changes["fwhm_table"] = (grid, _mean_rows(fwhm, owner, use, n))
    return replace(spread, **changes)


def _positions(axis: SpectralAxis, target: SpectralAxis, owner: np.ndarray) -> np.ndarray:
    """Channel, with its fraction, of each spaxel at which its bin's axis is met."""
    channels = np.arange(axis.n_channels, dtype=float)
    if axis.scale is not None and target.scale is not None:
        wanted = axis.values * (target.scale[owner] / axis.scale)[:, None]
        return np.stack([_channel_at(axis.values, row, channels) for row in wanted])
    rows = zip(axis.values, target.values[owner], strict=True)
    return np.stack([_channel_at(own, row, channels) for own, row in rows])


def _channel_at(own: np.ndarray, wanted: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """Fractional channel of each wanted coordinate; beyond the ends it goes on straight."""
    inside = np.interp(wanted, own, channels)
    if len(own) < 2:
        return inside
    below = (wanted - own[0]) / (own[1] - own[0])
    above = channels[-1] + (wanted - own[-1]) / (own[-1] - own[-2])
    return np.where(wanted < own[0], below, np.where(wanted > own[-1], above, inside))


def _resample(
    flux: np.ndarray, good: np.ndarray, position: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Flux at fractional channels, by a sinc tapered with a Lanczos window over 16 channels
    (weights summed to one): exact for band-limited spectra up to the window's edge."""
    first = np.floor(position).astype(int)
    n = flux.shape[1]
    total, weights = np.zeros_like(flux), np.zeros_like(flux)
    for tap in _TAPS:
        distance = position - (first + tap)
        weight = np.sinc(distance) * np.sinc(distance / len(_TAPS) * 2)
        index = np.clip(first + tap, 0, n - 1)
        total += weight * np.take_along_axis(flux, index, axis=1)
        weights += weight
    near = [np.clip(first + tap, 0, n - 1) for tap in (0, 1)]
    usable = np.take_along_axis(good, near[0], 1) & np.take_along_axis(good, near[1], 1)
    usable &= (position > -0.5) & (position < n - 0.5)
    return total / weights, usable
