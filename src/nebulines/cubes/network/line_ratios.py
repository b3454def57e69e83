"""Line ratios, reddening and kinematics of objects seen in several bands, from networks.

The network ``kinematics`` gives velocity and broadening, from the band that says most of each
object; one linear solution there gives the fluxes of all bands with their covariance; and the
network ``line_ratios`` gives the joint posterior of the ratios, for a stated kind of nebulae.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nebulines.cubes.files.provenance import provenance
from nebulines.cubes.network.estimate import network_applies
from nebulines.cubes.network.line_fluxes import (
    LOST,
    AtNetwork,
    bound_fluxes,
    line_fluxes_of,
    measure_at_network,
)
from nebulines.cubes.network.ratio_columns import Columns, RatioReader, check_prior, map_slabs
from nebulines.errors import UsageError
from nebulines.fitting.columns import finished, in_convention
from nebulines.fitting.config import FitConfig
from nebulines.fitting.fit import model_flux
from nebulines.fitting.fluxes import flux_errors, flux_ratio_columns, line_columns
from nebulines.fitting.joint.block import JointBlock, joint_notes
from nebulines.fitting.joint.columns import common_columns, described
from nebulines.fitting.joint.problem import JointPlan, resolve_bands
from nebulines.fitting.result import Result
from nebulines.lines import load_ties, standard_ratios
from nebulines.networks.kinematics.answer import Answer
from nebulines.networks.line_ratios.space import LINES
from nebulines.spectra import Flag, Spectra


def estimate_ratios(
    bands: Sequence[Spectra],
    config: FitConfig | None = None,
    *,
    prior: str = "mixed",
    **options: Any,
) -> Result:
    """Measure line ratios, reddening and kinematics with the networks alone.

    Args:
        bands: n rows each, row i of every band being the same object; one band will do.
        config: options as for `nebulines.fit`; None = the defaults with lines of fixed ratio
            tied.
        prior: kind of nebulae, one of `nebulines.networks.line_ratios.network.PRIORS`.
        **options: fields of `FitConfig` that replace those of ``config``.

    Returns:
        `Result` with the columns of a joint fit, its ratios replaced by the posterior's (see
        `ratio_columns`).

    Raises:
        UsageError: an unknown option or prior, bands of different numbers of rows.
        InputError: no spectrum.

    Example:
        >>> from nebulines.synthetic import simulate
        >>> truth, spectra = simulate("sitelle-sn3", n=4, seed=1, snr=(20.0, 30.0))
        >>> result = estimate_ratios([spectra], velocity_range=(-300.0, 300.0))
        >>> true = truth["NII6583_flux"] / truth["HALPHA6563_flux"]
        >>> miss = result["ratio_NII6583_HALPHA6563"] - true
        >>> bool((abs(miss) < 5.0 * result["ratio_NII6583_HALPHA6563_err"]).all())
        True
    """
    try:
        config = replace(config or FitConfig(amplitudes="tied"), **options)
    except TypeError as error:
        raise UsageError(f"unknown option of an estimate: {error}") from None
    check_prior(prior)
    plan = resolve_bands(bands, config)
    block = estimate_joint_block(bands, plan, with_model=False, prior=prior)
    meta = provenance(bands[0], plan.config) | block.notes
    return Result(block.columns, bands[0].unit, meta)


def estimate_joint_block(
    bands: Sequence[Spectra], plan: JointPlan, *, with_model: bool = True, prior: str = "mixed"
) -> JointBlock:
    """Measure n objects; `nebulines.fitting.joint.block.fit_joint_block` with networks.

    Args:
        bands: n rows each.
        plan: from `nebulines.fitting.joint.problem.resolve_bands`.
        with_model: False leaves the models out (n, 0).
        prior: as in `estimate_ratios`.
    """
    if not network_applies(plan.config):
        raise UsageError(
            "the networks measure one component with one velocity for all lines: leave components "
            "and ties out, or use method 'both'"
        )
    at = measure_at_network(bands, plan, with_model=with_model)
    framed, measured = at.bands, at.measured
    problem = measured.problem
    models = tuple(
        model_flux(fitted, own.data, own.channels, spectra)
        for fitted, own, spectra in zip(measured.joint.bands, problem.prepared, framed, strict=True)
    )
    notes = joint_notes(problem, framed, plan) | {
        "METHOD": "network", "FITPATH": "networks kinematics and line_ratios", "PRIOR": prior,
    }  # fmt: skip
    return JointBlock(_all_columns(at, plan, prior), models, notes)


def _all_columns(at: AtNetwork, plan: JointPlan, prior: str) -> dict[str, np.ndarray]:
    """All columns of the result."""
    names = list(plan.config.lines or ())
    reader = RatioReader.of(np.isin(LINES, names), prior=prior)
    tied = plan.config.amplitudes == "tied"
    fixed = _fixed_ratios(names)

    def work(rows: slice) -> Columns:
        here = at.rows(rows)
        found = described(here.measured)
        common = common_columns(here.measured, found, here.flags)
        fluxes = bound_fluxes(found.fluxes, names) if tied else found.fluxes
        seen = line_fluxes_of(fluxes, names, tied=plan.config.amplitudes != "free")
        ratios, more = reader.read(seen)
        columns = (
            _kinematics(here.answer, plan.config)
            | line_columns(fluxes, flux_errors(fluxes), names)
            | common.columns
        )
        flags = _flags(common.flags, here.answer, more)
        columns = finished(columns | flux_ratio_columns(fluxes, names, fixed) | ratios, flags, 1)
        last = {name: columns.pop(name) for name in ("n_components", "flags")}
        return columns | common.of_bands | last, last["flags"]

    return map_slabs(work, len(at.flags))[0]


def _fixed_ratios(names: list[str]) -> list[tuple[str, str]]:
    """The ratios that are reported of lines whose ratio is fixed by theory."""
    ties = {(tie.strong, tie.weak) for tie in load_ties()}
    return [pair for pair in standard_ratios(names) if pair in ties]


def _kinematics(found: Answer, config: FitConfig) -> dict[str, np.ndarray]:
    """Columns of the network's velocity and broadening."""
    velocity, error = in_convention(
        np.asarray(found.offset, float), np.asarray(found.offset_err, float), config
    )
    return {
        "velocity": velocity,
        "velocity_err": error,
        "broadening": np.asarray(found.broadening),
        "broadening_err": np.asarray(found.broadening_err),
    }


def _flags(flags: np.ndarray, found: Answer, more: np.ndarray) -> np.ndarray:
    """Bits (n,) of the data, of the network's kinematics, and ``more`` of its ratios."""
    flags = flags & ~int(Flag.NOT_CONVERGED | Flag.AT_BOUND)
    said = more | np.where(found.lost > LOST, int(Flag.AMBIGUOUS_VELOCITY), 0)
    unresolved = found.broadening < 2.0 * found.broadening_err
    said |= np.where(unresolved, int(Flag.UNRESOLVED), 0)
    return np.where((flags & int(Flag.NO_DATA)) != 0, flags, flags | said)
