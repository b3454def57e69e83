"""Line shapes of unit area: Gaussian, sinc and sincgauss, with their derivatives.

Every function works elementwise with broadcasting, under jit, vmap and grad, in the type of
its arguments (float32 or float64). Offsets and widths share one unit (cm-1 or Angstrom), and
a kernel has the inverse of that unit. All obey dP/d(sigma^2) = P''/2.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nebulines.lineshapes.reduced import (
    DISTANT,
    Kernel,
    reduced_kernel,
    reduced_kernel_along,
)


def gaussian_kernel(offset: Any, sigma: Any) -> Kernel:
    """Gaussian of unit area, P = exp(-x^2 / 2 sigma^2) / (sqrt(2 pi) sigma).

    Args:
        offset: x, distance from the line centre, any shape.
        sigma: standard deviation > 0, same unit, broadcast against ``offset``.

    Returns:
        `Kernel` (P, dP/dx, d2P/dx2).

    Example:
        >>> kernel = gaussian_kernel(0.0, 2.0)
        >>> round(float(kernel.value), 6), float(kernel.first)
        (0.199471, -0.0)
    """
    offset, sigma = _floats(offset, sigma)
    inverse = 1.0 / sigma
    u = offset * inverse
    value = (1.0 / np.sqrt(2.0 * np.pi)) * inverse * jnp.exp(-0.5 * u * u)
    return Kernel(value, -u * inverse * value, (u * u - 1.0) * inverse * inverse * value)


def sincgauss_kernel(offset: Any, width: Any, sigma: Any, near: int = 0) -> Kernel:
    """Sinc convolved with a Gaussian, unit area: P = K(pi x / w, pi sigma / w) / w.

    K is the cut, damped interferogram of `nebulines.lineshapes.reduced`. Exact in both
    limits: sigma = 0 is sinc(x / w) / w, sigma >> w the Gaussian.

    Args:
        offset: x, distance from the line centre, any shape.
        width: w, first zero of the sinc (FWHM / 1.20671), > 0.
        sigma: standard deviation of the Gaussian, >= 0. Both widths are broadcast against
            ``offset``; for speed keep them of size 1 along the channels.
        near: number of channels around each line, as `near_channels` gives it, to which the
            costly part is confined; for offsets that ascend along the last axis, in float32,
            with widths of size 1 along it. 0 = all channels.

    Returns:
        `Kernel` (P, dP/dx, d2P/dx2).

    Source: Martin, Prunet & Drissen 2016, MNRAS 463, 4223, eq. 10-15.

    Example:
        >>> kernel = sincgauss_kernel(0.0, 2.5, 0.0)
        >>> round(float(kernel.value), 6)
        0.4
    """
    offset, width, sigma = _floats(offset, width, sigma)
    unit = np.pi / width
    if near:
        kernel = reduced_kernel_along(offset * unit, jnp.square(sigma * unit), near)
    else:
        kernel = reduced_kernel(offset * unit, jnp.square(sigma * unit))
    inverse = 1.0 / width
    return Kernel(
        kernel.value * inverse,
        kernel.first * (inverse * unit),
        kernel.second * (inverse * unit * unit),
    )


def near_channels(widest: float, n_channels: int) -> int:
    """The ``near`` of `sincgauss_kernel` for lines whose sinc's first zero is at most ``widest``
    channels from its peak, on an axis of ``n_channels``; 0 where it would gain nothing.

    Example:
        >>> near_channels(1.25, 372), near_channels(8.0, 372)
        (48, 0)
    """
    reach = 2.0 * widest * DISTANT / np.pi + 4.0
    near = 16 * int(np.ceil(min(reach, n_channels) / 16.0))
    return near if 2 * near <= n_channels else 0


def sinc_kernel(offset: Any, width: Any) -> Kernel:
    """Sinc of unit area, sin(pi x / w) / (pi x): `sincgauss_kernel` at sigma = 0.

    Example:
        >>> kernel = sinc_kernel(2.5, 2.5)
        >>> abs(float(kernel.value)) < 1e-7
        True
    """
    offset, width = _floats(offset, width)
    return sincgauss_kernel(offset, width, jnp.zeros_like(width))


@jax.custom_jvp
def gaussian_value(offset: Any, sigma: Any) -> jax.Array:
    """The Gaussian of `gaussian_kernel` without its derivatives.

    Example:
        >>> round(float(jax.grad(gaussian_value, argnums=1)(0.0, 2.0)), 6)
        -0.099736
    """
    return gaussian_kernel(offset, sigma).value


@gaussian_value.defjvp
def _gaussian_jvp(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    offset, sigma = _floats(*primals)
    kernel = gaussian_kernel(offset, sigma)
    return kernel.value, kernel.first * tangents[0] + kernel.second * sigma * tangents[1]


@jax.custom_jvp
def sincgauss_value(offset: Any, width: Any, sigma: Any) -> jax.Array:
    """The sincgauss of `sincgauss_kernel` without its derivatives, for models.

    Differentiable in all three arguments, by the identities dP/dsigma = sigma P'' and
    dP/dw = -exp(-(pi sigma / w)^2 / 2) cos(pi x / w) / w^2.

    Example:
        >>> round(float(jax.grad(sincgauss_value, argnums=2)(0.0, 1.0, 0.5)), 5)
        -0.82787
    """
    return sincgauss_kernel(offset, width, sigma).value


@sincgauss_value.defjvp
def _sincgauss_jvp(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    offset, width, sigma = _floats(*primals)
    kernel = sincgauss_kernel(offset, width, sigma)
    unit = np.pi / width
    cut = jnp.exp(-0.5 * jnp.square(sigma * unit)) * jnp.cos(offset * unit) / jnp.square(width)
    along_sigma = kernel.second * sigma * tangents[2]
    return kernel.value, kernel.first * tangents[0] + along_sigma - cut * tangents[1]


def sinc_value(offset: Any, width: Any) -> jax.Array:
    """The sinc of `sinc_kernel` without its derivatives.

    Example:
        >>> round(float(sinc_value(0.5, 1.0)), 5)
        0.63662
    """
    offset, width = _floats(offset, width)
    return sincgauss_value(offset, width, jnp.zeros_like(width))


def gaussian_peak(sigma: Any) -> jax.Array:
    """Peak of `gaussian_kernel`, 1 / (sqrt(2 pi) sigma).

    Example:
        >>> round(float(gaussian_peak(1.0)), 6)
        0.398942
    """
    (sigma,) = _floats(sigma)
    return (1.0 / np.sqrt(2.0 * np.pi)) / sigma


def sincgauss_peak(width: Any, sigma: Any) -> jax.Array:
    """Peak of `sincgauss_kernel`, sqrt(pi/2) erf(b / sqrt 2) / (b w), b = pi sigma / w.

    Args:
        width: first zero of the sinc, > 0.
        sigma: standard deviation of the Gaussian, >= 0, same unit.

    Example:
        >>> round(float(sincgauss_peak(2.5, 0.0)), 6), round(float(sincgauss_peak(1e-3, 1.0)), 6)
        (0.4, 0.398942)
    """
    width, sigma = _floats(width, sigma)
    b2 = jnp.square(np.pi * sigma / width)
    small = b2 < 0.25
    low, high = jnp.where(small, b2, 0.0), jnp.where(small, 1.0, b2)
    series = jnp.polyval(jnp.asarray(_PEAK_SERIES, low.dtype), low)
    closed = jnp.sqrt(0.5 * np.pi / high) * jax.lax.erf(jnp.sqrt(0.5 * high))
    return jnp.where(small, series, closed) / width


# sum_k (-b^2/2)^k / (k! (2k + 1)), highest power first
_PEAK_SERIES = np.array(
    [(-0.5) ** k / (np.prod(np.arange(1.0, k + 1)) * (2 * k + 1)) for k in range(10, -1, -1)]
)


def _floats(*arrays: Any) -> list[jax.Array]:
    dtype = jnp.result_type(float, *arrays)
    return [jnp.asarray(a, dtype) for a in arrays]
