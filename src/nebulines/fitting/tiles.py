"""Run a compiled function over tiles of equal size, two or more at a time.

XLA keeps one CPU core busy with small batched work; Python threads, each with its own tile, use
all of them (the interpreter lock is free while compiled code runs).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

SMALL_TILE = 16
"""Tile for a handful of spectra, so that one spectrum does not pay for hundreds."""


def tile_size(n: int, tile_rows: int) -> int:
    """Rows of a tile for n spectra: every size is compiled once, so there are only two."""
    return SMALL_TILE if n <= SMALL_TILE else tile_rows


def tile_indices(n: int, tile_rows: int) -> list[np.ndarray]:
    """Row indices of equal-sized tiles; the last tile repeats its last row."""
    starts = range(0, n, tile_rows)
    return [np.minimum(np.arange(start, start + tile_rows), n - 1) for start in starts]


BYTES_ALIGNED = 64
"""Compiled code reads an array where it lies if it starts at a multiple of this; others are
copied."""


def empty_aligned(shape: tuple[int, ...]) -> np.ndarray:
    """``np.empty(shape, np.float32)`` for compiled code.

    Example:
        >>> array = empty_aligned((3, 5))
        >>> array.shape, array.ctypes.data % BYTES_ALIGNED
        ((3, 5), 0)
    """
    size = int(np.prod(shape))
    item = np.dtype(np.float32).itemsize
    room = np.empty(size + BYTES_ALIGNED // item, np.float32)
    first = -room.ctypes.data % BYTES_ALIGNED // item
    return room[first : first + size].reshape(shape)


def as_slice(index: np.ndarray) -> slice | np.ndarray:
    """The same rows as a slice, which copies nothing, where they follow each other.

    Example:
        >>> as_slice(np.array([3, 4, 5])), as_slice(np.array([3, 3]))
        (slice(3, 6, None), array([3, 3]))
    """
    first = int(index[0])
    if np.array_equal(index, np.arange(first, first + len(index))):
        return slice(first, first + len(index))
    return index


def run_tiles(
    work: Callable[[np.ndarray], tuple[np.ndarray, ...]],
    n: int,
    tile_rows: int,
    *,
    padded: bool = True,
) -> list[Any]:
    """Apply ``work`` to tiles of row indices and join the results along the first axis.

    Args:
        work: function of the row indices (tile,), returning a tuple of arrays (tile, ...).
        n: number of rows, at least one.
        tile_rows: rows of a tile.
        padded: whether the last tile repeats its last row until it is as long as the others.

    Returns:
        One array (n, ...) for each array that ``work`` returns.
    """
    tiles = tile_indices(n, tile_rows)
    if not padded:
        tiles[-1] = np.unique(tiles[-1])
    pieces = map_tiles(work, tiles)
    return [np.concatenate(part)[:n] for part in zip(*pieces, strict=True)]


def map_tiles(work: Callable[[Any], Any], jobs: list[Any]) -> list[Any]:
    """``[work(job) for job in jobs]``, on all cores.

    Args:
        work: function of a job. What it compiles must be `nebulines.kept_programs`, which one
            thread traces while the others wait: two that trace the same function at once take
            five times as long.
        jobs: what it is called with.

    Example:
        >>> map_tiles(lambda job: 2 * job, [1, 2, 3])
        [2, 4, 6]
    """
    if len(jobs) < 2:
        return [work(job) for job in jobs]
    # one thread more than cores: it prepares its tile while the others are in compiled code
    with ThreadPoolExecutor(max_workers=(os.cpu_count() or 2) + 1) as pool:
        return list(pool.map(work, jobs))


def even_rows(n: int, most: int, tile_rows: int, *, spare: int = 0) -> int:
    """Rows for one call, at most ``most`` and a multiple of ``tile_rows``, that give each core,
    and as many threads more as ``spare``, a share of n.

    Example:
        >>> even_rows(100_000, 512, 16), even_rows(5, 512, 16, spare=1)
        (512, 16)
    """
    share = -(-n // ((os.cpu_count() or 2) + spare))
    return min(most, tile_rows * -(-share // tile_rows))
