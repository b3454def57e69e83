"""What de-noised spectra leave of the data, in one pass over tiles that stay near the processor."""

from __future__ import annotations

import math
from functools import reduce

import jax
import jax.numpy as jnp
from jax import Array

_LINE_SHAPE = (0.2, 0.6, 0.2)  # of a line, bin by bin
_SQUARES = tuple(share**2 for share in _LINE_SHAPE)
_ROWS, _COLUMNS = 128, 96  # of a tile, and of what its bins are folded to


def look_at_residuals(flux: Array, fit: Array, weight: Array) -> tuple[Array, Array]:
    """The weighted sum of squares (n,) that fits leave, and the largest line-like residual (n,)
    anywhere, in sigmas: of every three neighbouring bins the flux by a matched filter.

    Args:
        flux: (n, channel).
        fit: (n, channel).
        weight: (n, channel) inverse variances, or (n, 1) where they are the same in all bins.

    Example:
        >>> flux = jnp.zeros((1, 200)).at[0, 50].set(3.0)
        >>> power, largest = look_at_residuals(flux, jnp.zeros((1, 200)), jnp.ones((1, 1)))
        >>> round(float(power[0]), 3), round(float(largest[0]), 3)
        (9.0, 2.714)
    """
    rows = math.gcd(len(flux), _ROWS)

    def look(start: Array) -> tuple[Array, Array]:
        return _folded(*(jax.lax.dynamic_slice_in_dim(x, start, rows) for x in (flux, fit, weight)))

    found = jax.lax.map(look, jnp.arange(0, len(flux), rows))
    power, highest = (part.reshape(len(flux), *part.shape[2:]) for part in found)
    return power, jnp.sqrt(jnp.max(highest, axis=1))


def _folded(flux: Array, fit: Array, weight: Array) -> tuple[Array, Array]:
    """Weighted sums of squares (m,), and the largest squares (m, 96) of line-like residuals in
    sigmas of bins so many columns apart: reduced along rows of all bins, they take six times as
    long."""
    residual, white = flux - fit, weight.shape[1] == 1
    wide, count = _COLUMNS + len(_LINE_SHAPE) - 1, flux.shape[1]
    starts = [min(start, count - wide) for start in range(0, count - wide + _COLUMNS, _COLUMNS)]
    cuts = [slice(start, start + wide) for start in starts]
    alike = [_likeness(residual[:, k], None if white else weight[:, k]) for k in cuts]
    unit = weight / sum(_SQUARES) if white else 1.0
    return jnp.sum(weight * jnp.square(residual), axis=1), unit * reduce(jnp.maximum, alike)


def _likeness(residual: Array, weight: Array | None) -> Array:
    """Squares of the residual fluxes of lines at every bin but the ends, in sigmas; without
    weights, not yet in sigmas."""
    if weight is None:
        return jnp.square(_smoothed(residual, _LINE_SHAPE))
    signal = jnp.square(_smoothed(weight * residual, _LINE_SHAPE))
    return signal / jnp.maximum(_smoothed(weight, _SQUARES), 1e-30)


def _smoothed(values: Array, shape: tuple[float, ...]) -> Array:
    """Weighted sums of neighbouring bins, where these are all there."""
    count = values.shape[1] - len(shape) + 1
    return sum(share * values[:, k : k + count] for k, share in enumerate(shape))  # type: ignore
