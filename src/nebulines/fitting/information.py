"""How much of a line's squared amplitude is signal: what stated errors may rely on."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

MIN_SHARE = 0.2
"""The brightest line keeps at least this share, so that errors stay finite."""


def signal_share(area: Array, variance: Array, axis: int = -1) -> Array:
    """Share of the fitted squared amplitude that is not noise, (1 - variance / area^2)+.

    The information on velocity and broadening grows with the square of the true amplitudes.
    The fitted ones have E[a^2] = a_true^2 + variance, so that a line which is not there would
    still make the errors smaller: by 5 % at S/N 5 with five lines. This factor takes that out.

    Args:
        area: (..., T) fitted areas.
        variance: (..., T) their variances at fixed velocity and broadening.
        axis: of the T.

    Returns:
        (..., T) in [0, 1]; 0 for a negative area, at least `MIN_SHARE` for the brightest.
    """
    snr2 = jnp.where(area > 0, area**2 / jnp.maximum(variance, 1e-30), 0.0)
    share = jnp.maximum(1.0 - 1.0 / jnp.maximum(snr2, 1e-3), 0.0)
    brightest = snr2 >= jnp.max(snr2, axis=axis, keepdims=True)
    return jnp.where(brightest, jnp.maximum(share, MIN_SHARE), share)
