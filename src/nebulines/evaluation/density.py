"""Density of predicted against true values."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import InputError

_MOST = 4000  # points of an estimate: more change nothing that an eye can see


class Density(NamedTuple):
    """A density on a grid.

    Attributes:
        x: (k,) true values.
        y: (k,) predicted values.
        density: (k, k), rows along y, per unit of x and y.
    """

    x: np.ndarray
    y: np.ndarray
    density: np.ndarray


def kernel_density(
    truth: Any, estimate: Any, *, size: int = 80, limits: tuple[float, float] | None = None
) -> Density:
    """Gaussian kernel density of (true, predicted), on a square grid.

    The kernel has the covariance of the points times n^(-1/3) (Scott's rule in two
    dimensions), so it is as narrow across the diagonal as the points are.

    Args:
        truth, estimate: (n,); rows that are not finite are left out, and of more than 4000
            every k-th is used.
        size: of the grid.
        limits: (low, high) of both axes; None = the range of the truths, a tenth wider.

    Returns:
        `Density`.

    Raises:
        InputError: fewer than ten points, or a square without extent.

    References:
        Scott 1992, Multivariate Density Estimation, eq. 6.42.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> truth = generator.uniform(-200, 200, 500)
        >>> found = kernel_density(truth, truth + generator.normal(0, 5, 500))
        >>> step = found.x[1] - found.x[0]
        >>> bool(abs(found.density.sum() * step**2 - 1) < 0.1)
        True
    """
    from scipy.stats import gaussian_kde

    points = np.stack([np.asarray(truth, float), np.asarray(estimate, float)])
    points = points[:, np.isfinite(points).all(axis=0)]
    points = points[:, :: max(1, -(-points.shape[1] // _MOST))]
    if points.shape[1] < 10:
        raise InputError(f"a density needs ten points or more, not {points.shape[1]}")
    low, high = limits or _widened(points[0])
    if not low < high:
        raise InputError("a density needs truths that differ")
    grid = np.linspace(low, high, size)
    mesh = np.stack(np.meshgrid(grid, grid)).reshape(2, -1)
    return Density(grid, grid, gaussian_kde(points, "scott")(mesh).reshape(size, size))


def _widened(values: np.ndarray) -> tuple[float, float]:
    margin = 0.1 * np.ptp(values)
    return float(values.min() - margin), float(values.max() + margin)
