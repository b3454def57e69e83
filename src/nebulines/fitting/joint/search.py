"""Velocity search on several bands at once: their scores add up on one grid of velocities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.constants import FWHM_PER_SIGMA
from nebulines.fitting.prepared import Prepared
from nebulines.fitting.search import TILE_ROWS, excess_and_weight, parabola_peak, scores_of
from nebulines.fitting.start import (
    BOX_HALF_WIDTH_SIGMA,
    SearchPlan,
    Start,
    line_places,
    plan_search,
)
from nebulines.kept_programs import keep_programs
from nebulines.small_tiles import map_small_tiles

CALL_ROWS = 16 * TILE_ROWS
"""Objects given to one call."""


def plan_joint_search(prepared: Sequence[Prepared]) -> list[SearchPlan]:
    """The search of each band, on the velocities and broadenings of the sharpest one.

    Two velocities count as different when they do in every band.
    """
    plans = [plan_search(own.geometry, own.model, own.config) for own in prepared]
    sharpest = max(plans, key=lambda plan: len(plan.velocities))
    grid, widths = sharpest.velocities, sharpest.broadenings
    spacing = grid[1] - grid[0]
    apart = max(plan.exclude * (plan.velocities[1] - plan.velocities[0]) for plan in plans)
    return [
        plan._replace(
            velocities=grid,
            broadenings=widths,
            half_widths=_half_widths(own, plan, widths),
            exclude=max(2, int(np.ceil(apart / spacing))),
        )
        for own, plan in zip(prepared, plans, strict=True)
    ]


def _half_widths(own: Prepared, plan: SearchPlan, broadenings: np.ndarray) -> tuple[int, ...]:
    fwhm = own.geometry.fwhm_kms()
    sigma = np.hypot(np.nanmedian(fwhm) / FWHM_PER_SIGMA, broadenings)
    halves = np.rint(2.0 * BOX_HALF_WIDTH_SIGMA * sigma / plan.channel_kms)
    return tuple(int(half) for half in np.maximum(halves, 1))


def find_joint_start(prepared: Sequence[Prepared]) -> Start:
    """Search every object for its velocity in all bands together.

    Args:
        prepared: the bands, n rows each.

    Returns:
        `Start` of the n objects; scores are sums over the bands, and the broadening is the trial
        that the sharpest band prefers at that velocity.
    """
    from nebulines.fitting.tiles import as_slice, run_tiles, tile_size

    plans = plan_joint_search(prepared)
    first = plans[0]
    bands = tuple(_Band.of(own, plan) for own, plan in zip(prepared, plans, strict=True))
    sharpest = int(np.argmin([np.nanmin(own.geometry.fwhm_kms()) for own in prepared]))

    def work(index: np.ndarray) -> tuple[np.ndarray, ...]:
        found = search_bands(
            tuple(band.rows(as_slice(index)) for band in bands),
            tuple((plan.half, plan.half_widths) for plan in plans),
            first.exclude,
            sharpest,
        )
        return tuple(np.asarray(part) for part in found)

    n = len(prepared[0].data.data)
    trial, width, shift, score, rival = run_tiles(work, n, tile_size(n, CALL_ROWS))
    spacing = first.velocities[1] - first.velocities[0]
    velocity = first.velocities[trial] + spacing * shift.astype(float)
    return Start(velocity, first.broadenings[width], score.astype(float), rival.astype(float))


@dataclass(frozen=True)
class _Band:
    """One band with its search: what all rows share, or None where each has its own."""

    own: Prepared
    plan: SearchPlan
    place: np.ndarray | None
    weight: np.ndarray | None

    @classmethod
    def of(cls, own: Prepared, plan: SearchPlan) -> _Band:
        """Find out what the rows have in common."""
        geometry, data = own.geometry, own.data
        same = bool(np.ptp(geometry.stretch) <= 1e-9 * abs(geometry.stretch[0]))
        place = None
        if geometry.axis.values.ndim == 1 and same:
            place = line_places(geometry.rows(slice(0, 1)), plan, geometry.axis.values)[0]
        # to the percent that a search cares for
        return cls(own, plan, place, data.weight[:1] if data.same_weight(data.weight[0], 0.01)
                   else None)  # fmt: skip

    def rows(self, index: np.ndarray | slice) -> CombRows:
        """Some rows for the compiled search."""
        data, weight, place = self.own.data, self.weight, self.place
        return CombRows(
            data.data[index],
            data.weight[index] if weight is None else weight,
            self._places(index) if place is None else place,
            self.plan.strengths,
            self.plan.rarity,
        )

    def _places(self, index: np.ndarray | slice) -> np.ndarray:
        geometry = self.own.geometry.rows(index)
        values = geometry.axis.values
        if values.ndim == 1:
            return line_places(geometry, self.plan, values)
        one_by_one = [
            line_places(geometry.rows(slice(k, k + 1)), self.plan, row)
            for k, row in enumerate(values)
        ]
        return np.concatenate(one_by_one)


class CombRows(NamedTuple):
    """n rows of one band, as of `search.search`: data, weight (n, m) or (1, m), place (n, line,
    velocity) or (line, velocity), strengths, rarity."""

    data: Any
    weight: Any
    place: Any
    strengths: Any
    rarity: Any


@keep_programs(static_argnames=("lengths", "exclude", "sharpest"))
def search_bands(
    bands: tuple[CombRows, ...],
    lengths: tuple[tuple[int, tuple[int, ...]], ...],
    exclude: int,
    sharpest: int,
) -> tuple[Array, ...]:
    """Find the best trial velocity of every object.

    Args:
        bands: rows of each; n is at most `search.TILE_ROWS`, or a multiple of it.
        lengths: of each band the half length of the local mean, and those of the boxes.
        exclude: trials on both sides of the best that cannot be its rival.
        sharpest: band whose best width is taken.

    Returns:
        (n,) each: best trial, best width, step from the trial to the peak of the score in
        spacings of the trials, score, best score away from the peak.
    """
    n = len(bands[0].data)
    own = tuple(
        (rows.data, rows.weight if len(rows.weight) == n else None,
         rows.place if rows.place.ndim == 3 else None)
        for rows in bands
    )  # fmt: skip

    def few(parts: Any) -> tuple[Array, ...]:
        score: Any = 0.0
        widths: Any = None
        for k, (rows, (data, weight, place)) in enumerate(zip(bands, parts, strict=True)):
            weight = rows.weight if weight is None else weight
            place = rows.place if place is None else place
            sums = excess_and_weight(data, weight, *lengths[k])
            # (width, velocity, n)
            alone = scores_of(*sums, lengths[k][1], place, rows.strengths, rows.rarity)
            score = score + jnp.max(alone, axis=0)
            widths = alone if k == sharpest else widths
        return _best(score, widths, exclude)

    return map_small_tiles(few, own, TILE_ROWS)


def _best(score: Array, widths: Array, exclude: int) -> tuple[Array, ...]:
    """What `search_bands` gives, from scores (velocity, n) and those of one band's widths
    (width, velocity, n)."""
    trial = jnp.argmax(score, axis=0)
    grid = jnp.arange(len(score))[:, None]
    rival = jnp.max(jnp.where(jnp.abs(grid - trial) > exclude, score, 0.0), axis=0)
    there = jnp.take_along_axis(widths, trial[None, None, :], axis=1)[:, 0]
    shift = parabola_peak(score, trial) - trial
    return trial, jnp.argmax(there, axis=0), shift, jnp.max(score, axis=0), rival
