"""How well predicted equivalent widths agree with measured ones, line by line."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from nebulines.galaxies.widths.width_mixture import Widths

CENTRAL = 0.6827
"""Share of a normal law within one standard deviation."""
_SIGMA_PER_MAD = 1.4826


class LineScores(NamedTuple):
    """Scores of ten lines.

    Attributes:
        spearman: (10,) rank correlation of predicted and measured widths.
        nmad: (10,) 1.4826 median |d - median d| of d = predicted - measured [Angstrom].
        bias: (10,) median d [Angstrom].
    """

    spearman: np.ndarray
    nmad: np.ndarray
    bias: np.ndarray


def line_scores(predicted: Any, observed: Any) -> LineScores:
    """Scores of predicted against measured widths.

    Args:
        predicted, observed: (n, 10) [Angstrom]; pairs that are not finite do not count.

    Example:
        >>> x = np.arange(50.0)[:, None]
        >>> scores = line_scores(x + 1.0, x)
        >>> round(float(scores.spearman[0]), 6), float(scores.nmad[0]), float(scores.bias[0])
        (1.0, 0.0, 1.0)
    """
    from scipy.stats import spearmanr

    rows = []
    for a, b in zip(np.asarray(predicted).T, np.asarray(observed).T, strict=True):
        good = np.isfinite(a) & np.isfinite(b)
        d = a[good] - b[good]
        middle = np.median(d)
        nmad = _SIGMA_PER_MAD * np.median(np.abs(d - middle))
        rows.append((float(spearmanr(a[good], b[good]).statistic), nmad, middle))
    return LineScores(*(np.array(column) for column in zip(*rows, strict=True)))


def coverage(
    widths: Widths, observed: Any, error: Any, *, draws: int = 64, seed: int = 0
) -> np.ndarray:
    """Share of measured widths within the central 68.27 % of what is predicted plus noise.

    Args:
        widths: predicted distributions of n galaxies.
        observed, error: (n, 10) measured widths and their errors [Angstrom]; pairs that are not
            finite do not count.
        draws: of each galaxy.
        seed: of the draws.

    Returns:
        (10,).
    """
    rng, observed, error = np.random.default_rng(seed), np.asarray(observed), np.asarray(error)
    below = np.zeros(observed.shape)
    for key in jax.random.split(jax.random.key(seed), draws):
        drawn = np.asarray(widths.draw(key)) + error * rng.normal(size=observed.shape)
        below += drawn < observed
    # rank of the truth among the draws, spread evenly within its step
    place = (below + rng.uniform(size=below.shape)) / (draws + 1)
    inside = np.abs(place - 0.5) < 0.5 * CENTRAL
    usable = np.isfinite(observed) & np.isfinite(error)
    return np.sum(inside & usable, axis=0) / np.maximum(np.sum(usable, axis=0), 1)
