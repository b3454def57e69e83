"""A second velocity component where it is asked for, or where the spectra show one.

The fit of one component says where to look (`starts`), the pair is fitted (`pairs`), and adopted
or not (`adoption`).
"""

from __future__ import annotations

import numpy as np

from nebulines.fitting.columns import asks_for_another, build_columns
from nebulines.fitting.components.adoption import adopt
from nebulines.fitting.components.pairs import Pairs, double_geometry, double_model, fit_pairs
from nebulines.fitting.config import FitConfig
from nebulines.fitting.fitted import Fitted
from nebulines.fitting.noise import channels_tell
from nebulines.fitting.normalise import Normalised
from nebulines.fitting.problem import Geometry, LineModel
from nebulines.fitting.start import Start, find_start, plan_search
from nebulines.spectra import Flag

RESIDUAL_SCORE = 25.0
"""chi2 that lines elsewhere must explain for a distant second component to be tried."""


def add_second_component(
    fitted: Fitted,
    columns: dict[str, np.ndarray],
    data: Normalised,
    geometry: Geometry,
    model: LineModel,
    config: FitConfig,
    start: Start,
    flags: np.ndarray,
    *,
    with_model: bool = True,
) -> tuple[Fitted, dict[str, np.ndarray]]:
    """Two components where they are asked for: all rows, or with ``auto`` those that show them.

    Args:
        fitted: the fit of one component, with its model.
        columns: its columns.
        data, geometry, model, config, start, flags: as for `columns.build_columns`.
        with_model: False leaves the model of the returned fit (n, 0).

    Returns:
        The fit with the adopted model, and columns with ``velocity_2``, ``NAME_2_flux`` ...; with
        one component, where ``n_components`` is 1, these are NaN.
    """
    residual_start = _search_residual(fitted, data, geometry, model, config)
    empty = (columns["flags"] & Flag.NO_DATA) != 0
    rows = ~empty
    if config.components == "auto":
        rows &= asks_for_another(fitted, geometry) | (
            residual_start.score > RESIDUAL_SCORE * np.maximum(fitted.profile[:, 3], 1e-12)
        )
        rows &= (columns["flags"] & Flag.LOW_SNR) == 0
    nobody = not rows.any()
    index = np.arange(1) if nobody else np.flatnonzero(rows)
    part = data.rows(index), geometry.rows(index), model, config
    single = Fitted(*(values[index] for values in fitted))
    if nobody:
        pairs = _no_pairs(single)
    else:
        pairs = fit_pairs(*part, single, residual_start.velocity[index], with_model)
    begin = Start(*(values[index] for values in start))
    doubled = double_geometry(part[1]), double_model(model), config, part[0], begin
    second = build_columns(pairs.fitted, *doubled, flags[index], components=2)
    adopted = rows[index]
    if config.components == "auto":
        adopted &= adopt(single, pairs, doubled[1], data.estimated, channels_tell(geometry))
    if not with_model:
        fitted = fitted._replace(model=fitted.model[:, :0])
    return _merge(fitted, columns, pairs.fitted, second, index, adopted)


def _no_pairs(single: Fitted) -> Pairs:
    """Of the right shape, when nothing asks for two components: nothing is adopted."""
    n, twice = len(single.chi2), 2 * single.area.shape[1]
    n_theta = 2 * single.theta_covariance.shape[1]
    fitted = single._replace(
        velocity=np.tile(single.velocity, 2),
        y=np.tile(single.y, 2),
        theta_covariance=np.zeros((n, n_theta, n_theta)),
        area=np.tile(single.area, 2),
        area_covariance=np.zeros((n, twice, twice)),
        coverage=np.tile(single.coverage, 2),
    )
    return Pairs(fitted, np.zeros(n))


def _search_residual(
    fitted: Fitted, data: Normalised, geometry: Geometry, model: LineModel, config: FitConfig
) -> Start:
    """Where lines are left in the residuals."""
    seen = np.isfinite(fitted.model)
    rest = np.where(seen, data.data - np.where(seen, fitted.model, 0.0), 0.0)
    weight = np.where(seen, data.weight, 0.0)
    left = data._replace(data=rest.astype(np.float32), weight=weight.astype(np.float32))
    return find_start(left, geometry, plan_search(geometry, model, config))


def _merge(
    fitted: Fitted,
    columns: dict[str, np.ndarray],
    pairs: Fitted,
    second: dict[str, np.ndarray],
    index: np.ndarray,
    adopted: np.ndarray,
) -> tuple[Fitted, dict[str, np.ndarray]]:
    """Rows with two components in their place among those with one."""
    n = len(columns["flags"])
    merged = {}
    for name, values in second.items():
        merged[name] = columns.get(name, np.full(n, np.nan, np.float32)).copy()
        merged[name][index[adopted]] = values[adopted]
    model = fitted.model.copy()
    if model.shape[1]:
        model[index[adopted]] = pairs.model[adopted]
    return fitted._replace(model=model), merged
