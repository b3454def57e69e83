"""Profiles of the painted lines: Gaussians integrated over channels, where they are not zero.

A line of flux F and standard deviation s (velocity dispersion and line spread in quadrature) puts
F [erf(b / sqrt2 s) - erf(a / sqrt2 s)] / 2 (b - a) into a channel that reaches from a to b beside
it. On an axis that all spectra share, lines of no more than `NARROW_KMS` are computed in windows of
6 s around them; broader ones, and rows with axes of their own, in every channel.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.errors import UsageError
from nebulines.instruments.line_spread import LineSpread
from nebulines.models.spectrum import line_spread_width, observed_lines

NARROW_KMS = 500.0
"""Velocity dispersion up to which lines are computed in windows."""
_REACH = 6.0  # standard deviations: 2e-9 of the flux lies outside
_LEAST_WIDTH = 1e-3


class _Window(NamedTuple):
    """Channels ``start`` to ``stop`` that the lines ``first`` to ``last`` can reach."""

    start: int
    stop: int
    first: int
    last: int


class LineProfiles(eqx.Module):
    """Spectra of lines of given fluxes.

    Args (of the constructor):
        wavelength: (channel,) or (n, channel) increasing [Angstrom].
        rest: (L,) increasing wavelengths of the lines [Angstrom].
        line_spread: Gaussian response of the instrument; None = none.

    Raises:
        UsageError: a sinc line spread.

    Example:
        >>> paint = LineProfiles(np.arange(4000.0, 6000.0), np.array([5000.0]))
        >>> round(float(paint(jnp.ones((1, 1)), 100.0).sum()), 5)
        1.0
    """

    ends: Array
    rest: Array
    spread: Array
    windows: tuple[_Window, ...] = eqx.field(static=True)

    def __init__(self, wavelength: Any, rest: Any, line_spread: LineSpread | None = None):
        wavelength, rest = np.asarray(wavelength, float), np.asarray(rest, float)
        spread = _spread_width(line_spread, rest)
        ends = _channel_ends(wavelength)[..., None, :] - rest[:, None]
        self.windows = _windows(ends, rest, spread) if ends.ndim == 2 else ()
        self.ends, self.rest, self.spread = map(jnp.asarray, (ends, rest, spread))

    def __call__(self, fluxes: Any, broadening_kms: Any) -> Array:
        """Spectra (n, channel), mean flux density in each channel.

        Args:
            fluxes: (n, L), flux density times Angstrom.
            broadening_kms: () or (n,) 1-sigma velocity dispersion.
        """
        fluxes = jnp.asarray(fluxes)
        broadening = jnp.asarray(broadening_kms, fluxes.dtype)
        if not self.windows:
            return self._everywhere(fluxes, broadening)
        if isinstance(broadening_kms, int | float):
            paint = self._in_windows if broadening_kms <= NARROW_KMS else self._everywhere
            return paint(fluxes, broadening)
        narrow = jnp.max(broadening) <= NARROW_KMS
        return jax.lax.cond(
            narrow,
            lambda *arrays: self._in_windows(*arrays),
            lambda *arrays: self._everywhere(*arrays),
            *(fluxes, broadening),
        )

    def _everywhere(self, fluxes: Array, broadening: Array) -> Array:
        if self.ends.ndim == 3:
            broadening = jnp.broadcast_to(broadening, fluxes.shape[:1])
        return _painted(fluxes, self._sigma(broadening), self.ends)

    def _in_windows(self, fluxes: Array, broadening: Array) -> Array:
        sigma, parts, done = self._sigma(broadening), [], 0
        for start, stop, first, last in self.windows:
            parts.append(jnp.zeros((len(fluxes), start - done), fluxes.dtype))
            ends = self.ends[first:last, start : stop + 1]
            parts.append(_painted(fluxes[:, first:last], sigma[:, first:last], ends))
            done = stop
        parts.append(jnp.zeros((len(fluxes), self.ends.shape[-1] - 1 - done), fluxes.dtype))
        return jnp.concatenate(parts, axis=1)

    def _sigma(self, broadening_kms: Array) -> Array:
        """Standard deviations (1 or n, L) [Angstrom]."""
        rows = jnp.atleast_1d(broadening_kms)
        one = jnp.ones((len(rows), len(self.rest)), rows.dtype)
        lines = observed_lines(
            self.rest, jnp.zeros_like(rows), rows, one, self.spread, "wavelength", "optical"
        )
        return jnp.maximum(jnp.hypot(lines.sigma, lines.width), _LEAST_WIDTH)


def _painted(fluxes: Array, sigma: Array, ends: Array) -> Array:
    """Spectra (n, channel) of fluxes (n, L) with standard deviations (1 or n, L) in channels that
    end at ``ends``, (L, channel + 1) or (n, L, channel + 1), beside the lines."""
    ends = ends.astype(sigma.dtype)
    below = jax.scipy.special.erf(ends * (np.sqrt(0.5) / sigma)[..., None])
    profiles = 0.5 * jnp.diff(below) / jnp.diff(ends)
    if len(sigma) == 1:
        return jnp.matmul(fluxes, profiles[0], precision=jax.lax.Precision.HIGHEST)
    return jnp.einsum("nl,nlc->nc", fluxes, profiles)


def _channel_ends(wavelength: np.ndarray) -> np.ndarray:
    """Where channels end, (..., channel + 1) [Angstrom]."""
    middle = 0.5 * (wavelength[..., 1:] + wavelength[..., :-1])
    first = 2.0 * wavelength[..., :1] - middle[..., :1]
    last = 2.0 * wavelength[..., -1:] - middle[..., -1:]
    return np.concatenate([first, middle, last], axis=-1)


def _windows(ends: np.ndarray, rest: np.ndarray, spread: np.ndarray) -> tuple[_Window, ...]:
    """Channels that narrow lines can reach, in order; lines whose channels overlap have one."""
    reach = _REACH * np.hypot(rest * NARROW_KMS / SPEED_OF_LIGHT_KMS, spread)
    starts = [int(np.searchsorted(row[1:], -far)) for row, far in zip(ends, reach, strict=True)]
    stops = [int(np.searchsorted(row[:-1], far)) for row, far in zip(ends, reach, strict=True)]
    cuts = [k for k in range(1, len(rest)) if starts[k] >= max(stops[:k])]
    groups = pairwise([0, *cuts, len(rest)])
    return tuple(_Window(min(starts[a:b]), max(stops[a:b]), a, b) for a, b in groups)


def _spread_width(line_spread: LineSpread | None, rest: np.ndarray) -> np.ndarray:
    """Standard deviation of the instrument's response at each line [Angstrom]."""
    if line_spread is None:
        return np.zeros(len(rest))
    if line_spread.shape != "gaussian":
        raise UsageError(
            "lines are painted with a Gaussian line spread, not a sinc: no interferometer sees "
            "3400 to 7000 Angstrom at once"
        )
    return line_spread_width("wavelength", line_spread, rest)
