"""Start values: the velocity search over a tile of spectra, on the host's side."""

from __future__ import annotations

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
from nebulines.lines.strengths import line_strengths

BOX_HALF_WIDTH_SIGMA = 1.3
"""Half width of the search's box in sigma of the line: near the best S/N for a Gaussian."""
CONTINUUM_KMS = 3000.0
"""Half length of the running mean under the search."""


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
    penalty: np.ndarray
    half: int
    exclude: int


def plan_search(
    geometry: Geometry, model: LineModel, config: FitConfig, max_trials: int = 4000
) -> SearchPlan:
    """Trial grids: velocities every 0.4 FWHM of the sharpest line, broadenings by factors of 3."""
    fwhm = geometry.fwhm_kms()
    fwhm = np.where(np.isfinite(fwhm) & (fwhm > 0), fwhm, 100.0)
    low, high = config.velocity_range
    channel_kms = _channel_kms(geometry)
    step = max(0.4 * max(float(fwhm.min()), channel_kms), (high - low) / max_trials)
    n_trials = max(3, int(np.ceil((high - low) / step)) + 1)
    velocities = np.linspace(low, high, n_trials)
    broadenings = _trial_broadenings(float(np.median(fwhm)) / FWHM_PER_SIGMA, model, config)
    strengths = line_strengths(model.catalogue.names)
    peak = strengths.flux / model.rest  # height ~ flux / width, and width ~ wavelength
    width_kms = np.hypot(fwhm.min() / FWHM_PER_SIGMA, broadenings.max())
    spacing = float(velocities[1] - velocities[0])
    return SearchPlan(
        velocities=velocities,
        broadenings=broadenings,
        strengths=(peak / peak.max(axis=1, keepdims=True)).astype(np.float32),
        penalty=strengths.penalty.astype(np.float32),
        half=int(np.clip(CONTINUUM_KMS / channel_kms, 20, 400)),
        exclude=max(2, int(np.ceil(max(150.0, 1.5 * width_kms) / spacing))),
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


def box_edges(
    geometry: Geometry, plan: SearchPlan, values: np.ndarray, common: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper box edges in fractional channels: (line, width, velocity), or with a
    leading row axis when not ``common``."""
    one = geometry.rows(slice(0, 1)) if common else geometry
    doppler = 1.0 + plan.velocities / SPEED_OF_LIGHT_KMS
    rest = one.rest[None, :, None, None]
    stretch = one.stretch[:, None, None, None]
    if one.axis.kind == "wavelength":
        position = rest * stretch * doppler
    else:
        position = ANGSTROM_PER_CM / rest * stretch / doppler
    lsf = one.widths(np.zeros(1))[:, :, None, None]
    lsf = lsf * (0.5 if one.sinc else 1.0)
    sigma = position * plan.broadenings[None, None, :, None] / SPEED_OF_LIGHT_KMS
    reach = BOX_HALF_WIDTH_SIGMA * np.hypot(np.where(np.isfinite(lsf), lsf, 0.0), sigma)
    spacing = np.median(np.diff(values)) if len(values) > 1 else 1.0
    reach = np.maximum(reach, 0.5 * spacing)
    low, high = (
        fractional_channel(values, edge) + 0.5 for edge in (position - reach, position + reach)
    )
    low, high = low.astype(np.float32), high.astype(np.float32)
    return (low[0], high[0]) if common else (low, high)


def find_start(
    data: Normalised, geometry: Geometry, plan: SearchPlan, tile_rows: int = 256
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
    from nebulines.fitting.search import search
    from nebulines.fitting.tiles import run_tiles

    axis = geometry.axis
    same = bool(np.ptp(geometry.stretch) <= 1e-9 * abs(geometry.stretch[0]))
    common = axis.values.ndim == 1 and same
    edges = box_edges(geometry, plan, axis.values, True) if common else None

    def work(index: np.ndarray) -> Start:
        if edges is not None:
            low, high = edges
        elif axis.values.ndim == 1:
            low, high = box_edges(geometry.rows(index), plan, axis.values, False)
        else:
            pairs = [
                box_edges(geometry.rows(index[k : k + 1]), plan, axis.values[row], False)
                for k, row in enumerate(index)
            ]
            low, high = (np.concatenate(part) for part in zip(*pairs, strict=True))
        found = search(
            data.data[index],
            data.weight[index],
            low,
            high,
            plan.strengths,
            plan.penalty,
            plan.half,
            plan.exclude,
        )
        trial = np.asarray(found.trial, float)
        velocity = np.interp(trial, np.arange(len(plan.velocities)), plan.velocities)
        broadening = plan.broadenings[np.asarray(found.width)]
        return Start(velocity, broadening, np.asarray(found.score), np.asarray(found.rival))

    return Start(*run_tiles(work, len(data.data), tile_rows))
