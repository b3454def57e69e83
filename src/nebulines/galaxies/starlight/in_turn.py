"""Tiles of equal size, one after another: parts of a set are already fitted at the same time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nebulines.fitting.tiles import SMALL_TILE, tile_indices

TILE_ROWS = 48
"""Tables that all spectra share pass through the processor once a tile: 16 spectra at a time make
the fit a tenth slower."""


def tiles(n: int) -> list[np.ndarray]:
    """Row indices of tiles of `TILE_ROWS`, or less where there are few; the last tile repeats its
    last row.

    Example:
        >>> [len(tile) for tile in tiles(100)], len(tiles(20)[0])
        ([48, 48, 48], 16)
    """
    return tile_indices(n, SMALL_TILE if n <= 2 * SMALL_TILE else TILE_ROWS)


def in_turn(work: Callable[[np.ndarray], tuple[np.ndarray, ...]], n: int) -> list[np.ndarray]:
    """What `nebulines.fitting.tiles.run_tiles` gives, by one thread.

    Args:
        work: function of the row indices (tile,), returning a tuple of arrays (tile, ...).
        n: number of rows, at least one.

    Returns:
        One array (n, ...) for each array that ``work`` returns.

    Example:
        >>> in_turn(lambda rows: (2 * rows,), 3)[0].tolist()
        [0, 2, 4]
    """
    pieces = [work(rows) for rows in tiles(n)]
    return [np.concatenate(part)[:n] for part in zip(*pieces, strict=True)]
