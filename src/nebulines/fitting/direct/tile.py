"""What the direct path reads and gives: tiles of windows, options, solutions."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

VELOCITY_UNIT_KMS = 100.0
"""The first nonlinear parameter is the velocity step from the start in this unit."""


class Tile(NamedTuple):
    """What the compiled fit reads; shapes with n spectra, W windows, K channels, J lines a window,
    T templates a window, G kinematic groups.

    Attributes:
        data: (n, W, K) flux in units of the row's noise.
        weight: (n, W, K) inverse variance of ``data``; 0 = not used.
        offset: (n, W, K) channel position minus the window's reference [axis unit].
        position: (n, W, J) line position at the start velocity [axis unit].
        reference: (n, W) position that offsets are counted from [axis unit].
        center: (n, W, J) position minus reference, computed in float64.
        lsf: (n, W, J) Gaussian sigma, or first zero of the sinc [axis unit]; 1 where padded.
        templates: (W, T, J) relative strength of each line in each template; 0 where padded.
        group: (W, J, G) one-hot kinematic group of each line.
        broadening_scale: (n,) [km/s], s0 of `broadening_of`.
        lower, upper: (n, 2 G) bounds of the parameters.
    """

    data: Any
    weight: Any
    offset: Any
    position: Any
    center: Any
    lsf: Any
    templates: Any
    group: Any
    broadening_scale: Any
    lower: Any
    upper: Any


class Solution(NamedTuple):
    """The fit of a tile.

    Attributes:
        theta: (n, 2 G) velocity steps [VELOCITY_UNIT_KMS] and shape variables y.
        converged: (n,) bool.
        chi2: (n,) in units of the weights.
        inverse_curvature: (n, 2 G, 2 G) covariance of theta for unit-variance data.
        coefficients: (n, W, T + C) template areas, then continuum coefficients.
        block_covariance: (n, W, T + C, T + C) their covariance at fixed theta.
        response: (n, W, T + C, 2 G) minus their derivative with respect to theta.
        model: (n, W, K) best fit.
        coverage: (n, W, J) share of each line's area that usable channels see.
        line_free: (n, 2) sum of weighted squared residuals away from lines, and channel count.
        outlier: (n,) largest residual that its neighbours do not share, in sigma.
        profile: (n, 4) of `profile.profile_score`.
        n_used: (n,) channels used.
        ends: (n, W, 2) lowest and highest offset used.
    """

    theta: Any
    converged: Any
    chi2: Any
    inverse_curvature: Any
    coefficients: Any
    block_covariance: Any
    response: Any
    model: Any
    coverage: Any
    line_free: Any
    outlier: Any
    profile: Any
    n_used: Any
    ends: Any


class FitOptions(NamedTuple):
    """Static choices of the compiled fit; ``near`` as in `lineshapes.sincgauss_kernel`."""

    kind: str
    shape: str
    continuum_order: int
    positive: bool
    mixed: bool
    near: int = 0


def broadening_of(y: ArrayLike, scale: ArrayLike) -> Array:
    """Broadening [km/s] s = s0 sqrt(1/y^2 - 1) of the shape variable y = 1/sqrt(1 + (s/s0)^2),
    in which the profile is regular at s = 0."""
    return jnp.sqrt(jnp.maximum(1.0 / jnp.square(y) - 1.0, 0.0)) * jnp.asarray(scale)


def shape_variable(broadening: Array, scale: Array) -> Array:
    """The inverse of `broadening_of`."""
    return 1.0 / jnp.sqrt(1.0 + (broadening / scale) ** 2)
