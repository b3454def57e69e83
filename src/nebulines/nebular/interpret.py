"""Physical quantities and classes of every row of a result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nebulines.fitting.result import Result
from nebulines.nebular.density import (
    DENSITY_RANGE,
    TEMPERATURE_RANGE,
    electron_density,
    electron_temperature,
)
from nebulines.nebular.diagnostics import BPT_LINES, Bpt, bpt_class, kewley06_class
from nebulines.nebular.extinction import balmer_ebv
from nebulines.nebular.flags import NebularFlag, flag_cards
from nebulines.nebular.metallicity import lines_of, oxygen_abundance
from nebulines.nebular.options import Options
from nebulines.nebular.propagation import Measured
from nebulines.nebular.radiation import ionisation_parameter
from nebulines.nebular.ratios import SUMS, has_line
from nebulines.nebular.regions import CLASSES, Region, classify
from nebulines.nebular.work import BALMER, Lines, Work
from nebulines.spectra import Flag

AURORAL = {"OIII": "OIII4363", "NII": "NII5755", "SIII": "SIII6312"}
"""Faint line of each ion that tells the temperature, the usual choice first."""
_ROWS = 1 << 17
_UNTRUSTED = Flag.NO_DATA | Flag.LOW_SNR | Flag.NOT_CONVERGED | Flag.BAD_REDSHIFT


def interpret(result: Result, options: Options | None = None) -> Result:
    """A result with what its line fluxes mean.

    Adds columns: ``ebv`` [mag], ``electron_density`` [cm-3], ``oxygen_abundance``
    [12 + log10(O/H)], ``log_u`` where [O II] and [O III] are there,
    ``electron_temperature`` [K] where an auroral line is, each with ``_err``; ``bpt_nii``
    (``bpt_sii``, ``bpt_oi``, and ``bpt`` from all three, where the lines are there), numbers of
    `nebulines.nebular.Bpt`; ``region_class``, number of `nebulines.nebular.Region`, with
    ``p_hii`` ... ``p_agn``; and ``nebular_quality``, bits of `NebularFlag`. The header says what
    each number means and what was assumed.

    Args:
        result: from a fit or a file, with fluxes and errors of lines.
        options: laws, calibrations, limits.

    Returns:
        A new result: the columns of ``result`` and the new ones.

    Raises:
        InputError: no H-alpha, or no error of its flux, in the result.
        UsageError: a component that the result does not have.

    Example:
        >>> flux = {"HALPHA6563": 300.0, "HBETA4861": 100.0, "NII6583": 50.0, "SII6716": 20.0,
        ...         "SII6731": 15.0, "OIII5007": 150.0}
        >>> columns = {f"{line}_flux": np.array([value]) for line, value in flux.items()}
        >>> columns |= {f"{line}_flux_err": np.array([1.0]) for line in flux}
        >>> found = interpret(Result(columns))
        >>> found["ebv"].round(2), found["bpt_nii"], found["region_class"], found["nebular_quality"]
        (array([0.05]), array([1], dtype=int32), array([1], dtype=int32), array([0], dtype=int32))
    """
    options = options or Options()
    poor, n = _untrusted(result), len(result)
    parts = [
        _interpret_rows(Lines.of(result, options, rows), options, poor[rows])
        for rows in (slice(i, i + _ROWS) for i in range(0, max(n, 1), _ROWS))
    ]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    meta = {**result.meta, **options.cards(), **flag_cards()}
    return replace(result, columns={**result.columns, **columns}, meta=meta, model=None)


def _interpret_rows(lines: Lines, options: Options, poor: np.ndarray) -> dict[str, np.ndarray]:
    """The new columns of some rows."""
    work = Work(lines, options, np.zeros(len(poor), np.int32))
    columns: dict[str, np.ndarray] = {}
    for step in (_extinction, _density, _temperature, _abundance, _ionisation, _diagrams, _regions):
        columns |= step(work)
    work.flag(_not_by_stars(columns), NebularFlag.NOT_STAR_FORMING)
    work.flag(poor, NebularFlag.POOR_ROW)
    return {**columns, "nebular_quality": work.flags}


def _extinction(work: Work) -> dict[str, np.ndarray]:
    n = len(work.flags)
    if work.options.ebv is not None:
        return {"ebv": np.full(n, work.options.ebv), "ebv_err": np.zeros(n)}
    good = work.usable(BALMER)
    work.flag(~good, NebularFlag.NO_EXTINCTION)
    lines = work.lines.some(BALMER)
    if not all(line in lines.flux for line in BALMER):
        return _pair("ebv", _nothing(n), good)
    found = lines.propagated(balmer_ebv, dust=work.options.dust)
    work.flag(good & (found.value < -3.0 * found.error), NebularFlag.BELOW_CASE_B)
    return _pair("ebv", found, good)


def _density(work: Work) -> dict[str, np.ndarray]:
    doublet = SUMS[work.options.doublet]
    good, lines = work.usable(doublet), work.lines.some(doublet)
    if not all(line in lines.flux for line in doublet):
        return _pair("electron_density", _nothing(len(good)), good)
    found = lines.propagated(
        electron_density, work.options.doublet, temperature=work.options.temperature
    )
    low, high = DENSITY_RANGE
    limit = good & ((found.value <= low * 1.001) | (found.value >= high / 1.001))
    work.flag(limit, NebularFlag.DENSITY_LIMIT)
    error = np.where(limit, np.nan, found.error)
    return _pair("electron_density", Measured(found.value, error), good)


def _temperature(work: Work) -> dict[str, np.ndarray]:
    """From the first ion whose auroral line was measured."""
    for ion, auroral in AURORAL.items():
        needed = (ion, auroral)
        if not all(has_line(work.lines.flux, line) for line in needed):
            continue
        good = work.usable(needed) & work.known_ebv()
        lines = work.lines.some((*needed, *BALMER))
        found = lines.propagated(work.corrected(electron_temperature, ion))
        low, high = TEMPERATURE_RANGE
        limit = good & ((found.value <= low * 1.001) | (found.value >= high / 1.001))
        work.flag(limit, NebularFlag.TEMPERATURE_LIMIT)
        found = Measured(found.value, np.where(limit, np.nan, found.error))
        return _pair("electron_temperature", found, good)
    return {}


def _abundance(work: Work) -> dict[str, np.ndarray]:
    name = work.options.calibration
    needed = lines_of(name)
    good, lines = work.usable(needed), work.lines.some((*needed, *BALMER))
    if not all(has_line(lines.flux, line) for line in needed):
        return _pair("oxygen_abundance", _nothing(len(good)), good)
    if "OII" in needed:  # too far from the other lines to be used behind unknown dust
        good &= work.known_ebv()
    found = lines.propagated(work.corrected(oxygen_abundance, name))
    work.flag(good & ~np.isfinite(found.value), NebularFlag.OUTSIDE_CALIBRATION)
    return _pair("oxygen_abundance", found, good)


def _ionisation(work: Work) -> dict[str, np.ndarray]:
    needed = ("OII", "OIII")
    if not all(has_line(work.lines.flux, line) for line in needed):
        return {}
    good, lines = work.usable(needed) & work.known_ebv(), work.lines.some((*needed, *BALMER))
    return _pair("log_u", lines.propagated(work.corrected(ionisation_parameter)), good)


def _diagrams(work: Work) -> dict[str, np.ndarray]:
    columns = {}
    for diagram, line in BPT_LINES.items():
        needed = (line, "OIII5007", *BALMER)
        there = all(has_line(work.lines.flux, name) for name in needed)
        if diagram == "NII" or there:
            good = work.usable(needed)
            found = bpt_class(work.lines.flux, diagram) if there else np.zeros(len(good))
            columns[f"bpt_{diagram.lower()}"] = np.where(good, found, 0).astype(np.int32)
    if len(columns) == len(BPT_LINES):
        known = np.all([column > 0 for column in columns.values()], axis=0)
        columns["bpt"] = np.where(known, kewley06_class(work.lines.flux), 0).astype(np.int32)
    return columns


def _regions(work: Work) -> dict[str, np.ndarray]:
    options = work.options
    found = classify(
        work.lines.flux,
        work.lines.error,
        dust=options.dust,
        ebv=options.ebv,
        shares=options.shares,
        correlations=work.lines.correlations,
    )
    work.flag(~work.usable(BALMER[:1], quiet=True), NebularFlag.NO_HALPHA)
    work.flag((found.region == 0) & (work.flags == 0), NebularFlag.MISSING_LINE)
    work.flag(found.unlike, NebularFlag.UNLIKE_ANY_CLASS)
    work.flag(found.ambiguous, NebularFlag.AMBIGUOUS_CLASS)
    columns = {"region_class": found.region}
    for k, region in enumerate(CLASSES):
        columns[f"p_{region.name.lower()}"] = found.probability[:, k]
    return columns


def _not_by_stars(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Rows (n,) with an abundance or ionisation parameter for gas that young stars do not
    ionise."""
    derived = [columns[name] for name in ("oxygen_abundance", "log_u") if name in columns]
    diagrams = [columns[name] for name in columns if name.startswith("bpt_")]
    other = np.isin(columns["region_class"], [Region.PN, Region.SHOCK, Region.AGN])
    other |= np.isin(diagrams, [Bpt.SEYFERT, Bpt.LINER]).any(axis=0)
    return other & np.isfinite(derived).any(axis=0)


def _pair(name: str, found: Measured, good: np.ndarray) -> dict[str, np.ndarray]:
    value, error = (np.where(good, part, np.nan) for part in found)
    return {name: value, f"{name}_err": error}


def _nothing(n: int) -> Measured:
    return Measured(np.full(n, np.nan), np.full(n, np.nan))


def _untrusted(result: Result) -> np.ndarray:
    if "flags" not in result:
        return np.zeros(len(result), bool)
    return (np.asarray(result["flags"]).astype(np.int64) & int(_UNTRUSTED)) != 0
