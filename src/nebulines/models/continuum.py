"""The continuum under the lines: a low-order polynomial along the axis."""

from __future__ import annotations

from typing import Any

import numpy as np


def legendre_basis(axis_values: Any, order: int) -> np.ndarray:
    """Legendre polynomials P_0 ... P_order of the axis mapped to [-1, 1].

    Well conditioned at every order, and the coefficient of P_0 is the mean level of an evenly
    sampled axis.

    Args:
        axis_values: (..., channel), increasing, any unit.
        order: highest degree, 0 for a constant.

    Returns:
        (..., order + 1, channel), float64.

    Example:
        >>> legendre_basis([1.0, 2.0, 3.0], 1).tolist()
        [[1.0, 1.0, 1.0], [-1.0, 0.0, 1.0]]
    """
    values = np.asarray(axis_values, float)
    low, high = values[..., :1], values[..., -1:]
    half = np.where(high > low, 0.5 * (high - low), 1.0)
    basis = np.polynomial.legendre.legvander((values - 0.5 * (high + low)) / half, order)
    return np.moveaxis(basis, -1, -2)


def continuum(axis_values: Any, coefficients: Any) -> np.ndarray:
    """Polynomial continuum, sum_k c_k P_k.

    Args:
        axis_values: (channel,) or (n, channel).
        coefficients: (n, order + 1), unit of the flux density.

    Returns:
        (n, channel).

    Example:
        >>> continuum([1.0, 2.0, 3.0], [[5.0, 1.0]]).tolist()
        [[4.0, 5.0, 6.0]]
    """
    coefficients = np.atleast_2d(np.asarray(coefficients, float))
    basis = legendre_basis(axis_values, coefficients.shape[-1] - 1)
    return (coefficients[..., None, :] @ basis)[..., 0, :]
