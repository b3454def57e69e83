"""Fit several bands into files, in memory bounded by a block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.cubes.files.cube_files import maps_file, model_file, table_file
from nebulines.cubes.files.journal import Journal
from nebulines.cubes.files.outputs import Outputs
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
from nebulines.cubes.joint.measure import check_kinds, cube_plan, joint_block
from nebulines.cubes.joint.registration import register
from nebulines.cubes.joint.spectra import (
    JointCubePlan,
    JointSpectraPlan,
    check_method,
    joint_fit_block,
    joint_provenance,
)
from nebulines.fitting.config import FitConfig
from nebulines.fitting.joint.problem import check_rows, resolve_bands
from nebulines.spectra import Cube, Spectra


def fit_cubes(
    cubes: Sequence[Cube],
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
    """Fit cubes of one field jointly into ``PREFIX_MAPS.fits`` and its companions.

    The maps lie on the grid of the first cube (see `registration`). Each band has a model cube
    of its own, ``PREFIX_MODEL_LABEL.fits``.

    Args:
        cubes: one for each band.
        config, prefix, max_spaxels, resume, progress, model, table, bin, mask, region, run,
            method, scheduler: as for `nebulines.cubes.run.fit_cube`.

    Returns:
        `Outputs`: the files and what was found.

    Raises:
        UsageError: the cubes do not belong together, an option is wrong, or nothing can be
            written there.
    """
    from nebulines.runtime import configure

    configure()
    check_method(method)
    check_kinds(cubes)
    prefix = Path(prefix)
    plan = resolve_bands(cubes, config)
    kinds = ["MAPS", *([f"MODEL_{label}" for label in plan.labels] if model else [])]
    kinds += ["TABLE"] if table else []
    paths = maps_paths(prefix, kinds)
    registered = register(cubes)
    chosen: dict[str, Any] = {"bin": bin, "mask": mask, "region": region}
    work, grid = cube_plan(registered, config, with_model=model, max_spaxels=max_spaxels, **chosen)
    meta = {**joint_provenance(cubes, plan), **binning_meta(grid)}
    blocks = [str(block) for _, block in work.jobs]
    choices = [*selection_facts(grid), blocks, kinds, method]
    journal = journal_beside(prefix, prefix.name, meta, choices, resume=resume)
    return into_maps(
        prefix,
        paths,
        work,
        plan.config,
        _files(paths, registered, work, journal, meta),
        options={**chosen, **(run or {})},
        journal=journal,
        resume=resume,
        with_model=model,
        progress=progress,
        fit_block=joint_fit_block(plan, method),
        scheduler=scheduler,
    )


def _files(
    paths: Mapping[str, Path],
    cubes: Sequence[Cube],
    work: JointCubePlan,
    journal: Journal,
    meta: Mapping[str, Any],
) -> list[FileSink]:
    first, grid = work.plans[0], work.plans[0].grid
    about: dict[str, Any] = {"shape": grid.shape, "meta": meta, "wcs": cubes[0].wcs}
    files = [maps_file(paths["MAPS"], journal, flux_unit=cubes[0].unit, **about)]
    models = [path for kind, path in paths.items() if kind.startswith("MODEL")]
    binned = {**about, "shape": grid.binned_shape, "wcs": first.cube.wcs}
    for band, path in enumerate(models):
        unit = cubes[band].unit
        options: dict[str, Any] = {"partial": grid.use is not None, "band": band}
        files.append(model_file(path, journal, flux_unit=unit, **binned, **options))
    if "TABLE" in paths:
        files.append(table_file(paths["TABLE"], journal, flux_unit=cubes[0].unit, **about))
    return files


def fit_band_spectra(
    bands: Sequence[Spectra],
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
    """Fit sets of spectra of the same objects jointly, chunk by chunk, into one table.

    Args:
        bands: one set for each band, row i of every set being the same object.
        config, path, chunk, resume, progress, run, method, scheduler: as for
            `nebulines.cubes.run.fit_spectra`.

    Returns:
        `Outputs`: the files and what was found.

    Raises:
        UsageError: the bands do not belong together, or an option is wrong.
    """
    from nebulines.runtime import configure

    configure()
    path = Path(path)
    check_table(path, resume=resume)
    check_method(method)
    check_kinds(bands)
    check_rows(bands)
    plan = resolve_bands(bands, config)
    size = chunk or joint_block([spectra.axis.n_channels for spectra in bands])
    return into_table(
        path,
        JointSpectraPlan.of(bands, size, with_redshift=config.redshift is None),
        plan.config,
        unit=bands[0].unit,
        meta=joint_provenance(bands, plan),
        choices=[size, method],
        resume=resume,
        run=run,
        progress=progress,
        fit_block=joint_fit_block(plan, method),
        scheduler=scheduler,
    )
