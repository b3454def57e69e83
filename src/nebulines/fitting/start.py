"""Start values: the velocity search over a tile of spectra, on the host's side."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from nebulines.constants import (
    ANGSTROM_PER_CM,
    FWHM_PER_SIGMA,
    SPEED_OF_LIGHT_KMS,
)
from nebulines.fitting.config import FitConfig
from nebulines.fitting.normalise import Normalised
from nebulines.fitting.problem import Geometry, LineModel, fractional_channel
from nebulines.fitting.tiles import as_slice, empty_aligned, run_tiles, tile_size
from nebulines.lines.strengths import line_strengths

BOX_HALF_WIDTH_SIGMA = 1.3
"""Half width of the search's box in sigma of the line: near the best S/N for a Gaussian."""
CONTINUUM_KMS = 3000.0
"""Half length of the running mean, or median, under a search."""


class Start(NamedTuple):
    """Start values of n spectra.

    Attributes:
        velocity: (n,) optical velocity [km/s].
        broadening: (n,) trial broadening [km/s].
        score: (n,) improvement of chi2 by lines there.
        rival: (n,) the same for the best other velocity.
    """

    velocity: np.ndarray
    broadening: np.ndarray
    score: np.ndarray
    rival: np.ndarray


class SearchPlan(NamedTuple):
    """Trial velocities [km/s], trial broadenings [km/s] and what a search needs of them."""

    velocities: np.ndarray
    broadenings: np.ndarray
    strengths: np.ndarray
    rarity: np.ndarray
    half: int
    half_widths: tuple[int, ...]
    exclude: int
    channel_kms: float


def plan_search(
    geometry: Geometry, model: LineModel, config: FitConfig, max_trials: int = 4000
) -> SearchPlan:
    """Trial grids: velocities every 0.4 to 0.7 FWHM of the sharpest line, broadenings by factors
    of 3."""
    fwhm = geometry.fwhm_kms()
    fwhm = np.where(np.isfinite(fwhm) & (fwhm > 0), fwhm, 100.0)
    low, high = config.velocity_range
    channel_kms = _channel_kms(geometry)
    # the search meets a peak within half a channel of a trial, so one channel is fine enough
    sharp = max(float(fwhm.min()), channel_kms)
    step = max(min(0.7 * sharp, channel_kms), 0.4 * sharp, (high - low) / max_trials)
    n_trials = max(3, int(np.ceil((high - low) / step)) + 1)
    velocities = np.linspace(low, high, n_trials)
    broadenings = _trial_broadenings(float(np.median(fwhm)) / FWHM_PER_SIGMA, model, config)
    strengths = line_strengths(model.catalogue.names)
    peak = strengths.flux / model.rest  # height ~ flux / width, and width ~ wavelength
    width_kms = np.hypot(fwhm.min() / FWHM_PER_SIGMA, broadenings.max())
    spacing = float(velocities[1] - velocities[0])
    sigma_kms = np.hypot(np.median(fwhm) / FWHM_PER_SIGMA, broadenings)
    half_widths = np.maximum(np.rint(2.0 * BOX_HALF_WIDTH_SIGMA * sigma_kms / channel_kms), 1)
    return SearchPlan(
        velocities=velocities,
        broadenings=broadenings,
        strengths=(peak / peak.max(axis=1, keepdims=True)).astype(np.float32),
        rarity=strengths.rarity.astype(np.float32),
        half=int(np.clip(CONTINUUM_KMS / channel_kms, 20, 400)),
        half_widths=tuple(int(h) for h in half_widths),
        exclude=max(2, int(np.ceil(max(150.0, 1.5 * width_kms) / spacing))),
        channel_kms=channel_kms,
    )


def _channel_kms(geometry: Geometry) -> float:
    values = np.atleast_2d(geometry.axis.values)[0]
    if len(values) < 2:
        return 100.0
    return float(np.median(np.diff(values) / values[1:])) * SPEED_OF_LIGHT_KMS


def _trial_broadenings(sigma_kms: float, model: LineModel, config: FitConfig) -> np.ndarray:
    low, high = config.broadening_range
    if model.frozen_width:
        return np.zeros(1)
    trials = [min(max(low, 0.6 * sigma_kms), high)]
    while len(trials) < 3 and trials[-1] * 3.0 < 0.8 * high:
        trials.append(trials[-1] * 3.0)
    return np.array(trials)


