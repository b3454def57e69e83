"""Several sums in one pass over what they are made of."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array


def sum_together(arrays: Sequence[Array], axis: int) -> list[Array]:
    """``[sum(a, axis) for a in arrays]``, for arrays of one shape and float type that are cheap
    products of the same data.

    XLA makes one loop of it, which reads the data once and gives sums that are written out; of
    separate sums it makes a loop each, and works them out again wherever they are used.

    Args:
        arrays: of equal shape.
        axis: to sum over.

    Returns:
        The sums, without that axis.

    Example:
        >>> x = jnp.arange(6.0).reshape(2, 3)
        >>> [part.tolist() for part in sum_together((x, x * x), 1)]
        [[3.0, 12.0], [5.0, 50.0]]
    """
    nothing = tuple(jnp.zeros((), a.dtype) for a in arrays)

    def add(left: tuple[Array, ...], right: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(a + b for a, b in zip(left, right, strict=True))

    return list(jax.lax.reduce(tuple(arrays), nothing, add, (axis,)))


def sum_rows(array: Array, axis: int) -> Array:
    """``sum(array, axis)`` over a few dozen rows, written as additions of whole rows.

    XLA adds number by number what it works out on the way to a sum over any but the last axis;
    written out, the additions are those of vectors along the last axis.

    Args:
        array: (..., rows, ..., n).
        axis: to sum over, not the last.

    Example:
        >>> sum_rows(jnp.arange(6.0).reshape(3, 2), 0).tolist()
        [6.0, 9.0]
    """
    rows = (jax.lax.index_in_dim(array, k, axis, keepdims=False) for k in range(array.shape[axis]))
    return functools.reduce(jnp.add, rows)
