"""What the lines of one source leave in each other's windows, and taking it out.

Seen through the line spread, a broadened line k at distance d from a node of window l leaves
a_k [g exp(e d^2) + h sinc(d)]: a Gaussian for a Gaussian instrument (h = 0); for a sinc its wings,
damped by the broadening, and a Gaussian core with the curvature of the exact profile (within 6 %
of the peak). Arrays are (L, L, ..., n): window first, then the line that shows in it.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.constants import FWHM_PER_SIGMA, SINC_FWHM_PER_WIDTH
from nebulines.instruments.line_spread import LineSpreadShape
from nebulines.lineshapes import sincgauss_peak
from nebulines.networks.kinematics.line_kernels import kernel, kernel_parts
from nebulines.networks.kinematics.line_windows import neighbours

_ROUNDS = 3  # of the amplitudes
_STEP = 0.7  # taken towards each new set of them


class Nodes(NamedTuple):
    """Where the profiles of n spectra are known.

    Attributes:
        position: (M, n) from the centre [km/s].
        parts: (L, M, n) as `kernel` needs them, on the scale of the channels.
        middle: the node at the centre.
    """

    position: Array
    parts: tuple[Array, ...]
    middle: int


class Others(NamedTuple):
    """Lines as the windows of others see them.

    Attributes:
        distance: (L, L, n) from the window's own line [km/s].
        parts: where that is on the scale of the channels, as `kernel` needs it.
        width: (L, L, n) FWHM of the line spread there, in the units of the window.
        stretch: (L, L, n), see `nebulines.networks.kinematics.line_windows.Neighbour`.
    """

    distance: Array
    parts: tuple[Array, ...]
    width: Array
    stretch: Array


class _Shape(NamedTuple):
    """e, g and h of the profile, each (L, L, n)."""

    steepness: Array
    bell: Array
    wings: Array


def others_of(separation: Array, centre: Array, width: Array, *, shape: LineSpreadShape) -> Others:
    """The neighbours of every line.

    Args:
        separation: (n, L, L) or (L, L) [km/s] at rest.
        centre: (n,) offset of the lines [km/s].
        width: (L, n) FWHM of the line spread [km/s].
        shape: of the line spread.
    """
    seen = neighbours(separation, centre, shape=shape)
    each = jnp.broadcast_arrays(seen.separation, seen.stretch)
    # laid out once: strided reads inside a loop are slow
    moved = jax.lax.optimization_barrier(tuple(jnp.moveaxis(part, 0, -1) for part in each))
    distance, stretch = moved
    # the sines that the nodes of a window have too: its own width
    parts = kernel_parts(distance + centre, width, shape=shape)
    return Others(distance, parts, width * stretch, stretch)


def without_neighbours(
    profile: Array, norm: Array, broadening: Array, nodes: Nodes, others: Others
) -> Array:
    """Profiles with the other lines' share taken out.

    Args:
        profile: (L, M, n) in units of the peak.
        norm: (L, n) inverse variance of the middle node.
        broadening: (n,) that the lines are taken to have [km/s].
        nodes: where the profiles are known.
        others: the neighbours.

    Returns:
        (L, M, n).
    """
    n_lines = len(profile)
    if n_lines == 1:
        return profile
    shape = _shape_of(others, broadening)
    middle = tuple(part[:, nodes.middle][:, None] for part in nodes.parts)
    central = _seen(shape, others.distance, others.parts, middle)
    amplitude = _amplitudes(profile[:, nodes.middle], norm, central)
    share = _Shape(shape.steepness, shape.bell * amplitude, shape.wings * amplitude)
    share, parts = jax.lax.optimization_barrier((_but_own(share), others.parts))

    # line by line: a sum over a product of kernels is not vectorised
    def subtract(k: Array, left: Array) -> Array:
        away = nodes.position - others.distance[:, k][:, None]
        here = _Shape(*(part[:, k][:, None] for part in share))
        line = tuple(part[:, k][:, None] for part in parts)
        return left - _seen(here, away, nodes.parts, line)

    return jax.lax.fori_loop(0, n_lines, subtract, profile)


def _seen(shape: _Shape, away: Array, x: tuple[Array, ...], y: tuple[Array, ...]) -> Array:
    bell = shape.bell * jnp.exp(jnp.square(away) * shape.steepness)
    return bell if len(x) == 1 else bell + shape.wings * kernel(x, y)


def _but_own(shape: _Shape) -> _Shape:
    other = jnp.asarray(1.0 - np.eye(len(shape.bell), dtype=np.float32))[:, :, None]
    return shape._replace(bell=shape.bell * other, wings=shape.wings * other)


def _shape_of(others: Others, broadening: Array) -> _Shape:
    """Profile of lines of unit peak."""
    broadening = broadening * others.stretch
    if len(others.parts) == 1:
        sigma2 = jnp.square(others.width / FWHM_PER_SIGMA)
        line2 = sigma2 + jnp.square(broadening)
        both2 = sigma2 + line2
        return _Shape(-0.5 / both2, jnp.sqrt(2.0 * line2 / both2), jnp.zeros_like(both2))
    zero = others.width / SINC_FWHM_PER_WIDTH
    b2 = jnp.square(np.pi * broadening / zero)
    damped = jnp.exp(-0.5 * b2)
    peak = sincgauss_peak(zero, broadening) * zero
    small = b2 < 0.1
    core2 = (peak - damped) / jnp.where(small, 1.0, (peak - damped) / b2 - damped / 3.0)
    core2 = jnp.where(small, 5.0, core2)
    wings = damped / peak
    return _Shape((-0.5 * np.pi**2) / (core2 * jnp.square(zero)), 1.0 - wings, wings)


def _amplitudes(raw: Array, norm: Array, central: Array) -> Array:
    """Amplitudes (L, n) from profiles (L, n) at the centre, to which every line adds its
    ``central`` share (L, L, n)."""
    count = range(len(raw))
    amplitude = shrink(raw, norm) * raw
    for _ in range(_ROUNDS):
        theirs = [sum(central[i, k] * amplitude[k] for k in count if k != i) for i in count]
        left = raw - jnp.stack(theirs)
        found = shrink(left, norm) * jnp.maximum(left, 0.0)
        amplitude = (1.0 - _STEP) * amplitude + _STEP * found
    return amplitude


def shrink(amplitude: Array, norm: Array) -> Array:
    """Share of amplitudes that does not come from noise of inverse variance ``norm``.

    Example:
        >>> float(shrink(jnp.float32(3.0), jnp.float32(1.0)))
        0.8999999761581421
    """
    snr2 = jnp.square(amplitude) * norm
    return snr2 / (1.0 + snr2)
