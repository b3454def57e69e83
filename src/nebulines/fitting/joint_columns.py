"""From a joint fit to columns: one velocity and broadening, the lines of all bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.fitting.columns import (
    FULL_COVERAGE,
    MIN_COVERAGE,
    Fluxes,
    Noise,
    asks_for_another,
    broadening_and_error,
    finished,
    flux_columns,
    has_rival,
    in_convention,
    kinematic_suffix,
    line_fluxes,
    lonely_channel,
    measure_noise,
    ratio_and_error,
    template_fluxes,
)
from nebulines.fitting.joint_direct import Joint
from nebulines.fitting.joint_links import Link, Linked, impose, redden
from nebulines.fitting.joint_problem import JointPlan, JointProblem
from nebulines.fitting.problem import LineModel
from nebulines.fitting.start import Start
from nebulines.fitting.tile import VELOCITY_UNIT_KMS
from nebulines.lines import tied_groups
from nebulines.spectra import Flag

BLENDS = {
    "OII": ("OII3726", "OII3729"),
    "SII": ("SII6716", "SII6731"),
}
"""Doublets whose sum is measured better than either line where they blend."""
BLEND_RATIOS = (
    ("OII", "HBETA4861"),
    ("OII", "OIII5007"),
    ("SII", "HALPHA6563"),
    ("NII6583", "SII"),
)


_SMALLEST = 1e-9
"""Eigenvalue of a curvature, relative to the largest, below which the data do not see it."""


@dataclass(frozen=True)
class Measured:
    """What was fitted: the fit, the bands, what is fitted in each, where it began."""

    joint: Joint
    problem: JointProblem
    plan: JointPlan
    start: Start


class _Kinematics(NamedTuple):
    """Covariance of theta (n, 2 G, 2 G) in velocity [km/s] and y, and in the fit's own unit."""

    physical: np.ndarray
    own: np.ndarray


def joint_columns(measured: Measured, flags: np.ndarray) -> dict[str, np.ndarray]:
    """All columns of the result, in order.

    Args:
        measured: the fit.
        flags: (n,) bits already known.

    Returns:
        Name -> (n,): the columns of a single band's fit with the lines of all bands, and
        ``LABEL_continuum``, ``LABEL_noise``, ``LABEL_chi2`` of each band.
    """
    return columns_and_fluxes(measured, flags)[0]


def columns_and_fluxes(
    measured: Measured, flags: np.ndarray
) -> tuple[dict[str, np.ndarray], Fluxes]:
    """`joint_columns` and `joint_fluxes` at the price of one."""
    problem, plan, joint = measured.problem, measured.plan, measured.joint
    dead = _dead_bands(measured)
    noises = _noises(measured)
    kinematics = _kinematics(measured, noises)
    fluxes, names, links_chi2, dust = _fluxes(measured, noises, kinematics.own, dead)
    error = np.sqrt(np.maximum(np.einsum("nll->nl", fluxes.covariance), 0.0))
    error = np.where(np.isfinite(fluxes.value), error, np.nan)
    n_groups = problem.n_groups
    first = joint.bands[0]._replace(theta_covariance=kinematics.physical)
    broadening, broadening_err = broadening_and_error(first)
    variance = np.einsum("npp->np", kinematics.physical)[:, :n_groups]
    velocity_err = np.sqrt(np.where(variance > 0, variance, np.nan))
    velocity, velocity_err = in_convention(first.velocity, velocity_err, plan.config)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = fluxes.value / error
    snr = np.where(np.isfinite(ratio), ratio, -np.inf).max(axis=1)
    snr = np.where(np.isfinite(snr), snr, 0.0)
    chi2 = _total_chi2(measured, noises, links_chi2)
    flags = flags | _flags(measured, noises, chi2, snr, dead, fluxes)
    unresolved = (broadening < 2.0 * broadening_err).any(axis=1)
    flags[(snr >= plan.config.detection) & unresolved] |= int(Flag.UNRESOLVED)
    columns: dict[str, np.ndarray] = {}
    for group in range(n_groups):
        suffix = kinematic_suffix(group, n_groups)
        columns[f"velocity{suffix}"] = velocity[:, group]
        columns[f"velocity{suffix}_err"] = velocity_err[:, group]
        columns[f"broadening{suffix}"] = broadening[:, group]
        columns[f"broadening{suffix}_err"] = broadening_err[:, group]
    columns |= flux_columns(fluxes, error, names, 1)
    columns |= _blends(fluxes, names)
    if dust is not None:
        columns["ebv"], columns["ebv_err"] = dust
    own, shared = _band_columns(measured, noises, dead)
    columns |= shared
    columns |= {"chi2": chi2, "snr": snr}
    return finished(columns, flags, 1) | own, fluxes


