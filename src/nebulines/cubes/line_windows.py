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
from nebulines.networks.line_stack import HALF_NODES, NODE_STEP
from nebulines.networks.line_windows import LineWindows

MOST_CHANNELS = 160
"""Longest window: finer axes are cut, which costs the wings of the broadest lines."""


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
        continuum_half: half length of the local mean [channels]; 0 for one constant.
    """

    def __init__(
        self, geometry: Geometry, model: LineModel, velocity_range: tuple[float, float]
    ) -> None:
        self.sign = 1.0 if geometry.axis.kind == "wavelength" else -1.0
        place = geometry.rows(slice(0, 1)).positions(np.zeros(1))[0]
        gap = place[None, :] - place[:, None]
        self.separation = (self.sign * SPEED_OF_LIGHT_KMS * gap / place[:, None]).astype(np.float32)
        peak = line_strengths(model.catalogue.names).flux / model.rest
        self.strength = (peak / peak.max(axis=1, keepdims=True)).astype(np.float32)
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
    index = start[:, :, None] + np.arange(plan.n_channels)
    offset = _offsets(values, index, position, centre - start) * np.float32(plan.sign)
    flat = index.reshape(len(rows), -1)
    excess = _excess(data.data[rows], data.weight[rows], plan.continuum_half)
    # a line outside the axis has no window of its own
    inside = (position > values[..., :1]) & (position < values[..., -1:])
    weight = np.take_along_axis(data.weight[rows], flat, axis=1).reshape(index.shape)
    factor = FWHM_PER_SIGMA if not here.sinc else SINC_FWHM_PER_WIDTH
    width = here.widths(np.zeros(1)) * (factor * SPEED_OF_LIGHT_KMS) / position
    width = np.where(np.isfinite(width) & (width > 0), width, 100.0)
    return LineWindows(
        np.take_along_axis(np.asarray(excess), flat, axis=1).reshape(index.shape),
        np.where(inside[:, :, None], weight, 0.0).astype(np.float32),
        offset,
        width.astype(np.float32),
        np.broadcast_to(plan.separation, (len(rows), *plan.separation.shape)),
        plan.strength,
    )


def _offsets(
    values: np.ndarray, index: np.ndarray, position: np.ndarray, within: np.ndarray
) -> np.ndarray:
    """c (x - p) / p [km/s] (n, L, C) float32 of channels ``index`` for lines at positions p (n, L)
    that lie ``within`` (n, L) channels of their windows."""
    single = np.float32
    if values.ndim == 1:
        step = np.diff(values)
        if np.ptp(step) <= 1e-6 * step[0]:  # evenly spaced: no need to look the channels up
            channel = SPEED_OF_LIGHT_KMS * float(step.mean()) / position
            counted = np.arange(index.shape[-1], dtype=single) - within[:, :, None].astype(single)
            return counted * channel[:, :, None].astype(single)
        x = values[index]
    else:
        flat = index.reshape(len(index), -1)
        x = np.take_along_axis(values, flat, axis=1).reshape(index.shape)
    scaled = (x - position[:, :, None]) * (SPEED_OF_LIGHT_KMS / position[:, :, None])
    return scaled.astype(single)


@partial(jax.jit, static_argnames="half")
def _excess(data: Any, weight: Any, half: int) -> Any:
    """Spectra (n, m) above their continuum: a local mean, or one constant (``half`` 0), of the
    channels that do not stand out."""
    if half:
        return data - clipped_continuum(data.T, weight.T, half).T
    keep = weight > 0
    level = jnp.zeros((len(data), 1))
    for clip in (3.0, 2.5, 2.5):
        kept = keep.astype(data.dtype)
        count = jnp.maximum(jnp.sum(kept, axis=1, keepdims=True), 1.0)
        level = jnp.sum(kept * data, axis=1, keepdims=True) / count
        residual = data - level
        rms = jnp.sqrt(jnp.sum(kept * residual**2, axis=1, keepdims=True) / count)
        keep = (weight > 0) & (jnp.abs(residual) < clip * rms)
    kept = (keep & (weight > 0)).astype(data.dtype) * weight
    total = jnp.maximum(jnp.sum(kept, axis=1, keepdims=True), 1e-6)
    return data - jnp.sum(kept * data, axis=1, keepdims=True) / total
