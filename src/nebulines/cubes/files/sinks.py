"""Where the values of a run go: arrays in memory, or files filled block by block."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from nebulines.cubes.files.canvas import Canvas, Extension
from nebulines.cubes.files.journal import Journal
from nebulines.cubes.files.layout import fill_value
from nebulines.cubes.files.provenance import now
from nebulines.errors import NebulinesError
from nebulines.spectral_axis import SpectralAxis


@dataclass(frozen=True)
class Piece:
    """The values of one block, laid out as the outputs are.

    Attributes:
        index: where the columns go in an output of the full size: one slice a dimension.
        columns: name -> values, in the shape that ``index`` selects.
        model_index: where the model goes: one slice a sky dimension.
        model: (channel, ...) or None; likewise ``error`` (1-sigma noise) and ``bad`` (True =
            channel not used).
        axis: spectral axis of the spectra fitted.
        used: which spectra of the block were fitted; None = all.
        bands: the pieces of each band, of a joint fit.
    """

    index: tuple[slice, ...]
    columns: dict[str, np.ndarray]
    axis: SpectralAxis
    model_index: tuple[slice, ...] = ()
    model: np.ndarray | None = None
    error: np.ndarray | None = None
    bad: np.ndarray | None = None
    used: np.ndarray | None = None
    bands: tuple[Piece, ...] = ()


class Sink(Protocol):
    """What takes the pieces of a run."""

    def write(self, piece: Piece) -> None:
        """Take one piece; the first one says which columns there are."""


@dataclass
class MemorySink:
    """Columns, and the model when asked, of all spectra in arrays.

    Attributes:
        shape: of a column: (n,) or (ny, nx).
        keep_model: also keep the model (n, channel); for spectra only.
    """

    shape: tuple[int, ...]
    keep_model: bool = False
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    model: np.ndarray | None = None

    def write(self, piece: Piece) -> None:
        """Copy the piece into the arrays."""
        if not self.columns:
            self.columns = {
                name: np.full(self.shape, fill_value(name, values.dtype), values.dtype)
                for name, values in piece.columns.items()
            }
        for name, values in piece.columns.items():
            self.columns[name][piece.index] = values
        if self.keep_model and piece.model is not None:
            if self.model is None:
                self.model = np.full((*self.shape, len(piece.model)), np.nan, np.float32)
            self.model[piece.index] = np.moveaxis(piece.model, 0, -1)


class FileSink:
    """A FITS file laid out from the first piece and filled by each.

    Args:
        final: name of the finished file; until then it is ``.NAME.partial`` beside it.
        journal: remembers the layout for a run that goes on.
        layout: function of the first piece giving the extensions.
        fill: function (arrays of the file, piece) that writes a piece.
        begin: function (arrays of the file) called once when the file is laid out.
        meta_extension: number of the extension whose header takes the last facts.
    """

    def __init__(
        self,
        final: Path,
        journal: Journal,
        *,
        layout: Callable[[Piece], list[Extension]],
        fill: Callable[[Mapping[str, np.ndarray], Piece], None],
        begin: Callable[[Mapping[str, np.ndarray]], None] | None = None,
        meta_extension: int = 0,
    ) -> None:
        self.final, self.journal = final, journal
        self.partial = final.with_name(f".{final.name}.partial")
        self._layout, self._fill, self._begin = layout, fill, begin
        self._meta_extension = meta_extension
        places = journal.files.get(final.name)
        self.canvas = None if places is None else Canvas(self.partial, places)

    @property
    def intact(self) -> bool:
        """True when the unfinished file of an earlier run is there at its full size."""
        canvas = self.canvas
        return bool(
            canvas and self.partial.is_file() and self.partial.stat().st_size == canvas.size
        )

    def write(self, piece: Piece) -> None:
        """Write the piece to disk."""
        if self.canvas is None:
            self.canvas = self._create(piece)
        with self.canvas.arrays() as arrays:
            self._fill(arrays, piece)

    def _create(self, piece: Piece) -> Canvas:
        extensions = self._layout(piece)
        needed = sum(extension.n_bytes for extension in extensions)
        free = shutil.disk_usage(self.final.parent).free
        if needed > free:
            raise NebulinesError(
                f"{self.final.name} takes {needed / 1e9:.1f} GB and {self.final.parent} has "
                f"{free / 1e9:.1f} GB free: make room, choose another output folder, fit a "
                "region, or leave the model cube out"
            )
        canvas = Canvas.create(self.partial, extensions, spare=self._meta_extension)
        self.journal.files[self.final.name] = canvas.places
        if self._begin:
            with canvas.arrays() as arrays:
                self._begin(arrays)
        return canvas

    def finish(self) -> None:
        """Write the last facts and the checksums."""
        assert self.canvas is not None
        self.canvas.finish({**self.journal.notes, "DATE": now()}, into=self._meta_extension)


def remove(paths: Iterable[Path]) -> None:
    """Remove files that may not exist."""
    for path in paths:
        path.unlink(missing_ok=True)
