"""What every run to files does: names, a journal to go on from, and what is said at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.cubes.files.cube_files import table_file
from nebulines.cubes.files.journal import Journal, fingerprint
from nebulines.cubes.files.outputs import Outputs, summarise, write_config
from nebulines.cubes.files.provenance import now
from nebulines.cubes.files.result_files import check_table_name
from nebulines.cubes.files.sinks import FileSink, MemorySink
from nebulines.cubes.grid import Grid
from nebulines.cubes.loop import Plan, run_blocks, run_to_files
from nebulines.errors import UsageError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.result import Result
from nebulines.io.atomic import check_writable

_TOLD = ("flags", "velocity", "broadening")
ROWS_AT_ONCE = 50_000
"""Rows of a result file that are mapped together: a mapped row counts as memory in use."""


def maps_paths(prefix: Path, kinds: Sequence[str]) -> dict[str, Path]:
    """``PREFIX_KIND.fits`` of each kind, all of which can be written.

    Raises:
        UsageError: one cannot.
    """
    paths = {kind: prefix.with_name(f"{prefix.name}_{kind}.fits") for kind in kinds}
    for path in paths.values():
        check_writable(path)
    return paths


def check_table(path: Path, *, resume: bool) -> None:
    """Refuse a name that a table of results cannot have.

    Raises:
        UsageError: an unknown ending, nothing can be written there, or a text that is to be
            gone on with.
    """
    check_table_name(path)
    check_writable(path)
    if resume and path.suffix == ".ecsv":
        raise UsageError("an .ecsv table cannot be resumed: write .fits")


def journal_beside(
    path: Path, name: str, meta: Mapping[str, Any], choices: Sequence[Any], *, resume: bool
) -> Journal:
    """The journal of a run, which goes on with another of the same facts and choices.

    Args:
        path: an output.
        name: of the run, beside that output.
        meta: header facts.
        choices: what else the blocks depend on.
        resume: whether to go on.

    Raises:
        UsageError: the facts do not tell the input apart from others.
    """
    if resume and "DIGEST" not in meta:
        raise UsageError(
            "only a cube read from a file can be resumed: its digest tells whether it is the same"
        )
    place = path.with_name(f".{name}.journal.json")
    return Journal.start(place, fingerprint([meta, *choices]), resume=resume)


def selection_facts(grid: Grid) -> list[Any]:
    """What tells one choice of spaxels apart from another, for a journal."""
    use = None if grid.use is None else np.packbits(grid.use).tobytes().hex()
    return [grid.shape, grid.width, use]


def binning_meta(grid: Grid) -> dict[str, Any]:
    """Header facts of a binned run."""
    if grid.width == 1:
        return {}
    return {"BIN": grid.width, "BINCOVAR": "covariance between spaxels neglected"}


def into_maps(
    prefix: Path,
    paths: Mapping[str, Path],
    plan: Plan,
    config: FitConfig,
    files: Sequence[FileSink],
    *,
    options: Mapping[str, Any],
    **todo: Any,
) -> Outputs:
    """Fit the blocks of cubes into files, and say what was found.

    Args:
        prefix: start of the names.
        paths: of the files, from `maps_paths`.
        plan: the blocks.
        config: what to fit and how.
        files: what writes them.
        options: of the run, for ``PREFIX_CONFIG.toml``; paths as they are, arrays left out.
        **todo: further options of `loop.run_to_files`.
    """
    start = time.monotonic()
    n_fitted = run_to_files(plan, config, files=files, **todo)
    seconds = time.monotonic() - start
    told = {key: str(value) if isinstance(value, Path) else value for key, value in options.items()
            if not isinstance(value, np.ndarray)}  # fmt: skip
    settings = prefix.with_name(f"{prefix.name}_CONFIG.toml")
    written = write_config(settings, config.as_dict(), told)
    summary = summarise(found_in_maps(paths["MAPS"]), seconds, n_fitted, rows="spaxels")
    return Outputs((*paths.values(), written), summary)


def into_table(
    path: Path,
    plan: Plan,
    config: FitConfig,
    *,
    unit: str,
    meta: Mapping[str, Any],
    choices: Sequence[Any],
    resume: bool,
    run: Mapping[str, Any] | None,
    **todo: Any,
) -> Outputs:
    """Fit spectra into one table, and say what was found.

    Args:
        path: the table, for which `check_table`.
        plan: the chunks.
        config: what to fit and how.
        unit: of the flux of the spectra.
        meta: header facts.
        choices: what else a resumed run must have in common.
        resume: whether to go on.
        run: more options for ``PATH_CONFIG.toml``.
        **todo: further options of `loop.run_blocks`.
    """
    start = time.monotonic()
    n, todo["with_model"] = plan.n_spectra, False
    if path.suffix == ".ecsv":
        sink, journal = MemorySink((n,)), Journal()
        n_fitted = run_blocks(plan, config, sinks=[sink], journal=journal, **todo)
        Result(sink.columns, unit, {**meta, **journal.notes, "DATE": now()}).write(path)
        found: Mapping[str, np.ndarray] = sink.columns
    else:
        journal = journal_beside(path, path.stem, meta, [n, *choices], resume=resume)
        file = table_file(path, journal, shape=(n,), flux_unit=unit, meta=dict(meta))
        todo |= {"journal": journal, "files": [file], "resume": resume}
        n_fitted = run_to_files(plan, config, **todo)
        found = found_in_table(path)
    seconds = time.monotonic() - start
    settings = path.with_name(f"{path.stem}_CONFIG.toml")
    written = write_config(settings, config.as_dict(), run or {})
    return Outputs((path, written), summarise(found, seconds, n_fitted))


def found_in_table(path: Path) -> dict[str, np.ndarray]:
    """The columns that the summary needs."""
    from astropy.io import fits

    with fits.open(path) as hdus:
        table = hdus["RESULT"]
        row, first = table.columns.dtype.newbyteorder(">"), table.fileinfo()["datLoc"]
        n = table.header["NAXIS2"]
    found = {name: np.empty(n, row[name].newbyteorder("=")) for name in _TOLD if name in row.names}
    for start in range(0, n, ROWS_AT_ONCE):
        rows = slice(start, min(start + ROWS_AT_ONCE, n))
        offset, count = first + start * row.itemsize, rows.stop - start
        mapped = np.memmap(path, row, "r", offset, shape=count)
        for name, values in found.items():
            values[rows] = mapped[name]
    return found


def found_in_maps(path: Path) -> dict[str, np.ndarray]:
    """The columns that the summary needs, over all spaxels."""
    from astropy.io import fits

    found: dict[str, np.ndarray] = {}
    with fits.open(path) as hdus:
        for hdu in hdus[1:]:
            column = hdu.header["COLUMN"]
            if column in _TOLD and column not in found:
                found[column] = np.array(hdu.data)
    return found
