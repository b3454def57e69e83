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
    scale = jnp.sqrt(diagonal(matrix))
    unit = matrix / (scale[:, None] * scale)
    columns: list[Array] = []  # from the diagonal down
    for j in range(len(matrix)):
        left = functools.reduce(
            lambda x, c, j=j: x - c[1][j - c[0] :] * c[1][j - c[0]],  # type: ignore[misc]
            enumerate(columns),
            unit[j:, j],
        )
        pivot = jnp.sqrt(jnp.maximum(left[:1], SMALLEST_PIVOT))
        columns.append(jnp.concatenate([pivot, left[1:] / pivot]))
    return jnp.stack([_padded(c, k, 0) for k, c in enumerate(columns)], axis=1) * scale[:, None]


def diagonal(matrix: Array) -> Array:
    """Diagonals (p, ...) of matrices (p, p, ...)."""
    return jnp.stack([matrix[i, i] for i in range(len(matrix))])


def inverse_lower(lower: Array) -> Array:
    """Inverses (p, p, ...) of lower triangular matrices (p, p, ...).

    Example:
        >>> inverse_lower(jnp.array([[2.0, 0.0], [1.0, 2.0]])).tolist()
        [[0.5, 0.0], [-0.25, 0.5]]
    """
    return from_rows(inverse_rows(lower))


def inverse_rows(lower: Array) -> list[Array]:
    """Rows of `inverse_lower` up to the diagonal, the k-th (k + 1, ...)."""
    rows: list[Array] = []
    for i in range(len(lower)):
        own = 1.0 / lower[i, i]
        left = [-own * total(lower[i, k] * rows[k][j] for k in range(j, i)) for j in range(i)]
        rows.append(jnp.stack([*left, own]))
    return rows


def times_lower(lower: Array, rows: list[Array]) -> list[Array]:
    """Rows, up to the diagonal, of the product of lower triangular matrices (p, p, ...) and those
    whose rows are given.

    Example:
        >>> lower = jnp.array([[2.0, 0.0], [1.0, 2.0]])
        >>> from_rows(times_lower(lower, inverse_rows(lower))).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    return [
        jnp.stack([total(lower[i, k] * rows[k][j] for k in range(j, i + 1)) for j in range(i + 1)])
        for i in range(len(rows))
    ]


def from_rows(rows: list[Array]) -> Array:
    """Lower triangular matrices (p, p, ...) of their rows up to the diagonal."""
    return jnp.stack([_padded(row, 0, len(rows) - len(row)) for row in rows])


def _padded(values: Array, before: int, after: int) -> Array:
    """Values (k, ...) with zeros before and after."""
    return jnp.pad(values, [(before, after)] + [(0, 0)] * (values.ndim - 1))


def inverse(matrix: Array) -> Array:
    """Inverses (p, p, ...) of symmetric positive matrices (p, p, ...).

    Example:
        >>> inverse(jnp.array([[2.0, 0.0], [0.0, 4.0]])).round(4).tolist()
        [[0.5, 0.0], [0.0, 0.25]]
    """
    half = inverse_lower(cholesky(matrix))
    p = len(half)
    return symmetric([total(half[k, i] * half[k, : i + 1] for k in range(i, p)) for i in range(p)])


def symmetric(rows: list[Array]) -> Array:
    """Symmetric matrices (p, p, ...) of their rows up to the diagonal.

    Example:
        >>> symmetric([jnp.array([1.0]), jnp.array([2.0, 3.0])]).tolist()
        [[1.0, 2.0], [2.0, 3.0]]
    """
    lower = from_rows(rows)
    above = (jnp.arange(len(rows))[:, None] < jnp.arange(len(rows))).astype(lower.dtype)
    mirrored = jnp.swapaxes(lower, 0, 1)
    return lower + mirrored * above.reshape(*above.shape, *[1] * (lower.ndim - 2))


def applied(matrix: Array, vector: Array) -> Array:
    """Products (p, ...) of matrices (p, q, ...) and vectors (q, ...).

    Example:
        >>> applied(jnp.array([[1.0, 2.0]]), jnp.array([3.0, 4.0])).tolist()
        [11.0]
    """
    return total(matrix[:, k] * vector[k] for k in range(len(vector)))
