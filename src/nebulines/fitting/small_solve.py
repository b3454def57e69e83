"""Cholesky for many small symmetric matrices at once.

LAPACK spends microseconds on each matrix of a batch; written out element by element, with the
batch as the vector axis, a 6 x 6 factorisation costs a few nanoseconds a matrix. Written out,
a 20 x 20 one takes a minute to compile, so larger matrices are worked on column by column.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

ABSENT = 1e-12
"""Below this the data do not see a parameter: spectra come in units of their noise, so that a
parameter of one has an information of order one."""
SMALLEST_PIVOT = 1e-6
"""Of a matrix with unit diagonal: what float32 can still tell from a singular one."""

WRITTEN_OUT = 10
"""Matrices up to this size are written out element by element."""

Rows = list[list[Array]]
"""A matrix element by element, each with the batch as its last axis."""

Factor = Rows | Array
"""Lower triangle: p x p arrays (...), or for larger matrices one array (..., p, p)."""


def cholesky(matrix: Array) -> Factor:
    """Lower factor of symmetric positive matrices (..., p, p) with unit diagonal.

    A pivot below `SMALLEST_PIVOT` is replaced by it, so that a singular matrix gives a solution
    and a variance that are large (1e3 times the single parameter's error), but neither NaN nor
    beyond float32.
    """
    p = matrix.shape[-1]
    if p > WRITTEN_OUT:
        return _cholesky_by_columns(matrix)
    return _factor([[matrix[..., i, j] for j in range(i + 1)] for i in range(p)])


def _factor(matrix: Rows) -> Rows:
    """Lower factor of the lower triangle of a matrix, both element by element."""
    p = len(matrix)
    lower: Rows = [[None] * p for _ in range(p)]  # type: ignore[list-item]
    for j in range(p):
        pivot = matrix[j][j] - sum(lower[j][k] ** 2 for k in range(j))
        lower[j][j] = jnp.sqrt(jnp.maximum(pivot, SMALLEST_PIVOT))
        for i in range(j + 1, p):
            dot = matrix[i][j] - sum(lower[i][k] * lower[j][k] for k in range(j))
            lower[i][j] = dot / lower[j][j]
    return lower


def _cholesky_by_columns(matrix: Array) -> Array:
    p = matrix.shape[-1]

    def column(j: Array, lower: Array) -> Array:
        row = jax.lax.dynamic_index_in_dim(lower, j, axis=-2)
        left = jax.lax.dynamic_index_in_dim(matrix, j, axis=-1, keepdims=False)
        left = left - jnp.sum(lower * row, axis=-1)
        pivot = jax.lax.dynamic_index_in_dim(left, j, axis=-1)
        new = jnp.where(jnp.arange(p) < j, 0.0, left)
        new = jnp.where(jnp.arange(p) == j, jnp.maximum(pivot, SMALLEST_PIVOT), new)
        new = new / jnp.sqrt(jnp.maximum(pivot, SMALLEST_PIVOT))
        return jax.lax.dynamic_update_index_in_dim(lower, new, j, axis=-1)

    return jax.lax.fori_loop(0, p, column, jnp.zeros_like(matrix))


def _substitute(triangle: Array, rhs: Array, *, upwards: bool) -> Array:
    """T^-1 rhs for a triangular T, lower or (``upwards``) upper."""
    p = triangle.shape[-1]

    def row(step: Array, found: Array) -> Array:
        i = p - 1 - step if upwards else step
        factors = jax.lax.dynamic_index_in_dim(triangle, i, axis=-2, keepdims=False)
        pivot = jax.lax.dynamic_index_in_dim(factors, i, axis=-1)
        right = jax.lax.dynamic_index_in_dim(rhs, i, axis=-2, keepdims=False)
        new = (right - jnp.sum(factors[..., None] * found, axis=-2)) / pivot
        return jax.lax.dynamic_update_index_in_dim(found, new, i, axis=-2)

    return jax.lax.fori_loop(0, p, row, jnp.zeros_like(rhs))


def forward_substitute(lower: Factor, rhs: Array) -> Array:
    """L^-1 rhs for rhs (..., p, k)."""
    if not isinstance(lower, list):
        return _substitute(lower, rhs, upwards=False)
    rows: list[Array] = []
    for i in range(len(lower)):
        row = rhs[..., i, :] - sum(lower[i][k][..., None] * rows[k] for k in range(i))
        rows.append(row / lower[i][i][..., None])
    return jnp.stack(rows, axis=-2)


def backward_substitute(lower: Factor, rhs: Array) -> Array:
    """L^-T rhs for rhs (..., p, k)."""
    if not isinstance(lower, list):
        return _substitute(jnp.swapaxes(lower, -1, -2), rhs, upwards=True)
    p = len(lower)
    rows: list[Array] = [None] * p  # type: ignore[list-item]
    for i in reversed(range(p)):
        row = rhs[..., i, :] - sum(lower[k][i][..., None] * rows[k] for k in range(i + 1, p))
        rows[i] = row / lower[i][i][..., None]
    return jnp.stack(rows, axis=-2)


def scaled_cholesky(matrix: Array, ridge: float = 0.0) -> tuple[Factor, Array]:
    """Factor D^-1 A D^-1 + ridge I with D = sqrt(diag A), which float32 survives.

    Args:
        matrix: (..., p, p) symmetric, positive semi-definite; a diagonal below `ABSENT` means
            an absent parameter, whose solution comes out as zero.
        ridge: added to the unit diagonal.

    Returns:
        The factor and the scale 1/D (..., p), 0 for absent parameters.
    """
    diagonal = jnp.diagonal(matrix, axis1=-2, axis2=-1)
    present = diagonal > ABSENT
    scale = jnp.where(present, 1.0 / jnp.sqrt(jnp.where(present, diagonal, 1.0)), 0.0)
    scaled = matrix * scale[..., :, None] * scale[..., None, :]
    unit = jnp.eye(matrix.shape[-1], dtype=matrix.dtype)
    absent = jnp.where(present, 0.0, 1.0)[..., None, :] * unit
    return cholesky(scaled + absent + ridge * unit), scale


def solve(matrix: Array, rhs: Array, ridge: float = 0.0) -> Array:
    """A^-1 rhs for rhs (..., p, k) (see `scaled_cholesky`)."""
    lower, scale = scaled_cholesky(matrix, ridge)
    half = forward_substitute(lower, rhs * scale[..., None])
    return backward_substitute(lower, half) * scale[..., None]


def inverse(matrix: Array, ridge: float = 0.0) -> Array:
    """A^-1 (see `scaled_cholesky`); absent parameters get zero rows."""
    unit = jnp.broadcast_to(jnp.eye(matrix.shape[-1], dtype=matrix.dtype), matrix.shape)
    return solve(matrix, unit, ridge)


class Elements:
    """A symmetric positive matrix given element by element, factored (see `scaled_cholesky`).

    For code that keeps the batch on the last axis throughout, where whole vectors of the
    processor work on one element of many matrices.
    """

    def __init__(self, matrix: Rows) -> None:
        self.size = len(matrix)
        diagonal = [matrix[i][i] for i in range(self.size)]
        present = [part > ABSENT for part in diagonal]
        self.scale = [
            jnp.where(ok, 1.0 / jnp.sqrt(jnp.where(ok, part, 1.0)), 0.0)
            for ok, part in zip(present, diagonal, strict=True)
        ]
        rows = [
            [matrix[i][j] * self.scale[i] * self.scale[j] for j in range(i)]
            + [jnp.ones_like(diagonal[i])]
            for i in range(self.size)
        ]
        self.lower = _factor(rows)

    def half(self, rhs: list[Array]) -> list[Array]:
        """L^-1 D rhs; the squares of its elements add up to rhs A^-1 rhs."""
        rows: list[Array] = []
        for i in range(self.size):
            below = sum(self.lower[i][k] * rows[k] for k in range(i))
            rows.append((rhs[i] * self.scale[i] - below) / self.lower[i][i])
        return rows

    def rest(self, half: list[Array]) -> list[Array]:
        """A^-1 rhs from `half` of rhs."""
        rows: list[Array] = [None] * self.size  # type: ignore[list-item]
        for i in reversed(range(self.size)):
            above = sum(self.lower[k][i] * rows[k] for k in range(i + 1, self.size))
            rows[i] = (half[i] - above) / self.lower[i][i]
        return [row * scale for row, scale in zip(rows, self.scale, strict=True)]

    def solve(self, rhs: list[Array]) -> list[Array]:
        """A^-1 rhs, each element (..., n)."""
        return self.rest(self.half(rhs))

    def inverse(self) -> Rows:
        """A^-1, from the columns of L^-1 (lower triangular)."""
        p, lower = self.size, self.lower
        left: Rows = [[None] * p for _ in range(p)]  # type: ignore[list-item]
        for j in range(p):
            left[j][j] = 1.0 / lower[j][j]
            for i in range(j + 1, p):
                left[i][j] = -sum(lower[i][k] * left[k][j] for k in range(j, i)) / lower[i][i]
        found: Rows = [[None] * p for _ in range(p)]  # type: ignore[list-item]
        for i in range(p):
            for j in range(i + 1):
                dot = sum(left[k][i] * left[k][j] for k in range(i, p))
                found[i][j] = found[j][i] = dot * self.scale[i] * self.scale[j]
        return found
