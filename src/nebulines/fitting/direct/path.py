"""Feed the direct fit: cut windows around the lines, run tiles, collect what comes out."""

from __future__ import annotations

import numpy as np

from nebulines.fitting.config import FitConfig
from nebulines.fitting.direct.problem import (
    direct_problem,
)
from nebulines.fitting.direct.solve import TILE_ROWS, fit_tile
from nebulines.fitting.direct.tile import FitOptions, Solution, Tile, broadening_of
from nebulines.fitting.fitted import Fitted
from nebulines.fitting.normalise import Normalised
from nebulines.fitting.problem import (
    Geometry,
    LineModel,
)
from nebulines.fitting.start import Start
from nebulines.fitting.tiles import empty_aligned, even_rows, run_tiles

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
        whole = empty_aligned((CALL_ROWS, *values.shape[1:]))
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
