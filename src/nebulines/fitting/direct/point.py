"""One band at given velocities and broadenings: the linear part of the fit alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nebulines.fitting.bank.path import bank_applies, measure_with_bank
from nebulines.fitting.direct.path import CALL_ROWS, fit_rows
from nebulines.fitting.direct.problem import direct_problem
from nebulines.fitting.fitted import Fitted
from nebulines.fitting.prepared import Prepared
from nebulines.fitting.start import Start
from nebulines.fitting.tiles import run_tiles


def measure_at(prepared: Prepared, at: Start, *, with_model: bool = True) -> Fitted:
    """Fluxes and continua of n spectra where their lines are known to be, no step being taken.

    The filter bank measures what it can, the direct path the rest.

    Args:
        prepared: n spectra.
        at: their velocities and broadenings.
        with_model: False leaves the model out (n, 0).

    Returns:
        `Fitted`, as of a fit that ended there.
    """
    # a least broadening binds a fit, which the filter bank then leaves alone, but nothing here
    config = replace(prepared.config, broadening_range=(0.0, prepared.config.broadening_range[1]))
    own = prepared.data, prepared.geometry, prepared.model, config
    if not bank_applies(*own):
        return _directly(prepared, at, np.arange(len(at.velocity)), with_model)
    fitted, left = measure_with_bank(*own, at, with_model)
    rows = np.flatnonzero(left)
    if len(rows):
        again = _directly(prepared, at, rows, with_model)
        for mine, other in zip(fitted, again, strict=True):
            mine[rows] = other
    return fitted


def _directly(prepared: Prepared, at: Start, rows: np.ndarray, with_model: bool) -> Fitted:
    """Some rows channel by channel."""
    problem = direct_problem(
        prepared.data, prepared.geometry, prepared.model, prepared.config, with_model=with_model
    )

    def work(index: np.ndarray) -> Fitted:
        here = rows[index]
        piece = problem.piece(here, at.velocity[here])
        theta = piece.theta(at.velocity[here, None], at.broadening[here, None])
        return problem.collect(fit_rows(theta, piece.tile, problem.options, 0), piece)

    return Fitted(*run_tiles(work, len(rows), CALL_ROWS, padded=False))
