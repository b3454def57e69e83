"""Spectra of galaxies on one grid in the rest frame, and what the grid says of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from nebulines.galaxies.widths.bins import BIN_EDGES, LEAST_COVERAGE
from nebulines.galaxies.widths.config import PaintConfig
from nebulines.galaxies.widths.inputs import require_per_wavelength, rest_wavelength
from nebulines.galaxies.widths.line_masks import LineMask, line_mask, line_windows, replace_lines
from nebulines.spectra import Spectra
from nebulines.spectral_axis import air_to_vacuum

STEP = 2.5
"""Width of a channel of the grid [Angstrom]."""
EDGES = np.linspace(BIN_EDGES[0], BIN_EDGES[-1], round((BIN_EDGES[-1] - BIN_EDGES[0]) / STEP) + 1)
"""Edges of the channels, rest frame, vacuum [Angstrom]."""
GRID = 0.5 * (EDGES[1:] + EDGES[:-1])
"""Channels, rest frame, vacuum [Angstrom]."""
BLOCK = 4096
"""Spectra that are worked on at once."""


class Source(NamedTuple):
    """Spectra with their rest-frame wavelengths.

    Attributes:
        spectra: as read.
        wavelength: (channel,) or (n, channel) increasing, vacuum [Angstrom].
        reverse: the channels of ``spectra`` run the other way.
    """

    spectra: Spectra
    wavelength: np.ndarray
    reverse: bool


def source_of(spectra: Spectra, frame: str | None = None) -> Source:
    """Bring wavelengths to the rest frame and to vacuum.

    Args:
        spectra: per wavelength.
        frame: ``rest`` or ``observed``, as for `paint`.

    Raises:
        InputError: flux per frequency, or redshifts without ``frame``.
    """
    require_per_wavelength(spectra.unit)
    wavelength, reverse = rest_wavelength(spectra, PaintConfig(frame=frame))
    if spectra.axis.medium == "air":
        wavelength = air_to_vacuum(wavelength)
    return Source(spectra, wavelength, reverse)


def rest_blocks(source: Source) -> Iterator[np.ndarray]:
    """Flux (rows, channel) on `GRID`, block after block; NaN where fewer than half of a channel
    is covered by usable ones."""
    for start in range(0, len(source.spectra), BLOCK):
        part = source.spectra[start : start + BLOCK]
        flux = np.asarray(part.flux, float)
        if part.mask is not None:
            flux = np.where(part.mask, np.nan, flux)
        flux = flux[:, ::-1] if source.reverse else flux
        shared = source.wavelength.ndim == 1
        wavelength = source.wavelength if shared else source.wavelength[start : start + BLOCK]
        yield resampled(flux, wavelength)


def resampled(flux: np.ndarray, wavelength: np.ndarray) -> np.ndarray:
    """Mean flux in each channel of `GRID`, from the cumulative integral.

    Args:
        flux: (n, channel) per Angstrom; NaN is left out.
        wavelength: (channel,) or (n, channel) increasing [Angstrom].

    Example:
        >>> wave = np.arange(3390.0, 7010.0)
        >>> np.ptp(resampled(np.full((2, wave.size), 3.0), wave)).round(6)
        np.float64(0.0)
    """
    good = np.isfinite(flux)
    middle = 0.5 * (wavelength[..., 1:] + wavelength[..., :-1])
    first = 2.0 * wavelength[..., :1] - middle[..., :1]
    last = 2.0 * wavelength[..., -1:] - middle[..., -1:]
    edges = np.concatenate([first, middle, last], axis=-1)
    width = np.diff(edges, axis=-1)
    integral = _at_edges(np.where(good, flux, 0.0) * width, edges)
    covered = _at_edges(good * width, edges)
    usable = covered >= LEAST_COVERAGE * STEP
    return np.where(usable, integral / np.where(usable, covered, 1.0), np.nan)


def _at_edges(content: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """What falls into each channel of the grid (n, m)."""
    total = np.concatenate([np.zeros((len(content), 1)), np.cumsum(content, axis=1)], axis=1)
    if edges.ndim == 2:
        rows = zip(edges, total, strict=True)
        return np.diff(np.stack([np.interp(EDGES, edge, row) for edge, row in rows]), axis=1)
    place = np.interp(EDGES, edges, np.arange(len(edges)))
    left = np.minimum(place.astype(int), len(edges) - 2)
    part = place - left
    return np.diff(total[:, left] * (1.0 - part) + total[:, left + 1] * part, axis=1)


def grid_mask() -> LineMask:
    """Windows of the emission lines on `GRID`."""
    return line_mask(GRID, line_windows())


def without_lines(flux: np.ndarray, mask: LineMask) -> np.ndarray:
    """Spectra on `GRID` with their emission lines replaced by straight lines."""
    return np.asarray(_replaced(np.asarray(flux, np.float32), mask))


@jax.jit
def _replaced(flux: Any, mask: LineMask) -> Any:
    return replace_lines(flux, mask)


def grid_colours(flux: Any) -> np.ndarray:
    """Eleven colours (n, 11) [dex] of spectra on `GRID`; NaN where a bin is not covered.

    Every bin holds a whole number of channels, so that its flux is their mean.

    Example:
        >>> grid_colours(np.ones((1, GRID.size))).any()
        np.False_
    """
    flux = np.asarray(flux, float)
    bins = flux.reshape(len(flux), len(BIN_EDGES) - 1, -1)
    good = np.isfinite(bins)
    count = good.sum(axis=2)
    mean = np.where(good, bins, 0.0).sum(axis=2) / np.maximum(count, 1)
    usable = (count >= LEAST_COVERAGE * bins.shape[2]) & (mean > 0)
    logarithm = np.where(usable, np.log10(np.where(usable, mean, 1.0)), np.nan)
    return np.diff(logarithm, axis=1).astype(np.float32)