def line_places(geometry: Geometry, plan: SearchPlan, values: np.ndarray) -> np.ndarray:
    """Where each line would be at each trial velocity, in half channels from the first edge of
    the axis ``values`` (channel,): (n, line, velocity) int32, 0 outside the axis."""
    doppler = 1.0 + plan.velocities / SPEED_OF_LIGHT_KMS
    rest, stretch = geometry.rest[None, :, None], geometry.stretch[:, None, None]
    if geometry.axis.kind == "wavelength":
        position = rest * stretch * doppler
    else:
        position = ANGSTROM_PER_CM / rest * stretch / doppler
    place = np.rint(2.0 * fractional_channel(values, position)).astype(np.int32) + 1
    return np.where((position < values[0]) | (position > values[-1]), 0, place)


def _around_lines(
    place: np.ndarray, plan: SearchPlan, n_channels: int
) -> tuple[np.ndarray, tuple[int, int]]:
    """Places counted from the first of the channels that hold all boxes around them, and these
    channels (first, last + 1)."""
    reach = max(plan.half_widths) + 8  # and what the refinement looks at, in half channels
    inside = place[place > 0]
    low, high = (inside.min(), inside.max()) if len(inside) else (0, 2 * n_channels)
    first = max(0, (int(low) - reach) // 2)
    last = min(n_channels, -(-(int(high) + reach) // 2))
    return np.where(place > 0, place - 2 * first, 0), (first, last)


def find_start(
    data: Normalised, geometry: Geometry, plan: SearchPlan, tile_rows: int = 1024
) -> Start:
    """Search every row for its velocity.

    Args:
        data: (n, m) normalised spectra.
        geometry: their lines and axes.
        plan: trial grids.
        tile_rows: rows given to the compiled search at once.

    Returns:
        `Start` of the n rows.
    """
    from nebulines.fitting.search import TILE_ROWS, search

    axis = geometry.axis
    same = bool(np.ptp(geometry.stretch) <= 1e-9 * abs(geometry.stretch[0]))
    common, channels = None, None
    if axis.values.ndim == 1 and same:
        common = line_places(geometry.rows(slice(0, 1)), plan, axis.values)[0]
        common, channels = _around_lines(common, plan, axis.n_channels)

    n = len(data.data)
    size = tile_size(n, tile_rows)
    padded = partial(_padded, size=size, fill=TILE_ROWS)
    # to the percent that a search cares for
    weight = data.weight[:1] if data.same_weight(data.weight[0], 0.01) else None

    def work(index: np.ndarray) -> Start:
        if common is not None:
            place = common
        elif axis.values.ndim == 1:
            place = line_places(geometry.rows(index), plan, axis.values)
        else:
            each = [slice(row, row + 1) for row in index]
            place = np.concatenate(
                [line_places(geometry.rows(row), plan, axis.values[row][0]) for row in each]
            )
        rows = as_slice(index)
        found = search(
            padded(data.data[rows]),
            padded(data.weight[rows]) if weight is None else weight,
            place if common is not None else padded(place),
            plan.strengths,
            plan.rarity,
            plan.half,
            plan.half_widths,
            plan.exclude,
            channels,
            -(-len(index) // TILE_ROWS),
        )
        trial, width, score, rival, shift = (np.asarray(part)[: len(index)] for part in found)
        sign = 1.0 if axis.kind == "wavelength" else -1.0
        velocity = plan.velocities[trial]
        velocity = velocity + sign * plan.channel_kms * shift.astype(float)
        velocity = np.clip(velocity, plan.velocities[0], plan.velocities[-1])
        broadening = plan.broadenings[width]
        return Start(velocity, broadening, score, rival)

    return Start(*run_tiles(work, n, size, padded=False))


def _padded(values: np.ndarray, *, size: int, fill: int) -> np.ndarray:
    """Rows (k, ...) at the head of an array of ``size`` rows, so that one compiled search serves
    any number; up to ``fill`` more repeat the last, what is behind them is never read."""
    k = len(values)
    if k == size:
        return values
    whole = empty_aligned((size, *values.shape[1:])).view(values.dtype)
    whole[:k], whole[k : k + fill] = values, values[-1]
    return whole
