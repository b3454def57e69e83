"""From fitted parameters to the columns of a result: units, errors, ratios, limits, flags."""

from __future__ import annotations

import numpy as np

from nebulines.constants import (
    SPEED_OF_LIGHT_KMS,
)
from nebulines.fitting.config import FitConfig
from nebulines.fitting.fitted import Fitted, broadening_and_error
from nebulines.fitting.fluxes import (
    FULL_COVERAGE,
    MIN_COVERAGE,
    Fluxes,
    flux_columns,
    line_fluxes,
)
from nebulines.fitting.noise import (
    Noise,
    channels_tell,
    lonely_channel,
    measure_noise,
)
from nebulines.fitting.normalise import Normalised
from nebulines.fitting.problem import Geometry, LineModel
from nebulines.fitting.start import Start
from nebulines.spectra import Flag

RIVAL_CHI2 = 9.0
"""Improvement of chi2 by which the best velocity should beat the next best one."""

PROFILE_STATISTIC = 10.5
"""chi2 that another profile explains: exceeded by chance in 10, 7 and 4 of 1000 single lines at R
5000, 2000 and 1000. With 12 it would be 4, 4 and 1, and 2 more of 100 pairs 60 to 200 km/s apart
would be missed."""
OTHER_LINES_STATISTIC = 12.0
"""What all lines but one must then explain for a component."""
PROFILE_AMPLITUDE = 0.02
"""Least deviation of the profile, in units of the lines' peaks."""


def asks_for_another(fitted: Fitted, geometry: Geometry) -> np.ndarray:
    """(n,) bool: residuals under the lines that another velocity component would explain.

    The statistic of `profile.profile_score` must exceed `PROFILE_STATISTIC`, and the profile must
    differ from the fitted one by more than a line-spread function is known. A lonely residual (hot
    channel, cosmic ray) is no component unless the other lines have it too, or lines are so sharp
    that they look no different.
    """
    statistic, amplitude, others, variance = fitted.profile.T
    variance = np.maximum(variance, 1e-12)
    alone = lonely_channel(fitted) & (others < OTHER_LINES_STATISTIC * variance)
    if alone.any():
        alone &= channels_tell(geometry)
    return (statistic > PROFILE_STATISTIC * variance) & (amplitude > PROFILE_AMPLITUDE) & ~alone


def has_rival(start: Start) -> np.ndarray:
    """(n,) bool: lines at another velocity explain the data nearly as well."""
    return (start.rival > start.score - RIVAL_CHI2) & (start.rival > RIVAL_CHI2)


def count_parameters(model: LineModel) -> int:
    """Free parameters of a fit: kinematics, fluxes, continuum."""
    return (
        model.n_groups * (1 if model.frozen_width else 2)
        + len(model.templates)
        + len(model.windows) * (model.continuum_order + 1)
    )