def joint_fluxes(measured: Measured) -> Fluxes:
    """Fluxes of the lines of the plan with their full covariance."""
    noises = _noises(measured)
    theta = _kinematics(measured, noises).own
    return _fluxes(measured, noises, theta, _dead_bands(measured))[0]


def _count(model: LineModel) -> int:
    """Linear parameters of a band: fluxes and continuum."""
    return len(model.templates) + len(model.windows) * (model.continuum_order + 1)


def _n_shared(measured: Measured) -> int:
    """Parameters that the bands share."""
    frozen = measured.problem.prepared[0].model.frozen_width
    return measured.problem.n_groups * (1 if frozen else 2)


def _dead_bands(measured: Measured) -> np.ndarray:
    """(band, n) bool: bands that say nothing of an object."""
    pairs = zip(measured.joint.bands, measured.problem.prepared, strict=True)
    return np.stack(
        [
            (fitted.n_used <= _count(own.model)) | ~(fitted.coverage >= MIN_COVERAGE).any(axis=1)
            for fitted, own in pairs
        ]
    )


def _noises(measured: Measured) -> list[Noise]:
    """Noise factor and reduced chi2 of each band, whose share of the parameters that all bands
    have in common is that of its channels."""
    total = sum(fitted.n_used for fitted in measured.joint.bands)
    shared = _n_shared(measured) / np.maximum(total, 1)
    return [
        measure_noise(fitted, _count(own.model) + shared * fitted.n_used, own.data.estimated)
        for fitted, own in zip(measured.joint.bands, measured.problem.prepared, strict=True)
    ]


def _kinematics(measured: Measured, noises: list[Noise]) -> _Kinematics:
    """S^-1 (sum f_b^2 S_b) S^-1, see `joint_direct`."""
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
    return _Kinematics(own * unit[:, :, None] * unit[:, None, :], own)


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


