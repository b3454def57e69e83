"""Arrays that stay on disk until they are indexed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


class LazyArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array (n, channel) read when it is indexed, so that a set of spectra larger than
    memory can be worked through by slices.

    Indexing gives a plain array; numpy functions, operators and array methods work on it but
    read it whole.

    Args:
        shape: (n, channel).
        dtype: type of what ``read`` gives.
        read: function of an index of the first dimension (slice, index array or boolean
            array) giving an array (k, channel).

    Example:
        >>> rows = LazyArray((3, 4), np.float32, lambda index: np.ones((3, 4), np.float32)[index])
        >>> rows.shape, rows[1:].shape, rows[0, :2].tolist(), float(np.sum(rows))
        ((3, 4), (2, 4), [1.0, 1.0], 12.0)
    """

    def __init__(
        self, shape: tuple[int, int], dtype: Any, read: Callable[[Any], np.ndarray]
    ) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._read = read

    ndim = 2

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes it would take in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        first, rest = (index[0], index[1:]) if isinstance(index, tuple) and index else (index, ())
        if first is Ellipsis or first is None or isinstance(first, tuple):
            return np.asarray(self)[index]
        if isinstance(first, int | np.integer):
            row = int(np.arange(len(self))[first])
            return self._read(slice(row, row + 1))[0][rest]
        return self._read(first)[(slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._read(slice(None)), dtype=dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        inputs = tuple(np.asarray(x) if isinstance(x, LazyArray) else x for x in inputs)
        return getattr(ufunc, method)(*inputs, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(np.asarray(self), name)

    def __repr__(self) -> str:
        return f"LazyArray(shape={self.shape}, dtype={self.dtype})"
