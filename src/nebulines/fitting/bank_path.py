"""Feed the filter bank: who may use it, groups around anchors, tiles, and what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from nebulines.constants import ANGSTROM_PER_CM, FWHM_PER_SIGMA, SPEED_OF_LIGHT_KMS
from nebulines.fitting.bank_tables import (
    Anchor,
    AnchorTables,
    BankShape,
    Ranges,
    build_tables,
)
from nebulines.fitting.config import FitConfig
from nebulines.fitting.direct_path import broadening_scale, plan_windows, window_ends
from nebulines.fitting.filter_bank import TILE_ROWS, fit_around, solution_width, unpack
from nebulines.fitting.fitted import Fitted, template_weights
from nebulines.fitting.normalise import Normalised
from nebulines.fitting.problem import Geometry, LineModel
from nebulines.fitting.start import Start
from nebulines.fitting.tiles import empty_aligned, map_tiles

CALL_ROWS = 16 * TILE_ROWS
"""Spectra given to one call."""
MIN_ROWS = 1500
"""Below this many spectra the tables cost more than they save."""
MIN_GROUP = 4
"""A smaller group of rows around one anchor goes the direct path."""
MIN_GROUP_NEW = 96
"""The same where the anchor's tables would have to be built first."""
ANCHOR_SPACING_FWHM = 0.4
SPREAD_BIN = 0.04
SPREAD_NODES = 3
"""Rows whose line spread differs by less than the bin share tables, with so many nodes inside."""
REACH = 1.25
"""Half range of delta in anchor spacings: from the group's edge (0.5) a fit may move by 0.75."""
WIDEST = 3.5
"""Largest broadening in the tables, in units of the line spread's scale s0; wider lines go the
direct path."""
N_STEPS = (3, 12)
"""Steps of the first round, and of the second one for rows that need more, or another anchor."""
MAX_SCORE = 2500.0
"""Brighter rows (S/N 50 in all) go the direct path, which has no tables whose accuracy shows."""
MAX_TEMPLATES = 8
SAME_WEIGHT = 1e-4
"""Relative difference of weights that share tables."""
MAX_WEIGHTS = 4
"""Shapes of the noise for which tables are kept."""


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


@dataclass(frozen=True)
class BankKey:
    """Everything that tables depend on, as hashable values."""

    axis: bytes
    rest: tuple[float, ...]
    templates: bytes
    n_templates: int
    facts: BankShape
    spread: float
    polynomial: tuple[float, ...] | None
    table: tuple[bytes, bytes] | None
    reference: int
    spacing: float
    scale: float
    y_low: float
    rho: tuple[float, float]
    n_channels: int
    margin: float
    window: tuple[float, float] | None


@dataclass
class FilterBank:
    """Tables of one kind of spectra, built anchor by anchor when first asked for."""

    key: BankKey
    weight: np.ndarray
    _tables: dict[int, tuple[int, AnchorTables]] = field(default_factory=dict)

    @property
    def ranges(self) -> Ranges:
        """Ranges of the tables' variables."""
        single = np.float32
        shift = single(REACH * self.key.spacing)
        low, high = self.key.rho
        return Ranges(shift, single(self.key.y_low), single(low), single(high))

    def has(self, anchor: int) -> bool:
        """Whether the tables around an anchor exist already."""
        return anchor in self._tables

    def position(self, anchor: int) -> np.ndarray:
        """(L,) line positions at an anchor [axis unit]."""
        log_doppler = anchor * self.key.spacing
        rest = np.array(self.key.rest)
        if self.key.facts.kind == "wavelength":
            return rest * np.exp(log_doppler)
        return ANGSTROM_PER_CM / rest * np.exp(-log_doppler)

    def _width(self, position: np.ndarray) -> np.ndarray:
        if self.key.facts.shape == "sincgauss":
            return np.full(len(position), self.key.spread)
        if self.key.polynomial is not None:
            fwhm = np.polynomial.polynomial.polyval(position, np.array(self.key.polynomial))
        elif self.key.table is not None:
            wavelength, table = (np.frombuffer(part) for part in self.key.table)
            fwhm = np.interp(position, wavelength, table)
        else:
            fwhm = position * self.key.spread
        return fwhm / FWHM_PER_SIGMA

    def tables(self, anchor: int) -> tuple[int, AnchorTables]:
        """First channel of the anchor's window, and its tables."""
        if anchor not in self._tables:
            self._tables[anchor] = self._build(anchor)
        return self._tables[anchor]

    def _build(self, anchor: int) -> tuple[int, AnchorTables]:
        key = self.key
        axis = np.frombuffer(key.axis)
        position = self.position(anchor)
        low, high = key.window or (
            position.min() * (1.0 - key.margin),
            position.max() * (1.0 + key.margin),
        )
        first = int(np.clip(np.searchsorted(axis, low), 0, len(axis) - key.n_channels))
        x = axis[first : first + key.n_channels]
        middle = 0.5 * (x[0] + x[-1])
        weight = self.weight[first : first + key.n_channels]
        weight = np.where((x >= low) & (x <= high), weight, 0.0)
        single = np.float32
        tables = build_tables(
            Anchor(
                offset=(x - middle).astype(single),
                root=np.sqrt(weight).astype(single),
                center=(position - middle).astype(single),
                position=position.astype(single),
                width=self._width(position).astype(single),
                templates=np.frombuffer(key.templates).reshape(key.n_templates, -1).astype(single),
                broadening_scale=single(key.scale),
                ranges=self.ranges,
                reference=np.int32(key.reference),
            ),
            key.facts,
        )
        return first, tables


