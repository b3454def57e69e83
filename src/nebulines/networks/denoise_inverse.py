"""Inverses of many symmetric matrices of a few dozen rows, as the statistics of ``denoise`` need.

LAPACK, called for each of them, spends most of its time on its threads. Here the batch is the last
axis, along which the processor's vectors lie, and the pivots of a sweep (Goodnight 1979, Am. Stat.
33, 149) are blocks of four rows, so that every matrix is read and written a quarter as often.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from nebulines.networks import small_matrices as small

PIVOT_ROWS = 4


def inverse(matrix: Array) -> Array:
    """Inverses (K, K, n) of symmetric positive matrices (K, K, n).

    Args:
        matrix: any K; tens of n at a time stay near the processor.

    Example:
        >>> found = inverse(jnp.array([[2.0, 1.0], [1.0, 1.0]])[..., None])[..., 0]
        >>> [[round(float(value), 3) for value in row] for row in found]
        [[1.0, -1.0], [-1.0, 2.0]]
    """
    size = matrix.shape[1]
    missing = -size % PIVOT_ROWS
    if missing:
        matrix = jnp.pad(matrix, ((0, missing), (0, missing), (0, 0)))
        end = jnp.arange(size, size + missing)
        matrix = matrix.at[end, end].set(1.0)
    steps = len(matrix) // PIVOT_ROWS
    return -jax.lax.fori_loop(0, steps, _sweep, matrix)[:size, :size]


def _sweep(number: Array, matrix: Array) -> Array:
    """Exchange one block of rows: M_bb to -M_bb^-1, M_ib to M_ib M_bb^-1, the rest to what the
    block leaves of it."""
    first = number * PIVOT_ROWS
    column = jax.lax.dynamic_slice_in_dim(matrix, first, PIVOT_ROWS, 1)
    pivot = small.inverse(jax.lax.dynamic_slice_in_dim(column, first, PIVOT_ROWS, 0))
    scaled = small.product(column, pivot)
    # what the compiler would otherwise work out again for every element of the matrix
    column, scaled, pivot = jax.lax.optimization_barrier((column, scaled, pivot))
    left = matrix - small.product(scaled, jnp.swapaxes(column, 0, 1))
    left = jax.lax.dynamic_update_slice_in_dim(left, scaled, first, 1)
    row = jax.lax.dynamic_update_slice_in_dim(jnp.swapaxes(scaled, 0, 1), -pivot, first, 1)
    return jax.lax.dynamic_update_slice_in_dim(left, row, first, 0)
