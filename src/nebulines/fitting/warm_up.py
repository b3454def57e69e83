"""Have the compiled fit at hand when the first spectrum's lines are found."""

from __future__ import annotations

import contextlib
from threading import Thread

import numpy as np

from nebulines.fitting.direct.path import fit_rows
from nebulines.fitting.direct.problem import direct_problem
from nebulines.fitting.direct.solve import fit_tile
from nebulines.fitting.prepared import Prepared


def load_direct_fit(prepared: Prepared) -> None:
    """Have the direct fit of these spectra loaded, or compiled, by another thread, while this
    one looks for where their lines are.

    Args:
        prepared: n spectra, n >= 1.
    """
    if fit_tile.loaded:
        return

    def load() -> None:
        # whatever is wrong shows when these spectra are fitted
        with contextlib.suppress(Exception):
            data, geometry, model, config, *_ = prepared
            problem = direct_problem(data, geometry, model, config, with_model=False)
            piece = problem.piece(np.zeros(1, int), np.zeros(1))
            theta = piece.theta(np.zeros((1, 1)), np.zeros((1, 1)))
            fit_rows(theta, piece.tile, problem.options, 1)

    Thread(target=load).start()
