"""From a joint fit to columns: one velocity and broadening, the lines of all bands."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nebulines.fitting.columns import (
    asks_for_another,
    finished,
    has_rival,
    in_convention,
    kinematic_suffix,
)
from nebulines.fitting.fitted import broadening_and_error
from nebulines.fitting.fluxes import (
    FULL_COVERAGE,
    MIN_COVERAGE,
    Fluxes,
    flux_columns,
    flux_errors,
    ratio_and_error,
)
from nebulines.fitting.joint.fluxes import (
    Measured,
    SharedKinematics,
    dead_bands,
    fluxes_at,
    n_linear_parameters,
    n_shared,
    noises_of,
    shared_kinematics,
)
from nebulines.fitting.noise import Noise, lonely_channel
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


class Described(NamedTuple):
    """What a joint fit says of n objects, before it is laid out in columns.

    Attributes:
        dead: (band, n) bool, bands that say nothing of an object.
        noises: of each band.
        kinematics: covariance of what the bands share.
        fluxes: of the lines, laws imposed.
        names: of the lines.
        laws_chi2: (n,) by which the laws raise chi2.
        dust: E(B-V) and its error (n,), where a law of reddening was imposed.
    """

    dead: np.ndarray
    noises: list[Noise]
    kinematics: SharedKinematics
    fluxes: Fluxes
    names: list[str]
    laws_chi2: np.ndarray
    dust: tuple[np.ndarray, np.ndarray] | None


def described(measured: Measured) -> Described:
    """Noise, fluxes and their covariance, which all columns are made of."""
    dead = dead_bands(measured)
    noises = noises_of(measured)
    kinematics = shared_kinematics(measured, noises)
    found = fluxes_at(measured, noises, kinematics.own, dead)
    return Described(dead, noises, kinematics, *found)


def joint_columns(measured: Measured, flags: np.ndarray) -> dict[str, np.ndarray]:
    """All columns of the result, in order.

    Args:
        measured: the fit.
        flags: (n,) bits already known.

    Returns:
        Name -> (n,): the columns of a single band's fit with the lines of all bands, and
        ``LABEL_continuum``, ``LABEL_noise``, ``LABEL_chi2`` of each band.
    """
    found = described(measured)
    plan, n_groups = measured.plan, measured.problem.n_groups
    physical = found.kinematics.physical
    first = measured.joint.bands[0]._replace(theta_covariance=physical)
    broadening, broadening_err = broadening_and_error(first)
    variance = np.einsum("npp->np", physical)[:, :n_groups]
    velocity_err = np.sqrt(np.where(variance > 0, variance, np.nan))
    velocity, velocity_err = in_convention(first.velocity, velocity_err, plan.config)
    common = common_columns(measured, found, flags)
    flags = common.flags
    unresolved = (broadening < 2.0 * broadening_err).any(axis=1)
    flags[(common.columns["snr"] >= plan.config.detection) & unresolved] |= int(Flag.UNRESOLVED)
    columns: dict[str, np.ndarray] = {}
    for group in range(n_groups):
        suffix = kinematic_suffix(group, n_groups)
        columns[f"velocity{suffix}"] = velocity[:, group]
        columns[f"velocity{suffix}_err"] = velocity_err[:, group]
        columns[f"broadening{suffix}"] = broadening[:, group]
        columns[f"broadening{suffix}_err"] = broadening_err[:, group]
    columns |= flux_columns(found.fluxes, flux_errors(found.fluxes), found.names, 1)
    columns |= _blends(found.fluxes, found.names)
    return finished(columns | common.columns, flags, 1) | common.of_bands


class CommonColumns(NamedTuple):
    """Columns of n objects beside those of kinematics and lines: E(B-V) where it was fitted,
    continuum, noise, chi2 and S/N; those of each band; and flag bits (n,)."""

    columns: dict[str, np.ndarray]
    of_bands: dict[str, np.ndarray]
    flags: np.ndarray


def common_columns(measured: Measured, found: Described, flags: np.ndarray) -> CommonColumns:
    """What every table of several bands says of the data.

    Args:
        measured: the fit.
        found: what it says.
        flags: (n,) bits already known.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = found.fluxes.value / flux_errors(found.fluxes)
    snr = np.where(np.isfinite(ratio), ratio, -np.inf).max(axis=1)
    snr = np.where(np.isfinite(snr), snr, 0.0)
    chi2 = _total_chi2(measured, found.noises, found.laws_chi2)
    flags = flags | _flags(measured, found.noises, chi2, snr, found.dead, found.fluxes)
    of_bands, shared = _band_columns(measured, found.noises, found.dead)
    dust = {} if found.dust is None else dict(zip(("ebv", "ebv_err"), found.dust, strict=True))
    return CommonColumns(dust | shared | {"chi2": chi2, "snr": snr}, of_bands, flags)


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
        np.where(fitted.n_used > 0, n_linear_parameters(own.model), 0)
        for fitted, own in zip(bands, measured.problem.prepared, strict=True)
    )
    return chi2 / np.maximum(used - linear - n_shared(measured), 1)


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
