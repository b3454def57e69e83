"""Mock line windows: sources through instruments drawn at random, simulated channel by channel.

Only the channels that the network reads are simulated, from the same line shapes as
`nebulines.models`, inside one compiled function: every training step sees new spectra.
"""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.constants import SINC_FWHM_PER_WIDTH, SPEED_OF_LIGHT_KMS
from nebulines.instruments.line_spread import LineSpreadShape
from nebulines.lines import load_catalogue, tied_groups
from nebulines.lines.strengths import line_strengths
from nebulines.networks.kinematics.line_windows import (
    LineWindows,
    line_response,
    neighbours,
    peak_ratio,
)

CHANNELS = 72
"""Channels of a simulated window."""
NOISE_CHANNELS = 512
"""Channels of the noise that windows of one source share where they overlap."""
COVERED_WIDTHS = 6.0
"""Widths of the line spread that a window reaches beyond the velocity range, at least."""


class Truth(NamedTuple):
    """What n sources are, each (n,): offset and broadening [km/s], S/N of the brightest line."""

    offset: Array
    broadening: Array
    snr: Array


class LineSets(NamedTuple):
    """Lines observed together, K sets of L slots: wavelengths (K, L) [Angstrom] (0 = empty),
    typical peaks (K, T, L), the rarity (K, T) of such sources, and the slot (K, L) and factor
    (K, L) that tie a line's flux."""

    wavelength: np.ndarray
    strength: np.ndarray
    rarity: np.ndarray
    tied_to: np.ndarray
    tied_factor: np.ndarray


@functools.cache
def settings() -> dict[str, Any]:
    """Ranges and line sets of ``data/kinematics.toml``."""
    path = Path(__file__).parents[1] / "data" / "kinematics.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


@functools.cache
def line_sets() -> LineSets:
    """The line sets of the settings as arrays."""
    sets = settings()["lines"]["sets"]
    slots = max(len(names) for names in sets)
    wavelength = np.zeros((len(sets), slots))
    strength = np.zeros((len(sets), 5, slots))
    rarity = np.zeros(strength.shape[:2])
    tied_to = np.tile(np.arange(slots), (len(sets), 1))
    factor = np.ones((len(sets), slots))
    for k, names in enumerate(sets):
        rest = load_catalogue().select(names).wavelength_air
        wavelength[k, : len(names)] = rest
        typical = line_strengths(names)
        peak, every = typical.flux / rest, np.arange(strength.shape[1]) % len(typical.flux)
        strength[k, :, : len(names)] = (peak / peak.max(axis=1, keepdims=True))[every]
        rarity[k] = typical.rarity[every]
        for tie in tied_groups(names):
            weak, strong = names.index(tie.weak), names.index(tie.strong)
            tied_to[k, weak] = strong
            factor[k, weak] = rest[strong] / rest[weak] / tie.ratio
    return LineSets(wavelength, strength, rarity, tied_to, factor)


