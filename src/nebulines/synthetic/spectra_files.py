"""Mock spectra on disk: one row-stacked file, or one file a spectrum, with their truth."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.instruments import get_instrument
from nebulines.io.atomic import atomic_path, check_writable
from nebulines.io.row_stacked import row_stacked_hdus
from nebulines.spectra import Spectra
from nebulines.synthetic.config import SimulationConfig
from nebulines.synthetic.spectra import simulate_blocks, simulated_lines
from nebulines.synthetic.truth_files import TruthTable, truth_meta, truth_path

if TYPE_CHECKING:
    from astropy.table import Table

Advance = Callable[[int], Any]


def write_spectra(
    output: str | os.PathLike[str],
    instrument: str = "sitelle-sn3",
    n: int = 1000,
    seed: int = 0,
    *,
    config: SimulationConfig | None = None,
    separate: bool = False,
    advance: Advance | None = None,
) -> tuple[Path, Path]:
    """Simulate spectra into files, one block in memory at a time.

    Args:
        output: the row-stacked FITS file, or with ``separate`` a folder that gets one such file
            a spectrum, whose first header holds its truth.
        instrument, n, seed: as in `simulate_blocks`, which makes the spectra.
        config: what to simulate.
        separate: one file a spectrum.
        advance: called with the number of spectra written since its last call.

    Returns:
        Paths of the output and of the truth, ``OUT_TRUTH.fits``.

    Raises:
        UsageError: an output that cannot be written, or what `simulate` refuses.

    Example:
        >>> import tempfile
        >>> from nebulines.io import read
        >>> folder = Path(tempfile.mkdtemp())
        >>> output, truth = write_spectra(folder / "mock.fits", n=5, seed=1)
        >>> read(output).flux.shape, truth.name
        ((5, 842), 'mock_TRUTH.fits')
    """
    output, truth_file = Path(output), truth_path(Path(output))
    check_writable(truth_file)
    config = config or SimulationConfig()
    row = get_instrument(instrument)
    names = simulated_lines(row, config).names
    meta = truth_meta(config, instrument=row.name, names=names, seed=seed, unit=row.unit)
    place = _folder if separate else row_file
    with atomic_path(truth_file) as partial, place(output, n) as write:
        truths = TruthTable(partial, n, meta)
        for truth, spectra in simulate_blocks(instrument, n, seed, config=config):
            truths.add(truth)
            write(truth, spectra)
            if advance:
                advance(len(truth))
        truths.finish()
    return output, truth_file


@contextmanager
def row_file(output: Path, n: int) -> Iterator[Callable[[Table, Spectra], None]]:
    """A row-stacked file of n spectra, filled block by block."""
    if output.suffix != ".fits":
        raise UsageError(f"spectra are written as FITS: {output.name} must end in .fits")
    from nebulines.cubes.files.row_stack import RowStack

    with atomic_path(output) as partial:
        rows = RowStack(partial, n)
        yield lambda truth, spectra: rows.add(row_stacked_hdus(spectra))
        rows.finish()


@contextmanager
def _folder(output: Path, n: int) -> Iterator[Callable[[Table, Spectra], None]]:
    """A folder of one file a spectrum that appears whole or not at all."""
    if output.exists():
        raise UsageError(f"the folder {output} exists: remove it, or choose another output")
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    partial.mkdir()
    digits, written = max(6, len(str(n))), 0

    def write(truth: Table, spectra: Spectra) -> None:
        nonlocal written
        for k in range(len(spectra)):
            _write_one(partial / f"spectrum_{written:0{digits}d}.fits", truth[k], spectra[k])
            written += 1

    try:
        yield write
        os.replace(partial, output)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _write_one(path: Path, truth: Any, spectrum: Spectra) -> None:
    from astropy.io import fits

    hdus = row_stacked_hdus(spectrum)
    for name in truth.colnames:
        if np.isfinite(truth[name]):
            hdus[0].header[f"HIERARCH {name}"] = truth[name].item()
    fits.HDUList(hdus).writeto(path)
