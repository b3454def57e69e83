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

from nebulines.cubes.estimate import network_applies
from nebulines.cubes.line_fluxes import (
    LOST,
    AtNetwork,
    bound_flux_columns,
    bound_fluxes,
    line_fluxes_of,
    measure_at_network,
)
from nebulines.cubes.provenance import provenance
from nebulines.cubes.ratio_columns import Columns, RatioReader, check_prior, map_slabs
from nebulines.errors import UsageError
from nebulines.fitting.columns import in_convention
from nebulines.fitting.config import FitConfig
from nebulines.fitting.fit import model_flux
from nebulines.fitting.joint import JointBlock, joint_notes
from nebulines.fitting.joint_columns import columns_and_fluxes
from nebulines.fitting.joint_problem import JointPlan, resolve_bands
from nebulines.fitting.result import Result
from nebulines.lines import load_ties
from nebulines.networks.answer import Answer
from nebulines.networks.line_ratio_space import LINES
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
        prior: kind of nebulae, one of `nebulines.networks.line_ratios.PRIORS`.
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
    """Measure n objects; `nebulines.fitting.joint.fit_joint_block` with networks.

    Args:
        bands: n rows each.
        plan: from `nebulines.fitting.joint_problem.resolve_bands`.
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

    def work(rows: slice) -> Columns:
        here = at.rows(rows)
        columns, fluxes = columns_and_fluxes(here.measured, here.flags)
        if plan.config.amplitudes == "tied":
            fluxes = bound_fluxes(fluxes, names)
            columns |= bound_flux_columns(fluxes, names)
        seen = line_fluxes_of(fluxes, names, tied=plan.config.amplitudes != "free")
        ratios, more = reader.read(seen)
        columns = _joined(columns, here.answer, ratios, more, plan.config)
        return columns, columns["flags"]

    return map_slabs(work, len(at.flags))[0]


def _joined(
    columns: dict[str, np.ndarray],
    found: Answer,
    ratios: dict[str, np.ndarray],
    more: np.ndarray,
    config: FitConfig,
) -> dict[str, np.ndarray]:
    """The columns with the posteriors of kinematics and ratios."""
    flags = columns["flags"] & ~int(Flag.NOT_CONVERGED | Flag.AT_BOUND | Flag.UNRESOLVED)
    empty = (flags & int(Flag.NO_DATA)) != 0
    flags = flags | np.where(empty, 0, more)
    flags[~empty & (found.lost > LOST)] |= int(Flag.AMBIGUOUS_VELOCITY)
    flags[~empty & (found.broadening < 2.0 * found.broadening_err)] |= int(Flag.UNRESOLVED)
    velocity, error = in_convention(
        np.asarray(found.offset, float), np.asarray(found.offset_err, float), config
    )
    own: dict[str, Any] = {
        "velocity": velocity, "velocity_err": error,
        "broadening": found.broadening, "broadening_err": found.broadening_err,
    }  # fmt: skip
    kept = {name: values for name, values in columns.items() if not name.startswith("ratio_")}
    ties = tuple(f"ratio_{tie.strong}_{tie.weak}" for tie in load_ties())
    fixed = {name: columns[name] for name in columns if name.startswith(ties)}
    new = {
        name: np.where(empty, np.nan, values).astype(np.float32)
        for name, values in (own | ratios).items()
    }
    last = {name: kept.pop(name) for name in ("n_components", "flags")}
    return kept | fixed | new | last | {"flags": flags.astype(np.int32)}
