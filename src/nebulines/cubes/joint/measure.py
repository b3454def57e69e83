"""The verb ``nebulines.fit`` on several bands: the result in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.cubes.binning import bin_cube
from nebulines.cubes.files.journal import Journal
from nebulines.cubes.files.provenance import now
from nebulines.cubes.files.sinks import MemorySink, Piece
from nebulines.cubes.grid import Grid
from nebulines.cubes.joint.registration import register
from nebulines.cubes.joint.spectra import (
    JointCubePlan,
    JointSpectraPlan,
    check_method,
    joint_fit_block,
    joint_provenance,
)
from nebulines.cubes.loop import default_block, run_blocks
from nebulines.cubes.selection import spaxels_to_use
from nebulines.cubes.spaxels import CubePlan
from nebulines.errors import UsageError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.joint.problem import JointPlan, check_rows, resolve_bands
from nebulines.fitting.result import Result
from nebulines.spectra import Cube, Spectra


@dataclass(frozen=True)
class JointResult(Result):
    """The result of a joint fit: a `Result` with the best-fit model of each band.

    Attributes:
        models: for each band (n, channel), or None where they were not kept.
    """

    models: tuple[np.ndarray, ...] | None = None


@dataclass
class _Models:
    """Keeps the model of each band."""

    n: int
    arrays: list[np.ndarray] | None = None

    def write(self, piece: Piece) -> None:
        """Copy the models of a piece."""
        models = [band.model for band in piece.bands if band.model is not None]
        if self.arrays is None:
            self.arrays = [np.full((self.n, len(m)), np.nan, np.float32) for m in models]
        for array, model in zip(self.arrays, models, strict=True):
            array[piece.index] = np.moveaxis(model, 0, -1)


def fit_bands(
    bands: Sequence[Spectra | Cube],
    config: FitConfig,
    *,
    bin: int = 1,
    mask: str | Path | np.ndarray | None = None,
    region: str | Path | None = None,
    keep_model: bool | None = None,
    progress: bool = False,
    method: str = "both",
) -> JointResult:
    """Measure emission lines in several bands at once; see `nebulines.fit`."""
    from nebulines.runtime import configure

    configure()
    check_method(method)
    check_kinds(bands)
    selected = {"bin": bin, "mask": mask, "region": region}
    if isinstance(bands[0], Cube):
        cubes = [data for data in bands if isinstance(data, Cube)]
        if keep_model:
            raise UsageError("the models of cubes go to files: use nebulines fit, or fit_cubes")
        return _fit_cubes(register(cubes), config, selected, progress=progress, method=method)
    if bin != 1 or mask is not None or region is not None:
        raise UsageError("bin, mask and region need cubes; these are spectra without positions")
    spectra = [data for data in bands if isinstance(data, Spectra)]
    keep = keep_model is not False
    return _fit_spectra(spectra, config, keep_model=keep, progress=progress, method=method)


def check_kinds(bands: Sequence[Spectra | Cube]) -> None:
    """Refuse spectra beside cubes.

    Raises:
        UsageError: they are mixed, or there is nothing.
    """
    if not bands:
        raise UsageError("there is no band to fit: give at least one set of spectra")
    cubes = [isinstance(data, Cube) for data in bands]
    if any(cubes) and not all(cubes):
        raise UsageError(
            "some bands are cubes and others spectra: give all bands of a field as cubes, or all "
            "bands of a list of objects as spectra"
        )


def _fit_spectra(
    bands: list[Spectra], config: FitConfig, *, keep_model: bool, progress: bool, method: str
) -> JointResult:
    check_rows(bands)
    plan = resolve_bands(bands, config)
    chunk = joint_block([spectra.axis.n_channels for spectra in bands])
    work = JointSpectraPlan.of(bands, chunk, with_redshift=config.redshift is None)
    n = len(bands[0])
    sink, models, journal = MemorySink((n,)), _Models(n), Journal()
    run_blocks(
        work,
        plan.config,
        sinks=[sink, models] if keep_model else [sink],
        journal=journal,
        with_model=keep_model,
        progress=progress,
        fit_block=joint_fit_block(plan, method),
    )
    kept = None if models.arrays is None else tuple(models.arrays)
    return JointResult(sink.columns, bands[0].unit, _meta(bands, plan, journal), models=kept)


def _fit_cubes(
    cubes: list[Cube],
    config: FitConfig,
    selected: dict[str, Any],
    *,
    progress: bool,
    method: str,
) -> JointResult:
    plan = resolve_bands(cubes, config)
    work, grid = cube_plan(cubes, config, **selected)
    sink, journal = MemorySink(grid.shape), Journal()
    run_blocks(
        work,
        plan.config,
        sinks=[sink],
        journal=journal,
        with_model=False,
        progress=progress,
        fit_block=joint_fit_block(plan, method),
    )
    meta = _meta(cubes, plan, journal)
    if grid.width > 1:
        meta["BIN"] = grid.width
    columns = {name: values.ravel() for name, values in sink.columns.items()}
    return JointResult(columns, cubes[0].unit, meta, grid.shape, cubes[0].wcs)


def cube_plan(
    cubes: Sequence[Cube],
    config: FitConfig,
    *,
    bin: int = 1,
    mask: str | Path | np.ndarray | None = None,
    region: str | Path | None = None,
    max_spaxels: int | None = None,
    with_model: bool = False,
) -> tuple[JointCubePlan, Grid]:
    """Blocks of cubes on one grid, and that grid.

    Args:
        cubes: registered.
        config: as asked; without a redshift the spaxels' own are kept as a column.
        bin, mask, region, max_spaxels: as in `nebulines.cubes.run.fit_cube`.
        with_model: also hand on models, noise and bad channels.
    """
    shape = cubes[0].shape[:2]
    grid = Grid(shape, bin, spaxels_to_use(shape, mask=mask, region=region, wcs=cubes[0].wcs))
    size = max_spaxels or joint_block([cube.shape[2] for cube in cubes])
    own = config.redshift is None
    plans = tuple(
        CubePlan.of(bin_cube(cube, grid), grid, size, with_model=with_model, with_redshift=own)
        for cube in cubes
    )
    return JointCubePlan(plans), grid


def joint_block(channels: Sequence[int]) -> int:
    """Objects in a block: as many as fit with all bands beside each other."""
    return default_block(sum(channels))


def _meta(bands: Sequence[Spectra | Cube], plan: JointPlan, journal: Journal) -> dict[str, Any]:
    return {**joint_provenance(bands, plan), **journal.notes, "DATE": now()}
