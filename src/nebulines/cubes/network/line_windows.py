"""Cut the windows that the kinematics network reads out of normalised spectra."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nebulines.constants import FWHM_PER_SIGMA, SINC_FWHM_PER_WIDTH, SPEED_OF_LIGHT_KMS
from nebulines.fitting.normalise import Normalised
from nebulines.fitting.problem import Geometry, LineModel, fractional_channel
from nebulines.fitting.search import clipped_continuum
from nebulines.fitting.start import CONTINUUM_KMS
from nebulines.lines.strengths import line_strengths
from nebulines.networks.kinematics.line_windows import LineWindows
from nebulines.networks.kinematics.rough_broadening import HALF_NODES, NODE_STEP
from nebulines.small_tiles import map_small_tiles

MOST_CHANNELS = 160
"""Longest window: finer axes are cut, which costs the wings of the broadest lines."""
_TILE_ROWS = 64


class WindowPlan:
    """How windows are cut from all spectra of a set.

    Args:
        geometry: lines and axes.
        model: lines and their continuum.
        velocity_range: (low, high) searched [km/s].

    Attributes:
        n_channels: C.
        sign: of the offset as the axis grows.
        separation: (L, L) [km/s].
        strength: (T, L) typical peaks.
        rarity: (T,) of the kinds of source.
        continuum_half: half length of the local mean [channels]; 0 for one constant.
    """

    def __init__(
        self, geometry: Geometry, model: LineModel, velocity_range: tuple[float, float]
    ) -> None:
        self.sign = 1.0 if geometry.axis.kind == "wavelength" else -1.0
        place = geometry.rows(slice(0, 1)).positions(np.zeros(1))[0]
        gap = place[None, :] - place[:, None]
        self.separation = (self.sign * SPEED_OF_LIGHT_KMS * gap / place[:, None]).astype(np.float32)
        strengths = line_strengths(model.catalogue.names)
        peak = strengths.flux / model.rest
        self.strength = (peak / peak.max(axis=1, keepdims=True)).astype(np.float32)
        self.rarity = strengths.rarity.astype(np.float32)
        values = np.atleast_2d(geometry.axis.values)[0]
        channel_kms = SPEED_OF_LIGHT_KMS * float(np.median(np.diff(values) / values[1:]))
        widest = float(np.nanmax(geometry.fwhm_kms())) / SINC_FWHM_PER_WIDTH
        reach = max(abs(v) for v in velocity_range) + HALF_NODES * NODE_STEP * widest
        length = 2 * int(np.ceil(reach / channel_kms)) + 1
        self.n_channels = min(8 * int(np.ceil(length / 8)), MOST_CHANNELS, len(values))
        half = int(np.clip(CONTINUUM_KMS / channel_kms, 20, 400))
        self.continuum_half = 0 if model.band and model.continuum_order == 0 else half


def cut_windows(
    data: Normalised, geometry: Geometry, plan: WindowPlan, rows: np.ndarray
) -> LineWindows:
    """Windows of some rows.

    Args:
        data: normalised spectra.
        geometry: their lines and axes.
        plan: layout.
        rows: indices of the spectra.

    Returns:
        `LineWindows` of these rows, continuum subtracted.
    """
    here = geometry.rows(rows)
    position = here.positions(np.zeros(1))
    values = here.axis.values
    if values.ndim == 1:
        centre = fractional_channel(values, position)
    else:
        centre = np.stack([fractional_channel(v, p) for v, p in zip(values, position, strict=True)])
    n_axis = values.shape[-1]
    start = np.clip(np.rint(centre).astype(int) - plan.n_channels // 2, 0, n_axis - plan.n_channels)
    offset = _offsets(values, start, position, centre, plan.n_channels) * np.float32(plan.sign)
    flux, all_weight = (_rows_of(part, rows) for part in (data.data, data.weight))
    # a line outside the axis has no window of its own
    inside = (position > values[..., :1]) & (position < values[..., -1:])
    weight = _weights(all_weight, start, plan.n_channels)
    if not inside.all():
        weight = np.where(inside[:, :, None], weight, np.float32(0.0))
    factor = FWHM_PER_SIGMA if not here.sinc else SINC_FWHM_PER_WIDTH
    width = here.widths(np.zeros(1)) * (factor * SPEED_OF_LIGHT_KMS) / position
    width = np.where(np.isfinite(width) & (width > 0), width, 100.0)
    return LineWindows(
        _excess(flux, all_weight, start, plan),
        weight,
        offset,
        width.astype(np.float32),
        plan.separation,
        plan.strength,
        plan.rarity,
    )


def _rows_of(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of an array (n, m), without a copy where they follow each other; one number for all
    stays one, whichever rows are wanted."""
    if _is_even(values):
        return np.broadcast_to(values[0, 0], (len(rows), values.shape[1]))
    if rows[-1] - rows[0] == len(rows) - 1:
        return values[rows[0] : rows[-1] + 1]
    return values[rows]


