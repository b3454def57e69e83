"""Where the posterior of ``line_ratios`` is read, so that what it states comes true.

A network's posterior is off by a little, in much the same way for all sources of one kind. With H
the distribution of the probability P(ratio < truth) that it gave to sources it never saw, H(P) is
evenly distributed, so that the quantile q is read where the posterior reaches H^-1(q) (Kuleshov,
Fenner & Ermon 2018, ICML). The card of the weights holds H^-1 at `KNOTS` for each ratio and
several S/N of the flux of H-alpha, of the priors that it was measured for; in between it is
interpolated in the logarithm of the S/N. Of other priors the posterior is read as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

LEVELS = (0.15865525, 0.5, 0.84134475)
"""Quantiles that are given: the median, and the ends of the central 68.3 %."""
KNOTS = tuple(float(level) for level in np.round(np.linspace(0.02, 0.98, 25), 2))
"""Levels between which H^-1 is a straight line."""
_ENDS = (0.0, *KNOTS, 1.0)
SNR = "snr"
"""Key of the S/N of the flux of H-alpha at which a card holds levels."""


def knots(probability: np.ndarray) -> list[float]:
    """H^-1 at `KNOTS`, of the probabilities (n,) that a network gave to the truth.

    Example:
        >>> knots(np.linspace(0.0, 1.0, 101))[:3]
        [0.02, 0.06, 0.1]
    """
    return [round(float(level), 4) for level in np.quantile(probability, KNOTS)]


def reading_levels(
    card: Mapping[str, Any], prior: str, names: Sequence[str], snr: np.ndarray
) -> np.ndarray:
    """Levels (n, 3, m) at which the posteriors of m ratios of n sources are read for `LEVELS`.

    Args:
        card: of the weights.
        prior: that the network was told of.
        names: ratios.
        snr: (n,) S/N of the flux of H-alpha.

    Example:
        >>> reading_levels({}, "hii", ["ebv"], np.array([20.0])).round(2).tolist()
        [[[0.16], [0.5], [0.84]]]
    """
    return level_nodes(card, prior, names).at(snr)


class LevelNodes(NamedTuple):
    """Levels at which posteriors are read, at some S/N.

    Attributes:
        log_snr: (node,) natural logarithm of the S/N of the flux of H-alpha.
        levels: (node, 3, m) of m ratios.
    """

    log_snr: np.ndarray
    levels: np.ndarray

    def at(self, snr: np.ndarray) -> np.ndarray:
        """Levels (n, 3, m) at a S/N (n,)."""
        return _between(self.log_snr, self.levels, snr)


def level_nodes(card: Mapping[str, Any], prior: str, names: Sequence[str]) -> LevelNodes:
    """What `reading_levels` interpolates, worked out once for any number of sources.

    Args:
        card, prior, names: as of `reading_levels`.

    Example:
        >>> level_nodes({}, "hii", ["ebv"]).levels.shape
        (1, 3, 1)
    """
    known = _known(card, prior)
    place = np.interp(LEVELS, _ENDS, np.arange(len(_ENDS)))
    low = place.astype(int)
    nodes, share = _knots(known, names), place - low
    read = (1.0 - share) * nodes[:, :, low] + share * nodes[:, :, low + 1]
    return LevelNodes(_log_snr(known), read.swapaxes(1, 2))


def stated(
    card: Mapping[str, Any],
    prior: str,
    names: Sequence[str],
    snr: np.ndarray,
    probability: np.ndarray,
) -> np.ndarray:
    """H(P) (n, m) of the network's probabilities P (n, m) of m ratios.

    Args:
        card, prior, names, snr: as of `reading_levels`.
        probability: of a smaller ratio than some value.

    Example:
        >>> stated({}, "hii", ["ebv"], np.array([20.0]), np.array([[0.3]])).round(6).tolist()
        [[0.3]]
    """
    known = _known(card, prior)
    nodes, given = _knots(known, names), np.asarray(probability, float)
    found = [
        _inverse(_between(_log_snr(known), nodes[:, column], snr), given[:, column])
        for column in range(len(names))
    ]
    return np.stack(found, axis=1)


def _inverse(knots_of: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Level (n,) at which each row's H^-1, given at `_ENDS` (n, 27), is a probability (n,)."""
    low = np.clip((knots_of <= probability[:, None]).sum(axis=1) - 1, 0, len(_ENDS) - 2)[:, None]
    first, last = (np.take_along_axis(knots_of, low + k, axis=1)[:, 0] for k in (0, 1))
    share = (probability - first) / np.maximum(last - first, 1e-12)
    return np.interp(low[:, 0] + np.clip(share, 0.0, 1.0), np.arange(len(_ENDS)), _ENDS)


def _knots(known: Mapping[str, Any], names: Sequence[str]) -> np.ndarray:
    """H^-1 (node, m, 27) at `_ENDS`; what is not known is read as it is."""
    count = len(known.get(SNR, (1.0,)))
    plain = [list(KNOTS)] * count
    inner = np.stack([np.array(known.get(name, plain), float) for name in names], axis=1)
    return np.pad(np.pad(inner, ((0, 0), (0, 0), (1, 0))), ((0, 0), (0, 0), (0, 1)),
                  constant_values=1.0)  # fmt: skip


def _between(at: np.ndarray, nodes: np.ndarray, snr: np.ndarray) -> np.ndarray:
    """Values (n, ...) at a S/N (n,), from those at nodes (node, ...) of its logarithm (node,)."""
    place = np.interp(np.log(np.maximum(snr, 1e-3)), at, np.arange(len(at)))
    low = np.minimum(place.astype(int), max(len(at) - 2, 0))
    high = np.minimum(low + 1, len(at) - 1)
    share = (place - low).reshape(-1, *[1] * (nodes.ndim - 1))
    return (1.0 - share) * nodes[low] + share * nodes[high]


def _log_snr(known: Mapping[str, Any]) -> np.ndarray:
    return np.log(np.asarray(known.get(SNR, (1.0,)), float))


def _known(card: Mapping[str, Any], prior: str) -> Mapping[str, Any]:
    return card.get("reading_levels", {}).get("priors", {}).get(prior, {})
