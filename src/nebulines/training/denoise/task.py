"""The task of ``denoise``: its examples, its network begun and its widths set afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array

from nebulines.networks.denoise.basis import Basis
from nebulines.networks.denoise.network import Denoise
from nebulines.training.denoise.network import (
    N_SHAPES,
    CleanGalaxies,
    fitted_to,
    loss,
    noise_shapes,
    sample,
)
from nebulines.training.denoise.widths import calibrated
from nebulines.training.task import Task


def denoise_task(
    basis: Basis,
    profiles: np.ndarray,
    sets: Sequence[CleanGalaxies],
    seed: int,
    *,
    name: str = "denoise",
) -> Task:
    """The task of learning the posterior from coefficients of clean spectra.

    Args:
        basis: learned from the training set.
        profiles: (L, 825) of its lines.
        sets: the training and the validation set.
        seed: of the noise shapes; those that judge are others.
        name: of the network.
    """
    training, validation = sets
    shapes = [noise_shapes(basis, N_SHAPES, [seed, stream]) for stream in (0, 1)]

    def build(key: Array, **size: Any) -> Denoise:
        return fitted_to(Denoise(key=key, **size), basis, profiles, training)

    return Task(
        name,
        build,
        partial(sample, training, shapes[0]),
        loss,
        {"steps": 6000, "batch": 512, "learning_rate": 2e-3, "validation": 2048,
         "validate_every": 250, "weight_decay": 0.0},
        partial(sample, validation, shapes[1]),
        {"basis": basis.size, "lines": basis.n_lines, "width": 192, "depth": 3, "components": 4,
         "channels": basis.vectors.shape[1]},
        partial(calibrated, draw=partial(sample, validation, shapes[1], jax.random.key(seed))),
    )  # fmt: skip
