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

    The first job runs alone: it traces and compiles what the others then find ready. Two threads
    that trace the same function at once take five times as long.
    """
    done = [work(job) for job in jobs[:1]]
    if len(jobs) <= 1:
        return done
    # one thread more than cores: it prepares its tile while the others are in compiled code
    with ThreadPoolExecutor(max_workers=(os.cpu_count() or 2) + 1) as pool:
        return done + list(pool.map(work, jobs[1:]))
