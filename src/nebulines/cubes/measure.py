"""The verb ``nebulines.fit``: measure spectra or a cube, result in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.cubes import engine
from nebulines.cubes.binning import bin_cube
from nebulines.cubes.files.journal import Journal
from nebulines.cubes.files.provenance import now, provenance
from nebulines.cubes.files.sinks import MemorySink
from nebulines.cubes.grid import Grid
from nebulines.cubes.loop import default_block, run_blocks
from nebulines.cubes.selection import spaxels_to_use
from nebulines.cubes.spaxels import CubePlan, SpectraPlan
from nebulines.errors import InputError, UsageError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.result import Result
from nebulines.quantities import bare, bare_range
from nebulines.spectra import Cube, Spectra


def fit(
    data: Spectra | Cube | Sequence[Spectra | Cube],
    config: FitConfig | None = None,
    *,
    bin: int = 1,
    mask: str | Path | np.ndarray | None = None,
    region: str | Path | None = None,
    keep_model: bool | None = None,
    progress: bool = False,
    method: str = "both",
    **options: Any,
) -> Result:
    """Measure emission lines: velocity, broadening, fluxes, errors and flags.

    Args:
        data: spectra, or a cube (read by blocks; only the measurements are kept); or several
            of either, bands of the same objects or of one field, which are fitted jointly: one
            velocity and broadening, the line spread, continuum and noise of each band its own.
        config: what to fit and how; None = the defaults.
        bin: for a cube, spaxels averaged along each side of a square; rows keep the full grid.
        mask: for a cube, FITS image or array (ny, nx), not zero = leave the spaxel out.
        region: for a cube, a ds9 region file.
        keep_model: keep the best-fit model (n, channel) in the result; None = for spectra, not
            for a cube.
        progress: show a bar on stderr.
        method: ``both`` (least squares from the network's answer where a network serves),
            ``fit`` (least squares with a velocity search) or ``network`` (see `estimate`).
        **options: fields of `FitConfig` that replace those of ``config``.

    Returns:
        `Result`: one row a spectrum, or a spaxel row by row. That of several bands has the lines
        of all of them, and ``LABEL_continuum``, ``LABEL_noise``, ``LABEL_chi2`` of each band.

    Raises:
        UsageError: an option is unknown or wrong, or bands do not belong together.
        InputError: no spectrum, or a mask or region that cannot be read.

    Example:
        >>> from nebulines.synthetic import simulate
        >>> truth, spectra = simulate("sitelle-sn3", n=4, seed=1, snr=(20.0, 30.0))
        >>> result = fit(spectra)
        >>> pull = (result["velocity"] - truth["velocity"]) / result["velocity_err"]
        >>> bool((abs(pull) < 5.0).all()), str(result.table()["velocity"].unit)
        (True, 'km / s')
    """
    config = as_config(config, options)
    if not isinstance(data, Spectra | Cube):
        return _fit_several(
            _bands(data), config, bin=bin, mask=mask, region=region, keep_model=keep_model,
            progress=progress, method=method,
        )  # fmt: skip
    if config.reddening != "none":
        return _fit_several(
            [data], config, bin=bin, mask=mask, region=region, keep_model=keep_model,
            progress=progress, method=method,
        )  # fmt: skip
    if isinstance(data, Cube):
        shape = data.shape[:2]
        grid = Grid(shape, bin, spaxels_to_use(shape, mask=mask, region=region, wcs=data.wcs))
        return _fit_cube(
            data, grid, config, keep_model=bool(keep_model), progress=progress, method=method
        )
    if bin != 1 or mask is not None or region is not None:
        raise UsageError("bin, mask and region need a cube; these are spectra without positions")
    keep_model = keep_model is not False
    return _fit_spectra(data, config, keep_model=keep_model, progress=progress, method=method)


def as_config(config: FitConfig | None, options: dict[str, Any]) -> FitConfig:
    """A configuration, None being the defaults, with options that replace its fields; ranges
    may be quantities.

    Raises:
        UsageError: an option that no fit has, or a value that none takes.
    """
    known = FitConfig.__dataclass_fields__
    if unknown := sorted(set(options) - set(known)):
        raise UsageError(
            f"unknown option {', '.join(unknown)}; the options of a fit are {', '.join(known)}"
        )
    if "redshift" in options:
        options = options | {"redshift": _one_redshift(options["redshift"])}
    for name in {"velocity_range", "broadening_range"} & set(options):
        options = options | {name: bare_range(options[name], "km/s", name=name)}
    try:
        return replace(config or FitConfig(), **options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"an option is of the wrong kind: {error}") from error


def _one_redshift(redshift: Any) -> Any:
    """A redshift as a plain number, where numpy or astropy gave it."""
    redshift = bare(redshift, "", name="redshift")
    if not isinstance(redshift, np.ndarray | np.generic | list | tuple):
        return redshift
    if np.size(redshift) != 1:
        raise UsageError(
            "redshift is one number for all spectra, or 'auto'; spectra that differ bring theirs: "
            "nebulines.read(..., redshift=...) or Spectra(redshift=...)"
        )
    return np.asarray(redshift).item()


def _bands(data: Any) -> list[Spectra | Cube]:
    bands = list(data) if isinstance(data, list | tuple) else [data]
    for band in bands:
        if not isinstance(band, Spectra | Cube):
            raise UsageError(
                "spectra to fit are Spectra or a Cube, as nebulines.read gives them, or a list of "
                f"bands of the same objects; got {type(band).__name__}"
            )
    return bands


def _fit_several(bands: list[Spectra | Cube], config: FitConfig, **options: Any) -> Result:
    """One band without links between its lines is a plain fit."""
    if len(bands) == 1 and config.reddening == "none":
        return fit(bands[0], config, **options)
    from nebulines.cubes.joint.measure import fit_bands

    return fit_bands(bands, config, **options)


def estimate(data: Spectra | Cube, config: FitConfig | None = None, **options: Any) -> Result:
    """Measure emission lines with the network alone: posterior means, widths and flags.

    Velocity and broadening are the mean and the standard deviation of the posterior of the
    network ``kinematics`` for a flat prior within ``velocity_range`` and ``broadening_range``;
    fluxes follow from one linear solution there. A row where the network cannot be trusted is
    flagged: ``OUT_OF_RANGE``, ``AMBIGUOUS_VELOCITY``, ``POOR_FIT`` and the others of a fit.

    Args:
        data: spectra, or a cube.
        config: as for `fit`.
        **options: of `fit`, or fields of `FitConfig`.

    Returns:
        `Result` with the columns of a fit.

    Raises:
        UsageError: more than one component or kinematic group was asked for.

    Example:
        >>> from nebulines.synthetic import simulate
        >>> truth, spectra = simulate("sitelle-sn3", n=4, seed=1, snr=(20.0, 30.0))
        >>> result = estimate(spectra, velocity_range=(-300.0, 300.0))
        >>> miss = result.columns["velocity"] - truth["velocity"]
        >>> bool((abs(miss) < 5.0 * result.columns["velocity_err"]).all())
        True
    """
    if "method" in options:
        raise UsageError("estimate is fit with method='network': leave method out")
    return fit(data, config, method="network", **options)


def _fit_spectra(
    spectra: Spectra, config: FitConfig, *, keep_model: bool, progress: bool, method: str
) -> Result:
    if not len(spectra):
        raise InputError("there is no spectrum to fit")
    config = engine.load(method).resolve(spectra, config)
    chunk = default_block(spectra.axis.n_channels, len(spectra))
    plan = SpectraPlan(spectra, chunk, config.redshift is None)
    sink = MemorySink((len(spectra),), keep_model)
    journal = Journal()
    run_blocks(
        plan,
        config,
        sinks=[sink],
        journal=journal,
        with_model=keep_model,
        progress=progress,
        method=method,
    )
    meta = {**provenance(spectra, config), **journal.notes, "DATE": now()}
    return Result(sink.columns, spectra.unit, meta, model=sink.model)


def _fit_cube(
    cube: Cube,
    grid: Grid,
    config: FitConfig,
    *,
    keep_model: bool,
    progress: bool,
    method: str,
) -> Result:
    if keep_model and grid.width > 1:
        raise UsageError("the model of a binned cube is kept by fit_cube only, in a file")
    config = engine.load(method).resolve(cube, config)
    size = default_block(cube.shape[2])
    own = config.redshift is None
    plan = CubePlan.of(bin_cube(cube, grid), grid, size, with_model=keep_model, with_redshift=own)
    sink = MemorySink(grid.shape, keep_model)
    journal = Journal()
    run_blocks(
        plan,
        config,
        sinks=[sink],
        journal=journal,
        with_model=keep_model,
        progress=progress,
        method=method,
    )
    meta = {**provenance(cube, config), **journal.notes, "DATE": now()}
    if grid.width > 1:
        meta["BIN"] = grid.width
    columns = {name: values.ravel() for name, values in sink.columns.items()}
    model = None if sink.model is None else sink.model.reshape(-1, cube.shape[2])
    return Result(columns, cube.unit, meta, grid.shape, cube.wcs, model)
