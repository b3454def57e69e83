"""Tiles of equal size, one after another: parts of a set are already fitted at the same time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nebulines.fitting.tiles import tile_indices


def in_turn(
    work: Callable[[np.ndarray], tuple[np.ndarray, ...]], n: int, tile_rows: int
) -> list[np.ndarray]:
    """What `nebulines.fitting.tiles.run_tiles` gives, by one thread.

    Args:
        work: function of the row indices (tile,), returning a tuple of arrays (tile, ...).
        n: number of rows, at least one.
        tile_rows: rows of a tile; the last tile repeats its last row.

    Returns:
        One array (n, ...) for each array that ``work`` returns.

    Example:
        >>> in_turn(lambda rows: (2 * rows,), 3, 2)[0].tolist()
        [0, 2, 4]
    """
    pieces = [work(rows) for rows in tile_indices(n, tile_rows)]
    return [np.concatenate(part)[:n] for part in zip(*pieces, strict=True)]
