"""Inverses of many symmetric matrices of a few dozen rows, as the statistics of ``denoise`` need.

LAPACK, called for each of them, spends most of its time on its threads. Here a matrix is halved,

    [P  Q ]^-1    [P^-1 + X T^T  -X]
    [Q' S ]    =  [    -X^T       Y],    T = P^-1 Q,  Y = (S - Q^T T)^-1,  X = T Y,

so that most of the work is products of matrices, which the processor does best, until the halves
are small. These are swept pivot by pivot (Goodnight 1979, Am. Stat. 33, 149), with the batch as
the last axis, along which the processor's vectors lie.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

LARGEST_SWEPT = 24
"""Rows of a matrix that is not halved."""


def inverse(matrix: Array) -> Array:
    """Inverses (n, K, K) of symmetric positive matrices (n, K, K).

    Args:
        matrix: any K; tens of n at a time stay near the processor.

    Example:
        >>> found = inverse(jnp.array([[[2.0, 1.0], [1.0, 1.0]]]))[0]
        >>> [[round(float(value), 3) for value in row] for row in found]
        [[1.0, -1.0], [-1.0, 2.0]]
    """
    size = matrix.shape[1]
    if size <= LARGEST_SWEPT:
        return _kept(jnp.moveaxis(_swept(_kept(jnp.moveaxis(matrix, 0, -1))), -1, 0))
    half = size // 2
    first, across, last = _kept(
        (matrix[:, :half, :half], matrix[:, :half, half:], matrix[:, half:, half:])
    )
    first = inverse(first)
    turned = _kept(_product(first, across, 2, 1))
    last = inverse(_kept(last - _product(across, turned, 1, 1)))
    side = _kept(_product(turned, last, 2, 1))
    top = jnp.concatenate([first + _product(side, turned, 2, 2), -side], axis=2)
    bottom = jnp.concatenate([-jnp.swapaxes(side, 1, 2), last], axis=2)
    return _kept(jnp.concatenate([top, bottom], axis=1))


def _product(first: Array, second: Array, along_first: int, along_second: int) -> Array:
    """Products (n, p, r) of matrices, summed along an axis of each."""
    return jax.lax.dot_general(first, second, (((along_first,), (along_second,)), ((0,), (0,))))


def _swept(matrix: Array) -> Array:
    """Inverses (K, K, n) of matrices (K, K, n): of every pivot, M_pp goes to -1 / M_pp, M_ip to
    M_ip / M_pp, and the rest to what the pivot leaves of it."""
    for pivot in range(len(matrix)):
        column, one_over = matrix[:, pivot], 1.0 / matrix[pivot, pivot]
        row = column * one_over
        left = matrix - column[:, None] * row
        left = left.at[:, pivot].set(row).at[pivot].set(row)
        matrix = _kept(left.at[pivot, pivot].set(-one_over))
    return -matrix


# what the compiler would otherwise work out again wherever it is used
_kept = jax.lax.optimization_barrier
