"""Where the posterior of ``line_ratios`` is read, so that what it states comes true.

A network's posterior is off by a little, in much the same way for all sources of one kind. With H
the distribution of the probability P(ratio < truth) that it gave to sources it never saw, H(P) is
evenly distributed, so that the quantile q is read where the posterior reaches H^-1(q) (Kuleshov,
Fenner & Ermon 2018, ICML). The card of the weights holds H^-1 at `KNOTS` for each ratio of the
priors that it was measured for; of other priors the posterior is read as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

LEVELS = (0.15865525, 0.5, 0.84134475)
"""Quantiles that are given: the median, and the ends of the central 68.3 %."""
KNOTS = tuple(float(level) for level in np.round(np.linspace(0.02, 0.98, 25), 2))
"""Levels between which H^-1 is a straight line."""
_ENDS = (0.0, *KNOTS, 1.0)


def knots(probability: np.ndarray) -> list[float]:
    """H^-1 at `KNOTS`, of the probabilities (n,) that a network gave to the truth.

    Example:
        >>> knots(np.linspace(0.0, 1.0, 101))[:3]
        [0.02, 0.06, 0.1]
    """
    return [round(float(level), 4) for level in np.quantile(probability, KNOTS)]


def reading_levels(card: Mapping[str, Any], prior: str, names: Sequence[str]) -> np.ndarray:
    """Levels (3, m) at which the posteriors of m ratios are read for `LEVELS`.

    Args:
        card: of the weights.
        prior: that the network was told of.
        names: ratios.

    Example:
        >>> reading_levels({}, "hii", ["ebv"]).round(2).tolist()
        [[0.16], [0.5], [0.84]]
    """
    known = _known(card, prior)
    columns = [
        np.interp(LEVELS, _ENDS, (0.0, *known[name], 1.0)) if name in known else LEVELS
        for name in names
    ]
    return np.stack(columns, axis=1)


def stated(
    card: Mapping[str, Any], prior: str, names: Sequence[str], probability: np.ndarray
) -> np.ndarray:
    """H(P) (n, m) of the network's probabilities P (n, m) of m ratios.

    Args:
        card, prior, names: as of `reading_levels`.
        probability: of a smaller ratio than some value.

    Example:
        >>> stated({}, "hii", ["ebv"], np.array([[0.3]])).tolist()
        [[0.3]]
    """
    known = _known(card, prior)
    found = np.array(probability, float)
    for column, name in enumerate(names):
        if name in known:
            found[:, column] = np.interp(found[:, column], (0.0, *known[name], 1.0), _ENDS)
    return found


def _known(card: Mapping[str, Any], prior: str) -> Mapping[str, Sequence[float]]:
    return card.get("reading_levels", {}).get("priors", {}).get(prior, {})