def build_columns(
    fitted: Fitted,
    geometry: Geometry,
    model: LineModel,
    config: FitConfig,
    data: Normalised,
    start: Start,
    flags: np.ndarray,
    *,
    components: int = 1,
) -> dict[str, np.ndarray]:
    """All columns of the result, in order.

    Args:
        fitted: the fit of n spectra.
        geometry, model, config, data, start: what was fitted.
        flags: (n,) bits already known (bad redshift, bad variance).
        components: velocity components; with 2, the second half of the lines, templates and
            groups are those of the second.

    Returns:
        Name -> (n,) array; rows flagged ``NO_DATA`` are NaN throughout.
    """
    n_parameters = count_parameters(model)
    noise = measure_noise(fitted, np.full(len(flags), n_parameters), data.estimated)
    fluxes = line_fluxes(fitted, geometry, model, data, noise.factor)
    error = np.sqrt(np.maximum(np.diagonal(fluxes.covariance, axis1=1, axis2=2), 0.0))
    error = np.where(np.isfinite(fluxes.value), error, np.nan)
    broadening, broadening_err = broadening_and_error(fitted, noise.factor)
    variance_v = np.diagonal(fitted.theta_covariance, axis1=1, axis2=2)[:, : model.n_groups]
    # no information is no error of zero
    velocity_err = np.sqrt(np.where(variance_v > 0, variance_v, np.nan)) * noise.factor[:, None]
    velocity, velocity_err = in_convention(fitted.velocity, velocity_err, config)
    with np.errstate(divide="ignore", invalid="ignore"):
        snr_lines = fluxes.value / error
        snr = np.max(np.where(np.isfinite(snr_lines), snr_lines, -np.inf), axis=1)
    snr = np.where(np.isfinite(snr), snr, 0.0)
    flags = flags | _flags(
        fitted,
        noise,
        config,
        snr,
        fluxes,
        broadening,
        broadening_err,
        start,
        n_parameters,
        geometry,
    )
    columns: dict[str, np.ndarray] = {}
    for group in range(model.n_groups):
        suffix = kinematic_suffix(group, model.n_groups // components)
        columns[f"velocity{suffix}"] = velocity[:, group]
        columns[f"velocity{suffix}_err"] = velocity_err[:, group]
        columns[f"broadening{suffix}"] = broadening[:, group]
        columns[f"broadening{suffix}_err"] = broadening_err[:, group]
    columns |= flux_columns(fluxes, error, model.catalogue.names, components)
    columns["continuum"] = fitted.continuum * data.scale + data.level
    columns["noise"] = data.scale * noise.factor
    columns["chi2"] = noise.reduced_chi2
    columns["snr"] = snr
    return finished(columns, flags, components)


def finished(
    columns: dict[str, np.ndarray], flags: np.ndarray, components: int
) -> dict[str, np.ndarray]:
    """Float32 columns, NaN where there is no data, and no bit there that tells of a fit; a NaN
    elsewhere has a flag that says why."""
    empty = (flags & Flag.NO_DATA) != 0
    with np.errstate(over="ignore"):
        table = np.array(list(columns.values()), np.float32)
    missing = empty | ~np.isfinite(table)
    table[missing] = np.nan
    gap = missing.any(axis=0)
    flags = np.where(empty, flags & ~_OF_A_FIT, flags)
    flags = np.where(gap & ~empty & (flags & _EXPLAINS_NAN == 0), flags | Flag.LOW_SNR, flags)
    columns = dict(zip(columns, table, strict=True))
    columns["n_components"] = np.where(empty, 0, components).astype(np.int32)
    columns["flags"] = flags.astype(np.int32)
    return columns


def kinematic_suffix(group: int, n_groups: int) -> str:
    """``_2_group3`` for the third group of tied lines of the second component."""
    component, group = divmod(group, n_groups)
    return ("_2" if component else "") + (f"_group{group + 1}" if group else "")


_OF_A_FIT = int(
    Flag.AT_BOUND
    | Flag.NOT_CONVERGED
    | Flag.POOR_FIT
    | Flag.OUTLIER_CHANNEL
    | Flag.SECOND_COMPONENT
    | Flag.AMBIGUOUS_VELOCITY
    | Flag.UNRESOLVED
)
_EXPLAINS_NAN = int(Flag.LINE_OUTSIDE_BAND | Flag.MASKED_CHANNELS | Flag.LOW_SNR)


def in_convention(
    velocity: np.ndarray, error: np.ndarray, config: FitConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Optical velocities and errors in the convention asked for."""
    if config.velocity_convention == "optical":
        return velocity, error
    doppler = 1.0 + velocity / SPEED_OF_LIGHT_KMS
    square = doppler**2
    slope = 4.0 * doppler / (square + 1.0) ** 2
    return SPEED_OF_LIGHT_KMS * (square - 1.0) / (square + 1.0), error * slope


def _flags(
    fitted: Fitted,
    noise: Noise,
    config: FitConfig,
    snr: np.ndarray,
    fluxes: Fluxes,
    broadening: np.ndarray,
    broadening_err: np.ndarray,
    start: Start,
    n_parameters: int,
    geometry: Geometry,
) -> np.ndarray:
    bits = np.zeros(len(snr), np.int64)

    def mark(flag: Flag, where: np.ndarray | np.bool) -> None:
        bits[where] |= int(flag)

    measured = fitted.coverage >= MIN_COVERAGE
    dof = np.maximum(fitted.n_used - n_parameters, 1)
    detected = snr >= config.detection
    another = detected & asks_for_another(fitted, geometry)
    mark(Flag.NO_DATA, (fitted.n_used <= n_parameters) | ~measured.any(axis=1))
    mark(Flag.LOW_SNR, ~detected)
    mark(Flag.AT_BOUND, fitted.at_bound.any(axis=1))
    mark(Flag.NOT_CONVERGED, ~fitted.converged)
    mark(Flag.POOR_FIT, noise.reduced_chi2 > 1.2 + 6.0 * np.sqrt(2.0 / dof))
    mark(Flag.LINE_OUTSIDE_BAND, (~measured).any(axis=1))
    partial = measured & (fitted.coverage < FULL_COVERAGE)
    mark(Flag.MASKED_CHANNELS, partial.any(axis=1))
    mark(Flag.OUTLIER_CHANNEL, lonely_channel(fitted) & ~another)
    mark(Flag.SECOND_COMPONENT, another)
    mark(Flag.AMBIGUOUS_VELOCITY, detected & has_rival(start))
    mark(Flag.UNRESOLVED, detected & (broadening < 2.0 * broadening_err).any(axis=1))
    return bits
