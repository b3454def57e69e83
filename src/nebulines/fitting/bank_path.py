"""Feed the filter bank: who may use it, groups around anchors, tiles, and what comes out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from nebulines.constants import ANGSTROM_PER_CM, FWHM_PER_SIGMA, SPEED_OF_LIGHT_KMS
from nebulines.fitting.config import FitConfig
from nebulines.fitting.direct_path import broadening_scale, plan_windows, window_ends
from nebulines.fitting.filter_bank import (
    Anchor,
    AnchorTables,
    BankShape,
    BankSolution,
    Ranges,
    build_tables,
    fit_tile,
)
from nebulines.fitting.fitted import Fitted, template_weights
from nebulines.fitting.normalise import Normalised
from nebulines.fitting.problem import Geometry, LineModel
from nebulines.fitting.start import Start
from nebulines.fitting.tiles import map_tiles

TILE_ROWS = 128
MIN_ROWS = 1500
"""Below this many spectra the tables cost more than they save."""
MIN_GROUP = 24
"""A smaller group of rows around one anchor goes the direct path."""
MIN_GROUP_NEW = 96
"""The same where the anchor's tables would have to be built first."""
ANCHOR_SPACING_FWHM = 0.4
SPREAD_BIN = 0.04
SPREAD_NODES = 5
"""Rows whose line spread differs by less than the bin share tables, with so many nodes inside."""
REACH = 1.25
"""Half range of delta in anchor spacings: from the group's edge (0.5) a fit may move by 0.75."""
WIDEST = 3.5
"""Largest broadening in the tables, in units of the line spread's scale s0; wider lines go the
direct path."""
N_STEPS = 5
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


@dataclass(frozen=True)
class BankKey:
    """Everything that tables depend on, as hashable values."""

    axis: bytes
    weight: bytes
    rest: tuple[float, ...]
    templates: bytes
    n_templates: int
    facts: BankShape
    spread: float
    polynomial: tuple[float, ...] | None
    table: tuple[bytes, bytes] | None
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
    _tables: dict[int, tuple[int, AnchorTables]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

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
        with self._lock:
            if anchor in self._tables:
                return self._tables[anchor]
        built = self._build(anchor)
        with self._lock:
            return self._tables.setdefault(anchor, built)

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
        weight = np.frombuffer(key.weight, np.float32)[first : first + key.n_channels]
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
            ),
            key.facts,
        )
        return first, tables


@lru_cache(maxsize=64)
def filter_bank(key: BankKey) -> FilterBank:
    """The bank of a key; blocks of one cube share it."""
    return FilterBank(key)


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
    return np.median(sample, axis=0).astype(np.float32)


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
    spreads = _spreads(geometry)
    weight = _common_weight(data)
    keys = _bank_keys(geometry, model, config, spreads, weight)
    banks = {b: filter_bank(key) for b, key in keys.items()}
    spacing = next(iter(keys.values())).spacing
    psi = _log_doppler(geometry, start.velocity)
    fitted = _empty(len(data.data), data.data.shape[1] if with_model else 0, model)
    left = np.ones(len(data.data), bool)
    broadening = start.broadening.astype(float)
    pending = np.flatnonzero(start.score < MAX_SCORE)
    for _ in range(2):
        anchor = np.rint(psi / spacing).astype(int)
        jobs = list(_groups(pending, anchor, spreads.bin, banks))

        def work(job: tuple[np.ndarray, int, int], psi: np.ndarray = psi) -> None:
            rows, k, b = job
            _fit_group(
                rows,
                k,
                banks[b],
                psi,
                broadening,
                spreads,
                weight,
                data,
                geometry,
                model,
                fitted,
                left,
            )

        map_tiles(work, jobs)
        moved = _log_doppler(geometry, fitted.velocity[:, 0])
        pending = np.flatnonzero(left & np.isfinite(moved) & (np.abs(moved - psi) > spacing))
        psi = np.where(np.isfinite(moved), moved, psi)
        if not len(pending):
            break
    low, high = config.velocity_range
    outside = (fitted.velocity[:, 0] < low) | (fitted.velocity[:, 0] > high)
    return fitted, left | outside


