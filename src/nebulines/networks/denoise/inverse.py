"""Inverses and products of many matrices of a few dozen rows, for the statistics of ``denoise``.

LAPACK, called for each of them, spends most of its time on its threads. Here the batch is the last
axis, along which the processor's vectors lie; inverses are swept two pivots at a time (Goodnight
1979, Am. Stat. 33, 149). What a loop cuts out of an array must be copied before it comes here, as
any product with a matrix does: read in place, it keeps the compiler from using these vectors.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from nebulines.networks.small_matrices import total


def inverse(matrix: Array) -> Array:
    """Inverses (K, K, n) of symmetric positive matrices (K, K, n).

    With pivots D, their rows U and W = D^-1 U, a sweep leaves M - U^T W of the rest of M, puts W
    into the rows and columns of the pivots, and -D^-1 where these cross.

    Example:
        >>> found = inverse(jnp.array([[2.0, 1.0], [1.0, 1.0]])[..., None])[..., 0]
        >>> [[round(float(value), 3) for value in row] for row in found]
        [[1.0, -1.0], [-1.0, 2.0]]
    """
    size = len(matrix)
    for start in range(0, size, 2):
        pivots = slice(start, min(start + 2, size))
        rows = matrix[pivots]
        within = _tiny_inverse(rows[:, pivots])
        swept = _kept(product(within, rows))
        left = matrix - transposed_product(rows, swept)
        swept = swept.at[:, pivots].set(-within)
        left = left.at[pivots].set(swept)
        matrix = _kept(left.at[:, pivots].set(jnp.swapaxes(swept, 0, 1)))
    return -matrix


def _tiny_inverse(matrix: Array) -> Array:
    """Inverses of one or two rows."""
    if len(matrix) == 1:
        return 1.0 / matrix
    (first, across), (_, last) = matrix
    ratio = across / first
    rest = 1.0 / (last - across * ratio)
    side = -ratio * rest
    return jnp.stack([jnp.stack([1.0 / first - ratio * side, side]), jnp.stack([side, rest])])


def product(first: Array, second: Array) -> Array:
    """Products (p, r, n) of matrices (p, q, n) and (q, r, n).

    Example:
        >>> product(jnp.ones((1, 2, 3)), jnp.ones((2, 4, 3))).shape
        (1, 4, 3)
    """
    return total(first[:, k, None] * second[None, k] for k in range(len(second)))


def transposed_product(first: Array, second: Array) -> Array:
    """Products (p, r, n) of the transposes of matrices (q, p, n) with matrices (q, r, n)."""
    return total(first[k][:, None] * second[k][None] for k in range(len(second)))


# what the compiler would otherwise work out again wherever it is used
_kept = jax.lax.optimization_barrier
