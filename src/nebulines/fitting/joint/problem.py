"""Several bands of the same objects: which lines each one shows, in one frame and one unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nebulines.errors import InputError, UsageError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.direct.problem import DirectProblem, direct_problem
from nebulines.fitting.fit import lines_in_band, resolve
from nebulines.fitting.prepared import Prepared, prepare
from nebulines.fitting.problem import usable_redshift
from nebulines.fitting.redshift import find_redshift
from nebulines.fitting.sample import brightest_spaxels, middle_spaxel
from nebulines.instruments.labels import band_labels
from nebulines.lines import kinematic_groups, load_catalogue
from nebulines.spectra import Cube, Spectra

SAME_REDSHIFT = 1e-5
"""Redshifts of one object that differ by less (3 km/s) are the same."""


@dataclass(frozen=True)
class JointPlan:
    """What is fitted in each band.

    Attributes:
        config: resolved options, with the lines of all bands.
        labels: short name of each band.
        lines: lines that each band shows; one that two bands show is measured by both.
        unseen: lines asked for that no band shows.
        units: what turns the flux of each band into the unit of the first.
    """

    config: FitConfig
    labels: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    unseen: tuple[str, ...] = ()
    units: tuple[float, ...] = ()

    def band_config(self, band: int) -> FitConfig:
        """Options for one band: the lines that it shows."""
        return replace(self.config, lines=self.lines[band], reddening="none")


def resolve_bands(bands: Sequence[Spectra | Cube], config: FitConfig) -> JointPlan:
    """Settle which lines are fitted in which band, and the redshift when it is ``auto``.

    Args:
        bands: spectra, or cubes, one for each band.
        config: options.

    Returns:
        `JointPlan`.

    Raises:
        UsageError: an option that bands cannot share, a band without a line, bands in different
            velocity frames or in units that cannot be compared.
        InputError: no spectrum.
    """
    _check(bands, config)
    samples = [data if isinstance(data, Spectra) else middle_spaxel(data) for data in bands]
    if min(len(sample) for sample in samples) == 0:
        raise InputError("there is no spectrum to fit (a band has 0 rows)")
    labels = band_labels([data.instrument for data in bands])
    if config.redshift == "auto":
        config = replace(config, redshift=_redshift(bands, config))
    if config.lines is None:
        lines = tuple(
            _labelled(label, sample, config) for label, sample in zip(labels, samples, strict=True)
        )
    else:
        chosen = load_catalogue(config.catalogue).select(config.lines)
        lines = tuple(lines_in_band(sample, chosen, config) for sample in samples)
        for label, shown in zip(labels, lines, strict=True):
            if not shown:
                raise UsageError(
                    f"none of the lines {', '.join(config.lines)} falls in the band {label}: "
                    "leave the band out, or name its lines too"
                )
    seen = {name for shown in lines for name in shown}
    wanted = config.lines or tuple(seen)
    catalogue = load_catalogue(config.catalogue).select(wanted)
    order = np.argsort(catalogue.wavelength_air, kind="stable")
    names = tuple(catalogue.names[k] for k in order)
    return JointPlan(
        replace(config, lines=names),
        labels,
        lines,
        tuple(name for name in names if name not in seen),
        tuple(_unit_factor(data.unit, bands[0].unit) for data in bands),
    )


def _check(bands: Sequence[Spectra | Cube], config: FitConfig) -> None:
    if not bands:
        raise UsageError("there is no band to fit: give at least one set of spectra")
    if config.components != 1:
        raise UsageError(
            f"a joint fit has one velocity component, not components={config.components!r}: "
            "fit the bands one by one, or leave the option out"
        )
    if config.resolution is not None and len(bands) > 1:
        raise UsageError(
            "resolution replaces that of one band: bands fitted jointly take theirs from the "
            "files or from their instruments"
        )
    if str(config.continuum) == "stellar":
        raise UsageError("a joint fit has polynomial continua: continuum stellar needs one band")
    frames = {str(data.meta["SPECSYS"]) for data in bands if data.meta.get("SPECSYS")}
    if len(frames - {"unknown"}) > 1:
        raise UsageError(
            f"the bands are in different velocity frames ({', '.join(sorted(frames))}): bring them "
            "to one before they are fitted jointly"
        )


def _labelled(label: str, sample: Spectra, config: FitConfig) -> tuple[str, ...]:
    try:
        lines = resolve(sample, config).lines
    except UsageError as error:
        raise UsageError(f"band {label}: {error}; or leave the band out") from None
    assert lines is not None
    return lines


def _redshift(bands: Sequence[Spectra | Cube], config: FitConfig) -> float:
    """The redshift of the band whose lines tell it best."""
    catalogue = load_catalogue(config.catalogue)
    comb = catalogue.select(config.lines or catalogue.defaults().names)
    found, problem = [], None
    for data in bands:
        bright = data if isinstance(data, Spectra) else brightest_spaxels(data)
        try:
            found.append(find_redshift(bright, comb, config))
        except UsageError as error:
            problem = error
    if not found:
        assert problem is not None
        raise problem
    return max(found, key=lambda pair: pair[1])[0]


def _unit_factor(unit: str, first: str) -> float:
    """What turns ``unit`` into the unit of the first band."""
    from astropy import units as u

    if unit == first:
        return 1.0
    try:
        return float(u.Unit(unit).to(u.Unit(first)))
    except (ValueError, u.UnitConversionError):
        raise UsageError(
            f"the bands have fluxes in {unit or 'no unit'!r} and {first or 'no unit'!r}, which "
            "cannot be compared: give all bands one unit"
        ) from None


def check_rows(bands: Sequence[Spectra]) -> None:
    """Refuse bands of different numbers of rows.

    Raises:
        UsageError: they differ.
    """
    if len({len(spectra) for spectra in bands}) > 1:
        sizes = ", ".join(str(len(spectra)) for spectra in bands)
        raise UsageError(
            f"the bands have {sizes} rows: row i of every band must be the same object"
        )


def one_frame(bands: Sequence[Spectra], config: FitConfig) -> tuple[list[Spectra], np.ndarray]:
    """The bands with one redshift for each object.

    Args:
        bands: n rows each.
        config: whose redshift, when it is a number, replaces those of the spectra.

    Returns:
        The bands, and which rows (n,) have a redshift that the bands agree on.

    Raises:
        UsageError: bands of different numbers of rows.
    """
    check_rows(bands)
    n = len(bands[0])
    own = [spectra.redshift for spectra in bands if spectra.redshift is not None]
    if isinstance(config.redshift, int | float) or not own:
        return list(bands), np.ones(n, bool)
    stack = np.array([np.where(usable_redshift(z), z, np.nan) for z in own])
    known = np.isfinite(stack)
    first = np.argmax(known, axis=0)
    common = np.where(known.any(axis=0), stack[first, np.arange(n)], np.nan)
    with np.errstate(invalid="ignore"):
        differs = np.any(np.abs(stack - common) > SAME_REDSHIFT, axis=0)
    bands = [replace(spectra, redshift=common) for spectra in bands]
    return bands, ~differs


@dataclass(frozen=True)
class JointProblem:
    """The bands, ready for the fit.

    Attributes:
        prepared: normalised spectra with their lines, for each band.
        direct: the direct path of each band.
    """

    prepared: tuple[Prepared, ...]
    direct: tuple[DirectProblem, ...]

    @property
    def n_rows(self) -> int:
        """Number of objects."""
        return len(self.prepared[0].data.data)

    @property
    def n_groups(self) -> int:
        """Number of kinematic groups."""
        return self.prepared[0].model.n_groups

    def without(self, unusable: Sequence[np.ndarray]) -> JointProblem:
        """The same with no weight for some rows (n,) of each band."""
        prepared, direct = [], []
        for own, path, rows in zip(self.prepared, self.direct, unusable, strict=True):
            if rows.any():
                weight = np.where(rows[:, None], np.float32(0.0), own.data.weight)
                none = np.zeros_like(own.data.lightest)
                own = own._replace(data=own.data._replace(weight=weight, lightest=none))
                path = replace(path, data=own.data)
            prepared.append(own)
            direct.append(path)
        return JointProblem(tuple(prepared), tuple(direct))


def joint_problem(bands: Sequence[Spectra], plan: JointPlan, *, with_model: bool) -> JointProblem:
    """Normalise the bands and lay out their lines, with kinematic groups that they share."""
    names = plan.config.lines
    assert names is not None
    catalogue = load_catalogue(plan.config.catalogue)
    groups = kinematic_groups(names, plan.config.ties, known=catalogue.names)
    group_of = dict(zip(names, groups, strict=True))
    prepared = []
    for band, spectra in enumerate(bands):
        own = prepare(spectra, plan.band_config(band))
        labels = np.array([group_of[name] for name in own.model.catalogue.names])
        model = replace(own.model, group=labels, groups=int(groups.max()) + 1)
        prepared.append(own._replace(model=model))
    direct = [
        direct_problem(own.data, own.geometry, own.model, own.config, with_model=with_model)
        for own in prepared
    ]
    return JointProblem(tuple(prepared), tuple(direct))
