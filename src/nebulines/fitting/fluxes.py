"""Areas of a fit as fluxes with their covariance and peaks, and as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from nebulines.constants import (
    ANGSTROM_PER_CM,
    SPEED_OF_LIGHT_KMS,
)
from nebulines.fitting.fitted import Fitted, broadening_and_error, template_weights
from nebulines.fitting.normalise import Normalised
from nebulines.fitting.problem import Geometry, LineModel
from nebulines.lines import standard_ratios
from nebulines.lineshapes import gaussian_peak, sincgauss_peak

LIMIT_SIGMA = 3.0

MIN_COVERAGE = 0.5
"""A line less covered than this is not measured."""
FULL_COVERAGE = 0.9
"""A line less covered than this is flagged."""


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
    flux = of_lines((fitted.area * to_flux)[..., None], relative)[..., 0]
    error_scale = to_flux * factor[:, None]
    covariance = fitted.area_covariance * error_scale[:, :, None] * error_scale[:, None, :]
    if not _one_line_each(relative):
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


def of_lines(of_templates: np.ndarray, relative: np.ndarray) -> np.ndarray:
    """What is known of templates (n, T, k), of the lines (n, L, k) that they are made of in the
    shares ``relative`` (T, L)."""
    if _one_line_each(relative):
        return of_templates
    return np.einsum("ntk,tl->nlk", of_templates, relative)


def _one_line_each(relative: np.ndarray) -> bool:
    return np.array_equal(relative, np.eye(len(relative)))


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


def flux_errors(fluxes: Fluxes) -> np.ndarray:
    """1-sigma errors (n, L), NaN where a line was not measured."""
    error = np.sqrt(np.maximum(np.einsum("nll->nl", fluxes.covariance), 0.0))
    return np.where(np.isfinite(fluxes.value), error, np.nan)


def flux_columns(
    fluxes: Fluxes, error: np.ndarray, names: Sequence[str], components: int
) -> dict[str, np.ndarray]:
    """Fluxes, their limits and peaks line by line, then the ratios."""
    names = list(names)
    ratios = flux_ratio_columns(fluxes, names, standard_ratios(names))
    return line_columns(fluxes, error, names, components) | ratios


def line_columns(
    fluxes: Fluxes, error: np.ndarray, names: Sequence[str], components: int = 1
) -> dict[str, np.ndarray]:
    """Fluxes, their limits and peaks line by line."""
    columns: dict[str, np.ndarray] = {}
    for line, plain in enumerate(names):
        second = line >= len(names) // components
        name = plain + ("_2" if second else "")
        columns[f"{name}_flux"] = fluxes.value[:, line]
        columns[f"{name}_flux_err"] = error[:, line]
        limit = np.maximum(fluxes.value[:, line], 0.0) + LIMIT_SIGMA * error[:, line]
        columns[f"{name}_flux_limit"] = limit
        columns[f"{name}_amplitude"] = fluxes.peak[:, line]
    return columns


def flux_ratio_columns(
    fluxes: Fluxes, names: Sequence[str], pairs: Iterable[tuple[str, str]]
) -> dict[str, np.ndarray]:
    """Ratios of pairs of lines, and their errors."""
    columns: dict[str, np.ndarray] = {}
    at = list(names).index
    for top, bottom in pairs:
        ratio, ratio_err = ratio_and_error(fluxes, at(top), at(bottom))
        columns[f"ratio_{top}_{bottom}"] = ratio
        columns[f"ratio_{top}_{bottom}_err"] = ratio_err
    return columns