def _bank_keys(
    geometry: Geometry, model: LineModel, config: FitConfig, spreads: _Spreads, weight: np.ndarray
) -> dict[int, BankKey]:
    plan = plan_windows(geometry, model, config)
    weights, _ = template_weights(model.templates, model.rest, geometry.axis.kind)
    fwhm = float(np.nanmin(geometry.fwhm_kms()))
    scale = float(f"{np.median(broadening_scale(geometry)):.2g}")
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
        weight=weight.tobytes(),
        rest=tuple(float(x) for x in model.rest),
        templates=weights.astype(float).tobytes(),
        n_templates=len(weights),
        facts=facts,
        spread=1.0,
        polynomial=spread.fwhm_polynomial,
        table=None
        if table is None
        else (table[0].astype(float).tobytes(), table[1].astype(float).tobytes()),
        spacing=float(f"{ANCHOR_SPACING_FWHM * fwhm / SPEED_OF_LIGHT_KMS:.2g}"),
        scale=scale,
        y_low=float(1.0 / np.sqrt(1.0 + min(config.broadening_range[1] / scale, WIDEST) ** 2)),
        rho=(float(np.exp(-half)) - 1e-9, float(np.exp(half)) + 1e-9),
        n_channels=plan.n_channels,
        margin=plan.margin,
        window=window,
    )
    return {b: replace(base, spread=ref) for b, ref in spreads.reference.items()}


def _groups(
    rows: np.ndarray, anchor: np.ndarray, spread_bin: np.ndarray, banks: dict[int, FilterBank]
) -> Iterator[tuple[np.ndarray, int, int]]:
    """Tiles of rows that share an anchor and a line-spread bin; small groups are left out."""
    order = rows[np.lexsort((spread_bin[rows], anchor[rows]))]
    change = np.flatnonzero((np.diff(anchor[order]) != 0) | (np.diff(spread_bin[order]) != 0)) + 1
    for group in np.split(order, change) if len(order) else ():
        known = banks[int(spread_bin[group[0]])].has(int(anchor[group[0]]))
        if len(group) < (MIN_GROUP if known else MIN_GROUP_NEW):
            continue
        for first in range(0, len(group), TILE_ROWS):
            tile = group[first : first + TILE_ROWS]
            yield tile, int(anchor[tile[0]]), int(spread_bin[tile[0]])


