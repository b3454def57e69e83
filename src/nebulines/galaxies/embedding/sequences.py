"""Red sequence, green valley and blue cloud, from the overall colour of a continuum.

The overall colour is the sum of the eleven colours, log10 of the flux density at 6850 over that
at 3550 Angstrom. Its distribution is taken for two normal ones; galaxies that belong to neither
with more than 80 % are in between.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import InputError

CLASSES = ("blue cloud", "green valley", "red sequence")
"""Names of the classes, in the order of their numbers."""
CLEAR = 0.8
"""Probability above which a galaxy belongs to a sequence."""
_ITERATIONS = 300


class Sequences(NamedTuple):
    """Two normal distributions of the overall colour, blue and red.

    Attributes:
        mean, spread: (2,) [dex].
        share: (2,) of the galaxies.
    """

    mean: Any
    spread: Any
    share: Any


def overall_colour(colours: Any) -> np.ndarray:
    """log10 of the flux density at 6850 over that at 3550 Angstrom, (n,) [dex].

    Example:
        >>> overall_colour(np.full((1, 11), 0.1)).round(2).tolist()
        [1.1]
    """
    return np.asarray(colours, float).sum(axis=-1)


def fit_sequences(colours: Any) -> Sequences:
    """The two sequences of a population, by expectation and maximisation.

    Args:
        colours: (n, 11) [dex], rows that are not finite do not count.

    Raises:
        InputError: fewer than 100 galaxies.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> overall = np.concatenate([rng.normal(0.2, 0.1, 500), rng.normal(0.8, 0.1, 500)])
        >>> np.round(fit_sequences(overall[:, None] / 11 * np.ones(11)).mean, 1).tolist()
        [0.2, 0.8]
    """
    overall = overall_colour(colours)
    overall = overall[np.isfinite(overall)]
    if len(overall) < 100:
        raise InputError(f"sequences need 100 galaxies or more, got {len(overall)}")
    mean = np.quantile(overall, [0.2, 0.8])
    spread, share = np.full(2, 0.5 * overall.std() + 1e-6), np.full(2, 0.5)
    for _ in range(_ITERATIONS):
        belongs = _belongs(overall, mean, spread, share)
        weight = belongs.sum(axis=0)
        mean = (belongs * overall[:, None]).sum(axis=0) / weight
        offset = np.square(overall[:, None] - mean)
        spread = np.sqrt((belongs * offset).sum(axis=0) / weight) + 1e-6
        share = weight / len(overall)
    order = np.argsort(mean)
    return Sequences(*(part[order].round(5).tolist() for part in (mean, spread, share)))


def _belongs(overall: np.ndarray, mean: Any, spread: Any, share: Any) -> np.ndarray:
    """Probability of each sequence (n, 2)."""
    mean, spread = np.asarray(mean), np.asarray(spread)
    depth = np.log(share) - np.log(spread) - 0.5 * ((overall[:, None] - mean) / spread) ** 2
    weight = np.exp(depth - depth.max(axis=1, keepdims=True))
    return weight / weight.sum(axis=1, keepdims=True)


def sequence_of(colours: Any, sequences: Sequences) -> np.ndarray:
    """Class of each galaxy: a number of `CLASSES`, -1 where a colour is missing.

    Args:
        colours: (n, 11) [dex].
        sequences: from `fit_sequences`, or those of a card.

    Example:
        >>> two = Sequences([0.0, 0.8], [0.1, 0.1], [0.5, 0.5])
        >>> sequence_of(np.outer([0.0, 0.4, 0.8], np.ones(11)) / 11, two).tolist()
        [0, 1, 2]
    """
    overall = overall_colour(colours)
    known = np.isfinite(overall)
    belongs = _belongs(np.where(known, overall, 0.0), *sequences)
    # beyond the middle of a sequence a wide neighbour never takes over again
    below, above = overall <= sequences.mean[0], overall >= sequences.mean[1]
    red = np.where(below, 0.0, np.where(above, 1.0, belongs[:, 1]))
    number = np.where(red > CLEAR, 2, np.where(red < 1.0 - CLEAR, 0, 1))
    return np.where(known, number, -1)
