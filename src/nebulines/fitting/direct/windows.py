"""Which channels the direct path fits together: windows around lines that lie near each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.fitting.config import FitConfig
from nebulines.fitting.problem import (
    BAND_MARGIN_FWHM,
    WINDOW_MARGIN_KMS,
    Geometry,
    LineModel,
    fractional_channel,
)


class WindowPlan(NamedTuple):
    """How windows are laid out: the same for every tile.

    Attributes:
        n_channels: K.
        lines: (W, J) line indices, -1 where padded.
        templates: (W, T_w) template indices, -1 where padded.
        margin: continuum beyond the outermost lines as a share of the position.
    """

    n_channels: int
    lines: np.ndarray
    templates: np.ndarray
    margin: float


def plan_windows(geometry: Geometry, model: LineModel, config: FitConfig) -> WindowPlan:
    """Window layout for all rows of a set: wide enough for every redshift and velocity."""
    fwhm_kms = float(np.nanmax(geometry.fwhm_kms()))
    margin_kms = BAND_MARGIN_FWHM * fwhm_kms if model.band else WINDOW_MARGIN_KMS + 2.0 * fwhm_kms
    margin = min(_rounded_up(margin_kms / SPEED_OF_LIGHT_KMS), 0.2)
    home = [
        [t for t in range(len(model.templates)) if model.templates[t, list(window)].any()]
        for window in model.windows
    ]
    extremes = np.array([np.argmin(geometry.stretch), np.argmax(geometry.stretch)])
    m = geometry.axis.n_channels
    longest = 1
    for row in extremes:
        one = geometry.rows(np.array([row]))
        for velocity in config.velocity_range:
            low, high = window_ends(one, model, config, np.array([velocity]), margin)
            axis = np.atleast_2d(one.axis.values)[0]
            span = fractional_channel(axis, high) - fractional_channel(axis, low)
            longest = max(longest, int(np.ceil(span.max())) + 2)
    n_channels = min(m, 16 * int(np.ceil(longest / 16)))
    return WindowPlan(n_channels, _padded(model.windows), _padded(home), margin)


def _rounded_up(value: float) -> float:
    """To two digits, so that blocks of one cube have the same windows."""
    unit = 10.0 ** (np.floor(np.log10(value)) - 1.0)
    return float(np.ceil(value / unit) * unit)


def _padded(lists: object) -> np.ndarray:
    rows = [list(row) for row in lists]  # type: ignore[attr-defined]
    width = max(len(row) for row in rows)
    return np.array([row + [-1] * (width - len(row)) for row in rows])


def window_ends(
    geometry: Geometry, model: LineModel, config: FitConfig, velocity: np.ndarray, margin: float
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends (n, W) [axis unit]; a window that spans the band does not follow the
    start velocity, so that all rows use the same channels."""
    if model.band:
        both = [geometry.positions(np.full(len(velocity), v)) for v in config.velocity_range]
        low_at, high_at = np.minimum(*both), np.maximum(*both)
    else:
        low_at = high_at = geometry.positions(velocity)
    low = [low_at[:, list(window)].min(axis=1) for window in model.windows]
    high = [high_at[:, list(window)].max(axis=1) for window in model.windows]
    return np.stack(low, axis=1) * (1.0 - margin), np.stack(high, axis=1) * (1.0 + margin)


class Cut(NamedTuple):
    """Channels of a tile's windows: channel index (n, W, K), inside (n, W, K), x (n, W, K), and the
    reference position (n, W); n is 1 where all spectra share them."""

    channel: np.ndarray
    inside: np.ndarray
    x: np.ndarray
    reference: np.ndarray


def cut_channels(geometry: Geometry, low: np.ndarray, high: np.ndarray, n_channels: int) -> Cut:
    """The channels between positions low and high (n, W) of n spectra, as `Cut`."""
    values = geometry.axis.values
    if values.ndim == 1 and np.all(low == low[:1]) and np.all(high == high[:1]):
        low, high = low[:1], high[:1]
    if values.ndim == 1:
        first = fractional_channel(values, low)
    else:
        first = np.stack([fractional_channel(v, e) for v, e in zip(values, low, strict=True)])
    start = np.clip(np.ceil(first).astype(int), 0, values.shape[-1] - n_channels)
    index = start[:, :, None] + np.arange(n_channels)
    if values.ndim == 1:
        x = values[index]
    else:
        x = np.take_along_axis(values, index.reshape(len(values), -1), axis=1)
        x = x.reshape(index.shape)
    inside = (x >= low[:, :, None]) & (x <= high[:, :, None])
    return Cut(index, inside, x, 0.5 * (low + high))


def take_channels(values: np.ndarray, rows: np.ndarray, channel: np.ndarray) -> np.ndarray:
    """Values (n, W, K) of some rows in the channels (n, W, K), or (1, W, K) for all."""
    if len(channel) == 1:
        windows = [values[rows, window[0] : window[-1] + 1] for window in channel[0]]
        return windows[0][:, None] if len(windows) == 1 else np.stack(windows, axis=1)
    flat = channel.reshape(len(channel), -1)
    return np.take_along_axis(values[rows], flat, axis=1).reshape(channel.shape)


def broadening_scale(geometry: Geometry) -> np.ndarray:
    """(n,) s0 [km/s]: the broadening at which a line's own width begins to show."""
    widths = geometry.widths(np.zeros(1)) / geometry.positions(np.zeros(1))
    with np.errstate(invalid="ignore"):
        kms = np.nanmedian(widths, axis=1) * SPEED_OF_LIGHT_KMS
    scale = kms * (3.0 / np.pi if geometry.sinc else 1.5)
    return np.where(np.isfinite(scale), np.maximum(scale, 10.0), 100.0)
