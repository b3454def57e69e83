"""Fluxes of a joint fit with their covariance, from the bands and what they share."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.fitting.direct.tile import VELOCITY_UNIT_KMS
from nebulines.fitting.fluxes import (
    MIN_COVERAGE,
    Fluxes,
    line_fluxes,
    of_lines,
    template_fluxes,
)
from nebulines.fitting.joint.direct import Joint
from nebulines.fitting.joint.links import Link, Linked, impose, redden
from nebulines.fitting.joint.problem import JointPlan, JointProblem
from nebulines.fitting.noise import Noise, measure_noise
from nebulines.fitting.problem import LineModel
from nebulines.fitting.start import Start
from nebulines.lines import tied_groups

_SMALLEST = 1e-9
"""Eigenvalue of a curvature, relative to the largest, below which the data do not see it."""


@dataclass(frozen=True)
class Measured:
    """What was fitted: the fit, the bands, what is fitted in each, where it began."""

    joint: Joint
    problem: JointProblem
    plan: JointPlan
    start: Start


class SharedKinematics(NamedTuple):
    """Covariance of theta (n, 2 G, 2 G) in velocity [km/s] and y, and in the fit's own unit."""

    physical: np.ndarray
    own: np.ndarray


def joint_fluxes(measured: Measured) -> Fluxes:
    """Fluxes of the lines of the plan with their full covariance."""
    noises = noises_of(measured)
    theta = shared_kinematics(measured, noises).own
    return fluxes_at(measured, noises, theta, dead_bands(measured))[0]


def dead_bands(measured: Measured) -> np.ndarray:
    """(band, n) bool: bands that say nothing of an object."""
    pairs = zip(measured.joint.bands, measured.problem.prepared, strict=True)
    return np.stack(
        [
            (fitted.n_used <= n_linear_parameters(own.model))
            | ~(fitted.coverage >= MIN_COVERAGE).any(axis=1)
            for fitted, own in pairs
        ]
    )


def shared_kinematics(measured: Measured, noises: list[Noise]) -> SharedKinematics:
    """S^-1 (sum f_b^2 S_b) S^-1, see `direct`."""
    joint = measured.joint
    inverse = _inverse(np.sum(joint.curvature, axis=0))
    scaled = [
        curvature * noise.factor[:, None, None] ** 2
        for curvature, noise in zip(joint.curvature, noises, strict=True)
    ]
    own = inverse @ np.sum(scaled, axis=0) @ inverse
    n_groups = measured.problem.n_groups
    doppler = 1.0 + measured.start.velocity / SPEED_OF_LIGHT_KMS
    unit = np.ones((len(doppler), 2 * n_groups))
    unit[:, :n_groups] = VELOCITY_UNIT_KMS * doppler[:, None]
    return SharedKinematics(own * unit[:, :, None] * unit[:, None, :], own)


def _inverse(curvature: np.ndarray) -> np.ndarray:
    """Inverse of curvatures (n, p, p); zero rows for what the data do not see."""
    diagonal = np.einsum("npp->np", curvature)
    seen = diagonal > 1e-12
    scale = np.where(seen, 1.0 / np.sqrt(np.where(seen, diagonal, 1.0)), 0.0)
    blind = (~seen)[:, None, :] * np.eye(curvature.shape[1])
    normal = curvature * scale[:, :, None] * scale[:, None, :] + blind
    if normal.shape[1] == 2:
        inverse = _inverse_of_two(normal[:, 0, 1]) - blind
    else:
        inverse = np.linalg.pinv(normal, rcond=_SMALLEST, hermitian=True) - blind
    return inverse * scale[:, :, None] * scale[:, None, :]


def _inverse_of_two(correlation: np.ndarray) -> np.ndarray:
    """Inverses (n, 2, 2) of matrices of unit diagonal; pseudo-inverses of singular ones."""
    left = 1.0 - correlation**2
    singular = np.abs(correlation) >= 1.0 - 2.0 * _SMALLEST
    left = np.where(singular, 1.0, left)
    own = np.where(singular, 0.25, 1.0 / left)
    other = np.where(singular, 0.25 * np.sign(correlation), -correlation / left)
    return np.stack([own, other, other, own], axis=1).reshape(-1, 2, 2)


