"""Emission lines taken out of a spectrum before it is binned, so that a prediction from the
continuum does not see what it should predict.

Windows around the lines are replaced by straight lines between the mean fluxes on both sides;
windows that overlap (H-alpha with [N II]) are joined first. Where the straight line would lie
above the spectrum, as over stellar absorption, the spectrum is kept (as in Khederlarian et al.
2024).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.errors import UsageError
from nebulines.galaxies.widths.equivalent_widths import masked_lines
from nebulines.lines import load_catalogue
from nebulines.spectral_axis import Medium

HALF_WIDTH_KMS = 600.0
"""Default reach of a window on both sides of a line: 13 A at H-alpha."""
_SIDE = 0.5  # of the half width: reach of the sides that the straight line starts from


class LineMask(NamedTuple):
    """m windows on one axis, or on n axes with a first dimension n; a window without channels
    on both sides is empty.

    Attributes:
        inside: (m, channel) 1 in the channels of each window, else 0.
        left, right: (m, channel) weights that give the mean flux beside the window.
        ramp: (m, channel) 0 at the left end of the window to 1 at the right, 0 outside.
    """

    inside: np.ndarray
    left: np.ndarray
    right: np.ndarray
    ramp: np.ndarray


def line_windows(half_width_kms: float = HALF_WIDTH_KMS, medium: Medium = "vacuum") -> np.ndarray:
    """Windows around the masked lines, joined where they overlap or nearly touch.

    Args:
        half_width_kms: reach on both sides of a line [km/s].
        medium: of the wavelengths, ``air`` or ``vacuum``.

    Returns:
        (m, 2) lower and upper wavelength [Angstrom], rest frame.

    Raises:
        UsageError: a half width that is not positive.

    Example:
        >>> windows = line_windows()
        >>> bool((windows[1:, 0] > windows[:-1, 1]).all())
        True
    """
    if not half_width_kms > 0:
        raise UsageError(f"the half width of line windows must be positive, not {half_width_kms}")
    reach = half_width_kms / SPEED_OF_LIGHT_KMS
    rest = np.sort(load_catalogue().select(masked_lines()).wavelength(medium))
    joined: list[list[float]] = []
    for low, high in zip(rest * (1.0 - reach), rest * (1.0 + reach), strict=True):
        if joined and low - joined[-1][1] < _SIDE * (high - low):
            joined[-1][1] = high
        else:
            joined.append([low, high])
    return np.array(joined)


def line_mask(wavelength: Any, windows: Any) -> LineMask:
    """The channels of windows on an axis, and where their straight lines start.

    Args:
        wavelength: (channel,) or (n, channel) increasing [Angstrom], in the medium of
            ``windows``.
        windows: (m, 2) [Angstrom].

    Example:
        >>> mask = line_mask(np.arange(6400.0, 6700.0), line_windows())
        >>> int((mask.inside.sum(axis=1) > 0).sum())
        1
    """
    wavelength = np.asarray(wavelength, float)
    if wavelength.ndim == 2:
        rows = [line_mask(row, windows) for row in wavelength]
        return LineMask(*(np.stack(arrays) for arrays in zip(*rows, strict=True)))
    low, high = np.asarray(windows, float).T[..., None]
    side = np.maximum(0.25 * _SIDE * (high - low), 2.0 * float(np.median(np.diff(wavelength))))
    left = (wavelength < low) & (wavelength >= low - side)
    right = (wavelength > high) & (wavelength <= high + side)
    inside = (wavelength >= low) & (wavelength <= high)
    usable = left.any(axis=1) & right.any(axis=1)
    inside = inside & usable[:, None]
    ramp = (wavelength - low + 0.5 * side) / (high - low + side)
    first, last = (part / np.maximum(part.sum(axis=1), 1)[:, None] for part in (left, right))
    return LineMask(inside.astype(float), first, last, np.where(inside, ramp, 0.0))


def replace_lines(flux: Any, mask: LineMask) -> jax.Array:
    """Spectra with straight lines in the windows, where these lie below the spectrum on average.

    Args:
        flux: (n, channel).
        mask: of their axis, or of their axes.

    Returns:
        (n, channel), differentiable in ``flux``.

    Example:
        >>> wave = np.arange(6400.0, 6700.0)
        >>> line = np.exp(-0.5 * ((wave - 6564.6) / 2.0) ** 2)
        >>> clean = replace_lines(1.0 + line[None], line_mask(wave, line_windows()))
        >>> round(float(clean.max()), 3)
        1.0
    """
    flux = jnp.asarray(flux)
    inside, left, right, ramp = (jnp.asarray(part, flux.dtype) for part in mask)
    own = "n" if inside.ndim == 3 else ""
    reduce, spread = f"nc,{own}mc->nm", f"nm,{own}mc->nc"
    finite = jnp.where(jnp.isfinite(flux), flux, 0.0)
    beside = [jnp.einsum(reduce, finite, part) for part in (left, right)]
    under = beside[0] * jnp.sum(inside - ramp, axis=-1) + beside[1] * jnp.sum(ramp, axis=-1)
    excess = jnp.einsum(reduce, finite, inside) - under
    use = jax.lax.stop_gradient(excess > 0).astype(flux.dtype)
    straight = jnp.einsum(spread, use * beside[0], inside - ramp)
    straight += jnp.einsum(spread, use * beside[1], ramp)
    return jnp.where(jnp.einsum(spread, use, inside) > 0, straight, flux)
