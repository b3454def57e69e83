"""What the exact posterior of `width_posterior` makes of galaxies, and what no predictor can pass.

For every galaxy: the medians of its widths, the expected rank of its measurements, and the share of
measurements that the best window of a given half width holds. That share, taken from the galaxies
that chose the window, comes out a little high, and from others a little low: both are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

from nebulines.evaluation.width_posterior import LEAST_EFFECTIVE, Library, Posterior, posteriors

DRAWN = 4000
"""Galaxies drawn from a posterior to look for windows."""


class Limits(NamedTuple):
    """n galaxies.

    Attributes:
        effective: (n,) galaxies of the library that carry the posterior.
        median: (n, 10) of the true widths [Angstrom].
        rank: (n, 10) expected rank of the measured widths, 0 to 1.
        rank_variance: (n, 10) of that rank.
        chosen: (n, T, 10) largest share of the measured widths within a window.
        held_out: (n, T, 10) share of other draws within the same window.
    """

    effective: np.ndarray
    median: np.ndarray
    rank: np.ndarray
    rank_variance: np.ndarray
    chosen: np.ndarray
    held_out: np.ndarray

    def sure(self) -> np.ndarray:
        """Galaxies (n,) whose posterior enough others carry."""
        return self.effective > LEAST_EFFECTIVE

    def most_spearman(self) -> np.ndarray:
        """Largest rank correlation (10,) of any function of the colours with measured widths: no
        ranks go better with the expected rank than its own, less what chance adds to it."""
        expected, within = self.rank[self.sure()], self.rank_variance[self.sure()]
        chance = np.mean(within / self.effective[self.sure(), None], axis=0)
        spread = np.var(expected, axis=0)
        own = (rankdata(expected, axis=0) - 0.5) / len(expected)
        together = np.mean((own - own.mean(axis=0)) * expected, axis=0) * (1.0 - chance / spread)
        variance = spread - chance + np.mean(within, axis=0)
        return together / np.sqrt(np.var(own, axis=0) * variance)

    def least_half_width(self, half_widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Half widths (10,) that hold half of the measured widths about the best predictions: a
        little too small, and a little too large [unit of ``half_widths``].

        Args:
            half_widths: (T, 10), increasing, as given to `limits_of`.
        """
        shares = (part[self.sure()].mean(axis=0) for part in (self.chosen, self.held_out))
        low, high = (
            np.array([np.interp(0.5, *pair) for pair in zip(share.T, half_widths.T, strict=True)])
            for share in shares
        )
        return low, high


def limits_of(
    colours: Any, library: Library, half_widths: np.ndarray, *, seed: int = 0
) -> Iterator[Limits]:
    """`Limits` of galaxies, one after another; `together` joins them.

    Args:
        colours: (n, 11) [dex].
        library: galaxies of the population, none of them among the n.
        half_widths: (T, 10) of windows, increasing [Angstrom].
        seed: of the draws.

    Example:
        >>> library = Library.draw(300, 1)
        >>> colour = np.diff(library.log_flux[:2], axis=1) / np.log(10.0)
        >>> together(list(limits_of(colour, library, np.ones((1, 10))))).median.shape
        (2, 10)
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(library.ew, axis=0)
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(len(order))[:, None], axis=0)
    for one in posteriors(colours, library):
        rank = library.rank[one.rows]
        mean = one.weight @ rank
        windows = _windows(one, library.measured, half_widths, rng)
        yield Limits(
            np.array(one.effective),
            _medians(one, library.ew, place),
            mean,
            one.weight @ np.square(rank - mean),
            *windows,
        )


def together(parts: list[Limits]) -> Limits:
    """Single galaxies as one set."""
    return Limits(*(np.stack(values) for values in zip(*parts, strict=True)))


def _medians(one: Posterior, ew: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Weighted medians (10,)."""
    order = np.argsort(place[one.rows], axis=0)
    share = np.cumsum(one.weight[order], axis=0)
    values = np.take_along_axis(ew[one.rows], order, axis=0)
    pairs = zip(share.T, values.T, strict=True)
    return np.array([np.interp(0.5, *pair) for pair in pairs])


def _windows(
    one: Posterior, measured: np.ndarray, half_widths: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Shares (T, 10) of two halves of the posterior within the windows that suit the first."""
    # halves of the library, so that no galaxy is in both
    mine = rng.uniform(size=len(one.rows)) < 0.5
    drawn = []
    for part in (mine, ~mine):
        weight = np.where(part, one.weight, 0.0)
        total = weight.sum()
        steps = (np.arange(DRAWN // 2) + rng.uniform()) / (DRAWN // 2)
        index = np.searchsorted(np.cumsum(weight) / max(total, 1e-300), steps)
        drawn.append(np.sort(measured[one.rows[np.minimum(index, len(mine) - 1)]], axis=0))
    shares = np.empty((2, *half_widths.shape))
    for line, (a, b) in enumerate(zip(drawn[0].T, drawn[1].T, strict=True)):
        for k, reach in enumerate(half_widths[:, line]):
            held = np.searchsorted(a, a + 2.0 * reach, side="right") - np.arange(len(a))
            start = a[np.argmax(held)]
            ends = np.searchsorted(b, [start, start + 2.0 * reach], side="left")
            shares[:, k, line] = held.max() / len(a), (ends[1] - ends[0]) / len(b)
    return shares[0], shares[1]
