"""Fit several bands into files, in memory bounded by a block."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.cubes.cube_files import maps_file, model_file, table_file
from nebulines.cubes.joint_measure import check_kinds, cube_plan, joint_block
from nebulines.cubes.joint_spectra import (
    JointCubePlan,
    JointSpectraPlan,
    check_method,
    joint_fit_block,
    joint_provenance,
)
from nebulines.cubes.journal import Journal, fingerprint
from nebulines.cubes.loop import run_blocks, run_to_files
from nebulines.cubes.outputs import Outputs, summarise, write_config
from nebulines.cubes.registration import register
from nebulines.cubes.result_files import check_table_name
from nebulines.cubes.run import binning_meta, found_in_maps, found_in_table, identified
from nebulines.cubes.sinks import FileSink, MemorySink
from nebulines.errors import UsageError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.joint_problem import JointPlan, check_rows, resolve_bands
from nebulines.fitting.result import Result
from nebulines.io.atomic import check_writable
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
) -> Outputs:
    """Fit cubes of one field jointly into ``PREFIX_MAPS.fits`` and its companions.

    The maps lie on the grid of the first cube (see `registration`). Each band has a model cube
    of its own, ``PREFIX_MODEL_LABEL.fits``.

    Args:
        cubes: one for each band.
        config, prefix, max_spaxels, resume, progress, model, table, bin, mask, region, run,
            method: as for `nebulines.cubes.run.fit_cube`.

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
    finals = {kind: prefix.with_name(f"{prefix.name}_{kind}.fits") for kind in kinds}
    for final in finals.values():
        check_writable(final)
    registered = register(cubes)
    chosen: dict[str, Any] = {
        "bin": bin,
        "mask": mask,
        "region": region,
        "max_spaxels": max_spaxels,
    }
    work, grid = cube_plan(registered, config, with_model=model, **chosen)
    meta = {**joint_provenance(cubes, plan), **binning_meta(grid)}
    use = None if grid.use is None else np.packbits(grid.use).tobytes().hex()
    jobs = [str(block) for _, block in work.jobs]
    journal = Journal.start(
        prefix.with_name(f".{prefix.name}.journal.json"),
        fingerprint([meta, grid.shape, bin, use, jobs, kinds, method]),
        resume=resume and identified(meta),
    )
    start = time.monotonic()
    n_fitted = run_to_files(
        work.jobs,
        plan.config,
        journal=journal,
        files=_files(finals, registered, work, journal, meta),
        resume=resume,
        read=work.read,
        place=work.place,
        with_model=model,
        progress=progress,
        total=work.n_spectra,
        fit_block=joint_fit_block(plan, method),
    )
    seconds = time.monotonic() - start
    names = {key: str(value) for key, value in (("mask", mask), ("region", region)) if value}
    written = write_config(
        prefix.with_name(f"{prefix.name}_CONFIG.toml"),
        plan.config.as_dict(),
        {"bin": bin, **names, **(run or {})},
    )
    summary = summarise(found_in_maps(finals["MAPS"]), seconds, n_fitted, rows="spaxels")
    return Outputs((*finals.values(), written), summary)


def _files(
    finals: Mapping[str, Path],
    cubes: Sequence[Cube],
    work: JointCubePlan,
    journal: Journal,
    meta: Mapping[str, Any],
) -> list[FileSink]:
    first, grid = work.plans[0], work.plans[0].grid
    about: dict[str, Any] = {"shape": grid.shape, "meta": meta, "wcs": cubes[0].wcs}
    files = [maps_file(finals["MAPS"], journal, flux_unit=cubes[0].unit, **about)]
    models = [final for kind, final in finals.items() if kind.startswith("MODEL")]
    binned = {**about, "shape": grid.binned_shape, "wcs": first.cube.wcs}
    for band, final in enumerate(models):
        unit = cubes[band].unit
        options: dict[str, Any] = {"partial": grid.use is not None, "band": band}
        files.append(model_file(final, journal, flux_unit=unit, **binned, **options))
    if "TABLE" in finals:
        files.append(table_file(finals["TABLE"], journal, flux_unit=cubes[0].unit, **about))
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
) -> Outputs:
    """Fit sets of spectra of the same objects jointly, chunk by chunk, into one table.

    Args:
        bands: one set for each band, row i of every set being the same object.
        config, path, chunk, resume, progress, run, method: as for
            `nebulines.cubes.run.fit_spectra`.

    Returns:
        `Outputs`: the files and what was found.

    Raises:
        UsageError: the bands do not belong together, or an option is wrong.
    """
    from nebulines.runtime import configure

    configure()
    path = Path(path)
    check_table_name(path)
    check_writable(path)
    check_method(method)
    check_kinds(bands)
    check_rows(bands)
    if resume and path.suffix == ".ecsv":
        raise UsageError("an .ecsv table cannot be resumed: write .fits")
    plan = resolve_bands(bands, config)
    size = chunk or joint_block([spectra.axis.n_channels for spectra in bands])
    work = JointSpectraPlan.of(bands, size, with_redshift=config.redshift is None)
    meta = joint_provenance(bands, plan)
    start = time.monotonic()
    todo: dict[str, Any] = {"read": work.read, "place": work.place, "total": len(bands[0])}
    todo |= {"progress": progress, "with_model": False, "fit_block": joint_fit_block(plan, method)}
    found, n_fitted = _into_table(
        path, bands, plan, work, meta, (size, method), resume=resume, **todo
    )
    seconds = time.monotonic() - start
    settings = path.with_name(f"{path.stem}_CONFIG.toml")
    written = write_config(settings, plan.config.as_dict(), run or {})
    return Outputs((path, written), summarise(found, seconds, n_fitted))


def _into_table(
    path: Path,
    bands: Sequence[Spectra],
    plan: JointPlan,
    work: JointSpectraPlan,
    meta: dict[str, Any],
    choices: tuple[int, str],
    *,
    resume: bool,
    **todo: Any,
) -> tuple[Mapping[str, np.ndarray], int]:
    """What was found, and how many were fitted; a run is gone on with where ``choices``, rows of
    a block and method, are the same."""
    n, unit = len(bands[0]), bands[0].unit
    if path.suffix == ".ecsv":
        sink, journal = MemorySink((n,)), Journal()
        n_fitted = run_blocks(work.jobs, plan.config, sinks=[sink], journal=journal, **todo)
        Result(sink.columns, unit, meta | journal.notes).write(path)
        return sink.columns, n_fitted
    journal = Journal.start(
        path.with_name(f".{path.stem}.journal.json"),
        fingerprint([meta, n, *choices]),
        resume=resume and identified(meta),
    )
    file = table_file(path, journal, shape=(n,), flux_unit=unit, meta=meta)
    n_fitted = run_to_files(
        work.jobs, plan.config, journal=journal, files=[file], resume=resume, **todo
    )
    return found_in_table(path), n_fitted
