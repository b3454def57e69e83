"""Painted continua on disk, from file to file with bounded memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nebulines
from nebulines.errors import InputError, UsageError
from nebulines.galaxies.widths.config import PaintConfig
from nebulines.galaxies.widths.painting import paint_spectra, predictor_of
from nebulines.io.atomic import atomic_path, check_writable
from nebulines.io.row_stacked import row_stacked_hdus
from nebulines.spectra import Flag, Spectra

if TYPE_CHECKING:
    from astropy.table import Table

Fact = tuple[str, Any, str]
_BLOCK_VALUES = 16_000_000
"""Flux values in memory at once."""


class PaintedFits:
    """A row-stacked FITS file of painted spectra, written block by block: ``FLUX`` with the lines
    added, its axis, and the table ``LINES``.

    Args:
        path: the file.
        n: rows that will come.
        facts: (keyword, value, comment) for the header of the table.
    """

    def __init__(self, path: Path, n: int, facts: list[Fact]) -> None:
        from nebulines.cubes.files.row_stack import RowStack

        self._rows, self._facts = RowStack(path, n), facts

    def add(self, spectra: Spectra, table: Table, rest: dict[str, Any]) -> None:
        """The next rows; ``rest`` has no place in this format and is left out."""
        from astropy.io import fits

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fits.verify.VerifyWarning)
            lines = fits.BinTableHDU(table, name="LINES")
            for key, value, comment in self._facts:
                lines.header[key] = (value, comment)
            self._rows.add([*row_stacked_hdus(spectra), lines])

    def finish(self) -> None:
        """Checksums."""
        self._rows.finish()


def paint_file(
    source: str | PathLike[str],
    output: str | PathLike[str],
    config: PaintConfig,
    *,
    advance: Callable[[int], Any] | None = None,
) -> np.ndarray:
    """Paint the lines of a file of continua into another, one block in memory at a time.

    Args:
        source: spectra that `nebulines.read` knows, or Parquet (see `widths.parquet`).
        output: ``.fits`` or ``.parquet``; appears whole or not at all.
        config: what to do.
        advance: called with the number of spectra written since its last call.

    Returns:
        Flags (n,).

    Raises:
        UsageError: an output that cannot be written or would replace the input.
        InputError: continua that cannot be painted.
    """
    source, output = Path(source), Path(output)
    check_writable(output)
    if output.suffix not in (".fits", ".parquet"):
        raise UsageError(f"painted spectra are .fits or .parquet, not {output.name}")
    if output.resolve() == source.resolve():
        raise UsageError(f"the output would replace the input {source}: choose another name")
    facts = _facts(config, predictor_of(config).card)
    n, blocks = _blocks(source)
    flags: list[np.ndarray] = []
    with atomic_path(output) as partial:
        sink = _sink(partial, output.suffix, n, facts)
        for spectra, rest in blocks:
            first = sum(map(len, flags))
            spectra, painted = paint_spectra(spectra, config, first_row=first)
            sink.add(spectra, painted.table(), rest)
            flags.append(np.asarray(painted.flags))
            if advance:
                advance(len(painted.flags))
        sink.finish()
    return np.concatenate(flags)


def _sink(path: Path, suffix: str, n: int, facts: list[Fact]) -> Any:
    if suffix == ".fits":
        return PaintedFits(path, n, facts)
    from nebulines.galaxies.widths.parquet import PaintedParquet

    return PaintedParquet(path, {key.lower(): value for key, value, _ in facts})


def _blocks(source: Path) -> tuple[int, Iterator[tuple[Spectra, dict[str, Any]]]]:
    """Number of continua, and the continua block by block with what stands beside them."""
    if source.suffix == ".parquet":
        from nebulines.galaxies.widths.parquet import ParquetContinua

        if not source.exists():
            raise UsageError(f"there is no file {source}")
        file = ParquetContinua(source)
        n, blocks = len(file), file.blocks(_rows_of(file.n_channels))
    else:
        from nebulines.io import read

        found = read(source)
        if not isinstance(found, Spectra):
            raise UsageError(f"{source} is a cube: paint needs spectra, one a row")
        n, rows = len(found), _rows_of(found.axis.n_channels)
        blocks = ((found[start : start + rows], {}) for start in range(0, n, rows))
    if n == 0:
        raise InputError(f"{source} holds no continua")
    return n, blocks


def _rows_of(channels: int) -> int:
    return max(1, _BLOCK_VALUES // max(channels, 1))


def _facts(config: PaintConfig, card: dict[str, Any]) -> list[Fact]:
    """How the widths came about, what the numbers mean, and the flags."""
    broadening = np.asarray(config.broadening_kms, float)
    flags = (Flag.NO_DATA, Flag.OUT_OF_RANGE, Flag.MASKED_CHANNELS)
    return [
        ("CREATOR", "nebulines", "program"),
        ("NEBVERS", nebulines.__version__, "version"),
        ("NETWORK", str(card.get("name", "")), "predicts the equivalent widths"),
        ("NETSRC", str(card.get("source", ""))[:60], "source of the network"),
        ("SCATTER", bool(config.scatter), "widths are draws, not medians"),
        ("SEED", int(config.seed), "of draws and noise"),
        ("BROADEN", float(np.median(broadening)), "[km/s] 1-sigma, line spread excluded"),
        ("SNR", float(config.snr or 0.0), "of added noise; 0 = none"),
        ("MODELSC", float(config.added_scatter), "of asinh EW, added to that of the network"),
        ("EWUNIT", "Angstrom", "rest frame, positive in emission"),
        *((f"FLAG{int(flag)}", str(flag.name), flag.meaning[:40]) for flag in flags),
    ]
