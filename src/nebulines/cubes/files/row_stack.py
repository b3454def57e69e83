"""A row-stacked file that is filled block by block, never held in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nebulines.cubes.files.canvas import Canvas, Extension


class RowStack:
    """Extensions laid out for n rows from those of the first block.

    Args:
        path: the file.
        n: rows that will come.
    """

    def __init__(self, path: Path, n: int) -> None:
        self.path, self.n = path, n
        self._canvas: Any = None
        self._row = 0

    def add(self, hdus: list[Any]) -> None:
        """The next rows: images (k, channel) and tables of k rows are appended, the rest is
        written as it is."""
        k = max(_rows(hdu) for hdu in hdus)
        if self._canvas is None:
            self._canvas = Canvas.create(self.path, [_extension(hdu, self.n) for hdu in hdus])
        where = slice(self._row, self._row + k)
        with self._canvas.arrays() as arrays:
            for hdu in hdus[1:]:
                _fill(arrays[hdu.name], hdu.data, where)
        self._row = where.stop

    def finish(self) -> None:
        """Checksums, once every row is there."""
        self._canvas.finish()


def _per_row(hdu: Any) -> bool:
    return hdu.data is not None and (hdu.data.dtype.names is not None or hdu.data.ndim == 2)


def _rows(hdu: Any) -> int:
    return len(hdu.data) if _per_row(hdu) else 0


def _extension(hdu: Any, n: int) -> Extension:
    header = hdu.header.copy()
    if hdu.data is None:
        return Extension(header)
    shape = (n, *hdu.data.shape[1:]) if _per_row(hdu) else hdu.data.shape
    if _per_row(hdu):
        header["NAXIS2"] = n
    return Extension(header, hdu.data.dtype.newbyteorder(">"), shape)


def _fill(array: np.ndarray, data: Any, where: slice) -> None:
    if data.dtype.names:
        for name in data.dtype.names:
            array[name][where] = data[name]
    elif data.ndim == 2:
        array[where] = data
    else:
        array[...] = data
