"""All bands at given velocities and broadenings: the linear part of the joint fit alone."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from nebulines.fitting.joint_direct import (
    CALL_ROWS,
    Joint,
    _described,
    _flat,
    _joint,
    shared_scale,
)
from nebulines.fitting.joint_problem import JointProblem
from nebulines.fitting.tiles import run_tiles, tile_size


def measure_jointly(problem: JointProblem, velocity: np.ndarray, broadening: np.ndarray) -> Joint:
    """Fluxes and continua of n objects, no step being taken.

    Args:
        problem: the bands.
        velocity: (n,) [km/s].
        broadening: (n,) [km/s].

    Returns:
        `Joint`, as of a fit that ended there.
    """

    def work(rows: np.ndarray) -> tuple[np.ndarray, ...]:
        pieces = [direct.piece(rows, velocity[rows]) for direct in problem.direct]
        pieces = shared_scale(pieces, problem)
        theta = jnp.asarray(pieces[0].theta(velocity[rows, None], broadening[rows, None]))
        left = jnp.zeros_like(theta)
        described = [
            _described(band, problem, piece, theta, left) for band, piece in enumerate(pieces)
        ]
        bands, response, curvature = (tuple(part) for part in zip(*described, strict=True))
        chi2 = np.sum([fitted.chi2 for fitted in bands], axis=0)
        return _flat(Joint(bands, response, curvature, chi2, np.ones(len(rows), bool)))

    size = tile_size(problem.n_rows, CALL_ROWS)
    return _joint(run_tiles(work, problem.n_rows, size), len(problem.direct))
