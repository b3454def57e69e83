"""Feed the direct fit: cut windows around the lines, run tiles, collect what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.fitting.config import FitConfig
from nebulines.fitting.direct import (
    TILE_ROWS,
    VELOCITY_UNIT_KMS,
    FitOptions,
    Solution,
    Tile,
    broadening_of,
    fit_tile,
)
from nebulines.fitting.fitted import Fitted, template_weights
from nebulines.fitting.normalise import Normalised
from nebulines.fitting.problem import (
    BAND_MARGIN_FWHM,
    WINDOW_MARGIN_KMS,
    Geometry,
    LineModel,
    fractional_channel,
)
from nebulines.fitting.start import Start
from nebulines.fitting.tiles import even_rows, run_tiles
from nebulines.lineshapes import near_channels

CALL_ROWS = 32 * TILE_ROWS
"""Spectra given to one call."""
ROUNDS = (2, 1, 6)
"""Steps of each attempt: seven of eight spectra converge in the first, the others go on, ..."""
HARD_ROUNDS = (10,)
"""(of spectra that another method could not fit)"""
LAST_STEPS = 15
"""... and the last begin again from several starts."""
START_FACTORS = (0.3, 2.5)
"""Broadenings that a late fit starts from, in units of the search's."""


class WindowPlan(NamedTuple):
    """How windows are laid out: the same for every tile.

    Attributes:
        n_channels: K.
        lines: (W, J) line indices, -1 where padded.
        templates: (W, T_w) template indices, -1 where padded.
        margin: continuum beyond the outermost lines as a share of the position.
    """

    n_channels: int
    lines: np.ndarray
    templates: np.ndarray
    margin: float


def plan_windows(geometry: Geometry, model: LineModel, config: FitConfig) -> WindowPlan:
    """Window layout for all rows of a set: wide enough for every redshift and velocity."""
    fwhm_kms = float(np.nanmax(geometry.fwhm_kms()))
    margin_kms = BAND_MARGIN_FWHM * fwhm_kms if model.band else WINDOW_MARGIN_KMS + 2.0 * fwhm_kms
    margin = min(_rounded_up(margin_kms / SPEED_OF_LIGHT_KMS), 0.2)
    home = [
        [t for t in range(len(model.templates)) if model.templates[t, list(window)].any()]
        for window in model.windows
    ]
    extremes = np.array([np.argmin(geometry.stretch), np.argmax(geometry.stretch)])
    m = geometry.axis.n_channels
    longest = 1
    for row in extremes:
        one = geometry.rows(np.array([row]))
        for velocity in config.velocity_range:
            low, high = window_ends(one, model, config, np.array([velocity]), margin)
            axis = np.atleast_2d(one.axis.values)[0]
            span = fractional_channel(axis, high) - fractional_channel(axis, low)
            longest = max(longest, int(np.ceil(span.max())) + 2)
    n_channels = min(m, 16 * int(np.ceil(longest / 16)))
    return WindowPlan(n_channels, _padded(model.windows), _padded(home), margin)


def _rounded_up(value: float) -> float:
    """To two digits, so that blocks of one cube have the same windows."""
    unit = 10.0 ** (np.floor(np.log10(value)) - 1.0)
    return float(np.ceil(value / unit) * unit)


def _padded(lists: object) -> np.ndarray:
    rows = [list(row) for row in lists]  # type: ignore[attr-defined]
    width = max(len(row) for row in rows)
    return np.array([row + [-1] * (width - len(row)) for row in rows])


