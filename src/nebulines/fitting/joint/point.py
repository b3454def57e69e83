"""All bands at given velocities and broadenings: the linear part of the joint fit alone."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from nebulines.fitting.joint.bank_path import joint_bank_applies, measure_jointly_with_bank
from nebulines.fitting.joint.direct import (
    CALL_ROWS,
    TILE_ROWS,
    Joint,
    describe_band,
    flat,
    joint_of,
    put,
    shared_scale,
)
from nebulines.fitting.joint.problem import JointProblem
from nebulines.fitting.tiles import run_tiles, tile_size


def measure_jointly(problem: JointProblem, velocity: np.ndarray, broadening: np.ndarray) -> Joint:
    """Fluxes and continua of n objects, no step being taken.

    The filter bank measures what it can, the direct path the rest.

    Args:
        problem: the bands.
        velocity: (n,) [km/s].
        broadening: (n,) [km/s].

    Returns:
        `Joint`, as of a fit that ended there.
    """
    if not joint_bank_applies(problem, measuring=True):
        return measure_directly(problem, velocity, broadening)
    joint, left = measure_jointly_with_bank(problem, velocity, broadening)
    rows = np.flatnonzero(left)
    if len(rows):
        put(joint, rows, measure_directly(problem, velocity, broadening, rows))
    return joint


def measure_directly(
    problem: JointProblem,
    velocity: np.ndarray,
    broadening: np.ndarray,
    rows: np.ndarray | None = None,
) -> Joint:
    """`measure_jointly` channel by channel.

    Args:
        problem: the bands.
        velocity, broadening: (n,) [km/s].
        rows: indices (k,) of the objects to measure; None = all.
    """
    chosen = np.arange(problem.n_rows) if rows is None else rows

    def work(index: np.ndarray) -> tuple[np.ndarray, ...]:
        here = chosen[index]
        pieces = [direct.piece(here, velocity[here]) for direct in problem.direct]
        pieces = shared_scale(pieces, problem)
        theta = jnp.asarray(pieces[0].theta(velocity[here, None], broadening[here, None]))
        left = jnp.zeros_like(theta)
        n_tiles = -(-(int(index[-1] - index[0]) + 1) // TILE_ROWS)
        described = [
            describe_band(band, problem, piece, theta, left, n_tiles)
            for band, piece in enumerate(pieces)
        ]
        bands, response, curvature = (tuple(part) for part in zip(*described, strict=True))
        chi2 = np.sum([fitted.chi2 for fitted in bands], axis=0)
        return flat(Joint(bands, response, curvature, chi2, np.ones(len(here), bool)))

    size = tile_size(len(chosen), CALL_ROWS)
    return joint_of(run_tiles(work, len(chosen), size), len(problem.direct))