def _cut(values: np.ndarray, start: np.ndarray, n_channels: int) -> np.ndarray:
    """Pieces (n, L, C) of rows (n, m), or of one row (m,) for all, from channels (n, L) on."""
    pieces = np.lib.stride_tricks.sliding_window_view(values, n_channels, axis=-1)
    if values.ndim == 1:
        return pieces[start]
    return pieces[np.arange(len(values))[:, None], start]


def _weights(values: np.ndarray, start: np.ndarray, n_channels: int) -> np.ndarray:
    """Pieces of weights (n, m) as of `_cut`; (n, L, 1) of one weight for all channels."""
    if _is_even(values):
        return np.full((*start.shape, 1), values[0, 0])
    return _cut(values, start, n_channels)


def _is_even(values: np.ndarray) -> bool:
    """Whether an array is one number, broadcast: written out it takes long to hand over."""
    return values.strides == (0, 0)


def _offsets(
    values: np.ndarray,
    start: np.ndarray,
    position: np.ndarray,
    centre: np.ndarray,
    n_channels: int,
) -> np.ndarray:
    """c (x - p) / p [km/s] (n, L, C) float32 of the channels from ``start`` (n, L) on, for lines
    at positions p (n, L), which is at channels ``centre`` (n, L)."""
    single = np.float32
    if values.ndim == 1:
        step = np.diff(values)
        if np.ptp(step) <= 1e-6 * step[0]:  # evenly spaced: no need to look the channels up
            channel = SPEED_OF_LIGHT_KMS * float(step.mean()) / position
            within = (centre - start)[:, :, None].astype(single)
            counted = np.arange(n_channels, dtype=single) - within
            return counted * channel[:, :, None].astype(single)
    x = _cut(values, start, n_channels)
    scaled = (x - position[:, :, None]) * (SPEED_OF_LIGHT_KMS / position[:, :, None])
    return scaled.astype(single)


def _excess(flux: np.ndarray, weight: np.ndarray, start: np.ndarray, plan: WindowPlan) -> Any:
    """Windows (n, L, C) of spectra (n, m) above their continuum: a local mean, or one constant
    (no ``continuum_half``), of the channels that do not stand out."""
    if plan.continuum_half:
        above = np.asarray(_above_local_mean(flux, weight, half=plan.continuum_half))
        return _cut(above, start, plan.n_channels)
    one = np.full((len(flux), 1), weight[0, 0]) if _is_even(weight) else weight
    level = np.asarray(_clipped_mean(flux, one))
    return _cut(flux, start, plan.n_channels) - level[:, None, None]


@partial(jax.jit, static_argnames="half")
def _above_local_mean(flux: Any, weight: Any, half: int) -> Any:
    return flux - clipped_continuum(flux.T, weight.T, half).T


@jax.jit
def _clipped_mean(flux: Any, weight: Any) -> Any:
    """Mean (n,) of the channels that do not stand out; one weight (n, 1), or one of each."""
    rows = len(flux) if len(flux) % _TILE_ROWS else _TILE_ROWS
    return map_small_tiles(lambda part: _clipped_mean_of(*part), (flux, weight), rows)


def _clipped_mean_of(flux: Any, weight: Any) -> Any:
    weight = jnp.broadcast_to(weight, flux.shape)
    one = jnp.ones(flux.shape[1])  # sums as products: they are vectorised
    used = (weight > 0).astype(flux.dtype)
    kept = used
    for clip in (3.0, 2.5, 2.5):
        count = jnp.maximum(kept @ one, 1.0)
        level = (kept * flux) @ one / count
        rest = jnp.square(flux - level[:, None])
        kept = jnp.where(rest < (clip**2 * ((kept * rest) @ one) / count)[:, None], used, 0.0)
    kept = kept * weight
    return (kept * flux) @ one / jnp.maximum(kept @ one, 1e-6)