@lru_cache(maxsize=64)
def _banks(key: BankKey) -> list[FilterBank]:
    return []


def filter_bank(key: BankKey, weight: np.ndarray) -> FilterBank:
    """The bank of a key and a common weight (channel,); blocks of one cube share it."""
    known = _banks(key)
    for bank in known:
        if np.abs(bank.weight - weight).max() <= SAME_WEIGHT * weight.max():
            return bank
    known[MAX_WEIGHTS - 1 :] = []
    known.insert(0, FilterBank(key, weight))
    return known[0]


class _Spreads(NamedTuple):
    """Line-spread number of each row, the bin it belongs to, and each bin's reference."""

    value: np.ndarray
    bin: np.ndarray
    reference: dict[int, float]
    n_nodes: int


def _spreads(geometry: Geometry) -> _Spreads:
    n = len(geometry.stretch)
    spread = geometry.spread
    if geometry.sinc:
        value = geometry.widths(np.zeros(1))[:, 0]
    elif spread.resolution is not None:
        value = np.broadcast_to(1.0 / spread.resolution, (n,))
    else:
        value = np.ones(n)
    value = np.where(np.isfinite(value) & (value > 0), value, np.nanmedian(value))
    if np.ptp(value) <= 1e-5 * value.max():
        return _Spreads(value, np.zeros(n, int), {0: float(f"{value.max():.9g}")}, 1)
    bins = np.rint(np.log(value) / SPREAD_BIN).astype(int)
    reference = {int(b): float(np.exp(b * SPREAD_BIN)) for b in np.unique(bins)}
    return _Spreads(value, bins, reference, SPREAD_NODES)


def _log_doppler(geometry: Geometry, velocity: np.ndarray) -> np.ndarray:
    """(n,) psi: line positions are rest exp(psi), or wavenumbers exp(-psi)."""
    log = np.log1p(velocity / SPEED_OF_LIGHT_KMS)
    sign = 1.0 if geometry.axis.kind == "wavelength" else -1.0
    return log + sign * np.log(geometry.stretch)


