"""From fitted parameters to the columns of a result: units, errors, ratios, limits, flags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from nebulines.constants import (
    ANGSTROM_PER_CM,
    FWHM_PER_SIGMA,
    SINC_FWHM_PER_WIDTH,
    SPEED_OF_LIGHT_KMS,
)
from nebulines.fitting.config import FitConfig
from nebulines.fitting.fitted import Fitted, template_weights
from nebulines.fitting.normalise import Normalised
from nebulines.fitting.problem import Geometry, LineModel
from nebulines.fitting.start import Start
from nebulines.lines import standard_ratios
from nebulines.lineshapes import gaussian_peak, sincgauss_peak
from nebulines.spectra import Flag

MIN_COVERAGE = 0.5
"""A line less covered than this is not measured."""
FULL_COVERAGE = 0.9
"""A line less covered than this is flagged."""
OUTLIER_SIGMA = 6.5
LIMIT_SIGMA = 3.0
RIVAL_CHI2 = 9.0
"""Improvement of chi2 by which the best velocity should beat the next best one."""
PROFILE_STATISTIC = 20.0
"""chi2 that another profile explains: exceeded by chance in fewer than 1e-4 of all spectra."""
OTHER_LINES_STATISTIC = 12.0
"""What all lines but one must then explain for a component."""
SHARP_CHANNELS = 1.8
"""A line-spread function of fewer channels (FWHM) cannot be told from a hot channel."""
PROFILE_AMPLITUDE = 0.02
"""Least deviation of the profile, in units of the lines' peaks."""


class Noise(NamedTuple):
    """What the residuals say about the noise, per spectrum.

    Attributes:
        factor: (n,) multiplies the normalised noise (1 when the file's variance is used).
        reduced_chi2: (n,) of the whole fit.
        level: (n,) rms of line-free residuals in units of the noise used.
    """

    factor: np.ndarray
    reduced_chi2: np.ndarray
    level: np.ndarray


def measure_noise(fitted: Fitted, n_parameters: np.ndarray, estimated: bool) -> Noise:
    """Noise factor and reduced chi2.

    Unknown noise is estimated from line-free residuals (all residuals when fewer than 20
    channels are free of lines).
    """
    free_sum, free_count = fitted.line_free.T.astype(float)
    dof = np.maximum(fitted.n_used - n_parameters, 1)
    share = dof / np.maximum(fitted.n_used, 1)
    overall = fitted.chi2 / dof
    enough = free_count >= 20
    line_free = np.where(enough, free_sum / np.maximum(free_count * share, 1), overall)
    line_free = np.where(line_free > 0, line_free, 1.0)
    square = line_free if estimated else np.ones_like(line_free)
    return Noise(np.sqrt(square), overall / square, np.sqrt(line_free / square))


