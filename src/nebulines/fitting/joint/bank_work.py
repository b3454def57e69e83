"""Objects on their way through the filter banks of several bands."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.fitting.bank.keys import (
    WIDEST,
    BankKey,
    FilterBank,
    Spreads,
    bank_keys,
    filter_bank,
    spreads_of,
)
from nebulines.fitting.bank.window import SAME_WEIGHT, common_weight
from nebulines.fitting.joint.filter_bank import band_width
from nebulines.fitting.joint.problem import JointProblem
from nebulines.fitting.prepared import Prepared
from nebulines.fitting.start import Start


@dataclass(frozen=True)
class Band:
    """One band, and what does not change while its rows are fitted.

    Attributes:
        own: the band.
        spreads: line spread of the rows, and its bins.
        banks: tables of each bin.
        shift: (n,) log position of the lines at rest, see `bank_keys.FilterBank.position`.
        alike: whether the noise of all rows has the common shape.
    """

    own: Prepared
    spreads: Spreads
    banks: dict[int, FilterBank]
    shift: np.ndarray
    alike: bool

    @property
    def key(self) -> BankKey:
        """What the tables of all bins have in common."""
        return next(iter(self.banks.values())).key

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of templates and of lines."""
        return len(self.own.model.templates), len(self.own.model.rest)


@dataclass
class Work:
    """Objects on their way through the banks, and what came out so far.

    Attributes:
        bands: the bands.
        sharpest: the one around whose anchors objects are grouped.
        log_doppler: (n,) ln(1 + v/c) to start from.
        broadening: (n,) [km/s] to start from.
        packed: of each band (n, width), see `joint_bank.unpack_band`.
        centre: (n,) log Doppler shift around which an object was fitted.
        fitted: (n,) whether it was.
        usual: (n,) whether its noise has the common shape in every band.
        models: of each band (n, m) best fit, or (n, 0).
    """

    bands: list[Band]
    sharpest: int
    log_doppler: np.ndarray
    broadening: np.ndarray
    packed: list[np.ndarray]
    centre: np.ndarray
    fitted: np.ndarray
    usual: np.ndarray
    models: list[np.ndarray]

    @property
    def scale(self) -> float:
        """s0 [km/s] of y."""
        return self.bands[0].key.scale

    @property
    def y_low(self) -> float:
        """Smallest y in the tables."""
        return self.bands[0].key.y_low


def begin(problem: JointProblem, start: Start) -> Work:
    """The objects before the first fit."""
    bands = _bands(problem)
    n = problem.n_rows
    kept = [own.data.data.shape[1] if d.with_model else 0
            for own, d in zip(problem.prepared, problem.direct, strict=True)]  # fmt: skip
    return Work(
        bands=bands,
        sharpest=int(np.argmin([band.key.spacing for band in bands])),
        log_doppler=np.log1p(start.velocity / SPEED_OF_LIGHT_KMS),
        broadening=start.broadening.astype(float),
        packed=[np.zeros((n, band_width(*band.sizes)), np.float32) for band in bands],
        centre=np.zeros(n),
        fitted=np.zeros(n, bool),
        usual=np.ones(n, bool),
        models=[np.full((n, m), np.nan, np.float32) for m in kept],
    )


def _bands(problem: JointProblem) -> list[Band]:
    """The bands with banks of one scale and range of y, those of the sharpest."""
    spreads = [spreads_of(own.geometry) for own in problem.prepared]
    keys = [
        bank_keys(own.data, own.geometry, own.model, own.config, widths)
        for own, widths in zip(problem.prepared, spreads, strict=True)
    ]
    scale = min(key.scale for of_band in keys for key in of_band.values())
    widest = min(problem.prepared[0].config.broadening_range[1] / scale, WIDEST)
    y_low = float(1.0 / np.sqrt(1.0 + widest**2))
    found = []
    for own, widths, of_band in zip(problem.prepared, spreads, keys, strict=True):
        weight = common_weight(own.data, own.geometry)
        alike = {b: replace(key, scale=scale, y_low=y_low) for b, key in of_band.items()}
        banks = {b: filter_bank(key, weight) for b, key in alike.items()}
        sign = 1.0 if own.geometry.axis.kind == "wavelength" else -1.0
        shift = sign * np.log(own.geometry.stretch)
        found.append(Band(own, widths, banks, shift, own.data.same_weight(weight, SAME_WEIGHT)))
    return found


def shared(now: Work) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """delta and y (n,) that were found, and whether they are a minimum."""
    found = now.packed[now.sharpest]
    delta, y = found[:, :2].T.astype(float)
    return delta, np.where(now.fitted, y, 1.0), found[:, 2] > 0
