"""Mock spectra of several bands on disk: a row-stacked file a band, and one truth."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from nebulines.errors import UsageError
from nebulines.instruments import get_instrument
from nebulines.instruments.labels import band_labels
from nebulines.io.atomic import atomic_path, check_writable
from nebulines.synthetic.bands import all_lines, plan_bands, reference_band
from nebulines.synthetic.config import SimulationConfig
from nebulines.synthetic.spectra import simulate_blocks
from nebulines.synthetic.spectra_files import row_file
from nebulines.synthetic.truth_files import TruthTable, truth_meta, truth_path


def band_paths(output: Path, instruments: Sequence[str]) -> list[Path]:
    """Name of each band's file: that of the output with the band's label at its end.

    Example:
        >>> [p.name for p in band_paths(Path("mock.fits"), ["sitelle-sn2", "sitelle-sn3"])]
        ['mock_SN2.fits', 'mock_SN3.fits']
    """
    labels = band_labels([get_instrument(name).name for name in instruments])
    return [output.with_name(f"{output.stem}_{label}{output.suffix}") for label in labels]


def write_bands(
    output: str | os.PathLike[str],
    instruments: Sequence[str],
    n: int = 1000,
    seed: int = 0,
    *,
    config: SimulationConfig | None = None,
    advance: Callable[[int], Any] | None = None,
) -> tuple[Path, ...]:
    """Simulate the same objects in several bands into files, one block in memory at a time.

    Args:
        output: ``OUT.fits``; the bands go to ``OUT_SN1.fits`` ..., the truth to
            ``OUT_TRUTH.fits``.
        instruments, n, seed: as in `nebulines.simulate`.
        config: what to simulate.
        advance: called with the number of objects written since its last call.

    Returns:
        Paths of the bands, then of the truth.

    Raises:
        UsageError: an output that cannot be written, or what `nebulines.simulate` refuses.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> paths = write_bands(folder / "mock.fits", ["sitelle-sn2", "sitelle-sn3"], n=3)
        >>> [path.name for path in paths]
        ['mock_SN2.fits', 'mock_SN3.fits', 'mock_TRUTH.fits']
    """
    output = Path(output)
    truth_file = truth_path(output)
    check_writable(truth_file)
    if output.suffix != ".fits":
        raise UsageError(f"spectra are written as FITS: {output.name} must end in .fits")
    config = config or SimulationConfig()
    bands = plan_bands(instruments, config, {})
    row = bands[reference_band(bands)].row
    names = all_lines(bands).names
    instrument = ", ".join(band.row.name for band in bands)
    meta = truth_meta(config, instrument=instrument, names=names, seed=seed, unit=row.unit)
    paths = band_paths(output, instruments)
    with ExitStack() as stack:
        partial = stack.enter_context(atomic_path(truth_file))
        writers = [stack.enter_context(row_file(path, n)) for path in paths]
        truths = TruthTable(partial, n, meta)
        for truth, spectra in simulate_blocks(instruments, n, seed, config=config):
            truths.add(truth)
            for write, part in zip(writers, spectra, strict=True):
                write(truth, part)
            if advance:
                advance(len(truth))
        truths.finish()
    return (*paths, truth_file)
