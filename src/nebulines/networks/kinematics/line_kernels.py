"""Line spreads of unit peak between channels and nodes, and sums of data under them.

Both shapes depend on the difference of two positions x - y in units of the width. A sinc needs
the sine of x - y, which follows from sines and cosines of x and of y, far fewer than differences.
Spectra lie on the last axis throughout: XLA then vectorises over them whatever the sum runs over.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.constants import FWHM_PER_SIGMA, SINC_FWHM_PER_WIDTH
from nebulines.instruments.line_spread import LineSpreadShape
from nebulines.lineshapes.trigonometry import sine_cosine

_NEAR = 1e-6  # keeps sin(d)/d finite at d = 0, and changes it by less than 1e-6 elsewhere
_TOGETHER = 4  # channels whose shares are added before the sums are written


class Rows(NamedTuple):
    """Windows of n spectra with the spectra last; see `LineWindows` for what they hold.

    Attributes:
        value: (L, C, n) data times weight.
        weight: (L, C, n).
        offset: (L, C, n) [km/s].
        width: (L, n) [km/s].
    """

    value: Array
    weight: Array
    offset: Array
    width: Array


def kernel_parts(position: Array, width: Array, *, shape: LineSpreadShape) -> tuple[Array, ...]:
    """What `kernel` needs of each of two positions.

    Args:
        position: (..., K, n) [km/s].
        width: (..., n) FWHM of the line spread [km/s].
        shape: of the line spread.
    """
    if shape == "gaussian":
        return (position * (np.sqrt(0.5) * FWHM_PER_SIGMA / width)[..., None, :],)
    x = position * (np.pi * SINC_FWHM_PER_WIDTH / width)[..., None, :]
    # computed once, not for every pair
    return tuple(jax.lax.optimization_barrier((x, *sine_cosine(x))))


def kernel(x: tuple[Array, ...], y: tuple[Array, ...]) -> Array:
    """Line spread of unit peak at x - y, from the parts of both, broadcast.

    Example:
        >>> at = kernel_parts(jnp.array([[0.0], [50.0]]), jnp.array([100.0]), shape="gaussian")
        >>> [round(float(value[0]), 4) for value in kernel(at, tuple(p[:1] for p in at))]
        [1.0, 0.5]
    """
    difference = x[0] - y[0]
    if len(x) == 1:
        return jnp.exp(-jnp.square(difference))
    sine = x[1] * y[2] - x[2] * y[1]
    return (sine * difference + _NEAR) / (difference * difference + _NEAR)


def project(
    rows: Rows, nodes: tuple[Array, ...], middle: int, *, shape: LineSpreadShape
) -> tuple[Array, Array]:
    """Weighted sums of data times line spread.

    Args:
        rows: windows of n spectra.
        nodes: parts (L, M, n) of the nodes, which lie on the scale of ``rows.offset``.
        middle: node whose variance is wanted.
        shape: of the line spread.

    Returns:
        Sums (L, M, n), and the variance (L, n) of the middle one.
    """
    # not counted from the centre: the sines are then worked out before the windows are transposed
    channels = kernel_parts(rows.offset, rows.width, shape=shape)
    n_channels = rows.value.shape[1]
    together = channels_together(n_channels)

    # a few channels at a time: a sum over a product of kernels is not vectorised
    def add(step: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
        signal, variance = sums
        for c in (step * together + k for k in range(together)):
            seen = kernel(tuple(part[:, c][:, None] for part in channels), nodes)
            signal = signal + seen * rows.value[:, c][:, None]
            alone = kernel(tuple(part[:, c] for part in channels), central)
            variance = variance + jnp.square(alone) * rows.weight[:, c]
        return signal, variance

    central = tuple(part[:, middle] for part in nodes)
    sums = (jnp.zeros_like(nodes[0]), jnp.zeros_like(central[0]))
    return jax.lax.fori_loop(0, n_channels // together, add, sums)


def channels_together(n_channels: int) -> int:
    """Channels whose shares are added before sums are written, a divisor of their number.

    Example:
        >>> channels_together(48), channels_together(45)
        (4, 1)
    """
    return _TOGETHER if n_channels % _TOGETHER == 0 else 1
