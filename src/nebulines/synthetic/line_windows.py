"""Many spectra of lines on an evenly spaced axis, each line evaluated only where it is.

A Gaussian line fills a window of some channels. A sinc fills the whole band, but away from the
line (|X| > E, E^2 = 14^2 + 25 b^2, X and b as in `nebulines.lineshapes.reduced`) its wings are

    K = exp(-b^2/2) Im[e^{iX} r (1 + u + 3 u^2)],  r = 1 / (X + i b^2),  u = b^2 r^2,

and e^{iX} is one sine and cosine a channel for all lines of a spectrum, which share their
width. So the wings are summed over the band, and the difference to the exact line shape is
added inside a window. The result agrees with `nebulines.models.line_spectrum` to 2e-5 of a
line's peak.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from nebulines.instruments.line_spread import LineSpreadShape
from nebulines.spectral_axis import AxisKind, SpectralAxis, VelocityConvention

_EDGE = 14.0
_EDGE_PER_B = 5.0
_SIGMAS = 6.5
_SIZES = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_EVEN = 1e-6


class Grid(NamedTuple):
    """An evenly spaced axis around rest positions.

    Attributes:
        channel: (1 or k, L) the channel below each line at rest.
        offset: (1 or k, L) that channel minus the line at rest, in the unit of the axis.
        step: (1 or k, 1) distance of the channels.
        n_channels: number of channels.
    """

    channel: np.ndarray
    offset: np.ndarray
    step: np.ndarray
    n_channels: int


def grid_of(axis: SpectralAxis, rest: np.ndarray) -> Grid | None:
    """The grid of the axes of some spectra, from float64; None where they are not even.

    Args:
        axis: shared or scaled.
        rest: (L,) positions of the lines at rest.
    """
    values = axis.values
    if values.ndim != 1 or len(values) < 2:
        return None
    even = np.linspace(values[0], values[-1], len(values))
    step = (values[-1] - values[0]) / (len(values) - 1)
    if np.abs(values - even).max() > _EVEN * step:
        return None
    scale = np.ones(1) if axis.scale is None else axis.scale
    step, first = step * scale[:, None], values[0] * scale[:, None]
    channel = np.floor((rest - first) / step)
    offset = first + channel * step - rest
    return Grid(channel.astype(np.int32), offset.astype(np.float32), step.astype(np.float32),
                len(values))  # fmt: skip


def half_window(shape: str, sigma: np.ndarray, width: np.ndarray, step: np.ndarray) -> int | None:
    """Channels to either side of a line that its window needs, rounded up to one of a few
    sizes; None where no size is large enough.

    Args:
        shape: ``gaussian`` or ``sinc``.
        sigma: largest intrinsic 1-sigma of each spectrum, (k,), in the unit of the axis.
        width: of the line spread, (k, L).
        step: (1 or k, 1).

    Example:
        >>> half_window("gaussian", np.array([1.0]), np.array([[1.0]]), np.array([[1.25]]))
        12
    """
    if shape == "gaussian":
        needed = _SIGMAS * np.hypot(sigma[:, None], width) / step
    else:
        b = np.pi * sigma[:, None] / width
        needed = np.hypot(_EDGE, _EDGE_PER_B * b) * width / np.pi / step
    largest = float(needed.max()) + 1.0
    return next((size for size in _SIZES if size >= largest), None)


@functools.cache
def compiled(
    shape: LineSpreadShape,
    kind: AxisKind,
    convention: VelocityConvention,
    half: int,
    n_channels: int,
) -> Any:
    """Jitted model of `Grid` arrays, rest positions and `lines_at_offsets`' other arguments:
    spectra (k, channel) and the peak (k, L) of each line alone."""
    import jax
    import jax.numpy as jnp

    from nebulines.lineshapes import gaussian_value, sincgauss_value
    from nebulines.models.spectrum import line_peaks, observed_lines

    def model(
        channel: Any, offset: Any, step: Any, rest: Any,
        velocity: Any, broadening: Any, fluxes: Any, width: Any,
    ) -> tuple[Any, Any]:  # fmt: skip
        lines = observed_lines(rest, velocity, broadening, fluxes, width, kind, convention)
        nearest = jnp.round((lines.shift - offset) / step)
        start = offset - lines.shift + nearest * step  # from the line to its nearest channel
        j = jnp.arange(-half, half + 1, dtype=jnp.float32)
        x = start[..., None] + j * step[..., None]
        place = (channel + nearest.astype(jnp.int32))[..., None] + jnp.arange(-half, half + 1)
        sigma, spread = lines.sigma[..., None], lines.width[..., None]
        if shape == "gaussian":
            total = jnp.zeros((fluxes.shape[0], n_channels), jnp.float32)
            value = gaussian_value(x, jnp.hypot(spread, sigma))
        else:
            wings = _Wings.of(lines, step, place[..., half], start)
            total = wings.over(jnp.arange(n_channels, dtype=jnp.float32))
            value = sincgauss_value(x, spread, sigma) - wings.at(x)
        place = jnp.where((place >= 0) & (place < n_channels), place, n_channels)
        row = jnp.arange(fluxes.shape[0])[:, None, None]
        total = total.at[row, place].add(lines.height[..., None] * value, mode="drop")
        peaks = line_peaks(
            rest, velocity, broadening, fluxes, width, spread_shape=shape,
            kind=kind, convention=convention,
        )  # fmt: skip
        return total, peaks

    return jax.jit(model)


class _Wings(NamedTuple):
    """Wings of the sincs of k spectra with L lines.

    Attributes:
        unit: (k, 1) pi / width of the sinc.
        b2: (k, L) b^2.
        height: (k, L) flux per unit of the axis.
        turn: (k, 1) step over width: half turns of the phase from channel to channel.
        place: (k, L) channel nearest to each line.
        start: (k, L) from the line to that channel.
    """

    unit: Any
    b2: Any
    height: Any
    turn: Any
    place: Any
    start: Any

    @classmethod
    def of(cls, lines: Any, step: Any, place: Any, start: Any) -> _Wings:
        import jax.numpy as jnp

        width = lines.width[:, :1]
        unit = np.pi / width
        b2 = jnp.minimum(jnp.square(unit * lines.sigma), 300.0)
        return cls(unit, b2, lines.height, step / width, place.astype(jnp.float32), start)

    def over(self, channels: Any) -> Any:
        """Sum of the wings of all lines, (k, channel): Im[e^{i psi} sum_l g_l f_l]."""
        import jax.numpy as jnp

        from nebulines.lineshapes.trigonometry import sine_cosine

        psi = self.turn * channels
        sine, cosine = sine_cosine(np.pi * (psi - 2.0 * jnp.round(0.5 * psi)))
        real, imaginary = 0.0, 0.0
        for line in range(self.b2.shape[1]):
            one = (slice(None), slice(line, line + 1))
            away = channels - self.place[one]
            x = self.unit * self.start[one] + np.pi * self.turn * away
            f = self._smooth(x, self.b2[one])
            turns = self.turn * self.place[one]
            theta = np.pi * (turns - 2.0 * jnp.round(0.5 * turns)) - self.unit * self.start[one]
            size = self.height[one] * jnp.exp(-0.5 * self.b2[one]) * (self.unit / np.pi)
            g = size * jnp.cos(theta), -size * jnp.sin(theta)
            real = real + g[0] * f[0] - g[1] * f[1]
            imaginary = imaginary + g[0] * f[1] + g[1] * f[0]
        return sine * real + cosine * imaginary

    def at(self, offset: Any) -> Any:
        """Wings of each line for unit flux at offsets (k, L, window)."""
        import jax.numpy as jnp

        from nebulines.lineshapes.trigonometry import sine_cosine

        b2, unit = self.b2[..., None], self.unit[..., None]
        x = unit * offset
        f = self._smooth(x, b2)
        sine, cosine = sine_cosine(x)
        return jnp.exp(-0.5 * b2) * (unit / np.pi) * (sine * f[0] + cosine * f[1])

    @staticmethod
    def _smooth(x: Any, b2: Any) -> tuple[Any, Any]:
        """r (1 + u + 3 u^2), with |X| kept above the edge."""
        import jax.numpy as jnp

        edge = jnp.sqrt(_EDGE**2 + _EDGE_PER_B**2 * b2)
        x = jnp.where(x < 0, -1.0, 1.0) * jnp.maximum(jnp.abs(x), edge)
        inverse = 1.0 / (x * x + b2 * b2)
        r = x * inverse, -b2 * inverse
        u = b2 * (r[0] * r[0] - r[1] * r[1]), 2.0 * b2 * r[0] * r[1]
        inner = 1.0 + 3.0 * u[0], 3.0 * u[1]
        series = 1.0 + u[0] * inner[0] - u[1] * inner[1], u[0] * inner[1] + u[1] * inner[0]
        return r[0] * series[0] - r[1] * series[1], r[0] * series[1] + r[1] * series[0]