def _fluxes(
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
        follow.append(np.einsum("ntd,tl->nld", response, relative))
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
    covariance = follow @ theta @ follow.swapaxes(1, 2)
    first = 0
    for part in parts:
        inside = slice(first, first + part.value.shape[1])
        covariance[:, inside, inside] += part.covariance
        first = inside.stop
    missing = ~np.isfinite(value)
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


def _blends(fluxes: Fluxes, names: list[str]) -> dict[str, np.ndarray]:
    """Sums of doublets that blend, and ratios with them, from the full covariance."""
    weights = {name: np.eye(len(names))[k] for k, name in enumerate(names)}
    for blend, lines in BLENDS.items():
        if all(line in names for line in lines):
            weights[blend] = weights[lines[0]] + weights[lines[1]]
    columns: dict[str, np.ndarray] = {}
    for top, bottom in BLEND_RATIOS:
        if top in weights and bottom in weights:
            pair = _combined(fluxes, np.stack([weights[top], weights[bottom]]))
            ratio, error = ratio_and_error(pair, 0, 1)
            columns[f"ratio_{top}_{bottom}"] = ratio
            columns[f"ratio_{top}_{bottom}_err"] = error
    return columns


def _combined(fluxes: Fluxes, weights: np.ndarray) -> Fluxes:
    """Weighted sums (k, L) of fluxes; a line without weight may be missing."""
    there = np.isfinite(fluxes.value)
    both = there[:, :, None] & there[:, None, :]
    value = np.where(there, fluxes.value, 0.0) @ weights.T
    covariance = weights @ np.where(both, fluxes.covariance, 0.0) @ weights.T
    lost = (~there).astype(float) @ (weights != 0).T > 0
    value = np.where(lost, np.nan, value)
    return Fluxes(value, covariance, value)


def _total_chi2(measured: Measured, noises: list[Noise], links: np.ndarray) -> np.ndarray:
    """Reduced chi2 (n,) of all bands together."""
    bands = measured.joint.bands
    chi2 = links + sum(
        fitted.chi2 / noise.factor**2 for fitted, noise in zip(bands, noises, strict=True)
    )
    used = sum(fitted.n_used for fitted in bands)
    linear = sum(
        np.where(fitted.n_used > 0, _count(own.model), 0)
        for fitted, own in zip(bands, measured.problem.prepared, strict=True)
    )
    return chi2 / np.maximum(used - linear - _n_shared(measured), 1)


def _band_columns(
    measured: Measured, noises: list[Noise], dead: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """``LABEL_continuum``, ``LABEL_noise``, ``LABEL_chi2`` of each band, NaN where it has no data;
    and continuum and noise of the band that shows H-alpha (the first band without one)."""
    plan = measured.plan
    own: dict[str, np.ndarray] = {}
    parts = []
    for band, label in enumerate(plan.labels):
        fitted, data = measured.joint.bands[band], measured.problem.prepared[band].data
        part = {
            "continuum": (fitted.continuum * data.scale + data.level) * plan.units[band],
            "noise": data.scale * noises[band].factor * plan.units[band],
            "chi2": noises[band].reduced_chi2,
        }
        part = {name: np.where(dead[band], np.nan, values) for name, values in part.items()}
        own |= {f"{label}_{name}": values.astype(np.float32) for name, values in part.items()}
        parts.append(part)
    home = next((k for k, lines in enumerate(plan.lines) if "HALPHA6563" in lines), 0)
    order = [home, *(k for k in range(len(parts)) if k != home)]
    shared = {}
    for name in ("continuum", "noise"):
        values = np.stack([parts[k][name] for k in order])
        there = np.isfinite(values)
        shared[name] = values[there.argmax(axis=0), np.arange(values.shape[1])]
    return own, shared


def _flags(
    measured: Measured,
    noises: list[Noise],
    chi2: np.ndarray,
    snr: np.ndarray,
    dead: np.ndarray,
    fluxes: Fluxes,
) -> np.ndarray:
    """Quality bits (n,): those of a single band's fit, raised where any band raises them."""
    joint, prepared = measured.joint, measured.problem.prepared
    bits = np.zeros(len(snr), np.int64)

    def mark(flag: Flag, where: np.ndarray | np.bool) -> None:
        bits[where] |= int(flag)

    detected = snr >= measured.plan.config.detection
    mark(Flag.NO_DATA, dead.all(axis=0))
    mark(Flag.MISSING_BAND, dead.any(axis=0) & ~dead.all(axis=0))
    mark(Flag.LOW_SNR, ~detected)
    mark(Flag.NOT_CONVERGED, ~joint.converged)
    mark(Flag.AT_BOUND, joint.bands[0].at_bound.any(axis=1))
    mark(Flag.LINE_OUTSIDE_BAND, ~np.isfinite(fluxes.value).all(axis=1))
    mark(Flag.AMBIGUOUS_VELOCITY, detected & has_rival(measured.start))
    mark(Flag.POOR_FIT, chi2 > _highest_chi2(np.sum([f.n_used for f in joint.bands], axis=0)))
    for band, fitted in enumerate(joint.bands):
        alive = ~dead[band]
        another = alive & detected & asks_for_another(fitted, prepared[band].geometry)
        partial = (fitted.coverage >= MIN_COVERAGE) & (fitted.coverage < FULL_COVERAGE)
        mark(Flag.MASKED_CHANNELS, alive & partial.any(axis=1))
        mark(Flag.SECOND_COMPONENT, another)
        mark(Flag.OUTLIER_CHANNEL, alive & lonely_channel(fitted) & ~another)
        mark(Flag.POOR_FIT, alive & (noises[band].reduced_chi2 > _highest_chi2(fitted.n_used)))
    return bits


def _highest_chi2(n_used: np.ndarray) -> np.ndarray:
    """Reduced chi2 that noise alone explains."""
    return 1.2 + 6.0 * np.sqrt(2.0 / np.maximum(n_used, 1))
