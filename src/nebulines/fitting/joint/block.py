"""Fit several bands of the same objects at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nebulines.fitting.fit import input_flags, model_flux
from nebulines.fitting.joint.bank_path import fit_jointly_with_bank, joint_bank_applies
from nebulines.fitting.joint.columns import joint_columns
from nebulines.fitting.joint.direct import Joint, fit_jointly, put
from nebulines.fitting.joint.fluxes import Measured
from nebulines.fitting.joint.problem import JointPlan, JointProblem, joint_problem, one_frame
from nebulines.fitting.joint.search import find_joint_start
from nebulines.fitting.start import Start
from nebulines.spectra import Flag, Spectra


class JointBlock(NamedTuple):
    """The joint fit of n objects.

    Attributes:
        columns: name -> (n,), in the order of the result table.
        models: for each band (n, channel) float32 best fit in the unit of its data, NaN outside
            the fitted windows.
        notes: facts for headers.
    """

    columns: dict[str, np.ndarray]
    models: tuple[np.ndarray, ...]
    notes: dict[str, str]


def fit_joint_block(
    bands: Sequence[Spectra], plan: JointPlan, *, with_model: bool = True
) -> JointBlock:
    """Fit n objects in all bands at once.

    Args:
        bands: n rows each, row i of every band being the same object.
        plan: from `joint_problem.resolve_bands`.
        with_model: False leaves the models out (n, 0).

    Returns:
        Columns, models and notes. An object without usable data in a band is fitted with the
        others and flagged.

    Raises:
        UsageError: bands of different numbers of rows.
    """
    framed, agreed = one_frame(bands, plan.config)
    problem = joint_problem(framed, plan, with_model=with_model)
    problem, flags = without_unusable(problem, framed, plan)
    flags[~agreed] |= int(Flag.BAD_REDSHIFT | Flag.NO_DATA)
    start = find_joint_start(problem.prepared)
    joint, path = fit_objects(problem, start)
    columns = joint_columns(Measured(joint, problem, plan, start), flags)
    models = tuple(
        model_flux(fitted, own.data, own.channels, spectra)
        for fitted, own, spectra in zip(joint.bands, problem.prepared, framed, strict=True)
    )
    notes = joint_notes(problem, framed, plan) | {"FITPATH": path}
    return JointBlock(columns, models, notes)


def fit_objects(problem: JointProblem, start: Start) -> tuple[Joint, str]:
    """The filter bank where it serves, the direct path for everything else.

    Args:
        problem: the bands.
        start: where to begin.

    Returns:
        `Joint` of the n objects, and which paths they took.
    """
    if not joint_bank_applies(problem):
        return fit_jointly(problem, start), "joint, direct"
    joint, left = fit_jointly_with_bank(problem, start)
    rows = np.flatnonzero(left)
    if len(rows):
        put(joint, rows, fit_jointly(problem, start, rows))
    return joint, f"joint, filter bank ({len(left) - len(rows)}), direct ({len(rows)})"


def without_unusable(
    problem: JointProblem, bands: Sequence[Spectra], plan: JointPlan
) -> tuple[JointProblem, np.ndarray]:
    """The problem without the rows of a band whose line spread or axis is not known or that are
    one number throughout, and the flags (n,) that do not depend on the fit."""
    flags = np.zeros(problem.n_rows, np.int64)
    nowhere = np.ones(problem.n_rows, bool)
    unusable = []
    for band, (own, spectra) in enumerate(zip(problem.prepared, bands, strict=True)):
        bits = input_flags(spectra, own.data, plan.band_config(band))
        unusable.append((bits & int(Flag.NO_DATA)) != 0)
        nowhere &= unusable[-1]
        flags |= bits & ~int(Flag.NO_DATA)
    flags[nowhere] |= int(Flag.NO_DATA)
    # dark in every band: no harm to the others, who may then keep the path of equal weights
    dark = np.all([own.data.constant() for own in problem.prepared], axis=0)
    return problem.without([rows & ~dark for rows in unusable]), flags


def joint_notes(problem: JointProblem, bands: Sequence[Spectra], plan: JointPlan) -> dict[str, str]:
    """Facts for headers."""
    estimated = {"estimated" if own.data.estimated else "file" for own in problem.prepared}
    config = plan.config
    return {
        "NOISE": estimated.pop() if len(estimated) == 1 else "estimated where the file has none",
        "METHOD": "fit",
        "BANDS": ", ".join(plan.labels),
        "VELCONV": config.velocity_convention,
        "AIRORVAC": "air" if bands[0].axis.medium == "air" else "vac",
        "LSFCORR": "yes"
        if all(own.known for own in problem.prepared)
        else "no: line spread unknown, one channel assumed",
        "LINETIES": config.ties,
        "AMPLITUD": config.amplitudes,
        "REDDLAW": config.reddening,
        "FLUXUNIT": bands[0].unit,
    }
