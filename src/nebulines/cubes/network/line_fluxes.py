"""Fluxes of objects in several bands at the kinematics of the network ``kinematics``.

At given kinematics the spectra are linear in the fluxes, so that one solution gives them with
their covariance. Every line is solved for by itself; lines of fixed ratio are bound to each other
afterwards, which at given kinematics is the same as fitting them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np

from nebulines.cubes.network.estimate import answers
from nebulines.fitting.fluxes import Fluxes
from nebulines.fitting.joint.block import without_unusable
from nebulines.fitting.joint.fluxes import Measured, joint_fluxes
from nebulines.fitting.joint.point import measure_jointly
from nebulines.fitting.joint.problem import JointPlan, JointProblem, joint_problem, one_frame
from nebulines.fitting.prepared import Prepared
from nebulines.fitting.start import Start
from nebulines.lines import load_ties
from nebulines.networks.kinematics.answer import Answer
from nebulines.networks.line_ratios.space import LINES
from nebulines.networks.weights import load
from nebulines.spectra import Flag, Spectra

LOST = 0.15
"""Probability that the lines were not found, above which another band is asked first."""
MUCH_BROADER = 3.0
"""Line spreads of two bands of which the sharper one is asked alone, as a ratio."""
DOUBT = 1e6
"""What a product of errors [km2/s2] never reaches."""


class LineFluxes(NamedTuple):
    """Measured fluxes of the network's lines.

    Attributes:
        value: (n, 8) of `LINES`; 0 where not measured.
        covariance: (n, 8, 8).
        present: (n, 8) bool.
        shown: (8,) bool, lines that the bands show at all.
    """

    value: np.ndarray
    covariance: np.ndarray
    present: np.ndarray
    shown: np.ndarray

    def rows(self, index: np.ndarray | slice) -> LineFluxes:
        """Those of some objects."""
        return LineFluxes(
            self.value[index], self.covariance[index], self.present[index], self.shown
        )


def line_fluxes_of(fluxes: Fluxes, names: Sequence[str], *, tied: bool = False) -> LineFluxes:
    """The network's lines out of a fit's.

    Args:
        fluxes: (n, L), NaN where not measured.
        names: the L lines.
        tied: lines of fixed ratio were fitted as such; else the ratio is imposed here.

    Example:
        >>> one = Fluxes(np.ones((1, 1)), np.ones((1, 1, 1)), np.ones((1, 1)))
        >>> line_fluxes_of(one, ["HALPHA6563"]).present[0].tolist()
        [False, False, False, False, False, True, False, False]
    """
    names = list(names)
    if not tied:
        fluxes = bound_fluxes(fluxes, names)
    value, covariance = np.asarray(fluxes.value, float), np.asarray(fluxes.covariance, float)
    shown = np.array([name in names for name in LINES])
    at = np.array([names.index(name) if name in names else 0 for name in LINES])
    value, covariance = value[:, at], covariance[:, at[:, None], at]
    variance = np.einsum("nll->nl", covariance)
    present = shown & np.isfinite(value) & np.isfinite(variance) & (variance > 0)
    both = present[:, :, None] & present[:, None, :]
    unit = np.eye(len(LINES))
    return LineFluxes(
        np.where(present, value, 0.0), np.where(both, covariance, unit), present, shown
    )


def scaled(fluxes: LineFluxes) -> tuple[np.ndarray, np.ndarray]:
    """Fluxes and covariances in units of the brightest line, which float32 holds."""
    top = np.abs(np.where(fluxes.present, fluxes.value, 0.0)).max(axis=1)
    error = np.sqrt(np.einsum("nll->nl", fluxes.covariance)).max(axis=1)
    unit = np.where(top > 0, top, np.where(error > 0, error, 1.0))
    both = fluxes.present[:, :, None] & fluxes.present[:, None, :]
    covariance = np.where(both, fluxes.covariance / unit[:, None, None] ** 2, np.eye(len(LINES)))
    return fluxes.value / unit[:, None], covariance


def halpha_snr(fluxes: LineFluxes) -> np.ndarray:
    """S/N (n,) of the flux of H-alpha, 0 where it was not measured."""
    line = LINES.index("HALPHA6563")
    return np.where(
        fluxes.present[:, line],
        fluxes.value[:, line] / np.sqrt(fluxes.covariance[:, line, line]),
        0.0,
    )


def network_fluxes(bands: Sequence[Spectra], plan: JointPlan) -> LineFluxes:
    """Fluxes of n objects, with their covariance, at the kinematics of the network.

    Args:
        bands: n rows each.
        plan: from `nebulines.fitting.joint.problem.resolve_bands`.
    """
    measured = measure_at_network(bands, plan, with_model=False).measured
    tied = plan.config.amplitudes == "positive"
    return line_fluxes_of(joint_fluxes(measured), plan.config.lines or (), tied=tied)


class AtNetwork(NamedTuple):
    """n objects measured at the network's kinematics.

    Attributes:
        bands: in one frame.
        measured: the linear solution, every line free unless none may be negative.
        answer: what the network said.
        flags: (n,) bits of the input.
    """

    bands: list[Spectra]
    measured: Measured
    answer: Answer
    flags: np.ndarray

    def rows(self, index: np.ndarray | slice) -> AtNetwork:
        """Some of the objects, for their columns: the spectra, and what would fit them once more,
        stay as they are."""
        whole = self.measured
        joint, start, answer = (
            jax.tree.map(lambda part: part[index], of)
            for of in (whole.joint, whole.start, self.answer)
        )
        prepared = tuple(_rows(own, index) for own in whole.problem.prepared)
        measured = Measured(joint, replace(whole.problem, prepared=prepared), whole.plan, start)
        return AtNetwork(self.bands, measured, answer, self.flags[index])


def measure_at_network(bands: Sequence[Spectra], plan: JointPlan, *, with_model: bool) -> AtNetwork:
    """Measure n objects at the kinematics of the network.

    Args:
        bands: n rows each.
        plan: from `nebulines.fitting.joint.problem.resolve_bands`.
        with_model: False leaves the models out (n, 0).
    """
    if plan.config.amplitudes == "tied":
        plan = replace(plan, config=replace(plan.config, amplitudes="free"))
    framed, agreed = one_frame(bands, plan.config)
    problem = joint_problem(framed, plan, with_model=with_model)
    problem, flags = without_unusable(problem, framed, plan)
    flags[~agreed] |= int(Flag.BAD_REDSHIFT | Flag.NO_DATA)
    found = best_answers(problem)
    velocity = np.clip(np.asarray(found.offset, float), *plan.config.velocity_range)
    broadening, score, rival = (
        np.asarray(part, float) for part in (found.broadening, found.score, found.rival)
    )
    joint = measure_jointly(problem, velocity, broadening)
    start = Start(velocity, broadening, score, rival)
    return AtNetwork(framed, Measured(joint, problem, plan, start), found, flags)


def bound_fluxes(fluxes: Fluxes, names: Sequence[str]) -> Fluxes:
    """Fluxes with the fixed ratios imposed, one tie after another, as `joint_links.impose` does
    with all at once.

    With the tie h f = f_strong - ratio f_weak = 0, f' = f - C h (h f) / (h C h) and
    C' = C - (C h) (C h)^T / (h C h).

    Args:
        fluxes: (n, L), NaN where not measured.
        names: the L lines.

    Example:
        >>> value = np.array([[0.4, 1.0]])
        >>> bound = bound_fluxes(Fluxes(value, np.eye(2)[None], value), ["NII6548", "NII6583"])
        >>> ratio = bound.value[0, 1] / bound.value[0, 0]
        >>> round(float(ratio), 2), float(bound.covariance[0, 0, 0].round(2))
        (3.05, 0.1)
    """
    names = list(names)
    there = np.isfinite(fluxes.value) & np.isfinite(np.einsum("nll->nl", fluxes.covariance))
    value = np.where(there, fluxes.value, 0.0)
    covariance = np.array(fluxes.covariance, float)
    if not there.all():
        covariance[~(there[:, :, None] & there[:, None, :])] = 0.0
    for tie in load_ties():
        if tie.strong in names and tie.weak in names:
            strong, weak = names.index(tie.strong), names.index(tie.weak)
            along = covariance[:, :, strong] - tie.ratio * covariance[:, :, weak]
            variance = along[:, strong] - tie.ratio * along[:, weak]
            both = there[:, strong] & there[:, weak] & (variance > 0)
            gain = along * (both / np.where(both, variance, 1.0))[:, None]
            value -= gain * (value[:, strong] - tie.ratio * value[:, weak])[:, None]
            covariance -= gain[:, :, None] * along[:, None, :]
    if not there.all():
        value[~there] = np.nan
        covariance[~(there[:, :, None] & there[:, None, :])] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        peak = np.where(fluxes.value != 0, fluxes.peak / fluxes.value * value, fluxes.peak)
    return Fluxes(value, covariance, peak)


def best_answers(problem: JointProblem) -> Answer:
    """What the network ``kinematics`` says of every object, from the band that says most: the
    smallest product of both errors where the lines were found.

    The sharpest band is asked first. One whose lines are spread much more is asked about objects
    alone that were not found in it: it could not say more of the others.
    """
    network = load("kinematics").network
    fwhm = np.array([float(np.nanmedian(own.geometry.fwhm_kms())) for own in problem.prepared])
    order = np.argsort(fwhm, kind="stable")
    first = answers(problem.prepared[order[0]], network)
    best = [np.array(part) for part in first]
    unsure = _unsure(first)
    for band in order[1:]:
        asked = np.flatnonzero((fwhm[band] < MUCH_BROADER * fwhm[order[0]]) | (unsure >= DOUBT))
        if not len(asked):
            continue
        other = answers(_rows(problem.prepared[band], asked), network)
        doubt = _unsure(other)
        better = doubt < unsure[asked]
        for mine, new in zip(best, other, strict=True):
            mine[asked[better]] = np.asarray(new)[better]
        unsure[asked[better]] = doubt[better]
    return Answer(*best)  # type: ignore[arg-type]


def _rows(own: Prepared, rows: np.ndarray | slice) -> Prepared:
    return own._replace(data=own.data.rows(rows), geometry=own.geometry.rows(rows))


def _unsure(found: Answer) -> np.ndarray:
    """(n,) product of both errors, raised by `DOUBT` where the lines were not found."""
    product = np.asarray(found.offset_err, float) * np.asarray(found.broadening_err, float)
    product = product + np.where(np.asarray(found.lost) < LOST, 0.0, DOUBT)
    return np.where(np.isfinite(product), product, np.inf)
