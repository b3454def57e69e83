"""Are the answers as good, and the errors as honest, as they say? Arrays out, no plots."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import InputError

_MAD_PER_SIGMA = 0.6744897501960817  # third quartile of the normal distribution


class Coverage(NamedTuple):
    """How often intervals contain the truth.

    Attributes:
        fraction: of the intervals that contain the truth.
        uncertainty: binomial standard error of ``fraction``.
        n: intervals counted (finite, with a positive error).
    """

    fraction: float
    uncertainty: float
    n: int


class ScatterTable(NamedTuple):
    """Scatter beside its bound, one row per bin (k,).

    Attributes:
        low, high: edges of the bin.
        n: estimates counted.
        bias, bias_uncertainty: median of estimate - truth, and its standard error.
        rms, nmad: root mean square and robust scatter of estimate - truth.
        bound: root mean square of the bound over the bin.
        bound_median: median of the bound over the bin.
        efficiency: rms / bound; 1 is the best an unbiased method can do.
    """

    low: np.ndarray
    high: np.ndarray
    n: np.ndarray
    bias: np.ndarray
    bias_uncertainty: np.ndarray
    rms: np.ndarray
    nmad: np.ndarray
    bound: np.ndarray
    bound_median: np.ndarray
    efficiency: np.ndarray


def nmad(values: Any) -> float:
    """Normalised median absolute deviation, 1.4826 median |x - median x|: the standard
    deviation of a normal distribution, deaf to outliers; NaN values are left out.

    Example:
        >>> round(nmad([1.0, 2.0, 3.0, 4.0, 1000.0]), 4)
        1.4826
    """
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not values.size:
        return float("nan")
    return float(np.median(np.abs(values - np.median(values))) / _MAD_PER_SIGMA)


def coverage(truth: Any, estimate: Any, error: Any, *, sigmas: float = 1.0) -> Coverage:
    """Fraction of intervals estimate +- sigmas x error that contain the truth.

    Honest Gaussian errors give 0.683 at 1 sigma and 0.954 at 2 sigma.

    Args:
        truth, estimate, error: same shape and unit; rows that are not finite, or whose error
            is not positive, are left out.
        sigmas: half-width of the interval in units of ``error``.

    Returns:
        `Coverage`; NaN when nothing can be counted.

    Example:
        >>> coverage([0.0, 0.0, 0.0, 0.0], [0.5, -0.5, 2.0, 0.1], np.ones(4)).fraction
        0.75
    """
    truth, estimate, error = _columns(truth, estimate, error)
    good = np.isfinite(truth) & np.isfinite(estimate) & np.isfinite(error) & (error > 0)
    n = int(good.sum())
    if n == 0:
        return Coverage(float("nan"), float("nan"), 0)
    inside = np.abs(estimate - truth)[good] <= sigmas * error[good]
    fraction = float(inside.mean())
    return Coverage(fraction, float(np.sqrt(fraction * (1.0 - fraction) / n)), n)


def scatter_table(truth: Any, estimate: Any, bound: Any, *, by: Any, edges: Any) -> ScatterTable:
    """Bias and scatter of an estimate beside its Cramer-Rao bound, in bins.

    Args:
        truth, estimate, bound: (n,), one unit; rows that are not finite are left out.
        by: (n,) what the bins are of, such as the S/N.
        edges: (k + 1,) increasing; bins are [low, high).

    Returns:
        `ScatterTable`, NaN in bins without rows.

    Example:
        >>> truth = np.zeros(4)
        >>> table = scatter_table(truth, [1.0, -1.0, 2.0, -2.0], [1, 1, 1, 1],
        ...                       by=[5, 5, 15, 15], edges=[0, 10, 20])
        >>> table.efficiency.tolist()
        [1.0, 2.0]
    """
    truth, estimate, bound, by = _columns(truth, estimate, bound, by)
    edges = np.asarray(edges, float)
    if edges.ndim != 1 or len(edges) < 2 or np.any(np.diff(edges) <= 0):
        raise InputError("edges must be two or more increasing numbers")
    miss = estimate - truth
    good = np.isfinite(miss) & np.isfinite(bound)
    bins = [good & (by >= low) & (by < high) for low, high in pairwise(edges)]
    rows = np.array([_scatter(miss[b], bound[b]) for b in bins])
    n, bias, bias_uncertainty, rms, robust, limit, middle = rows.T
    return ScatterTable(
        low=edges[:-1], high=edges[1:], n=n.astype(int), bias=bias,
        bias_uncertainty=bias_uncertainty, rms=rms, nmad=robust, bound=limit,
        bound_median=middle, efficiency=rms / limit,
    )  # fmt: skip


def _scatter(miss: np.ndarray, bound: np.ndarray) -> tuple[float, ...]:
    if not len(miss):
        return (0.0, *[float("nan")] * 6)
    robust = nmad(miss)
    return (
        len(miss),
        float(np.median(miss)),
        float(np.sqrt(np.pi / 2) * robust / np.sqrt(len(miss))),
        float(np.sqrt(np.mean(miss**2))),
        robust,
        float(np.sqrt(np.mean(bound**2))),
        float(np.median(bound)),
    )


def _columns(*arrays: Any) -> list[np.ndarray]:
    columns = [np.asarray(a, float) for a in arrays]
    if len({a.shape for a in columns}) != 1:
        raise InputError(f"columns must have one shape, not {[a.shape for a in columns]}")
    return columns
