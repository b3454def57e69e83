"""Windows of channels around lines: what the kinematics network reads, from any instrument.

Every window is measured from its line's rest position x_l (at the redshift of the source) in
units of velocity along the axis,

    offset = +-c (x - x_l) / x_l,

with the sign that makes it grow with wavelength. All lines of one source then lie at the same
offset: v on a wavelength axis, v / (1 + v/c) on a wavenumber axis. Instruments differ in the
spacing of the offsets, their phase, and the width of the line spread, which are given along;
the angle of a pixel in the field moves the channels and nothing else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from nebulines.constants import FWHM_PER_SIGMA, SINC_FWHM_PER_WIDTH, SPEED_OF_LIGHT_KMS
from nebulines.instruments.line_spread import LineSpreadShape
from nebulines.lineshapes import sincgauss_peak, sincgauss_value


class LineWindows(NamedTuple):
    """Windows of n spectra, L lines, C channels.

    Attributes:
        data: (n, L, C) flux above the continuum in units of the noise.
        weight: (n, L, C) inverse variance of ``data``; 0 = not used. (n, L, 1) where it is the
            same in every channel.
        offset: (n, L, C) channel positions [km/s], see above; evenly spaced.
        width: (n, L) FWHM of the line spread [km/s].
        separation: (n, L, L) or (L, L) [km/s]; [..., l, k] is the offset of line k in the window
            of line l, both at rest.
        strength: (n, T, L) or (T, L) typical peaks of the lines in T kinds of source; 0 for a
            line that is absent.
        rarity: (n, T) or (T,) share of its score that a kind of source forgoes in the search.
    """

    data: Any
    weight: Any
    offset: Any
    width: Any
    separation: Any
    strength: Any
    rarity: Any = 0.0


class Neighbour(NamedTuple):
    """Lines as the windows of others see them, (n, L, L); [:, l, k] is line k in window l.

    Attributes:
        separation: distance from the window's own line [km/s].
        stretch: position of line k over that of line l: what multiplies widths that are given
            in km/s at line k.
    """

    separation: Array
    stretch: Array


def neighbours(separation: Any, offset: Any, *, shape: LineSpreadShape) -> Neighbour:
    """Lines of sources at offsets (n,) [km/s] in the windows of others.

    The distance of two lines grows with the Doppler factor on a wavelength axis and shrinks
    with it on a wavenumber axis (which a sinc has).

    Args:
        separation: (n, L, L) [km/s] at rest.
        offset: (n,) [km/s].
        shape: of the line spread.

    Example:
        >>> seen = neighbours(jnp.full((1, 1, 1), 1000.0), jnp.array([299.792458]),
        ...                   shape="gaussian")
        >>> round(float(seen.separation[0, 0, 0]), 2), round(float(seen.stretch[0, 0, 0]), 5)
        (1001.0, 1.00334)
    """
    sign = -1.0 if shape == "sinc" else 1.0
    moved = separation * (1.0 + sign * offset[:, None, None] / SPEED_OF_LIGHT_KMS)
    return Neighbour(moved, 1.0 + sign * separation / SPEED_OF_LIGHT_KMS)


def line_response(offset: Any, width: Any, broadening: Any, *, shape: LineSpreadShape) -> Array:
    """A line of unit peak (without broadening) seen through the instrument.

    Args:
        offset: distance from the line [km/s].
        width: FWHM of the line spread [km/s], broadcast against ``offset``.
        broadening: intrinsic 1-sigma [km/s], broadcast against ``offset``.
        shape: ``sinc`` or ``gaussian``.

    Returns:
        The line profile over its own peak, of the shape of ``offset``.

    Example:
        >>> round(float(line_response(50.0, 100.0, 0.0, shape="gaussian")), 4)
        0.5
    """
    if shape == "sinc":
        zero = width / SINC_FWHM_PER_WIDTH
        return sincgauss_value(offset, zero, broadening) / sincgauss_peak(zero, broadening)
    sigma = jnp.hypot(width / FWHM_PER_SIGMA, broadening)
    return jnp.exp(-0.5 * jnp.square(offset / sigma))


def peak_ratio(width: Any, broadening: Any, *, shape: LineSpreadShape) -> Array:
    """Peak of a broadened line over that of an unbroadened one of the same flux.

    Example:
        >>> float(peak_ratio(100.0, 0.0, shape="gaussian"))
        1.0
    """
    if shape == "sinc":
        zero = jnp.asarray(width) / SINC_FWHM_PER_WIDTH
        return sincgauss_peak(zero, broadening) * zero
    sigma = jnp.asarray(width) / FWHM_PER_SIGMA
    return sigma / jnp.hypot(sigma, broadening)