def mock_windows(
    key: Array, n: int, *, shape: LineSpreadShape, channels: int = CHANNELS, repeats: int = 1
) -> tuple[LineWindows, Truth]:
    """Line windows of n sources, each through an instrument of its own.

    Args:
        key: of the random numbers.
        n: number of spectra.
        shape: of the line spread.
        channels: of each window.
        repeats: spectra of each source, which differ in noise and continuum; divides n.

    Returns:
        The windows and the truth.
    """
    keys = iter(jax.random.split(key, 16))
    clean, index, truth = _clean_windows(keys, n // repeats, shape, channels)
    clean, index, truth = jax.tree.map(
        lambda a: jnp.repeat(a, repeats, axis=0), (clean, index, truth)
    )
    noise = _noise(next(keys), index.astype(jnp.int32))
    data = clean.data + noise + _levels(keys, clean.offset, settings()["source"])
    return clean._replace(data=data * clean.weight), truth


def _clean_windows(
    keys: Any, n: int, shape: LineSpreadShape, channels: int
) -> tuple[LineWindows, Array, Truth]:
    """Windows of n sources without noise and continuum, the channels (n, L, C) of the axis that
    they are, and the truth."""
    sets, ranges = line_sets(), settings()["source"]
    chosen = jax.random.randint(next(keys), (n,), 0, len(sets.wavelength))
    rest = jnp.asarray(sets.wavelength, jnp.float32)[chosen]
    present = rest > 0
    rest = jnp.where(present, rest, rest[:, :1])
    strength = jnp.asarray(sets.strength, jnp.float32)[chosen]
    place, width, spacing = _instrument(keys, rest, shape, channels)
    separation = _separation(place)
    # channels: all windows of a source share one axis, whose noise they share
    cell = jnp.abs(spacing * place) / SPEED_OF_LIGHT_KMS  # one channel, in units of the axis
    phase = jax.random.uniform(next(keys), (n, 1))
    steps = (place - place[:, :1]) / cell[:, :1] + phase
    first = jnp.round(steps) - channels // 2
    index = first[:, :, None] + jnp.arange(channels)
    offset = (index - steps[:, :, None]) * spacing[:, :, None]
    velocity = jax.random.uniform(
        next(keys), (n,), minval=ranges["velocity"][0], maxval=ranges["velocity"][1]
    )
    scale = jnp.sum(jnp.where(present, width, 0.0), axis=1) / jnp.sum(present, axis=1)
    scale = scale / SINC_FWHM_PER_WIDTH
    largest = np.arctan(ranges["broadening_largest"] / ranges["broadening_scale"])
    draw = jnp.tan(jax.random.uniform(next(keys), (n,)) * largest)
    broadening = ranges["broadening_scale"] * draw * scale
    peaks = jnp.where(present, _peaks(keys, strength, sets, chosen), 0.0)
    seen = peaks * peak_ratio(width, broadening[:, None], shape=shape)
    seen = seen / jnp.max(seen, axis=1, keepdims=True)
    low, high = np.log(ranges["snr"])
    snr = jnp.exp(jax.random.uniform(next(keys), (n,), minval=low, maxval=high))
    height = seen * snr[:, None]
    data = _signal(offset, velocity, broadening, height, width, separation, shape)
    weight = jnp.broadcast_to(jnp.where(present, 1.0, 0.0)[:, :, None], data.shape)
    rarity = jnp.asarray(sets.rarity, jnp.float32)[chosen]
    windows = LineWindows(
        data, weight, offset, width, separation, strength * present[:, None, :], rarity
    )
    return windows, index, Truth(velocity, broadening, snr)


def _instrument(
    keys: Any, rest: Array, shape: LineSpreadShape, channels: int
) -> tuple[Array, Array, Array]:
    """Positions (n, L) on an axis that grows with offset, FWHM and channel (n, L) [km/s]."""
    n, ranges = len(rest), settings()[shape]
    low, high = np.log(ranges["resolution"])
    resolution = jnp.exp(jax.random.uniform(next(keys), (n, 1), minval=low, maxval=high))
    fwhm = SPEED_OF_LIGHT_KMS / resolution
    few, many = ranges["channels"]
    per_fwhm = jax.random.uniform(next(keys), (n, 1), minval=few, maxval=many)
    fine_key, share_key = jax.random.split(next(keys))
    low, high = np.log([few, ranges["channels_most"]])
    fine = jnp.exp(jax.random.uniform(fine_key, (n, 1), minval=low, maxval=high))
    per_fwhm = jnp.where(jax.random.uniform(share_key, (n, 1)) < ranges["fine"], fine, per_fwhm)
    reach = settings()["source"]["velocity"][1] + COVERED_WIDTHS * fwhm / SINC_FWHM_PER_WIDTH
    per_fwhm = jnp.minimum(per_fwhm, 0.5 * channels * fwhm / reach)
    ratio = rest / rest[:, :1]
    if shape == "sinc":  # wavenumbers: positions fall with wavelength, widths in km/s grow with it
        place, width = -1.0 / ratio, fwhm * ratio
        spacing = fwhm / per_fwhm * ratio
        return place, width, spacing
    low, high = ranges["tilt"]
    tilt = jax.random.uniform(next(keys), (n, 1), minval=low, maxval=high)
    return ratio, fwhm * ratio ** (tilt - 1.0), fwhm / per_fwhm / ratio


def _separation(place: Array) -> Array:
    """Offset (n, L, L) of line k in the window of line l."""
    return SPEED_OF_LIGHT_KMS * (place[:, None, :] - place[:, :, None]) / jnp.abs(place)[:, :, None]


def _peaks(keys: Any, strength: Array, sets: LineSets, chosen: Array) -> Array:
    """Relative peaks (n, L) before broadening."""
    n, n_classes, slots = strength.shape
    ranges = settings()["source"]
    kind = jax.random.randint(next(keys), (n, 1, 1), 0, n_classes)
    typical = jnp.take_along_axis(strength, kind, axis=1)[:, 0]
    scatter_key, any_key, share_key = jax.random.split(next(keys), 3)
    scatter = ranges["ratio_scatter"] * jax.random.normal(scatter_key, (n, slots))
    anything = jax.random.uniform(any_key, (n, slots)) * np.log10(ranges["ratio_lowest"])
    free = jax.random.uniform(share_key, (n, 1)) < ranges["ratio_any"]
    peaks = jnp.where(free, 10.0**anything, typical * 10.0**scatter)
    tied_to = jnp.asarray(sets.tied_to)[chosen]
    factor = jnp.asarray(sets.tied_factor, jnp.float32)[chosen]
    return jnp.take_along_axis(peaks, tied_to, axis=1) * factor


def _signal(
    offset: Array,
    velocity: Array,
    broadening: Array,
    height: Array,
    width: Array,
    separation: Array,
    shape: LineSpreadShape,
) -> Array:
    """Noise-free windows (n, L, C): every line as each window sees it."""
    others = neighbours(separation, velocity, shape=shape)
    away = offset[:, :, None, :] - velocity[:, None, None, None] - others.separation[..., None]
    profile = line_response(
        away,
        (width[:, None, :] * others.stretch)[..., None],
        (broadening[:, None, None] * others.stretch)[..., None],
        shape=shape,
    )
    return jnp.sum(height[:, None, :, None] * profile, axis=2)


def _noise(key: Array, index: Array) -> Array:
    noise = jax.random.normal(key, (len(index), NOISE_CHANNELS))
    flat = jnp.mod(index, NOISE_CHANNELS).reshape(len(index), -1)
    return jnp.take_along_axis(noise, flat, axis=1).reshape(index.shape)


def _levels(keys: Any, offset: Array, ranges: dict[str, float]) -> Array:
    """What a continuum estimated from noisy data leaves behind, (n, L, C)."""
    common, own, tilt = jax.random.split(next(keys), 3)
    n, slots, channels = offset.shape
    level = ranges["level"] * jax.random.normal(common, (n, 1, 1))
    level = level + ranges["level_line"] * jax.random.normal(own, (n, slots, 1))
    slope = ranges["slope"] * jax.random.normal(tilt, (n, slots, 1))
    return level + slope * jnp.linspace(-1.0, 1.0, channels)
