"""Cholesky factors, inverses and products of many small matrices, column by column.

LAPACK takes microseconds for each matrix of a batch, and so do small batched products. Written
out over rows and columns, with the batch as the last axis, along which the processor's vectors
lie, an 8 x 8 factor costs a few tens of nanoseconds a matrix.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable

import jax.numpy as jnp
from jax import Array

SMALLEST_PIVOT = 1e-7
"""Of a matrix with unit diagonal; keeps float32 factors finite."""


def batch_last(matrix: Array, axes: int = 2) -> Array:
    """Arrays (..., p, p) as (p, p, ...), which the functions here take.

    Args:
        matrix: with the batch first.
        axes: how many axes at the end come to the front.

    Example:
        >>> batch_last(jnp.zeros((5, 2, 3))).shape, batch_first(jnp.zeros((2, 3, 5))).shape
        ((2, 3, 5), (5, 2, 3))
    """
    return jnp.moveaxis(matrix, range(-axes, 0), range(axes))


def batch_first(matrix: Array, axes: int = 2) -> Array:
    """Arrays (p, p, ...) as (..., p, p): undoes `batch_last`."""
    return jnp.moveaxis(matrix, range(axes), range(-axes, 0))


def total(terms: Iterable[Array]) -> Array:
    """Sum of arrays, without an array of them all.

    Example:
        >>> float(total(jnp.arange(4.0)))
        6.0
    """
    return functools.reduce(operator.add, terms)


def cholesky(matrix: Array) -> Array:
    """Lower factors (p, p, ...) of symmetric positive matrices (p, p, ...).

    Example:
        >>> cholesky(jnp.array([[4.0, 2.0], [2.0, 5.0]])).tolist()
        [[2.0, 0.0], [1.0, 2.0]]
    """
    p = len(matrix)
    scale = jnp.sqrt(jnp.stack([matrix[i, i] for i in range(p)]))
    unit = matrix / (scale[:, None] * scale)
    index = jnp.arange(p).reshape(p, *[1] * (matrix.ndim - 2))
    columns: list[Array] = []
    for j in range(p):
        left = functools.reduce(lambda x, c, j=j: x - c * c[j], columns, unit[:, j])  # type: ignore[misc]
        pivot = jnp.sqrt(jnp.maximum(left[j], SMALLEST_PIVOT))
        columns.append(jnp.where(index > j, left / pivot, jnp.where(index == j, pivot, 0.0)))
    return jnp.stack(columns, axis=1) * scale[:, None]


def inverse_lower(lower: Array) -> Array:
    """Inverses (p, p, ...) of lower triangular matrices (p, p, ...).

    Example:
        >>> inverse_lower(jnp.array([[2.0, 0.0], [1.0, 2.0]])).tolist()
        [[0.5, 0.0], [-0.25, 0.5]]
    """
    p = len(lower)
    unit = jnp.eye(p, dtype=lower.dtype).reshape(p, p, *[1] * (lower.ndim - 2))
    rows: list[Array] = []
    for i in range(p):
        left = unit[i] - sum(lower[i, k] * row for k, row in enumerate(rows))
        rows.append(left / lower[i, i])
    return jnp.stack(rows)


def inverse(matrix: Array) -> Array:
    """Inverses (p, p, ...) of symmetric positive matrices (p, p, ...).

    Example:
        >>> inverse(jnp.array([[2.0, 0.0], [0.0, 4.0]])).round(4).tolist()
        [[0.5, 0.0], [0.0, 0.25]]
    """
    half = inverse_lower(cholesky(matrix))
    return total(row[:, None] * row for row in half)


def product(first: Array, second: Array) -> Array:
    """Products (p, r, ...) of matrices (p, q, ...) and (q, r, ...).

    Example:
        >>> product(jnp.array([[1.0, 2.0]]), jnp.array([[3.0], [4.0]])).tolist()
        [[11.0]]
    """
    return total(first[:, k, None] * second[k] for k in range(len(second)))


def applied(matrix: Array, vector: Array) -> Array:
    """Products (p, ...) of matrices (p, q, ...) and vectors (q, ...).

    Example:
        >>> applied(jnp.array([[1.0, 2.0]]), jnp.array([3.0, 4.0])).tolist()
        [11.0]
    """
    return total(matrix[:, k] * vector[k] for k in range(len(vector)))
