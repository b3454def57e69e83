"""Feed the filter bank: who may use it, groups around anchors, tiles, and what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.fitting.bank.filter_bank import TILE_ROWS, fit_around
from nebulines.fitting.bank.keys import (
    BankKey,
    FilterBank,
    Spreads,
    bank_keys,
    filter_bank,
    spreads_of,
)
from nebulines.fitting.bank.solution import linear_parts, solution_width, unpack
from nebulines.fitting.bank.window import SAME_WEIGHT, common_weight, same_weight_as
from nebulines.fitting.config import FitConfig
from nebulines.fitting.fitted import Fitted
from nebulines.fitting.normalise import Normalised
from nebulines.fitting.problem import Geometry, LineModel
from nebulines.fitting.start import Start
from nebulines.fitting.tiles import empty_aligned, map_tiles

CALL_ROWS = 16 * TILE_ROWS
"""Spectra given to one call."""
MIN_ROWS = 1500
"""Below this many spectra the tables cost more than they save."""
MIN_GROUP = 8
"""A smaller group of rows around one anchor goes the direct path."""
N_STEPS = (3, 12)
"""Steps of the first round, and of the second one for rows that need more, or another anchor."""
MAX_SCORE = 2500.0
"""Brighter rows (S/N 50 in all) go the direct path, which has no tables whose accuracy shows."""
MAX_TEMPLATES = 8


def bank_applies(data: Normalised, geometry: Geometry, model: LineModel, config: FitConfig) -> bool:
    """True when the filter bank can serve these spectra: one window, one kinematic group,
    free or tied amplitudes of any sign, one axis (scaled or not), a line spread that is one
    number a row, and enough rows."""
    spread = geometry.spread
    one_number = (geometry.sinc and geometry.axis.kind == "wavenumber") or (
        not geometry.sinc
        and geometry.axis.kind == "wavelength"
        and geometry.axis.scale is None
        and (spread.fwhm_table is None or spread.fwhm_table[1].ndim == 1)
    )
    return bool(
        len(data.data) >= MIN_ROWS
        and geometry.axis.values.ndim == 1
        and geometry.axis.n_channels >= 16
        and model.band
        and model.n_groups == 1
        and not model.positive
        and not model.frozen_width
        and config.broadening_range[0] == 0.0
        and len(model.templates) <= MAX_TEMPLATES
        and one_number
    )


def _log_doppler(geometry: Geometry, velocity: np.ndarray) -> np.ndarray:
    """(n,) psi: line positions are rest exp(psi), or wavenumbers exp(-psi)."""
    log = np.log1p(velocity / SPEED_OF_LIGHT_KMS)
    sign = 1.0 if geometry.axis.kind == "wavelength" else -1.0
    return log + sign * np.log(geometry.stretch)


@dataclass
class _Work:
    """Spectra on their way through the bank, and what came out so far.

    Attributes:
        packed: (n, width) solutions, see `bank_solution.unpack`.
        home: (n,) anchor around which a row was fitted.
        fitted: (n,) whether it was.
        usual: (n,) whether its noise has the common shape.
        alike: whether that of all rows has.
        model: (n, m) best fit, or (n, 0).
    """

    data: Normalised
    psi: np.ndarray
    broadening: np.ndarray
    spreads: Spreads
    packed: np.ndarray
    home: np.ndarray
    fitted: np.ndarray
    usual: np.ndarray
    alike: bool
    model: np.ndarray


def fit_with_bank(
    data: Normalised,
    geometry: Geometry,
    model: LineModel,
    config: FitConfig,
    start: Start,
    with_model: bool = True,
) -> tuple[Fitted, np.ndarray]:
    """Fit what the filter bank can.

    Args:
        data: (n, m) normalised spectra.
        geometry, model, config, start, with_model: as for the direct path.

    Returns:
        `Fitted` of the n rows, and which rows (n,) are left for the direct path: channels
        missing or noise of another shape in their window, rare anchors, not converged.
    """
    now, banks = _begin(data, geometry, model, config, start, with_model)
    key = next(iter(banks.values())).key
    pending = np.flatnonzero(start.score < MAX_SCORE)
    for n_steps in N_STEPS:
        _run(now, banks, pending, n_steps)
        pending = np.flatnonzero(now.fitted & now.usual & (now.packed[:, 2] == 0))
        delta, y = now.packed[pending, :2].T.astype(float)
        now.psi[pending] = now.home[pending] * key.spacing + delta
        now.broadening[pending] = key.scale * np.sqrt(1.0 / y**2 - 1.0)
    fitted = _in_units(now, key, geometry, model)
    low, high = config.velocity_range
    outside = (fitted.velocity[:, 0] < low) | (fitted.velocity[:, 0] > high)
    return fitted, outside | ~(_inside(now, key) & (now.packed[:, 2] > 0))


def measure_with_bank(
    data: Normalised,
    geometry: Geometry,
    model: LineModel,
    config: FitConfig,
    at: Start,
    with_model: bool = True,
) -> tuple[Fitted, np.ndarray]:
    """Fluxes and continua at given velocities and broadenings, of what the filter bank can.

    Args:
        data, geometry, model, config, with_model: as of `fit_with_bank`.
        at: where.

    Returns:
        `Fitted` of the n rows, and which rows (n,) are left for the direct path.
    """
    now, banks = _begin(data, geometry, model, config, at, with_model)
    key = next(iter(banks.values())).key
    known = np.isfinite(at.velocity) & np.isfinite(at.broadening) & (at.score < MAX_SCORE)
    _run(now, banks, np.flatnonzero(known), 0)
    return _in_units(now, key, geometry, model), ~_inside(now, key)


def _begin(
    data: Normalised,
    geometry: Geometry,
    model: LineModel,
    config: FitConfig,
    start: Start,
    with_model: bool,
) -> tuple[_Work, dict[int, FilterBank]]:
    """The rows before the first round, and the bank of each bin of the line spread."""
    n = len(data.data)
    spreads, weight = spreads_of(geometry), common_weight(data, geometry)
    alike = data.same_weight(weight, SAME_WEIGHT)
    keys = bank_keys(data, geometry, model, config, spreads)
    banks = {b: filter_bank(key, weight) for b, key in keys.items()}
    now = _Work(
        data=data,
        psi=_log_doppler(geometry, start.velocity),
        broadening=start.broadening.astype(float),
        spreads=spreads,
        packed=np.zeros((n, solution_width(len(model.templates), len(model.rest))), np.float32),
        home=np.zeros(n, int),
        fitted=np.zeros(n, bool),
        usual=np.full(n, alike),
        alike=alike,
        model=np.full((n, data.data.shape[1] if with_model else 0), np.nan, np.float32),
    )
    return now, banks


def _run(now: _Work, banks: dict[int, FilterBank], rows: np.ndarray, n_steps: int) -> None:
    """Fit some rows, in groups around the anchors where they begin."""
    spacing = next(iter(banks.values())).key.spacing
    jobs = list(_jobs(rows, np.rint(now.psi / spacing), now.spreads.bin, banks))
    new = {(b, k) for _, b, k in jobs if not banks[b].has(k)}
    map_tiles(lambda at: banks[at[0]].tables(at[1]), sorted(new))
    map_tiles(partial(_fit_group, banks=banks, now=now, n_steps=n_steps), jobs)


def _inside(now: _Work, key: BankKey) -> np.ndarray:
    """Rows (n,) that were fitted, and not at the broadest that the tables hold."""
    return now.fitted & now.usual & (now.packed[:, 1] > key.y_low + 1e-4)


class _Job(NamedTuple):
    """Rows to fit in one call: they share a line-spread bin and an anchor."""

    rows: np.ndarray
    spread_bin: int
    anchor: int


def _jobs(
    rows: np.ndarray, anchor: np.ndarray, spread_bin: np.ndarray, banks: dict[int, FilterBank]
) -> Iterator[_Job]:
    """The rows in groups for `_fit_group`; small groups are left out."""
    order = rows[np.lexsort((spread_bin[rows], anchor[rows]))]
    change = np.flatnonzero((np.diff(anchor[order]) != 0) | (np.diff(spread_bin[order]) != 0)) + 1
    for group in np.split(order, change) if len(order) else ():
        wanted = banks[int(spread_bin[group[0]])].wanted(int(anchor[group[0]]), len(group))
        if not wanted or len(group) < MIN_GROUP:
            continue
        for first in range(0, len(group), CALL_ROWS):
            tile = group[first : first + CALL_ROWS]
            yield _Job(tile, int(spread_bin[tile[0]]), int(anchor[tile[0]]))


def _fit_group(job: _Job, banks: dict[int, FilterBank], now: _Work, n_steps: int) -> None:
    """Fit rows around one anchor."""
    rows, anchor, bank = job.rows, job.anchor, banks[job.spread_bin]
    first, tables = bank.tables(anchor)
    key, channels = bank.key, slice(first, first + bank.key.n_channels)
    n_tiles = -(-len(rows) // TILE_ROWS)
    padded = np.concatenate([rows, np.repeat(rows[-1:], CALL_ROWS - len(rows))])
    delta = now.psi[padded] - anchor * key.spacing
    y = np.maximum(1.0 / np.sqrt(1.0 + (now.broadening[padded] / key.scale) ** 2), key.y_low)
    rho = np.ones(len(padded))
    if now.spreads.n_nodes > 1:
        rho = now.spreads.value[padded] / key.spread
    packed, model = fit_around(
        np.stack([delta, y], axis=1).astype(np.float32),
        gather(now.data.data, rows, channels, CALL_ROWS),
        rho.astype(np.float32),
        n_tiles,
        tables,
        np.float32(key.scale),
        bank.ranges,
        key.facts,
        n_steps,
        now.model.shape[1] > 0,
    )
    now.packed[rows] = np.asarray(packed)[: len(rows)]
    now.home[rows], now.fitted[rows] = anchor, True
    if not now.alike:
        read = bank.read(anchor)
        now.usual[rows] = same_weight_as(now.data.weight[rows, read], bank.weight[read])
    if now.model.shape[1]:
        now.model[rows, channels] = np.asarray(model)[: len(rows)]


def gather(data: np.ndarray, rows: np.ndarray, channels: slice, room: int) -> np.ndarray:
    """Some spectra in an array (room, channel) for one call; the last tile in use ends with copies
    of the last of them."""
    found = empty_aligned((room, channels.stop - channels.start))
    found[: len(rows)] = data[rows, channels]
    end = -(-len(rows) // TILE_ROWS) * TILE_ROWS
    found[len(rows) : end] = found[len(rows) - 1]
    return found


def _in_units(now: _Work, key: BankKey, geometry: Geometry, model: LineModel) -> Fitted:
    """The solutions as velocities and areas; rows without one are NaN."""
    s = unpack(now.packed, len(model.templates), len(model.rest))
    sign = 1.0 if geometry.axis.kind == "wavelength" else -1.0
    psi = np.where(now.fitted, now.home * key.spacing + s.theta[:, 0].astype(float), np.nan)
    doppler = np.exp(psi - sign * np.log(geometry.stretch))
    unit = np.stack([SPEED_OF_LIGHT_KMS * doppler, np.ones_like(doppler)], axis=1)
    n = len(psi)
    return Fitted(
        velocity=SPEED_OF_LIGHT_KMS * (doppler[:, None] - 1.0),
        y=s.theta[:, 1:].astype(float),
        broadening_scale=np.full(n, key.scale),
        theta_covariance=s.inverse_curvature * unit[:, :, None] * unit[:, None, :],
        converged=s.converged[:, 0] > 0,
        model=now.model,
        **linear_parts(s),
    )
