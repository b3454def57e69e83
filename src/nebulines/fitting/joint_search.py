"""Velocity search on several bands at once: their scores add up on one grid of velocities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nebulines.constants import FWHM_PER_SIGMA
from nebulines.fitting.prepared import Prepared
from nebulines.fitting.start import (
    BOX_HALF_WIDTH_SIGMA,
    SearchPlan,
    Start,
    find_start,
    line_places,
    plan_search,
)

TILE_ROWS = 256


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
        `Start` of the n objects; scores are sums over the bands.
    """
    from nebulines.fitting.tiles import run_tiles, tile_size

    plans = plan_joint_search(prepared)
    n = len(prepared[0].data.data)

    def work(index: np.ndarray) -> Start:
        bands = zip(prepared, plans, strict=True)
        return _best(np.sum([_scores(own, plan, index) for own, plan in bands], axis=0), plans[0])

    found = Start(*run_tiles(work, n, tile_size(n, TILE_ROWS)))
    return found._replace(broadening=_broadening(prepared, plans, found.velocity))


def _broadening(
    prepared: Sequence[Prepared], plans: Sequence[SearchPlan], velocity: np.ndarray
) -> np.ndarray:
    """Trial broadening (n,) [km/s] that the sharpest band prefers, where its own search agrees
    about the velocity; the middle one elsewhere."""
    sharpest = min(range(len(plans)), key=lambda k: np.nanmin(prepared[k].geometry.fwhm_kms()))
    own = find_start(prepared[sharpest].data, prepared[sharpest].geometry, plans[sharpest])
    middle = plans[0].broadenings[len(plans[0].broadenings) // 2]
    near = np.abs(own.velocity - velocity) < np.nanmin(prepared[sharpest].geometry.fwhm_kms())
    return np.where(near, own.broadening, middle)


def _scores(own: Prepared, plan: SearchPlan, index: np.ndarray) -> np.ndarray:
    """Scores (n, velocity) of one band, of the best width."""
    from nebulines.fitting.search import comb_score

    geometry, values = own.geometry.rows(index), own.geometry.axis.values
    if values.ndim == 1:
        place = line_places(geometry, plan, values)
    else:
        place = np.concatenate(
            [
                line_places(geometry.rows(slice(k, k + 1)), plan, values[row])
                for k, row in enumerate(index)
            ]
        )
    found = comb_score(
        own.data.data[index], own.data.weight[index], place, plan.strengths, plan.rarity,
        plan.half, plan.half_widths,
    )  # fmt: skip
    return np.asarray(found).T  # from (velocity, n)


def _best(score: np.ndarray, plan: SearchPlan) -> Start:
    """The best trial of each object, refined by a parabola, and its rival; the broadening is the
    middle one of the trials."""
    rows = np.arange(len(score))
    trial = score.argmax(axis=1)
    away = np.abs(np.arange(score.shape[1]) - trial[:, None]) > plan.exclude
    rival = np.where(away, score, 0.0).max(axis=1)
    last = score.shape[1] - 1
    left, right = (score[rows, np.clip(trial + k, 0, last)] for k in (-1, 1))
    top = score[rows, trial]
    bend = left - 2.0 * top + right
    inside = (trial > 0) & (trial < last) & (bend < 0)
    shift = np.where(inside, 0.5 * (left - right) / np.where(inside, bend, -1.0), 0.0)
    spacing = plan.velocities[1] - plan.velocities[0]
    velocity = plan.velocities[trial] + spacing * np.clip(shift, -0.5, 0.5)
    return Start(
        velocity, np.full(len(score), plan.broadenings[len(plan.broadenings) // 2]), top, rival
    )
