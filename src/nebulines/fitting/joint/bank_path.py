"""Feed the joint filter bank: who may use it, groups around anchors, and what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.fitting.bank.filter_bank import TILE_ROWS
from nebulines.fitting.bank.keys import FilterBank
from nebulines.fitting.bank.path import MIN_GROUP, MIN_ROWS, N_STEPS, bank_applies, gather
from nebulines.fitting.bank.solution import linear_parts
from nebulines.fitting.bank.tables import AnchorTables
from nebulines.fitting.bank.window import same_weight_as
from nebulines.fitting.direct.tile import VELOCITY_UNIT_KMS
from nebulines.fitting.fitted import Fitted
from nebulines.fitting.joint.bank_work import Band, Work, begin, shared
from nebulines.fitting.joint.direct import Joint
from nebulines.fitting.joint.filter_bank import (
    BandRows,
    BandTables,
    Solved,
    fit_bands_around,
    unpack_band,
)
from nebulines.fitting.joint.problem import JointProblem
from nebulines.fitting.prepared import Prepared
from nebulines.fitting.start import Start
from nebulines.fitting.tiles import map_tiles

CALL_ROWS = 16 * TILE_ROWS
"""Objects given to one call."""
MAX_SCORE = 8100.0
"""Brighter objects (S/N 90 in all) go the direct path, which has no tables whose accuracy shows:
up to here velocity and broadening differ by 0.02 and 0.03 sigma in the median, by 0.14 and 0.22 for
one object in a hundred, and fluxes by less."""


def joint_bank_applies(problem: JointProblem, *, measuring: bool = False) -> bool:
    """True when the filter bank can serve every band (see `bank_path.bank_applies`).

    Args:
        problem: the bands.
        measuring: velocity and broadening are given, so that no limit of theirs matters.
    """

    def served(own: Prepared) -> bool:
        config = own.config
        if measuring:
            config = replace(config, broadening_range=(0.0, config.broadening_range[1]))
        return bank_applies(own.data, own.geometry, own.model, config)

    return problem.n_rows >= MIN_ROWS and all(served(own) for own in problem.prepared)


def fit_jointly_with_bank(problem: JointProblem, start: Start) -> tuple[Joint, np.ndarray]:
    """Fit what the filter bank can.

    Args:
        problem: the bands, for which `joint_bank_applies`.
        start: where to begin.

    Returns:
        `Joint` of the n objects, and which of them (n,) are left for the direct path.
    """
    now = begin(problem, start)
    pending = np.flatnonzero(start.score < MAX_SCORE)
    for n_steps in N_STEPS:
        _run(now, pending, n_steps)
        delta, y, settled = shared(now)
        pending = np.flatnonzero(now.fitted & now.usual & ~settled)
        now.log_doppler[pending] = (now.centre + delta)[pending]
        now.broadening[pending] = now.scale * np.sqrt(1.0 / y[pending] ** 2 - 1.0)
    return _joint(now, problem, start), ~_served(now, problem)


def measure_jointly_with_bank(
    problem: JointProblem, velocity: np.ndarray, broadening: np.ndarray
) -> tuple[Joint, np.ndarray]:
    """Fluxes and continua at given velocities and broadenings, of what the filter bank can.

    Args:
        problem: the bands, for which `joint_bank_applies`.
        velocity, broadening: (n,) [km/s].

    Returns:
        `Joint` of the n objects, and which of them (n,) are left for the direct path.
    """
    nothing = np.zeros(len(velocity))
    inside = np.clip(broadening, *problem.prepared[0].config.broadening_range)
    start = Start(velocity, inside, nothing, nothing)
    now = begin(problem, start)
    _run(now, np.flatnonzero(np.isfinite(velocity) & np.isfinite(inside)), 0)
    return _joint(now, problem, start), ~_served(now, problem)


class _Place(NamedTuple):
    """Where the tables of one band are: bin of the line spread, and anchor."""

    spread_bin: int
    anchor: int


class _Job(NamedTuple):
    """Objects to fit in one call, and the place of each band."""

    rows: np.ndarray
    places: tuple[_Place, ...]


def _run(now: Work, rows: np.ndarray, n_steps: int) -> None:
    """Fit some objects, in groups around the anchors where they begin."""
    jobs = list(_jobs(now, rows))
    new = {
        (band, place)
        for job in jobs
        for band, place in enumerate(job.places)
        if not now.bands[band].banks[place.spread_bin].has(place.anchor)
    }
    map_tiles(partial(_tables, now), sorted(new))
    map_tiles(partial(_fit_group, now=now, n_steps=n_steps), jobs)


def _tables(now: Work, at: tuple[int, _Place]) -> tuple[int, AnchorTables]:
    band, place = at
    return now.bands[band].banks[place.spread_bin].tables(place.anchor)


def _jobs(now: Work, rows: np.ndarray) -> Iterator[_Job]:
    """The objects in groups for `_fit_group`; small groups are left out."""
    places = _places(now, rows)
    order = np.lexsort(places.T[::-1])
    rows, places = rows[order], places[order]
    change = np.flatnonzero((np.diff(places, axis=0) != 0).any(axis=1)) + 1
    for group in np.split(np.arange(len(rows)), change) if len(rows) else ():
        at = tuple(_Place(*map(int, pair)) for pair in places[group[0]].reshape(-1, 2))
        wanted = [
            band.banks[place.spread_bin].wanted(place.anchor, len(group))
            for band, place in zip(now.bands, at, strict=True)
        ]
        if not all(wanted) or len(group) < MIN_GROUP:
            continue
        for first in range(0, len(group), CALL_ROWS):
            yield _Job(rows[group[first : first + CALL_ROWS]], at)


def _places(now: Work, rows: np.ndarray) -> np.ndarray:
    """Bin and anchor of every band (n, 2 B) for some objects, and their `centre`: the anchor of
    the sharpest band decides those of the others."""
    first = now.bands[now.sharpest]
    spacing, shift = first.key.spacing, first.shift[rows]
    centre = np.rint((now.log_doppler[rows] + shift) / spacing) * spacing - shift
    now.centre[rows] = centre
    columns = []
    for band in now.bands:
        anchor = np.rint((centre + band.shift[rows]) / band.key.spacing).astype(int)
        columns += [band.spreads.bin[rows], anchor]
    return np.stack(columns, axis=1)


def _fit_group(job: _Job, now: Work, n_steps: int) -> None:
    """Fit objects around one anchor in each band."""
    rows = job.rows
    padded = np.concatenate([rows, np.repeat(rows[-1:], CALL_ROWS - len(rows))])
    delta = now.log_doppler[padded] - now.centre[padded]
    y = 1.0 / np.sqrt(1.0 + (now.broadening[padded] / now.scale) ** 2)
    theta = np.stack([delta, np.maximum(y, now.y_low)], axis=1).astype(np.float32)
    banks = [
        band.banks[place.spread_bin] for band, place in zip(now.bands, job.places, strict=True)
    ]
    at = [bank.tables(place.anchor) for bank, place in zip(banks, job.places, strict=True)]
    cuts = [
        slice(first, first + bank.key.n_channels)
        for bank, (first, _) in zip(banks, at, strict=True)
    ]
    parts = zip(now.bands, banks, cuts, job.places, strict=True)
    found = fit_bands_around(
        theta,
        tuple(_rows_of(*part, rows, padded, now.centre) for part in parts),
        -(-len(rows) // TILE_ROWS),
        tuple(BandTables(own, bank.ranges) for bank, (_, own) in zip(banks, at, strict=True)),
        np.float32(now.scale),
        tuple(bank.key.facts for bank in banks),
        n_steps,
        now.models[0].shape[1] > 0,
    )
    for band, (packed, model) in enumerate(found):
        bank, place = banks[band], job.places[band]
        now.packed[band][rows] = np.asarray(packed)[: len(rows)]
        if now.models[band].shape[1]:
            now.models[band][rows, cuts[band]] = np.asarray(model)[: len(rows)]
        if not now.bands[band].alike:
            read = bank.read(place.anchor)
            weight = now.bands[band].own.data.weight[rows, read]
            now.usual[rows] &= same_weight_as(weight, bank.weight[read])
    now.fitted[rows] = True


def _rows_of(
    band: Band,
    bank: FilterBank,
    channels: slice,
    place: _Place,
    rows: np.ndarray,
    padded: np.ndarray,
    centre: np.ndarray,
) -> BandRows:
    """The rows of one band for one call."""
    single = np.float32
    spread = np.ones(len(padded), single)
    if band.spreads.n_nodes > 1:
        spread = (band.spreads.value[padded] / bank.key.spread).astype(single)
    away = centre[padded] + band.shift[padded] - place.anchor * bank.key.spacing
    return BandRows(
        gather(band.own.data.data, rows, channels, CALL_ROWS), spread, away.astype(single)
    )


def _served(now: Work, problem: JointProblem) -> np.ndarray:
    """Objects (n,) that need no other fit."""
    delta, y, settled = shared(now)
    low, high = problem.prepared[0].config.velocity_range
    velocity = SPEED_OF_LIGHT_KMS * np.expm1(now.centre + delta)
    inside = (velocity >= low) & (velocity <= high)
    return now.fitted & now.usual & settled & inside & (y > now.y_low + 1e-4)


def _joint(now: Work, problem: JointProblem, start: Start) -> Joint:
    """The solutions in the direct path's form; objects without one are NaN."""
    delta, y, settled = shared(now)
    doppler = np.where(now.fitted, np.exp(now.centre + delta), np.nan)
    settled = settled & now.fitted
    # steps of the direct path's parameters in ours
    per_step = (1.0 + start.velocity / SPEED_OF_LIGHT_KMS) / doppler
    step = np.stack([per_step * (VELOCITY_UNIT_KMS / SPEED_OF_LIGHT_KMS), np.ones_like(y)], axis=1)
    solved = [
        unpack_band(packed, *band.sizes) for packed, band in zip(now.packed, now.bands, strict=True)
    ]
    bands = tuple(
        _fitted(part, doppler, y, settled, now.scale, model)
        for part, model in zip(solved, now.models, strict=True)
    )
    return Joint(
        bands,
        tuple(part.solution.response * step[:, None, :] for part in solved),
        tuple(part.curvature * step[:, :, None] * step[:, None, :] for part in solved),
        np.sum([fitted.chi2 for fitted in bands], axis=0),
        settled,
    )


def _fitted(
    solved: Solved,
    doppler: np.ndarray,
    y: np.ndarray,
    settled: np.ndarray,
    scale: float,
    model: np.ndarray,
) -> Fitted:
    """One band's solution as velocities and areas, whose covariance is that at fixed theta."""
    n = len(y)
    return Fitted(
        velocity=SPEED_OF_LIGHT_KMS * (doppler[:, None] - 1.0),
        y=y[:, None].copy(),
        broadening_scale=np.full(n, scale),
        theta_covariance=np.zeros((n, 2, 2)),
        converged=settled.copy(),
        model=model,
        **linear_parts(solved.solution),
    )