def fluxes_at(
    measured: Measured, noises: list[Noise], theta: np.ndarray, dead: np.ndarray
) -> tuple[Fluxes, list[str], np.ndarray, tuple[np.ndarray, np.ndarray] | None]:
    """Fluxes of all lines with their full covariance, laws imposed; their names in the order of
    the plan; by how much the laws raise chi2; E(B-V) and its error, or None."""
    parts: list[Fluxes] = []
    follow: list[np.ndarray] = []
    names: list[str] = []
    for band, own in enumerate(measured.problem.prepared):
        fitted = measured.joint.bands[band]
        coverage = np.where(dead[band][:, None], 0.0, fitted.coverage)
        fitted = fitted._replace(coverage=coverage)
        unit = measured.plan.units[band]
        alone = line_fluxes(fitted, own.geometry, own.model, own.data, noises[band].factor)
        parts.append(Fluxes(alone.value * unit, alone.covariance * unit**2, alone.peak * unit))
        to_flux, relative = template_fluxes(fitted, own.geometry, own.model, own.data)
        response = measured.joint.response[band] * to_flux[:, :, None] * unit
        follow.append(of_lines(response, relative))
        names += own.model.catalogue.names
    whole = _together(parts, np.concatenate(follow, axis=1), theta)
    linked = impose(whole.value, whole.covariance, links_of(names, measured.plan))
    wanted = list(measured.plan.config.lines or ())
    fluxes = _pick(linked, whole.peak, names, wanted)
    law = measured.plan.config.reddening
    reddened = None if law == "none" else redden(fluxes.value, fluxes.covariance, wanted, law)
    if reddened is None:
        return fluxes, wanted, linked.chi2, None
    bound = Fluxes(reddened.fluxes.value, reddened.fluxes.covariance, fluxes.peak)
    chi2 = linked.chi2 + reddened.fluxes.chi2
    return bound, wanted, chi2, (reddened.ebv, reddened.ebv_err)


def _together(parts: list[Fluxes], follow: np.ndarray, theta: np.ndarray) -> Fluxes:
    """The lines of all bands one after another; ``follow`` (n, L, 2 G) is how they follow theta,
    whose covariance correlates them."""
    value = np.concatenate([part.value for part in parts], axis=1)
    # one parameter after another: numpy is slow at many products of small matrices
    spread = [(follow * theta[:, None, :, k]).sum(axis=2) for k in range(theta.shape[2])]
    shares = (one[:, :, None] * follow[:, None, :, k] for k, one in enumerate(spread))
    covariance = functools.reduce(np.add, shares)
    first = 0
    for part in parts:
        inside = slice(first, first + part.value.shape[1])
        covariance[:, inside, inside] += part.covariance
        first = inside.stop
    missing = ~np.isfinite(value)
    if missing.any():
        covariance[missing[:, :, None] | missing[:, None, :]] = np.nan
    return Fluxes(value, covariance, np.concatenate([part.peak for part in parts], axis=1))


def links_of(names: Sequence[str], plan: JointPlan) -> list[Link]:
    """One line seen in two bands has one flux; lines tied by theory keep their ratio when they
    fall in different bands.

    Args:
        names: the lines of all bands, one band after another.
        plan: which band shows which line.
    """
    names, links = list(names), []
    for at, name in enumerate(names):
        again = next((k for k in range(at + 1, len(names)) if names[k] == name), None)
        if again is not None:
            links.append(Link(at, again, 1.0))
    if plan.config.amplitudes != "free":
        within = {name for shown in plan.lines for name in _tied_inside(shown)}
        for tie in tied_groups(list(dict.fromkeys(names))):
            if tie.weak not in within:
                links.append(Link(names.index(tie.strong), names.index(tie.weak), tie.ratio))
    return links


def _tied_inside(shown: tuple[str, ...]) -> list[str]:
    return [tie.weak for tie in tied_groups(list(shown))]


def _pick(linked: Linked, peak: np.ndarray, names: list[str], wanted: list[str]) -> Fluxes:
    """Each line wanted once: where two bands show it, from the first that measures it; one that no
    band shows is missing."""
    if names == wanted:
        return Fluxes(linked.value, linked.covariance, peak)
    n = len(peak)
    rows = np.arange(n)
    index = np.zeros((n, len(wanted)), int)
    missing = np.zeros((n, len(wanted)), bool)
    for column, name in enumerate(wanted):
        places = [k for k, other in enumerate(names) if other == name]
        if not places:
            missing[:, column] = True
            continue
        there = np.isfinite(linked.value[:, places])
        index[:, column] = np.array(places)[there.argmax(axis=1)]
    value = np.where(missing, np.nan, np.take_along_axis(linked.value, index, axis=1))
    at = rows[:, None, None], index[:, :, None], index[:, None, :]
    covariance = np.where(missing[:, :, None] | missing[:, None, :], np.nan, linked.covariance[at])
    height = np.where(missing, np.nan, np.take_along_axis(peak, index, axis=1))
    return Fluxes(value, covariance, height)


def n_shared(measured: Measured) -> int:
    """Parameters that the bands share."""
    frozen = measured.problem.prepared[0].model.frozen_width
    return measured.problem.n_groups * (1 if frozen else 2)


def n_linear_parameters(model: LineModel) -> int:
    """Linear parameters of a band: fluxes and continuum."""
    return len(model.templates) + len(model.windows) * (model.continuum_order + 1)


def noises_of(measured: Measured) -> list[Noise]:
    """Noise factor and reduced chi2 of each band, whose share of the parameters that all bands
    have in common is that of its channels."""
    total = sum(fitted.n_used for fitted in measured.joint.bands)
    shared = n_shared(measured) / np.maximum(total, 1)
    return [
        measure_noise(
            fitted, n_linear_parameters(own.model) + shared * fitted.n_used, own.data.estimated
        )
        for fitted, own in zip(measured.joint.bands, measured.problem.prepared, strict=True)
    ]