def _common_weight(data: Normalised) -> np.ndarray:
    sample = data.weight[:: max(1, len(data.weight) // 64)][:64]
    weight = np.median(sample, axis=0).astype(np.float32)
    if np.ptp(weight) <= SAME_WEIGHT * weight.max():
        return np.full_like(weight, weight.mean())
    return weight


@dataclass
class _Work:
    """Spectra on their way through the bank, and what came out so far.

    Attributes:
        packed: (n, width) solutions, see `filter_bank.unpack`.
        home: (n,) anchor around which a row was fitted.
        fitted: (n,) whether it was.
        usual: (n,) whether its noise has the common shape.
        alike: whether that of all rows has.
        model: (n, m) best fit, or (n, 0).
    """

    data: Normalised
    psi: np.ndarray
    broadening: np.ndarray
    spreads: _Spreads
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
    n = len(data.data)
    spreads, weight = _spreads(geometry), _common_weight(data)
    alike = data.same_weight(weight, SAME_WEIGHT)
    keys = _bank_keys(geometry, model, config, spreads)
    banks = {b: filter_bank(key, weight) for b, key in keys.items()}
    key = next(iter(keys.values()))
    spacing = key.spacing
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
    pending = np.flatnonzero(start.score < MAX_SCORE)
    for n_steps in N_STEPS:
        jobs = list(_jobs(pending, np.rint(now.psi / spacing).astype(int), spreads.bin, banks))
        new = {(b, k) for _, b, k in jobs if not banks[b].has(k)}
        map_tiles(lambda at: banks[at[0]].tables(at[1]), sorted(new))
        map_tiles(partial(_fit_group, banks=banks, now=now, n_steps=n_steps), jobs)
        pending = np.flatnonzero(now.fitted & now.usual & (now.packed[:, 2] == 0))
        delta, y = now.packed[pending, :2].T.astype(float)
        now.psi[pending] = now.home[pending] * spacing + delta
        now.broadening[pending] = key.scale * np.sqrt(1.0 / y**2 - 1.0)
    fitted = _in_units(now, key, geometry, model)
    low, high = config.velocity_range
    outside = (fitted.velocity[:, 0] < low) | (fitted.velocity[:, 0] > high)
    return fitted, outside | ~_settled(now, key)


def _settled(now: _Work, key: BankKey) -> np.ndarray:
    """Rows (n,) that need no other fit."""
    y, converged = now.packed[:, 1], now.packed[:, 2] > 0
    return now.fitted & now.usual & converged & (y > key.y_low + 1e-4)


def _bank_keys(
    geometry: Geometry, model: LineModel, config: FitConfig, spreads: _Spreads
) -> dict[int, BankKey]:
    plan = plan_windows(geometry, model, config)
    weights, _ = template_weights(model.templates, model.rest, geometry.axis.kind)
    fwhm = float(np.nanmin(geometry.fwhm_kms()))
    sample = geometry.rows(slice(None, None, 1 + len(geometry.stretch) // 64))
    scale = _coarse(float(np.median(broadening_scale(sample))), 0.2)
    window = None
    if np.ptp(geometry.stretch) <= 1e-9 * geometry.stretch[0]:
        low, high = window_ends(geometry.rows(slice(0, 1)), model, config, np.zeros(1), plan.margin)
        window = (float(low[0, 0]), float(high[0, 0]))
    spread = geometry.spread
    table = spread.fwhm_table
    facts = BankShape(
        geometry.axis.kind,
        model.shape,
        spreads.n_nodes,
        model.continuum_order,
        mixed=len(model.templates) < len(model.rest),
    )
    half = 0.5 * SPREAD_BIN if spreads.n_nodes > 1 else 0.0
    base = BankKey(
        axis=geometry.axis.values.tobytes(),
        rest=tuple(float(x) for x in model.rest),
        templates=weights.astype(float).tobytes(),
        n_templates=len(weights),
        facts=facts,
        spread=1.0,
        polynomial=spread.fwhm_polynomial,
        table=None
        if table is None
        else (table[0].astype(float).tobytes(), table[1].astype(float).tobytes()),
        reference=model.reference,
        spacing=_coarse(ANCHOR_SPACING_FWHM * fwhm / SPEED_OF_LIGHT_KMS, 0.1),
        scale=scale,
        y_low=float(1.0 / np.sqrt(1.0 + min(config.broadening_range[1] / scale, WIDEST) ** 2)),
        rho=(float(np.exp(-half)) - 1e-9, float(np.exp(half)) + 1e-9),
        n_channels=plan.n_channels,
        margin=plan.margin,
        window=window,
    )
    return {b: replace(base, spread=ref) for b, ref in spreads.reference.items()}


def _coarse(value: float, step: float) -> float:
    """The nearest of numbers that differ by a relative step, so that blocks of one set share
    tables."""
    return float(f"{np.exp(step * np.rint(np.log(value) / step)):.6g}")


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
        known = banks[int(spread_bin[group[0]])].has(int(anchor[group[0]]))
        if len(group) < (MIN_GROUP if known else MIN_GROUP_NEW):
            continue
        for first in range(0, len(group), CALL_ROWS):
            tile = group[first : first + CALL_ROWS]
            yield _Job(tile, int(spread_bin[tile[0]]), int(anchor[tile[0]]))


def _same_weight(weight: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Rows (n,) whose weights are the expected ones."""
    if expected.min() == expected.max():
        level = expected[0]
        low, high = weight.min(axis=1), weight.max(axis=1)
        return (low >= (1 - SAME_WEIGHT) * level) & (high <= (1 + SAME_WEIGHT) * level)
    return (np.abs(weight - expected) <= SAME_WEIGHT * expected).all(axis=1)


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
        now.usual[rows] = _same_weight(now.data.weight[rows, channels], bank.weight[channels])
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
        area=s.area.astype(float),
        area_covariance=s.area_covariance.astype(float),
        continuum=s.continuum[:, 0].astype(float),
        chi2=s.chi2[:, 0].astype(float),
        n_used=s.n_used[:, 0].astype(int),
        line_free=s.line_free.astype(float),
        outlier=s.outlier[:, 0].astype(float),
        profile=s.profile.astype(float),
        converged=s.converged[:, 0] > 0,
        at_bound=np.zeros((n, 2), bool),
        coverage=s.coverage.astype(float),
        model=now.model,
    )