def _same_weight(weight: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Rows (n,) whose weights are the expected ones, to 1e-4."""
    if expected.min() == expected.max():
        level = expected[0]
        low, high = weight.min(axis=1), weight.max(axis=1)
        return (low >= (1 - 1e-4) * level) & (high <= (1 + 1e-4) * level)
    return (np.abs(weight - expected) <= 1e-4 * expected).all(axis=1)


def _fit_group(
    rows: np.ndarray,
    anchor: int,
    bank: FilterBank,
    psi: np.ndarray,
    broadening: np.ndarray,
    spreads: _Spreads,
    weight: np.ndarray,
    data: Normalised,
    geometry: Geometry,
    model: LineModel,
    fitted: Fitted,
    left: np.ndarray,
) -> None:
    """Fit one tile and write it into ``fitted``; rows that fit stop being ``left``."""
    first, tables = bank.tables(anchor)
    channels = slice(first, first + bank.key.n_channels)
    expected = weight[channels]
    same = _same_weight(data.weight[rows, channels], expected)
    padded = np.concatenate([rows, np.repeat(rows[-1:], TILE_ROWS - len(rows))])
    scale = bank.key.scale
    delta = psi[padded] - anchor * bank.key.spacing
    y = np.maximum(1.0 / np.sqrt(1.0 + (broadening[padded] / scale) ** 2), bank.key.y_low)
    solution = fit_tile(
        np.stack([delta, y], axis=1).astype(np.float32),
        data.data[padded, channels],
        (spreads.value[padded] / bank.key.spread).astype(np.float32)
        if spreads.n_nodes > 1
        else np.ones(TILE_ROWS, np.float32),
        tables,
        np.float32(scale),
        bank.ranges,
        bank.key.facts,
        N_STEPS,
    )
    _store(
        BankSolution(*(np.asarray(part)[: len(rows)] for part in solution)),
        rows,
        channels,
        anchor,
        bank,
        tables,
        geometry,
        model,
        fitted,
    )
    too_wide = np.asarray(solution.theta)[: len(rows), 1] <= bank.key.y_low + 1e-4
    left[rows] = ~(same & np.asarray(solution.converged)[: len(rows)]) | too_wide


def _store(
    s: BankSolution,
    rows: np.ndarray,
    channels: slice,
    anchor: int,
    bank: FilterBank,
    tables: AnchorTables,
    geometry: Geometry,
    model: LineModel,
    fitted: Fitted,
) -> None:
    n_templates = len(model.templates)
    sign = 1.0 if geometry.axis.kind == "wavelength" else -1.0
    psi = anchor * bank.key.spacing + s.theta[:, 0].astype(float)
    doppler = np.exp(psi - sign * np.log(geometry.stretch[rows]))
    unit = np.stack([SPEED_OF_LIGHT_KMS * doppler, np.ones_like(doppler)], axis=1)
    response = s.response[:, :n_templates]
    fitted.velocity[rows, 0] = SPEED_OF_LIGHT_KMS * (doppler - 1.0)
    fitted.y[rows, 0] = s.theta[:, 1]
    fitted.broadening_scale[rows] = bank.key.scale
    fitted.theta_covariance[rows] = s.inverse_curvature * unit[:, :, None] * unit[:, None, :]
    fitted.area[rows] = s.coefficients[:, :n_templates]
    fitted.area_covariance[rows] = s.block_covariance[:, :n_templates, :n_templates] + np.einsum(
        "ntd,nde,nue->ntu", response, s.inverse_curvature, response
    )
    offset = np.asarray(tables.offset)
    x = (np.asarray(tables.center)[model.reference] - offset[0]) / (offset[-1] - offset[0])
    polynomial = s.coefficients[:, n_templates:].T
    fitted.continuum[rows] = np.polynomial.legendre.legval(
        np.clip(2.0 * x - 1.0, -1.0, 1.0), polynomial
    )
    used = np.asarray(tables.root) > 0
    fitted.chi2[rows] = s.chi2
    fitted.n_used[rows] = used.sum()
    fitted.line_free[rows], fitted.profile[rows] = s.line_free, s.profile
    fitted.outlier[rows] = s.outlier
    fitted.converged[rows] = s.converged
    fitted.at_bound[rows] = False
    fitted.coverage[rows] = np.asarray(tables.coverage)
    if fitted.model.shape[1]:
        fitted.model[rows, channels] = np.where(used, s.model, np.nan)


def _empty(n: int, m: int, model: LineModel) -> Fitted:
    n_templates, n_lines = len(model.templates), len(model.rest)
    nan: Callable[..., np.ndarray] = lambda *shape: np.full(shape, np.nan)  # noqa: E731
    return Fitted(
        velocity=nan(n, 1),
        y=np.ones((n, 1)),
        broadening_scale=np.ones(n),
        theta_covariance=nan(n, 2, 2),
        area=nan(n, n_templates),
        area_covariance=nan(n, n_templates, n_templates),
        continuum=nan(n),
        chi2=nan(n),
        n_used=np.zeros(n, int),
        line_free=nan(n, 2),
        outlier=np.zeros(n),
        profile=np.zeros((n, 4)),
        converged=np.zeros(n, bool),
        at_bound=np.zeros((n, 2), bool),
        coverage=np.zeros((n, n_lines)),
        model=np.full((n, m), np.nan, np.float32),
    )
