"""The spectra behind the maps: the cube that was fitted and its model, read spaxel by spaxel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nebulines.errors import InputError, UsageError
from nebulines.io import read
from nebulines.spectra import Cube, Spectra
from nebulines.spectra.cube import Block

_BLOCK = 2000


class Row(NamedTuple):
    """Spectra of some spaxels.

    Attributes:
        wavelength: (n, channel) observed, increasing [Angstrom], in the medium of the cube.
        data, model: (n, channel), NaN where masked; None where there is no file.
        noise: (n,) typical 1-sigma noise of a channel; NaN where it is unknown.
    """

    wavelength: np.ndarray
    data: np.ndarray | None
    model: np.ndarray | None
    noise: np.ndarray


class CubeSpectra(NamedTuple):
    """Data and model of a cube.

    Attributes:
        data, model: at least one of them.
    """

    data: Cube | None
    model: Cube | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(ny, nx, channel)."""
        return self._any().shape

    @property
    def unit(self) -> str:
        """FITS unit string of the flux."""
        return self._any().unit

    def _any(self) -> Cube:
        cube = self.data or self.model
        assert cube is not None
        return cube

    def rows(self, block: Block) -> Row:
        """The spectra of a rectangle, row by row."""
        data, model = (
            None if cube is None else cube.read_block(block) for cube in (self.data, self.model)
        )
        first = model if data is None else data
        assert first is not None
        n, channels = first.flux.shape
        wavelength = np.broadcast_to(first.axis.wavelength(), (n, channels))
        order = slice(None, None, -1) if first.axis.kind == "wavenumber" else slice(None)
        return Row(
            wavelength[:, order],
            None if data is None else _flux(data)[:, order],
            None if model is None else _flux(model)[:, order],
            _noise(first),
        )

    def blocks(self) -> Iterator[Row]:
        """All spectra, block after block, row by row."""
        yield from (self.rows(block) for block in self._any().blocks(_BLOCK))


def _flux(spectra: Spectra) -> np.ndarray:
    flux = np.asarray(spectra.flux, np.float32)
    return flux if spectra.mask is None else np.where(spectra.mask, np.float32(np.nan), flux)


def _noise(spectra: Spectra) -> np.ndarray:
    """Median error of each spectrum, else the scatter of neighbouring channels."""
    if spectra.variance is not None:
        variance = np.asarray(spectra.variance, float)
        usable = np.asarray(np.isfinite(variance) & (variance > 0))
        values = np.where(usable, np.sqrt(np.where(usable, variance, 1.0)), np.nan)
    else:
        values = np.abs(np.diff(_flux(spectra), axis=1)) / (np.sqrt(2.0) * 0.6745)
    some = np.asarray(np.isfinite(values).any(axis=1))
    values = np.where(some[:, None], values, 0.0)
    return np.where(some, np.nanmedian(values, axis=1), np.nan)


def find_spectra(
    maps: Path,
    shape: tuple[int, int],
    *,
    cube: Path | None = None,
    model: Path | None = None,
    source: str = "",
) -> CubeSpectra | None:
    """The cube and the model that belong to a file of maps.

    Args:
        maps: ``OUT_MAPS.fits``; the model is looked for as ``OUT_MODEL.fits``.
        shape: (ny, nx) of the maps.
        cube: the cube that was fitted; None = the file named ``source`` beside the maps or in
            the current folder.
        model: None = the one beside the maps.
        source: name of the file that was fitted.

    Returns:
        None where neither is found.

    Raises:
        UsageError: a file was named that is no cube of that shape.
        InputError: it cannot be read.
    """
    beside = maps.with_name(maps.name.replace("_MAPS.fits", "_MODEL.fits"))
    guess = next(
        (folder / source for folder in (maps.parent, Path()) if source
         and (folder / source).is_file()), None)  # fmt: skip
    data = _cube(cube, shape, named=True) if cube else _cube(guess, shape, named=False)
    fitted = _cube(model, shape, named=True) if model else _cube(
        beside if beside != maps else None, shape, named=False)  # fmt: skip
    return CubeSpectra(data, fitted) if data or fitted else None


def _cube(path: Path | None, shape: tuple[int, int], *, named: bool) -> Cube | None:
    """A cube of that shape; None when a file that nobody named is not one."""
    if path is None or not (named or path.is_file()):
        return None
    try:
        cube = read(path)
    except InputError:
        if named:
            raise
        return None
    if isinstance(cube, Cube) and cube.shape[:2] == shape:
        return cube
    if named:
        found = f"{cube.shape[0]} x {cube.shape[1]}" if isinstance(cube, Cube) else "rows of"
        raise UsageError(
            f"the maps have {shape[0]} x {shape[1]} spaxels, but {path} has {found} spectra: "
            "give the cube that was fitted"
        )
    return None
