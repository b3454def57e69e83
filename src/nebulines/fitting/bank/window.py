"""Which channels around an anchor the filter bank reads, and their common weight.

Spectra whose axes are scaled one by one (the field angle of a Fourier-transform spectrometer) see
the same filter, but in other channels each. Around an anchor, where their lines coincide, the ends
of the filter then differ by the velocities alone: tables leave out what a line of the range could
put beyond them.
"""

from __future__ import annotations

import numpy as np

from nebulines.fitting.config import FitConfig
from nebulines.fitting.normalise import Normalised
from nebulines.fitting.problem import Geometry

SAME_WEIGHT = 1e-4
"""Relative difference of weights that share tables."""
LEAST_MARGIN = 0.25
"""Share of the usual continuum beyond the outermost lines that tables must have; rows whose filter
passes less go the direct path."""
_SAMPLE = 64


def common_weight(data: Normalised, geometry: Geometry) -> np.ndarray:
    """(m,) the weight of most rows; with axes scaled one by one, of the rows that use a channel."""
    sample = data.weight[:: max(1, len(data.weight) // _SAMPLE)][:_SAMPLE]
    if geometry.axis.scale is None or sample.all():
        weight = np.median(sample, axis=0)
    else:
        used = np.ma.masked_less_equal(sample, 0.0)
        weight = np.ma.median(used, axis=0).filled(
            float(np.ma.median(used)) if used.count() else 1.0
        )
    weight = weight.astype(np.float32)
    if np.ptp(weight) <= SAME_WEIGHT * weight.max():
        return np.full_like(weight, weight.mean())
    return weight


def same_weight_as(weight: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Rows (n,) whose weights are the expected ones."""
    if expected.min() == expected.max():
        level = expected[0]
        low, high = weight.min(axis=1), weight.max(axis=1)
        return (low >= (1 - SAME_WEIGHT) * level) & (high <= (1 + SAME_WEIGHT) * level)
    return (np.abs(weight - expected) <= SAME_WEIGHT * expected).all(axis=1)


def free_margins(
    data: Normalised, geometry: Geometry, config: FitConfig, margin: float
) -> tuple[float, float]:
    """Continuum below and above the outermost lines that the filter passes at every velocity of
    the range, as shares of their positions; at most ``margin``.

    Args:
        data, geometry: the rows, all with the same filter.
        config: for the range of velocity.
        margin: that a fit would have.
    """
    rows = slice(None, None, 1 + len(data.weight) // _SAMPLE)
    used = data.weight[rows] > 0
    if geometry.axis.scale is None or used.all() or not used.any():
        return margin, margin
    some = np.flatnonzero(used.any(axis=1))
    used, here = used[some], geometry.rows(rows).rows(some)
    values = here.axis.values
    first, last = used.argmax(axis=1), len(values) - 1 - used[:, ::-1].argmax(axis=1)
    at = [here.positions(np.full(1, velocity)) for velocity in config.velocity_range]
    below = 1.0 - values[np.minimum(first + 1, last)] / np.minimum(*at).min(axis=1)
    above = values[np.maximum(last - 1, first)] / np.maximum(*at).max(axis=1) - 1.0
    found = (float(np.median(room)) for room in (below, above))
    low, high = (_rounded_down(np.clip(room, LEAST_MARGIN * margin, margin)) for room in found)
    return low, high


def _rounded_down(value: float) -> float:
    """To two digits, so that blocks of one cube share tables."""
    unit = 10.0 ** (np.floor(np.log10(value)) - 1.0)
    return float(np.floor(value / unit * (1.0 + 1e-9)) * unit)
