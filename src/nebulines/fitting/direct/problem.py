"""Spectra and lines cut into the tiles of the direct path, and its solutions in their units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.fitting.config import FitConfig
from nebulines.fitting.direct.tile import VELOCITY_UNIT_KMS, FitOptions, Solution, Tile
from nebulines.fitting.direct.windows import (
    Cut,
    WindowPlan,
    broadening_scale,
    cut_channels,
    plan_windows,
    take_channels,
    window_ends,
)
from nebulines.fitting.fitted import Fitted, template_weights
from nebulines.fitting.normalise import Normalised
from nebulines.fitting.problem import (
    Geometry,
    LineModel,
)
from nebulines.lineshapes import near_channels


class Piece(NamedTuple):
    """A tile with what leads back from it: its spectra's reference velocities (n,) [km/s], and
    its channels."""

    tile: Tile
    velocity: np.ndarray
    cut: Cut

    def theta(self, velocity: np.ndarray, broadening: np.ndarray) -> np.ndarray:
        """Parameters (n, 2 G) for velocities and broadenings (n, 1) or (n, G) [km/s]."""
        n_groups = self.tile.group.shape[-1]
        doppler = 1.0 + self.velocity[:, None] / SPEED_OF_LIGHT_KMS
        step = (velocity - self.velocity[:, None]) / (VELOCITY_UNIT_KMS * doppler)
        y = 1.0 / np.sqrt(1.0 + (broadening / self.tile.broadening_scale[:, None]) ** 2)
        shape = (len(self.velocity), n_groups)
        point = np.concatenate([np.broadcast_to(step, shape), np.broadcast_to(y, shape)], axis=1)
        return np.clip(point, self.tile.lower, self.tile.upper).astype(np.float32)


@dataclass(frozen=True)
class DirectProblem:
    """Spectra and lines, ready to be cut into tiles; built by `direct_problem`."""

    data: Normalised
    geometry: Geometry
    model: LineModel
    config: FitConfig
    plan: WindowPlan
    options: FitOptions
    weights: np.ndarray
    strongest: np.ndarray
    with_model: bool

    def piece(self, rows: np.ndarray, velocity: np.ndarray) -> Piece:
        """The tile of some rows, expanded around velocities (n,) [km/s]."""
        here = self.geometry.rows(rows)
        low, high = window_ends(here, self.model, self.config, velocity, self.plan.margin)
        cut = cut_channels(here, low, high, self.plan.n_channels)
        tile = _tile(
            self.data,
            here,
            self.model,
            self.config,
            self.plan,
            self.weights,
            cut,
            rows,
            velocity,
            broadening_scale(here),
        )
        return Piece(tile, velocity, cut)

    def collect(self, solution: Solution, piece: Piece) -> Fitted:
        """What the compiled fit found, in the order of templates and lines."""
        n_axis = self.data.data.shape[1] if self.with_model else 0
        return _collect(
            solution,
            piece.tile,
            self.plan,
            self.model,
            self.strongest,
            piece.velocity,
            piece.cut,
            n_axis,
        )


def direct_problem(
    data: Normalised,
    geometry: Geometry,
    model: LineModel,
    config: FitConfig,
    *,
    with_model: bool = True,
) -> DirectProblem:
    """Prepare n spectra for the direct path (arguments as in `fit_directly`)."""
    plan = plan_windows(geometry, model, config)
    options = FitOptions(
        geometry.axis.kind,
        model.shape,
        model.continuum_order,
        model.positive,
        mixed=len(model.templates) < len(model.rest),
        near=_near_channels(geometry, plan) if geometry.sinc else 0,
    )
    weights, strongest = template_weights(model.templates, model.rest, geometry.axis.kind)
    return DirectProblem(
        data,
        geometry,
        model,
        config,
        plan,
        options,
        weights,
        strongest,
        with_model,
    )


def _near_channels(geometry: Geometry, plan: WindowPlan) -> int:
    """Channels around a line that see more of it than distant wings."""
    step = np.diff(geometry.axis.values, axis=-1)
    widths = geometry.widths(np.zeros(1))
    if not step.size or not np.isfinite(widths).any() or not step.min() > 0:
        return 0
    return near_channels(float(np.nanmax(widths) / step.min()), plan.n_channels)


def _tile(
    data: Normalised,
    geometry: Geometry,
    model: LineModel,
    config: FitConfig,
    plan: WindowPlan,
    weights: np.ndarray,
    cut: Cut,
    rows: np.ndarray,
    velocity: np.ndarray,
    scale: np.ndarray,
) -> Tile:
    single = np.float32
    position = geometry.positions(velocity)
    lsf = geometry.widths(velocity)
    real = plan.lines >= 0
    line = np.maximum(plan.lines, 0)
    at = np.where(real, position[:, line], cut.reference[:, :, None])
    width = np.where(real & np.isfinite(lsf[:, line]), lsf[:, line], 1.0)
    group = (model.group[line][:, :, None] == np.arange(model.n_groups)) & real[:, :, None]
    template = np.where(
        (plan.templates >= 0)[:, :, None] & real[:, None, :],
        weights[np.maximum(plan.templates, 0)[:, :, None], line[:, None, :]],
        0.0,
    )
    offset = (cut.x - cut.reference[:, :, None]).astype(single)
    weight = np.where(cut.inside, take_channels(data.weight, rows, cut.channel), 0.0)
    doppler = 1.0 + velocity / SPEED_OF_LIGHT_KMS
    n_groups = model.n_groups
    unit = VELOCITY_UNIT_KMS * doppler
    v_low, v_high = ((v - velocity) / unit for v in config.velocity_range)
    s_low, s_high = config.broadening_range
    y_low, y_high = (1.0 / np.sqrt(1.0 + (s / scale) ** 2) for s in (s_high, s_low))
    if model.frozen_width:
        y_low = y_high = np.ones_like(scale)
    return Tile(
        data=take_channels(data.data, rows, cut.channel).astype(single, copy=False),
        weight=weight.astype(single, copy=False),
        offset=np.broadcast_to(offset, weight.shape),
        position=at.astype(single),
        center=(at - cut.reference[:, :, None]).astype(single),
        lsf=width.astype(single),
        templates=template.astype(single),
        group=group.astype(single),
        broadening_scale=scale.astype(single),
        lower=np.stack([v_low] * n_groups + [y_low] * n_groups, axis=1).astype(single),
        upper=np.stack([v_high] * n_groups + [y_high] * n_groups, axis=1).astype(single),
    )


def _collect(
    solution: Solution,
    tile: Tile,
    plan: WindowPlan,
    model: LineModel,
    strongest: np.ndarray,
    velocity: np.ndarray,
    cut: Cut,
    n_axis: int,
) -> Fitted:
    """From the compiled fit's local arrays (windows) to global ones (templates, lines)."""
    s = Solution(*(np.asarray(part) for part in solution))
    n, n_groups = len(velocity), model.n_groups
    doppler = 1.0 + velocity / SPEED_OF_LIGHT_KMS
    unit = np.concatenate(
        [np.repeat(VELOCITY_UNIT_KMS * doppler[:, None], n_groups, 1), np.ones((n, n_groups))], 1
    )
    theta_covariance = s.inverse_curvature * unit[:, :, None] * unit[:, None, :]
    window_of, local_of = np.nonzero(plan.templates >= 0)
    order = np.argsort(plan.templates[window_of, local_of])
    window_of, local_of = window_of[order], local_of[order]
    area = s.coefficients[:, window_of, local_of]
    response = s.response[:, window_of, local_of, :]
    same = window_of[:, None] == window_of[None, :]
    block = s.block_covariance[:, window_of[:, None], local_of[:, None], local_of[None, :]]
    covariance = np.where(same, block, 0.0) + np.einsum(
        "ntd,nde,nue->ntu", response, s.inverse_curvature, response
    )
    coverage = np.zeros((n, len(model.rest)), np.float32)
    real = plan.lines >= 0
    coverage[:, plan.lines[real]] = s.coverage[:, real]
    full = np.full((n, n_axis), np.nan, np.float32)
    if n_axis:
        row, channel, inside = np.broadcast_arrays(
            np.arange(n)[:, None, None], cut.channel, cut.inside
        )
        full[row[inside], channel[inside]] = s.model[inside]
    lower, upper = np.asarray(tile.lower), np.asarray(tile.upper)
    v, y = s.theta[:, :n_groups], s.theta[:, n_groups:]
    edge = 1e-4
    at_velocity = (v <= lower[:, :n_groups] + edge) | (v >= upper[:, :n_groups] - edge)
    at_broadening = y <= lower[:, n_groups:] + edge
    if model.frozen_width:
        at_broadening = np.zeros_like(at_broadening)
    return Fitted(
        velocity=velocity[:, None] + v * VELOCITY_UNIT_KMS * doppler[:, None],
        y=y,
        broadening_scale=np.asarray(tile.broadening_scale, float),
        theta_covariance=theta_covariance,
        area=area,
        area_covariance=covariance,
        continuum=_continuum_at_reference(s, tile, plan, model),
        chi2=s.chi2,
        n_used=s.n_used,
        line_free=s.line_free,
        outlier=s.outlier,
        profile=s.profile,
        converged=s.converged,
        at_bound=np.stack([at_velocity.any(1), at_broadening.any(1)], axis=1),
        coverage=coverage,
        model=full,
    )


def _continuum_at_reference(
    s: Solution, tile: Tile, plan: WindowPlan, model: LineModel
) -> np.ndarray:
    """(n,) fitted continuum at the reference line: model minus lines would be noisy, so the
    polynomial is evaluated at the line's position in its window."""
    window, local = (int(i[0]) for i in np.nonzero(plan.lines == model.reference))
    n_templates = plan.templates.shape[1]
    coefficients = s.coefficients[:, window, n_templates:]
    low, high = np.moveaxis(s.ends[:, window], -1, 0).astype(float)
    ok = high > low
    span = np.where(ok, high - low, 1.0)
    x = np.where(ok, 2.0 * (np.asarray(tile.center[:, window, local]) - low) / span - 1.0, 0.0)
    x = np.clip(np.where(np.isfinite(x), x, 0.0), -1.0, 1.0)
    return np.polynomial.legendre.legval(x, coefficients.T, tensor=False)
