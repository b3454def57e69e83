"""Work on many spectra a few at a time, inside one compiled function.

What a few dozen spectra need on the way stays in the processor's fast memory, while one call
from Python, with all that it costs, serves a thousand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array


def map_small_tiles(
    work: Callable[[Any], Any], arrays: Any, rows: int, n_tiles: Array | int | None = None
) -> Any:
    """``work(arrays)``, ``rows`` spectra at a time.

    Args:
        work: function of arrays with k spectra first, that treats each by itself and returns
            arrays (k, ...).
        arrays: pytree of arrays (n, ...); n is at most ``rows``, or a multiple of it.
        rows: spectra in a tile.
        n_tiles: how many tiles there are to do, the rest is given as zeros; None = all.

    Returns:
        Arrays (n, ...).

    Example:
        >>> map_small_tiles(lambda x: 2 * x, jnp.arange(6), 2, n_tiles=2).tolist()
        [0, 2, 4, 6, 0, 0]
    """
    n = len(jax.tree.leaves(arrays)[0])
    if n <= rows:
        return work(arrays)
    count = n // rows
    tiles = jax.tree.map(lambda a: jnp.reshape(a, (count, rows, *jnp.shape(a)[1:])), arrays)
    once = jax.jit(work)  # traced once for the shapes and the loop
    shapes = jax.eval_shape(once, jax.tree.map(lambda a: a[0], tiles))
    nothing = jax.tree.map(lambda s: jnp.zeros((count, *s.shape), s.dtype), shapes)

    def step(k: Array, found: Any) -> Any:
        here = once(jax.tree.map(lambda a: a[k], tiles))
        return jax.tree.map(lambda all_, one: all_.at[k].set(one), found, here)

    done = jax.lax.fori_loop(0, count if n_tiles is None else n_tiles, step, nothing)
    return jax.tree.map(lambda a: a.reshape(n, *a.shape[2:]), done)
