"""Cholesky factors and inverses of many small matrices, written out element by element.

LAPACK takes microseconds for each matrix of a batch; with the batch as the vector axis an
8 x 8 factor costs a few nanoseconds a matrix.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

SMALLEST_PIVOT = 1e-7
"""Of a matrix with unit diagonal; keeps float32 factors finite."""

_Rows = list[list[Array]]


def cholesky(matrix: Array) -> Array:
    """Lower factors (..., p, p) of symmetric positive matrices.

    Example:
        >>> cholesky(jnp.array([[4.0, 2.0], [2.0, 5.0]])).tolist()
        [[2.0, 0.0], [1.0, 2.0]]
    """
    p = matrix.shape[-1]
    scale = [jnp.sqrt(matrix[..., i, i]) for i in range(p)]
    lower: _Rows = [[] for _ in range(p)]
    for i in range(p):
        for j in range(i):
            dot = sum(lower[i][k] * lower[j][k] for k in range(j))
            lower[i].append((matrix[..., i, j] / (scale[i] * scale[j]) - dot) / lower[j][j])
        pivot = 1.0 - sum(part**2 for part in lower[i])
        lower[i].append(jnp.sqrt(jnp.maximum(pivot, SMALLEST_PIVOT)))
    return _stacked([[part * scale[i] for part in row] for i, row in enumerate(lower)])


def inverse_lower(lower: Array) -> Array:
    """Inverses (..., p, p) of lower triangular matrices.

    Example:
        >>> inverse_lower(jnp.array([[2.0, 0.0], [1.0, 2.0]])).tolist()
        [[0.5, 0.0], [-0.25, 0.5]]
    """
    p = lower.shape[-1]
    found: _Rows = [[None] * (i + 1) for i in range(p)]  # type: ignore[list-item]
    for j in range(p):
        found[j][j] = 1.0 / lower[..., j, j]
        for i in range(j + 1, p):
            dot = sum(lower[..., i, k] * found[k][j] for k in range(j, i))
            found[i][j] = -dot / lower[..., i, i]
    return _stacked(found)


def inverse(matrix: Array) -> Array:
    """Inverses (..., p, p) of symmetric positive matrices.

    Example:
        >>> inverse(jnp.array([[2.0, 0.0], [0.0, 4.0]])).round(4).tolist()
        [[0.5, 0.0], [0.0, 0.25]]
    """
    half = inverse_lower(cholesky(matrix))
    return jnp.einsum("...ki,...kj->...ij", half, half)


def _stacked(rows: _Rows) -> Array:
    """Lower triangular matrices from their elements."""
    zero = jnp.zeros_like(rows[0][0])
    p = len(rows)
    full = [jnp.stack([*row, *[zero] * (p - len(row))], axis=-1) for row in rows]
    return jnp.stack(full, axis=-2)