def broadening_and_error(
    fitted: Fitted, noise_factor: np.ndarray | float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Broadening and its 1-sigma error (n, G) [km/s], for noise ``noise_factor`` (n,) times
    the normalised one.

    The fit is regular in q = s^2, so sigma_q is exact everywhere; sigma_s = sigma_q / (2 s) where
    the line is resolved, and sqrt(sigma_q) (the broadening that one sigma allows) at zero.
    """
    scale = fitted.broadening_scale[:, None]
    n_groups = fitted.velocity.shape[1]
    y = fitted.y.astype(float)
    broadening = scale * np.sqrt(np.maximum(1.0 / y**2 - 1.0, 0.0))
    variance = np.diagonal(fitted.theta_covariance, axis1=1, axis2=2)[:, n_groups:]
    factor = np.reshape(noise_factor, (-1, 1))
    sigma_q = 2.0 * scale**2 / y**3 * np.sqrt(np.maximum(variance, 0.0)) * factor
    with np.errstate(divide="ignore", invalid="ignore"):
        resolved = np.where(broadening > 0, sigma_q / (2.0 * broadening), np.inf)
    return broadening, np.minimum(resolved, np.sqrt(sigma_q))


def asks_for_another(fitted: Fitted, geometry: Geometry) -> np.ndarray:
    """(n,) bool: residuals under the lines that another velocity component would explain.

    The statistic of `profile.profile_score` must be rarer than about 1e-4 for one component, and
    the profile must differ from the fitted one by more than a line-spread function is known. A
    lonely residual (hot channel, cosmic ray) is no component unless the other lines have it too,
    or lines are so sharp that they look no different.
    """
    statistic, amplitude, others, variance = fitted.profile.T
    variance = np.maximum(variance, 1e-12)
    alone = lonely_channel(fitted) & (others < OTHER_LINES_STATISTIC * variance)
    alone &= channels_tell(geometry)
    return (statistic > PROFILE_STATISTIC * variance) & (amplitude > PROFILE_AMPLITUDE) & ~alone


def has_rival(start: Start) -> np.ndarray:
    """(n,) bool: lines at another velocity explain the data nearly as well."""
    return (start.rival > start.score - RIVAL_CHI2) & (start.rival > RIVAL_CHI2)


def lonely_channel(fitted: Fitted) -> np.ndarray:
    """(n,) bool: a residual of one or two channels that noise does not explain."""
    variance = fitted.profile[:, 3]
    return fitted.outlier > OUTLIER_SIGMA * np.sqrt(np.maximum(variance, 1.0))


def channels_tell(geometry: Geometry) -> bool:
    """Whether a hot channel looks different from a line: its spread spans enough channels."""
    fwhm = geometry.widths(np.zeros(1)) * (SINC_FWHM_PER_WIDTH if geometry.sinc else FWHM_PER_SIGMA)
    spacing = np.abs(np.diff(np.atleast_2d(geometry.axis.values)[0]))
    return len(spacing) > 0 and bool(np.nanmedian(fwhm) > SHARP_CHANNELS * np.median(spacing))


class Fluxes(NamedTuple):
    """Line fluxes [flux unit x Angstrom]: value (n, L), covariance (n, L, L), peak (n, L)."""

    value: np.ndarray
    covariance: np.ndarray
    peak: np.ndarray


def line_fluxes(
    fitted: Fitted, geometry: Geometry, model: LineModel, data: Normalised, factor: np.ndarray
) -> Fluxes:
    """Fluxes, their covariance and peak heights of all lines, NaN where not covered."""
    weights, _ = template_weights(model.templates, model.rest, geometry.axis.kind)
    to_flux, relative = template_fluxes(fitted, geometry, model, data)
    flux = (fitted.area * to_flux) @ relative
    error_scale = to_flux * factor[:, None]
    covariance = fitted.area_covariance * error_scale[:, :, None] * error_scale[:, None, :]
    if not np.array_equal(relative, np.eye(len(relative))):
        covariance = relative.T @ covariance @ relative
    peak = (fitted.area * data.scale[:, None]) @ weights * _unit_peak(fitted, geometry, model)
    row, line = np.nonzero(fitted.coverage < MIN_COVERAGE)
    flux[row, line] = peak[row, line] = np.nan
    covariance[row, line], covariance[row, :, line] = np.nan, np.nan
    return Fluxes(flux, covariance, peak)


def template_fluxes(
    fitted: Fitted, geometry: Geometry, model: LineModel, data: Normalised
) -> tuple[np.ndarray, np.ndarray]:
    """Flux of each template's strongest line per unit of its area (n, T), and the fluxes of all
    lines of a template relative to that one (T, L)."""
    _, strongest = template_weights(model.templates, model.rest, geometry.axis.kind)
    relative = model.templates / np.max(model.templates, axis=1, keepdims=True)
    velocity = fitted.velocity[:, model.group]  # (n, L)
    observed = model.rest * (1.0 + geometry.redshift[:, None])
    observed = observed * (1.0 + velocity / SPEED_OF_LIGHT_KMS)
    axis_scale = geometry.axis.scale
    unit = np.broadcast_to(1.0 if axis_scale is None else axis_scale, (len(observed),))[:, None]
    angstrom = unit * (observed**2 / ANGSTROM_PER_CM if geometry.axis.kind == "wavenumber" else 1)
    angstrom = np.broadcast_to(angstrom, observed.shape)[:, strongest]  # (n, T)
    return data.scale[:, None] * angstrom, relative


def _unit_peak(fitted: Fitted, geometry: Geometry, model: LineModel) -> np.ndarray:
    """Height of each line of unit area (n, L) [1 / axis unit]."""
    width = geometry.widths(fitted.velocity[:, 0])
    broadening, _ = broadening_and_error(fitted)
    position = geometry.positions(fitted.velocity[:, 0])
    sigma = position * broadening[:, model.group] / SPEED_OF_LIGHT_KMS
    width = np.where(np.isfinite(width) & (width > 0), width, 1.0)
    if model.shape == "gaussian":
        return np.asarray(gaussian_peak(np.hypot(width, sigma)))
    return np.asarray(_sincgauss_peak(width, sigma))


_sincgauss_peak = jax.jit(sincgauss_peak)


def ratio_and_error(fluxes: Fluxes, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray]:
    """Ratio of two lines and its error from their full covariance; NaN where the lower flux is
    zero or missing."""
    a, b = fluxes.value[:, top], fluxes.value[:, bottom]
    covariance = fluxes.covariance
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = a / b
        variance = (
            covariance[:, top, top]
            - 2.0 * ratio * covariance[:, top, bottom]
            + ratio**2 * covariance[:, bottom, bottom]
        ) / b**2
        error = np.sqrt(np.maximum(variance, 0.0))
    bad = ~np.isfinite(ratio) | ~np.isfinite(error)
    return np.where(bad, np.nan, ratio), np.where(bad, np.nan, error)


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


def flux_columns(
    fluxes: Fluxes, error: np.ndarray, names: Sequence[str], components: int
) -> dict[str, np.ndarray]:
    """Fluxes, their limits and peaks line by line, then the ratios."""
    columns: dict[str, np.ndarray] = {}
    for line, plain in enumerate(names):
        second = line >= len(names) // components
        name = plain + ("_2" if second else "")
        columns[f"{name}_flux"] = fluxes.value[:, line]
        columns[f"{name}_flux_err"] = error[:, line]
        limit = np.maximum(fluxes.value[:, line], 0.0) + LIMIT_SIGMA * error[:, line]
        columns[f"{name}_flux_limit"] = limit
        columns[f"{name}_amplitude"] = fluxes.peak[:, line]
    at = list(names).index
    for top, bottom in standard_ratios(list(names)):
        ratio, ratio_err = ratio_and_error(fluxes, at(top), at(bottom))
        columns[f"ratio_{top}_{bottom}"] = ratio
        columns[f"ratio_{top}_{bottom}_err"] = ratio_err
    return columns


def finished(
    columns: dict[str, np.ndarray], flags: np.ndarray, components: int
) -> dict[str, np.ndarray]:
    """Float32 columns, NaN where there is no data; a NaN elsewhere has a flag that says why."""
    empty = (flags & Flag.NO_DATA) != 0
    with np.errstate(over="ignore"):
        table = np.array(list(columns.values()), np.float32)
    missing = empty | ~np.isfinite(table)
    table[missing] = np.nan
    gap = missing.any(axis=0)
    flags = np.where(gap & ~empty & (flags & _EXPLAINS_NAN == 0), flags | Flag.LOW_SNR, flags)
    columns = dict(zip(columns, table, strict=True))
    columns["n_components"] = np.where(empty, 0, components).astype(np.int32)
    columns["flags"] = flags.astype(np.int32)
    return columns


def kinematic_suffix(group: int, n_groups: int) -> str:
    """``_2_group3`` for the third group of tied lines of the second component."""
    component, group = divmod(group, n_groups)
    return ("_2" if component else "") + (f"_group{group + 1}" if group else "")


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
