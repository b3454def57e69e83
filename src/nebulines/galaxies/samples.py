"""Galaxies to learn from and to be judged on: the package's population, seen by a survey.

Training, validation and test sets come from streams of random numbers of their own, so that no
galaxy that judges was ever learned from.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nebulines.galaxies.learning import Measured, measured
from nebulines.galaxies.width_errors import measure

TRAINING, VALIDATION, TEST = range(3)
"""Streams of random numbers: the second number of a seed."""


class Sample(NamedTuple):
    """n galaxies.

    Attributes:
        galaxies: what a network sees: colours or shapes, and measured widths with errors.
        true_ew: (n, 10) before noise [Angstrom].
    """

    galaxies: Measured
    true_ew: np.ndarray


def draw_sample(n: int, seed: int, stream: int, *, shape: str = "colours") -> Sample:
    """Galaxies of the package's population with their colours.

    Args:
        n: number of galaxies.
        seed: any whole number.
        stream: `TRAINING`, `VALIDATION` or `TEST`.
    """
    from nebulines.galaxies.population import empirical_population
    from nebulines.galaxies.predictors import default_predictor

    drawn = empirical_population(n, [seed, stream], default_predictor().network)
    ew, error = measure(drawn.true_ew, np.random.default_rng([seed, stream, 1]))
    return Sample(measured(drawn.galaxies.colours, ew, error), drawn.true_ew)
