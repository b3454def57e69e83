"""The posterior of one spectrum on a grid of velocity and broadening, fluxes integrated exactly.

At one velocity v and broadening s a spectrum is linear in the peaks of its lines and in its
continuum. With flat priors on those, chi2 of the best linear solution, its covariance C and the
height u of a line of unit area,

    p(d | v, s) ~ exp(-chi2(v, s) / 2) |C(v, s)|^(1/2) prod u(v, s),

and given v and s the fluxes are normal. The linear solutions are those of the fit itself
(`nebulines.fitting.direct`), on the channels around the fitted velocity, so that the posterior and
the fit see the same data, line spread, continuum and ties.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nebulines.fitting.direct.path import CALL_ROWS, fit_rows
from nebulines.fitting.direct.problem import DirectProblem, direct_problem
from nebulines.fitting.fitted import Fitted
from nebulines.fitting.fluxes import Fluxes, line_fluxes
from nebulines.fitting.prepared import Prepared
from nebulines.fitting.tiles import run_tiles

COARSE, FINE = 16, 32
"""Points of a grid in each of the two, while its ends are sought and at last."""
REACH = 6.0
"""The first grid ends so many errors from the fit."""
NEGLIGIBLE = 1e-5
"""Where a marginal falls below this share of its maximum the next grid ends."""


class At(NamedTuple):
    """What the fit says of one spectrum: velocity, broadening and their errors [km/s], and the
    noise in units of the normalised one."""

    velocity: float
    velocity_err: float
    broadening: float
    broadening_err: float
    noise: float


class Grid(NamedTuple):
    """Cells of a grid with P points.

    Attributes:
        velocity, broadening: (P,) middles [km/s].
        cell: (2,) widths of a cell in both [km/s].
        share: (P,) of the posterior.
        fluxes: of the lines at each point, with their covariance there.
    """

    velocity: np.ndarray
    broadening: np.ndarray
    cell: np.ndarray
    share: np.ndarray
    fluxes: Fluxes


class Draws(NamedTuple):
    """Draws: optical velocity and broadening (draw,) [km/s], fluxes (draw, L), NaN where a line is
    not covered."""

    velocity: np.ndarray
    broadening: np.ndarray
    fluxes: np.ndarray


def grid_posterior(prepared: Prepared, row: int, at: At) -> Grid:
    """The posterior of one spectrum around its fit.

    Args:
        prepared: spectra and lines; the ranges of its configuration are the flat prior of
            velocity and broadening.
        row: which of the spectra.
        at: what the fit says of it.

    Returns:
        `Grid` of 32 x 32 points that holds all but some 1e-5 of the posterior near the fit.
    """
    config = prepared.config
    problem = direct_problem(
        prepared.data, prepared.geometry, prepared.model, config, with_model=False
    )
    limits = np.array([config.velocity_range, config.broadening_range])
    middle = np.array([at.velocity, at.broadening])[:, None]
    error = np.array([at.velocity_err, at.broadening_err])[:, None]
    ends = _inside(middle + REACH * error * [-1.0, 1.0], limits)
    for _ in range(2):
        ends = _inside(_where_it_is(_evaluate(problem, row, at, ends, COARSE)), limits)
    return _evaluate(problem, row, at, ends, FINE)


def _inside(ends: np.ndarray, limits: np.ndarray) -> np.ndarray:
    return np.clip(ends, limits[:, :1], limits[:, 1:])


def _where_it_is(grid: Grid) -> np.ndarray:
    """Ends (2, 2) of the cells that hold the posterior, with one more on each side."""
    ends = []
    for values, width in zip((grid.velocity, grid.broadening), grid.cell, strict=True):
        middles, which = np.unique(values, return_inverse=True)
        share = np.bincount(which, grid.share)
        kept = middles[share > NEGLIGIBLE * share.max()]
        ends.append([kept[0] - 1.5 * width, kept[-1] + 1.5 * width])
    return np.array(ends)


def _evaluate(problem: DirectProblem, row: int, at: At, ends: np.ndarray, points: int) -> Grid:
    if problem.model.frozen_width:
        ends = np.stack([ends[0], np.zeros(2)])
    low, cell = ends[:, 0], (ends[:, 1] - ends[:, 0]) / points
    counts = (points, 1 if problem.model.frozen_width else points)
    steps = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1)
    velocity, broadening = (low + (steps.reshape(-1, 2) + 0.5) * cell).T
    fitted, log_determinant = _linear_solutions(problem, row, at.velocity, velocity, broadening)
    rows = np.full(len(velocity), row)
    factor = np.full(len(velocity), at.noise)
    geometry, data = problem.geometry.rows(rows), problem.data.rows(rows)
    fluxes = line_fluxes(fitted, geometry, problem.model, data, factor)
    with np.errstate(divide="ignore", invalid="ignore"):
        height = np.log(np.abs(fluxes.peak[:, problem.strongest] / fitted.area))
    height = np.where(np.isfinite(height).all(axis=0), height, 0.0)  # covered at every point
    log_share = -0.5 * fitted.chi2 / at.noise**2 + 0.5 * log_determinant + height.sum(axis=1)
    share = np.exp(log_share - log_share.max())
    return Grid(velocity, broadening, cell, share / share.sum(), fluxes)


def _linear_solutions(
    problem: DirectProblem, row: int, centre: float, velocity: np.ndarray, broadening: np.ndarray
) -> tuple[Fitted, np.ndarray]:
    """Areas at each point with their covariance there, and the logarithm of the determinant of
    that of all linear parameters; windows lie around ``centre``."""
    real = problem.plan.templates >= 0
    terms = np.concatenate(
        [real, np.ones((len(real), problem.model.continuum_order + 1), bool)], axis=1
    )

    def work(index: np.ndarray) -> tuple[np.ndarray, ...]:
        rows = np.full(len(index), row)
        piece = problem.piece(rows, np.full(len(index), centre))
        theta = piece.theta(velocity[index, None], broadening[index, None])
        solution = fit_rows(theta, piece.tile, problem.options, 0)
        fixed = solution._replace(response=np.zeros_like(solution.response))
        log_determinant = np.zeros(len(index))
        for window, kept in enumerate(terms):
            block = solution.block_covariance[:, window][:, kept][:, :, kept]
            log_determinant += np.linalg.slogdet(block.astype(float)).logabsdet
        return *problem.collect(fixed, piece), log_determinant

    *parts, log_determinant = run_tiles(work, len(velocity), CALL_ROWS, padded=False)
    return Fitted(*parts), log_determinant


def draw(grid: Grid, n_draws: int, generator: np.random.Generator) -> Draws:
    """Draws from a posterior: a cell by its share, a place in it, fluxes given its middle."""
    cell = generator.choice(len(grid.share), n_draws, p=grid.share)
    place = generator.uniform(-0.5, 0.5, (n_draws, 2)) * grid.cell
    value, covariance = grid.fluxes.value[cell], grid.fluxes.covariance[cell].astype(float)
    spread, axes = np.linalg.eigh(np.where(np.isfinite(covariance), covariance, 0.0))
    along = np.sqrt(np.maximum(spread, 0.0)) * generator.normal(size=value.shape)
    fluxes = value + np.einsum("dij,dj->di", axes, along)
    return Draws(grid.velocity[cell] + place[:, 0], grid.broadening[cell] + place[:, 1], fluxes)
