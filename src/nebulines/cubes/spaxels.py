"""From fitted blocks to pieces of the outputs: the geometry of cubes and of sets of spectra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nebulines.cubes.files.layout import fill_value
from nebulines.cubes.files.sinks import Piece
from nebulines.cubes.grid import Grid
from nebulines.cubes.loop import in_memory
from nebulines.spectra import Cube, Spectra
from nebulines.spectra.cube import Block


@dataclass(frozen=True)
class CubePlan:
    """How the blocks of a (binned) cube are read and where their values go.

    Attributes:
        cube: the cube to fit, already binned.
        grid: bins, and spaxels in use.
        jobs: (number, block) of the blocks with a spaxel in use.
        with_model: also hand on the model, the noise and the bad channels.
        with_redshift: add the redshift of each spaxel, where it has one, to the columns.
    """

    cube: Cube
    grid: Grid
    jobs: list[tuple[int, Block]]
    with_model: bool = True
    with_redshift: bool = False

    @classmethod
    def of(cls, cube: Cube, grid: Grid, max_spaxels: int, **options: bool) -> CubePlan:
        """Cut a binned cube into blocks of at most ``max_spaxels`` spaxels of the full grid."""
        blocks = cube.blocks(max(1, max_spaxels // grid.width**2), square=cube.axis_varies)
        jobs = [(i, block) for i, block in enumerate(blocks) if grid.used_bins(block).any()]
        return cls(cube, grid, jobs, **options)

    @property
    def n_spectra(self) -> int:
        """Number of spectra to fit."""
        return sum(int(self.grid.used_bins(block).sum()) for _, block in self.jobs)

    def read(self, block: Block) -> Spectra:
        """Spectra of the bins in use."""
        spectra = self.cube.read_block(block)
        used = self.grid.used_bins(block)
        return in_memory(spectra if used.all() else spectra[used])

    def place(self, block: Block, spectra: Spectra, fitted: Any) -> Piece:
        """Values of a fitted block, spread over its spaxels."""
        columns = _columns(fitted, spectra, with_redshift=self.with_redshift)
        columns["binid"] = self.grid.bin_numbers(block)
        images = {
            name: self.grid.image(block, np.asarray(values), fill_value(name, values.dtype))
            for name, values in columns.items()
        }
        index = self.grid.full(block)
        if not self.with_model:
            return Piece(index, images, spectra.axis)
        used = self.grid.used_bins(block)
        spread = _spreader(used, block)
        return Piece(
            index,
            images,
            spectra.axis,
            (slice(block.y0, block.y1), slice(block.x0, block.x1)),
            spread(fitted.model, np.nan),
            spread(noise_of(spectra, fitted), np.nan),
            spread(bad_channels(spectra), True),
            used,
        )


def _columns(fitted: Any, spectra: Spectra, *, with_redshift: bool) -> dict[str, np.ndarray]:
    columns = {name: np.asarray(values) for name, values in fitted.columns.items()}
    if with_redshift and spectra.redshift is not None:
        columns = {"redshift": np.array(spectra.redshift), **columns}
    return columns


def _spreader(used: np.ndarray, block: Block) -> Callable[[np.ndarray, Any], np.ndarray]:
    """Function that puts rows (bins in use, channel) into (channel, rows, columns)."""

    def spread(rows: np.ndarray, fill: Any) -> np.ndarray:
        if not used.all():
            whole = np.full((len(used), rows.shape[1]), fill, rows.dtype)
            whole[used] = rows
            rows = whole
        return rows.T.reshape(rows.shape[1], *block.shape)

    return spread


def noise_of(spectra: Spectra, fitted: Any) -> np.ndarray:
    """1-sigma noise (n, channel) of the data: from its variance, else the noise that the fit
    estimated, else the robust spread of the residuals."""
    if spectra.variance is not None:
        with np.errstate(invalid="ignore"):
            return np.sqrt(np.where(spectra.variance > 0, spectra.variance, np.nan)).astype("f4")
    noise = fitted.columns.get("noise")
    if noise is None:
        residual = np.where(np.isfinite(fitted.model), spectra.flux - fitted.model, 0.0)
        noise = 1.4826 * np.median(np.abs(residual), axis=1)
    return np.broadcast_to(np.asarray(noise, np.float32)[:, None], spectra.flux.shape)


def bad_channels(spectra: Spectra) -> np.ndarray:
    """(n, channel) bool: channels that are masked, not finite or without a positive variance."""
    bad = ~np.isfinite(spectra.flux)
    if spectra.mask is not None:
        bad |= np.asarray(spectra.mask, bool)
    if spectra.variance is not None:
        bad |= ~(np.isfinite(spectra.variance) & (spectra.variance > 0))
    return bad


@dataclass(frozen=True)
class SpectraPlan:
    """How a set of spectra is read in chunks and where its values go.

    Attributes:
        spectra: the set, possibly still on disk.
        chunk: spectra in a chunk.
        with_redshift: add the redshift of each spectrum to the columns.
    """

    spectra: Spectra
    chunk: int
    with_redshift: bool = False

    @property
    def jobs(self) -> list[tuple[int, slice]]:
        """(number, rows) of the chunks."""
        n = len(self.spectra)
        starts = range(0, n, self.chunk)
        return [(i, slice(s, min(s + self.chunk, n))) for i, s in enumerate(starts)]

    @property
    def n_spectra(self) -> int:
        """Number of spectra to fit."""
        return len(self.spectra)

    def read(self, rows: slice) -> Spectra:
        """The spectra of a chunk, in memory."""
        return in_memory(self.spectra[rows])

    def place(self, rows: slice, spectra: Spectra, fitted: Any) -> Piece:
        """Values of a fitted chunk."""
        columns = _columns(fitted, spectra, with_redshift=self.with_redshift)
        model = np.asarray(fitted.model).T if fitted.model.shape[1] else None
        return Piece((rows,), columns, spectra.axis, (rows,), model)
