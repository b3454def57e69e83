"""Fit a cube or a set of spectra into files, in memory bounded by a block."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.cubes import engine
from nebulines.cubes.binning import bin_cube
from nebulines.cubes.files.cube_files import maps_file, model_file, table_file
from nebulines.cubes.files.journal import Journal
from nebulines.cubes.files.outputs import Outputs
from nebulines.cubes.files.provenance import provenance
from nebulines.cubes.files.run_files import (
    binning_meta,
    check_table,
    into_maps,
    into_table,
    journal_beside,
    maps_paths,
    selection_facts,
)
from nebulines.cubes.files.sinks import FileSink
from nebulines.cubes.grid import Grid
from nebulines.cubes.loop import default_block
from nebulines.cubes.selection import spaxels_to_use
from nebulines.cubes.spaxels import CubePlan, SpectraPlan
from nebulines.errors import InputError
from nebulines.fitting.config import FitConfig
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
    scheduler: str | None = None,
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
        scheduler: address of a Dask scheduler whose workers fit the blocks; None = this machine.

    Returns:
        `Outputs`: the files and what was found.

    Raises:
        UsageError: an option is wrong or nothing can be written there.
        InputError: the mask or the region cannot be read.
    """
    prefix = Path(prefix)
    kinds = ["MAPS", *(["MODEL"] if model else []), *(["TABLE"] if table else [])]
    paths = maps_paths(prefix, kinds)
    shape = cube.shape[:2]
    grid = Grid(shape, bin, spaxels_to_use(shape, mask=mask, region=region, wcs=cube.wcs))
    config = engine.load(method).resolve(cube, config)
    size = max_spaxels or default_block(cube.shape[2])
    own = config.redshift is None
    plan = CubePlan.of(bin_cube(cube, grid), grid, size, with_model=model, with_redshift=own)
    meta = {**provenance(cube, config), **binning_meta(grid)}
    choices = [*selection_facts(grid), size, len(plan.jobs), kinds, method]
    journal = journal_beside(prefix, prefix.name, meta, choices, resume=resume)
    return into_maps(
        prefix,
        paths,
        plan,
        config,
        _cube_files(paths, plan, journal, meta, cube),
        options={"bin": bin, "mask": mask, "region": region, **(run or {})},
        journal=journal,
        resume=resume,
        with_model=model,
        progress=progress,
        method=method,
        scheduler=scheduler,
    )


def _cube_files(
    paths: Mapping[str, Path],
    plan: CubePlan,
    journal: Journal,
    meta: Mapping[str, Any],
    cube: Cube,
) -> list[FileSink]:
    about: dict[str, Any] = {"shape": cube.shape[:2], "flux_unit": cube.unit, "meta": meta}
    about["wcs"] = cube.wcs
    files = [maps_file(paths["MAPS"], journal, **about)]
    if "MODEL" in paths:
        binned = {**about, "shape": plan.grid.binned_shape, "wcs": plan.cube.wcs}
        left_out = plan.grid.use is not None
        files.append(model_file(paths["MODEL"], journal, **binned, partial=left_out))
    if "TABLE" in paths:
        files.append(table_file(paths["TABLE"], journal, **about))
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
    scheduler: str | None = None,
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
        scheduler: address of a Dask scheduler whose workers fit the blocks; None = this machine.

    Returns:
        `Outputs`: the files and what was found.
    """
    path = Path(path)
    check_table(path, resume=resume)
    if not len(spectra):
        raise InputError("there is no spectrum to fit")
    config = engine.load(method).resolve(spectra, config)
    chunk = chunk or default_block(spectra.axis.n_channels, len(spectra))
    return into_table(
        path,
        SpectraPlan(spectra, chunk, config.redshift is None),
        config,
        unit=spectra.unit,
        meta=provenance(spectra, config),
        choices=[chunk, method],
        resume=resume,
        run=run,
        progress=progress,
        method=method,
        scheduler=scheduler,
    )
