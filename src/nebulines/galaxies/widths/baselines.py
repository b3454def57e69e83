"""Simple predictors of equivalent widths from the same colours, to compare networks with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nebulines.errors import UsageError

Predict = Callable[[np.ndarray], np.ndarray]


def nearest_neighbours(colours: Any, ew: Any, *, k: int = 50, components: int = 0) -> Predict:
    """Median width of the k nearest galaxies in standardised colours.

    Args:
        colours: (n, 11) of the training set.
        ew: (n, 10) measured widths [Angstrom].
        k: neighbours.
        components: principal components to search in; 0 = all standardised colours.

    Returns:
        A function of colours (m, 11) that gives widths (m, 10).

    Raises:
        UsageError: more neighbours than galaxies.

    Example:
        >>> predict = nearest_neighbours(np.eye(11)[:2], np.array([[1.0], [3.0]]), k=1)
        >>> predict(np.eye(11)[1:2]).tolist()
        [[3.0]]
    """
    from scipy.spatial import cKDTree

    colours, ew = np.asarray(colours, float), np.asarray(ew, float)
    if not 1 <= k <= len(colours):
        raise UsageError(f"k must be 1 to {len(colours)} neighbours, not {k}")
    centre, spread = colours.mean(axis=0), np.maximum(colours.std(axis=0), 1e-9)
    basis = np.eye(colours.shape[1])
    if components:
        rows = np.linalg.svd((colours - centre) / spread, full_matrices=False)[2]
        basis = rows[:components].T
    tree = cKDTree((colours - centre) / spread @ basis)

    def predict(new: np.ndarray) -> np.ndarray:
        _, index = tree.query((np.asarray(new, float) - centre) / spread @ basis, k=k, workers=-1)
        return np.median(ew[index.reshape(len(new), k)], axis=1)

    return predict


def linear(colours: Any, ew: Any) -> Predict:
    """Least squares of asinh EW on the colours.

    Args:
        colours: (n, 11) of the training set.
        ew: (n, 10) measured widths [Angstrom].

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 11))
        >>> predict = linear(x, np.sinh(x[:, :1]))
        >>> bool(np.allclose(predict(x), np.sinh(x[:, :1])))
        True
    """
    design = np.column_stack([np.ones(len(colours)), np.asarray(colours, float)])
    coefficients = np.linalg.lstsq(design, np.arcsinh(np.asarray(ew, float)), rcond=None)[0]

    def predict(new: np.ndarray) -> np.ndarray:
        return np.sinh(np.column_stack([np.ones(len(new)), np.asarray(new, float)]) @ coefficients)

    return predict
