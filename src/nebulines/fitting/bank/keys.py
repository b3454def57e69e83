"""Which tables of the filter bank serve which spectra, and the banks that hold them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from nebulines.constants import ANGSTROM_PER_CM, FWHM_PER_SIGMA, SPEED_OF_LIGHT_KMS
from nebulines.fitting.bank.tables import (
    Anchor,
    AnchorTables,
    BankShape,
    Ranges,
    build_tables,
)
from nebulines.fitting.bank.window import SAME_WEIGHT, free_margins
from nebulines.fitting.config import FitConfig
from nebulines.fitting.direct.windows import broadening_scale, plan_windows, window_ends
from nebulines.fitting.fitted import template_weights
from nebulines.fitting.normalise import Normalised
from nebulines.fitting.problem import Geometry, LineModel

ANCHOR_SPACING_FWHM = 0.4
SPREAD_BIN = 0.04
SPREAD_NODES = 3
"""Rows whose line spread differs by less than the bin share tables, with so many nodes inside."""
REACH = 1.25
"""Half range of delta in anchor spacings: from the group's edge (0.5) a fit may move by 0.75."""
WIDEST = 3.5
"""Largest broadening in the tables, in units of the line spread's scale s0; wider lines go the
direct path."""
MIN_GROUP_NEW = 32
"""Rows that have asked for the tables around an anchor before they are built."""
MAX_WEIGHTS = 4
"""Shapes of the noise for which tables are kept."""


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
    margins: tuple[float, float]
    window: tuple[float, float] | None


@dataclass
class FilterBank:
    """Tables of one kind of spectra, built anchor by anchor when first asked for."""

    key: BankKey
    weight: np.ndarray
    _tables: dict[int, tuple[int, AnchorTables]] = field(default_factory=dict)
    _asked: Counter[int] = field(default_factory=Counter)

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

    def wanted(self, anchor: int, n_rows: int) -> bool:
        """Whether the tables around an anchor are worth their time: they exist, or, with those
        that asked before (of other blocks of a cube), enough rows want them."""
        self._asked[anchor] += n_rows
        return anchor in self._tables or self._asked[anchor] >= MIN_GROUP_NEW

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

    def read(self, anchor: int) -> slice:
        """The channels that the tables around an anchor read."""
        low, high = self._ends(self.position(anchor))
        axis = np.frombuffer(self.key.axis)
        return slice(*np.searchsorted(axis, [low, np.nextafter(high, np.inf)]).tolist())

    def _ends(self, position: np.ndarray) -> tuple[float, float]:
        below, above = self.key.margins
        ends = position.min() * (1.0 - below), position.max() * (1.0 + above)
        return self.key.window or ends

    def _build(self, anchor: int) -> tuple[int, AnchorTables]:
        key = self.key
        axis = np.frombuffer(key.axis)
        position = self.position(anchor)
        low, high = self._ends(position)
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


class Spreads(NamedTuple):
    """Line-spread number of each row, the bin it belongs to, and each bin's reference."""

    value: np.ndarray
    bin: np.ndarray
    reference: dict[int, float]
    n_nodes: int


def spreads_of(geometry: Geometry) -> Spreads:
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
        return Spreads(value, np.zeros(n, int), {0: float(f"{value.max():.9g}")}, 1)
    bins = np.rint(np.log(value) / SPREAD_BIN).astype(int)
    reference = {int(b): float(np.exp(b * SPREAD_BIN)) for b in np.unique(bins)}
    return Spreads(value, bins, reference, SPREAD_NODES)


def bank_keys(
    data: Normalised, geometry: Geometry, model: LineModel, config: FitConfig, spreads: Spreads
) -> dict[int, BankKey]:
    """What tables the rows of each bin of the line spread need."""
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
        margins=free_margins(data, geometry, config, plan.margin),
        window=window,
    )
    return {b: replace(base, spread=ref) for b, ref in spreads.reference.items()}


def _coarse(value: float, step: float) -> float:
    """The nearest of numbers that differ by a relative step, so that blocks of one set share
    tables."""
    return float(f"{np.exp(step * np.rint(np.log(value) / step)):.6g}")
