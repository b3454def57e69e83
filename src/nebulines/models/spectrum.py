"""The forward model: what the lines of a source look like through an instrument.

Geometry (axis, rest wavelengths, redshift) is taken in float64 on the host, where a channel of
a wavenumber axis keeps its digits; everything that a fit or a network may vary is JAX,
differentiable, in float32 or float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nebulines.constants import (
    ANGSTROM_PER_CM,
    FWHM_PER_SIGMA,
    SINC_FWHM_PER_WIDTH,
    SPEED_OF_LIGHT_KMS,
)
from nebulines.errors import UsageError
from nebulines.instruments.line_spread import LineSpread, LineSpreadShape
from nebulines.lineshapes import gaussian_peak, gaussian_value, sincgauss_peak, sincgauss_value
from nebulines.spectral_axis import AxisKind, VelocityConvention


def line_positions(kind: AxisKind, wavelengths: Any, redshift: Any = 0.0) -> np.ndarray:
    """Where lines of a source at rest in its redshift lie on the axis.

    Args:
        kind: ``wavelength`` or ``wavenumber``.
        wavelengths: (L,) rest [Angstrom], in the medium of the axis.
        redshift: () or (n,).

    Returns:
        (L,) or (n, L), [Angstrom] or [cm-1], float64.

    Example:
        >>> line_positions("wavenumber", [5000.0], 0.25).tolist()
        [16000.0]
    """
    if kind not in ("wavelength", "wavenumber"):
        raise UsageError(f"axis kind must be wavelength or wavenumber, not {kind!r}")
    observed = np.asarray(wavelengths, float) * (1.0 + np.asarray(redshift, float)[..., None])
    return observed if kind == "wavelength" else ANGSTROM_PER_CM / observed


def line_spread_width(kind: AxisKind, line_spread: LineSpread, positions: Any) -> np.ndarray:
    """The instrument's width at each line, in the unit of the axis.

    Args:
        kind: ``wavelength`` or ``wavenumber``.
        line_spread: the instrument's response.
        positions: (L,) or (n, L) from `line_positions`.

    Returns:
        Standard deviation of a Gaussian response, or first zero of a sinc; (L,) or (n, L).

    Example:
        >>> spread = LineSpread("sinc", fwhm_cm1=3.0)
        >>> line_spread_width("wavenumber", spread, [15000.0]).round(4).tolist()
        [2.4861]
    """
    positions = np.asarray(positions, float)
    wavelength = positions if kind == "wavelength" else ANGSTROM_PER_CM / positions
    fwhm = line_spread.fwhm_angstrom(wavelength)
    if kind == "wavenumber":
        fwhm = fwhm * ANGSTROM_PER_CM / wavelength**2
    return fwhm / (FWHM_PER_SIGMA if line_spread.shape == "gaussian" else SINC_FWHM_PER_WIDTH)


def line_spectrum(
    axis_values: Any,
    wavelengths: Any,
    *,
    velocity_kms: Any,
    broadening_kms: Any,
    fluxes: Any,
    spread_width: Any,
    spread_shape: LineSpreadShape,
    kind: AxisKind = "wavelength",
    redshift: Any = 0.0,
    convention: VelocityConvention = "optical",
) -> jax.Array:
    """Noise-free spectra of emission lines.

    Each line is flux x P(x - x_obs), times |dx/dlambda| = 1e8 / lambda_obs^2 on a wavenumber
    axis so that its integral over wavelength is its flux. P has unit area: the instrument's
    Gaussian or sinc convolved with a Gaussian of sigma = x_obs s / c.

    Args:
        axis_values: (channel,) or (n, channel) [Angstrom or cm-1], not traced.
        wavelengths: (L,) rest [Angstrom], in the medium of the axis, not traced.
        velocity_kms: (n,) around the redshift.
        broadening_kms: (n,) intrinsic 1-sigma s, >= 0.
        fluxes: (n, L), flux density times Angstrom.
        spread_width: (L,) or (n, L) from `line_spread_width`.
        spread_shape: ``gaussian`` or ``sinc``.
        kind: of the axis.
        redshift: () or (n,), not traced.
        convention: ``optical`` or ``relativistic`` velocity.

    Returns:
        (n, channel) flux density per Angstrom, in the type of ``fluxes``.

    Example:
        >>> axis = np.arange(6500.0, 6625.0, 0.5)
        >>> model = line_spectrum(
        ...     axis, [6562.80], velocity_kms=[100.0], broadening_kms=[50.0], fluxes=[[2.0]],
        ...     spread_width=[1.0], spread_shape="gaussian",
        ... )
        >>> model.shape, round(float(model.sum() * 0.5), 4)
        ((1, 250), 2.0)
    """
    rest = line_positions(kind, wavelengths, redshift)
    offsets = np.asarray(axis_values, float)[..., None, :] - rest[..., None]
    return lines_at_offsets(
        offsets, rest, velocity_kms, broadening_kms, fluxes, spread_width,
        spread_shape=spread_shape, kind=kind, convention=convention,
    )  # fmt: skip


def lines_at_offsets(
    offsets: Any,
    rest: Any,
    velocity_kms: Any,
    broadening_kms: Any,
    fluxes: Any,
    spread_width: Any,
    *,
    spread_shape: LineSpreadShape,
    kind: AxisKind,
    convention: VelocityConvention = "optical",
) -> jax.Array:
    """The compiled part of `line_spectrum`.

    Args:
        offsets: (L, channel) or (n, L, channel), axis minus ``rest``, from float64.
        rest: (L,) or (n, L), `line_positions`.
        velocity_kms, broadening_kms, fluxes, spread_width, spread_shape, kind, convention: as
            in `line_spectrum`.

    Returns:
        (n, channel).
    """
    lines = observed_lines(
        rest, velocity_kms, broadening_kms, fluxes, spread_width, kind, convention
    )
    offsets = jnp.asarray(offsets, lines.height.dtype)
    shape = _SHAPES[spread_shape][0]
    shift, sigma, width, height = (part[:, :, None] for part in lines)
    return jnp.sum(height * shape(offsets - shift, width, sigma), axis=1)


def line_peaks(
    rest: Any,
    velocity_kms: Any,
    broadening_kms: Any,
    fluxes: Any,
    spread_width: Any,
    *,
    spread_shape: LineSpreadShape,
    kind: AxisKind,
    convention: VelocityConvention = "optical",
) -> jax.Array:
    """Peak flux density of each line alone, (n, L); arguments as in `lines_at_offsets`.

    Example:
        >>> peak = line_peaks(
        ...     [6562.80], [0.0], [0.0], [[2.0]], [1.0], spread_shape="gaussian", kind="wavelength"
        ... )
        >>> round(float(peak[0, 0]), 4)
        0.7979
    """
    lines = observed_lines(
        rest, velocity_kms, broadening_kms, fluxes, spread_width, kind, convention
    )
    return lines.height * _SHAPES[spread_shape][1](lines.width, lines.sigma)


_SHAPES: dict[str, tuple[Callable, Callable]] = {
    "sinc": (sincgauss_value, sincgauss_peak),
    "gaussian": (
        lambda x, width, sigma: gaussian_value(x, jnp.hypot(width, sigma)),
        lambda width, sigma: gaussian_peak(jnp.hypot(width, sigma)),
    ),
}


class ObservedLines(NamedTuple):
    """Observed lines, each (n, L) in units of the axis: displacement from rest, intrinsic
    sigma, instrument width, and the flux per unit of the axis."""

    shift: jax.Array
    sigma: jax.Array
    width: jax.Array
    height: jax.Array


def observed_lines(
    rest: Any,
    velocity_kms: Any,
    broadening_kms: Any,
    fluxes: Any,
    spread_width: Any,
    kind: AxisKind,
    convention: VelocityConvention,
) -> ObservedLines:
    """Where lines are seen, how wide and how bright; arguments as in `lines_at_offsets`.

    Example:
        >>> lines = observed_lines(
        ...     [6562.80], [299.792458], [0.0], [[2.0]], [1.0], "wavelength", "optical"
        ... )
        >>> round(float(lines.shift[0, 0]), 4)
        6.5628
    """
    dtype = jnp.result_type(float, jnp.asarray(fluxes))
    rest, velocity_kms, broadening_kms, fluxes, spread_width = (
        jnp.asarray(a, dtype) for a in (rest, velocity_kms, broadening_kms, fluxes, spread_width)
    )
    stretch = _doppler_excess(velocity_kms, convention)[:, None]
    factor = stretch if kind == "wavelength" else -stretch / (1.0 + stretch)
    observed = rest * (1.0 + factor)
    sigma = observed * (broadening_kms[:, None] / SPEED_OF_LIGHT_KMS)
    height = fluxes if kind == "wavelength" else fluxes * (jnp.square(observed) / ANGSTROM_PER_CM)
    return ObservedLines(rest * factor, sigma, jnp.broadcast_to(spread_width, sigma.shape), height)


def _doppler_excess(velocity_kms: jax.Array, convention: VelocityConvention) -> jax.Array:
    """Observed over rest wavelength, minus one, without losing digits to the one."""
    beta = velocity_kms / SPEED_OF_LIGHT_KMS
    if convention == "optical":
        return beta
    if convention == "relativistic":
        return 2.0 * beta / ((1.0 - beta) * (1.0 + jnp.sqrt((1.0 + beta) / (1.0 - beta))))
    raise UsageError(f"velocity convention must be optical or relativistic, not {convention!r}")