def window_ends(
    geometry: Geometry, model: LineModel, config: FitConfig, velocity: np.ndarray, margin: float
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends (n, W) [axis unit]; a window that spans the band does not follow the
    start velocity, so that all rows use the same channels."""
    if model.band:
        both = [geometry.positions(np.full(len(velocity), v)) for v in config.velocity_range]
        low_at, high_at = np.minimum(*both), np.maximum(*both)
    else:
        low_at = high_at = geometry.positions(velocity)
    low = [low_at[:, list(window)].min(axis=1) for window in model.windows]
    high = [high_at[:, list(window)].max(axis=1) for window in model.windows]
    return np.stack(low, axis=1) * (1.0 - margin), np.stack(high, axis=1) * (1.0 + margin)


class _Cut(NamedTuple):
    """Channels of a tile's windows: channel index (n, W, K), inside (n, W, K), x (n, W, K), and the
    reference position (n, W); n is 1 where all spectra share them."""

    channel: np.ndarray
    inside: np.ndarray
    x: np.ndarray
    reference: np.ndarray


def _cut(geometry: Geometry, low: np.ndarray, high: np.ndarray, n_channels: int) -> _Cut:
    values = geometry.axis.values
    if values.ndim == 1 and np.all(low == low[:1]) and np.all(high == high[:1]):
        low, high = low[:1], high[:1]
    if values.ndim == 1:
        first = fractional_channel(values, low)
    else:
        first = np.stack([fractional_channel(v, e) for v, e in zip(values, low, strict=True)])
    start = np.clip(np.ceil(first).astype(int), 0, values.shape[-1] - n_channels)
    index = start[:, :, None] + np.arange(n_channels)
    if values.ndim == 1:
        x = values[index]
    else:
        x = np.take_along_axis(values, index.reshape(len(values), -1), axis=1)
        x = x.reshape(index.shape)
    inside = (x >= low[:, :, None]) & (x <= high[:, :, None])
    return _Cut(index, inside, x, 0.5 * (low + high))


def _take(values: np.ndarray, rows: np.ndarray, channel: np.ndarray) -> np.ndarray:
    """Values (n, W, K) of some rows in the channels (n, W, K), or (1, W, K) for all."""
    if len(channel) == 1:
        windows = [values[rows, window[0] : window[-1] + 1] for window in channel[0]]
        return windows[0][:, None] if len(windows) == 1 else np.stack(windows, axis=1)
    flat = channel.reshape(len(channel), -1)
    return np.take_along_axis(values[rows], flat, axis=1).reshape(channel.shape)


def broadening_scale(geometry: Geometry) -> np.ndarray:
    """(n,) s0 [km/s]: the broadening at which a line's own width begins to show."""
    widths = geometry.widths(np.zeros(1)) / geometry.positions(np.zeros(1))
    with np.errstate(invalid="ignore"):
        kms = np.nanmedian(widths, axis=1) * SPEED_OF_LIGHT_KMS
    scale = kms * (3.0 / np.pi if geometry.sinc else 1.5)
    return np.where(np.isfinite(scale), np.maximum(scale, 10.0), 100.0)


class Piece(NamedTuple):
    """A tile with what leads back from it: its spectra's reference velocities (n,) [km/s], and
    its channels."""

    tile: Tile
    velocity: np.ndarray
    cut: _Cut

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
        cut = _cut(here, low, high, self.plan.n_channels)
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


def fit_directly(
    data: Normalised,
    geometry: Geometry,
    model: LineModel,
    config: FitConfig,
    start: Start,
    with_model: bool = True,
    *,
    rows: np.ndarray | None = None,
    rounds: tuple[int, ...] = ROUNDS,
) -> Fitted:
    """Fit n spectra with the direct path.

    Args:
        data: (n, m) normalised spectra.
        geometry: their lines and axes.
        model: lines and ties.
        config: options.
        start: start values.
        with_model: False leaves ``Fitted.model`` (n, 0).
        rows: indices (k,) of the rows to fit, in windows that serve all n; None = all.
        rounds: steps of each attempt, before those from other starts.

    Returns:
        `Fitted` of the rows.
    """
    problem = direct_problem(data, geometry, model, config, with_model=with_model)

    rows = np.arange(len(data.data)) if rows is None else rows

    def fit(here: np.ndarray, velocity: np.ndarray, broadening: np.ndarray, steps: int) -> Fitted:
        """Rows (k,) from velocities and broadenings (k, 1) or (k, G)."""

        def work(index: np.ndarray) -> Fitted:
            piece = problem.piece(here[index], start.velocity[here[index]])
            theta = piece.theta(velocity[index], broadening[index])
            return problem.collect(fit_rows(theta, piece.tile, problem.options, steps), piece)

        call_rows = even_rows(len(here), CALL_ROWS, TILE_ROWS)
        return Fitted(*run_tiles(work, len(here), call_rows, padded=False))

    fitted = fit(rows, start.velocity[rows, None], start.broadening[rows, None], rounds[0])
    for steps in rounds[1:]:
        late = np.flatnonzero(~fitted.converged)
        if len(late):
            there = broadening_of(fitted.y[late], fitted.broadening_scale[late, None])
            again = fit(rows[late], fitted.velocity[late], np.asarray(there), steps)
            _keep_better(fitted, late, again)
    late = np.flatnonzero(~fitted.converged)
    if len(late):
        anew = [factor * start.broadening[rows[late], None] for factor in START_FACTORS]
        many = np.tile(rows[late], len(anew))
        again = fit(many, start.velocity[many, None], np.concatenate(anew), LAST_STEPS)
        for part in np.split(np.arange(len(many)), len(anew)):
            _keep_better(fitted, late, Fitted(*(values[part] for values in again)))
    return fitted


def fit_rows(theta: np.ndarray, tile: Tile, options: FitOptions, n_steps: int) -> Solution:
    """`fit_tile` of at most `CALL_ROWS` rows: one shape, compiled once, serves any number.

    Args:
        theta: (n, 2 G) start values.
        tile: n rows, from `DirectProblem.piece`.
        options, n_steps: as for `fit_tile`.

    Returns:
        A `Solution` of n rows, in numpy's arrays.
    """
    n = len(theta)
    n_tiles = -(-n // TILE_ROWS)

    def padded(values: np.ndarray) -> np.ndarray:
        whole = np.zeros((CALL_ROWS, *values.shape[1:]), np.float32)
        whole[:n] = values
        whole[n : n_tiles * TILE_ROWS] = values[-1]
        return whole

    own = {name: padded(values) for name, values in tile._asdict().items() if name not in _SHARED}
    solution = fit_tile(padded(theta), tile._replace(**own), options, n_steps, n_tiles)
    return Solution(*(np.asarray(part)[:n] for part in solution))


_SHARED = ("templates", "group")
"""Parts of a tile that all its rows have in common."""


def _keep_better(fitted: Fitted, rows: np.ndarray, again: Fitted) -> None:
    """Replace rows (k,) by a second fit where that has the lower chi2."""
    old, new = fitted.chi2[rows], again.chi2
    better = (new < old) | (again.converged & ~fitted.converged[rows] & (new < old + 1e-2))
    for mine, other in zip(fitted, again, strict=True):
        mine[rows[better]] = other[better]


def _tile(
    data: Normalised,
    geometry: Geometry,
    model: LineModel,
    config: FitConfig,
    plan: WindowPlan,
    weights: np.ndarray,
    cut: _Cut,
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
    weight = np.where(cut.inside, _take(data.weight, rows, cut.channel), 0.0)
    doppler = 1.0 + velocity / SPEED_OF_LIGHT_KMS
    n_groups = model.n_groups
    unit = VELOCITY_UNIT_KMS * doppler
    v_low, v_high = ((v - velocity) / unit for v in config.velocity_range)
    s_low, s_high = config.broadening_range
    y_low, y_high = (1.0 / np.sqrt(1.0 + (s / scale) ** 2) for s in (s_high, s_low))
    if model.frozen_width:
        y_low = y_high = np.ones_like(scale)
    return Tile(
        data=_take(data.data, rows, cut.channel).astype(single, copy=False),
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
    cut: _Cut,
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
