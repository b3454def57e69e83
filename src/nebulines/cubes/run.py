"""Fit a cube or a set of spectra into files, in memory bounded by a block."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.cubes import engine
from nebulines.cubes.binning import bin_cube
from nebulines.cubes.cube_files import maps_file, model_file, table_file
from nebulines.cubes.grid import Grid
from nebulines.cubes.journal import Journal, fingerprint
from nebulines.cubes.loop import default_block, run_blocks, run_to_files
from nebulines.cubes.outputs import Outputs, summarise, write_config
from nebulines.cubes.provenance import provenance
from nebulines.cubes.result_files import check_table_name
from nebulines.cubes.selection import spaxels_to_use
from nebulines.cubes.sinks import FileSink, MemorySink
from nebulines.cubes.spaxels import CubePlan, SpectraPlan
from nebulines.errors import InputError, UsageError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.result import Result
from nebulines.io.atomic import check_writable
from nebulines.spectra import Cube, Spectra


def fit_cube(
    cube: Cube,
    config: FitConfig,
    prefix: str | Path,
    *,
    max_spaxels: int | None = None,
    resume: bool = False,
    progress: bool | None = None,
    model: bool = True,
    table: bool = False,
    bin: int = 1,
    mask: str | Path | np.ndarray | None = None,
    region: str | Path | None = None,
    run: Mapping[str, Any] | None = None,
    method: str = "both",
) -> Outputs:
    """Fit every spaxel of a cube into ``PREFIX_MAPS.fits`` and its companions.

    Blocks are read, fitted and written one after the other; neither the cube nor an output is
    ever whole in memory. The files take their final names together when all is done.

    Args:
        cube: the cube.
        config: what to fit and how.
        prefix: start of the names of the outputs.
        max_spaxels: spaxels in a block; None = about 100 MB.
        resume: go on with an interrupted run of the same input and configuration; and when
            this one is interrupted, keep what it has done.
        progress: bar on stderr; None = when that is a terminal.
        model: write ``PREFIX_MODEL.fits``.
        table: write ``PREFIX_TABLE.fits``, one row a spaxel.
        bin: spaxels averaged along each side of a square; maps keep the full grid.
        mask: FITS image or array (ny, nx), not zero = leave the spaxel out.
        region: ds9 region file, see `spaxels_to_use`.
        run: more options to write beside ``[fit]`` in ``PREFIX_CONFIG.toml``.
        method: ``network``, ``fit`` or ``both``, as in `nebulines.fit`.

    Returns:
        `Outputs`: the files and what was found.

    Raises:
        UsageError: an option is wrong or nothing can be written there.
        InputError: the mask or the region cannot be read.
    """
    prefix = Path(prefix)
    names = ["MAPS", *(["MODEL"] if model else []), *(["TABLE"] if table else [])]
    finals = {name: prefix.with_name(f"{prefix.name}_{name}.fits") for name in names}
    for final in finals.values():
        check_writable(final)
    shape = cube.shape[:2]
    grid = Grid(shape, bin, spaxels_to_use(shape, mask=mask, region=region, wcs=cube.wcs))
    config = engine.load(method).resolve(cube, config)
    size = max_spaxels or default_block(cube.shape[2])
    own = config.redshift is None
    plan = CubePlan.of(bin_cube(cube, grid), grid, size, with_model=model, with_redshift=own)
    meta = {**provenance(cube, config), **binning_meta(grid)}
    use = None if grid.use is None else np.packbits(grid.use).tobytes().hex()
    journal = Journal.start(
        prefix.with_name(f".{prefix.name}.journal.json"),
        fingerprint([meta, shape, bin, use, size, names, method]),
        resume=resume and identified(meta),
    )
    files = _cube_files(finals, plan, journal, meta, cube)
    start = time.monotonic()
    n_fitted = run_to_files(
        plan.jobs,
        config,
        journal=journal,
        files=files,
        resume=resume,
        read=plan.read,
        place=plan.place,
        with_model=model,
        progress=progress,
        total=plan.n_spectra,
        method=method,
    )
    seconds = time.monotonic() - start
    options = {"bin": bin, "mask": _name(mask), "region": _name(region), **(run or {})}
    written = write_config(
        prefix.with_name(f"{prefix.name}_CONFIG.toml"), config.as_dict(), options
    )
    summary = summarise(found_in_maps(finals["MAPS"]), seconds, n_fitted, rows="spaxels")
    return Outputs((*finals.values(), written), summary)


def identified(meta: Mapping[str, Any]) -> bool:
    """True where the header facts tell the input apart from others.

    Raises:
        UsageError: they do not.
    """
    if "DIGEST" not in meta:
        raise UsageError(
            "only a cube read from a file can be resumed: its digest tells whether it is the same"
        )
    return True


def _name(selection: Any) -> str | None:
    """Path of a mask or region, for the configuration; an array has none."""
    return str(selection) if isinstance(selection, str | Path) else None


def binning_meta(grid: Grid) -> dict[str, Any]:
    """Header facts of a binned run."""
    if grid.width == 1:
        return {}
    return {"BIN": grid.width, "BINCOVAR": "covariance between spaxels neglected"}


def _cube_files(
    finals: Mapping[str, Path],
    plan: CubePlan,
    journal: Journal,
    meta: Mapping[str, Any],
    cube: Cube,
) -> list[FileSink]:
    about: dict[str, Any] = {"shape": cube.shape[:2], "flux_unit": cube.unit, "meta": meta}
    about["wcs"] = cube.wcs
    files = [maps_file(finals["MAPS"], journal, **about)]
    if "MODEL" in finals:
        binned = {**about, "shape": plan.grid.binned_shape, "wcs": plan.cube.wcs}
        left_out = plan.grid.use is not None
        files.append(model_file(finals["MODEL"], journal, **binned, partial=left_out))
    if "TABLE" in finals:
        files.append(table_file(finals["TABLE"], journal, **about))
    return files


def fit_spectra(
    spectra: Spectra,
    config: FitConfig,
    path: str | Path,
    *,
    chunk: int | None = None,
    resume: bool = False,
    progress: bool | None = None,
    run: Mapping[str, Any] | None = None,
    method: str = "both",
) -> Outputs:
    """Fit a set of spectra, chunk by chunk, into one table.

    Args:
        spectra: the set; it may lie on disk and is read by chunks.
        config: what to fit and how.
        path: the table, ``.fits`` or ``.ecsv`` (the latter is gathered in memory and cannot
            be resumed).
        chunk: spectra in a chunk; None = at most about 250 MB.
        resume: as in `fit_cube`.
        progress: bar on stderr; None = when that is a terminal.
        run: more options to write beside ``[fit]`` in ``PATH_CONFIG.toml``.
        method: ``network``, ``fit`` or ``both``, as in `nebulines.fit`.

    Returns:
        `Outputs`: the files and what was found.
    """
    path = Path(path)
    check_table_name(path)
    check_writable(path)
    if not len(spectra):
        raise InputError("there is no spectrum to fit")
    if resume and path.suffix == ".ecsv":
        raise UsageError("an .ecsv table cannot be resumed: write .fits")
    config = engine.load(method).resolve(spectra, config)
    chunk = chunk or default_block(spectra.axis.n_channels, len(spectra))
    plan = SpectraPlan(spectra, chunk, config.redshift is None)
    meta = provenance(spectra, config)
    start = time.monotonic()
    todo: dict[str, Any] = {"read": plan.read, "place": plan.place, "total": len(spectra)}
    todo |= {"progress": progress, "with_model": False, "method": method}
    if path.suffix == ".ecsv":
        sink = MemorySink((len(spectra),))
        journal = Journal()
        n_fitted = run_blocks(plan.jobs, config, sinks=[sink], journal=journal, **todo)
        Result(sink.columns, spectra.unit, meta | journal.notes).write(path)
        found: Mapping[str, np.ndarray] = sink.columns
    else:
        n_fitted = _run_table(path, spectra, config, plan, meta, resume=resume, **todo)
        found = found_in_table(path)
    seconds = time.monotonic() - start
    written = write_config(path.with_name(f"{path.stem}_CONFIG.toml"), config.as_dict(), run or {})
    summary = summarise(found, seconds, n_fitted)
    return Outputs((path, written), summary)


def _run_table(
    path: Path,
    spectra: Spectra,
    config: FitConfig,
    plan: SpectraPlan,
    meta: dict[str, Any],
    *,
    resume: bool,
    **todo: Any,
) -> int:
    journal = Journal.start(
        path.with_name(f".{path.stem}.journal.json"),
        fingerprint([meta, len(spectra), plan.chunk, todo["method"]]),
        resume=resume and identified(meta),
    )
    shape = (len(spectra),)
    file = table_file(path, journal, shape=shape, flux_unit=spectra.unit, meta=meta)
    return run_to_files(plan.jobs, config, journal=journal, files=[file], resume=resume, **todo)


_TOLD = ("flags", "velocity", "broadening")


ROWS_AT_ONCE = 50_000
"""Rows of a result file that are mapped together: a mapped row counts as memory in use."""


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
