"""Correlations between the errors of lines of one fit, from the errors of their ratios.

A result table states the flux of every line with its error, and the ratios r = A/B with errors
from the full covariance. As error(r)^2 B^2 = s_A^2 - 2 r cov(A, B) + r^2 s_B^2, the ratios hold
the covariance of their lines. Lines whose ratio the table lacks are taken as independent.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from nebulines.fitting.result import Result
from nebulines.nebular.ratios import SUMS

Correlations = Mapping[tuple[str, str], np.ndarray]
"""Correlation (n,) of the errors of two lines, or of a sum and a line, by names."""

_LEAST = 1e-3
"""S/N of a ratio's upper line over that of the lower one, below which the table's digits do not
hold their correlation."""
_LARGEST = 0.999


def line_correlations(result: Result, rows: slice) -> dict[tuple[str, str], np.ndarray]:
    """Correlations of the errors of some rows; none where the ratios are a network's posterior.

    Args:
        result: with ``NAME_flux``, ``NAME_flux_err``, ``ratio_A_B``, ``ratio_A_B_err``.
        rows: which rows.

    Returns:
        (n,) of each pair whose ratio the result has, by their names; 0 where it cannot be told.

    Example:
        >>> columns = {"HALPHA6563_flux": [3.0], "HALPHA6563_flux_err": [0.3],
        ...            "HBETA4861_flux": [1.0], "HBETA4861_flux_err": [0.1],
        ...            "ratio_HALPHA6563_HBETA4861": [3.0],
        ...            "ratio_HALPHA6563_HBETA4861_err": [0.3]}
        >>> found = line_correlations(Result({k: np.array(v) for k, v in columns.items()}),
        ...                           slice(None))
        >>> found["HALPHA6563", "HBETA4861"].round(3)
        array([0.5])
    """
    found: dict[tuple[str, str], np.ndarray] = {}
    if result.meta.get("METHOD") == "network":
        return found
    lines = {
        name: (
            finite_column(result, f"{name}_flux", rows),
            finite_column(result, f"{name}_flux_err", rows),
        )
        for name in result.lines
        if f"{name}_flux_err" in result
    }
    _add_pairs(found, result, rows, lines)
    for total, parts in SUMS.items():
        if len(parts) == 2 and set(parts) <= lines.keys() and total not in lines:
            a, b = parts
            lines[total] = _sum(lines[a], lines[b], correlation(found, a, b))
    _add_pairs(found, result, rows, lines)
    return found


def correlation(known: Correlations, first: str, second: str) -> np.ndarray | float:
    """Correlation of two lines, 0 where it is not known.

    Example:
        >>> correlation({("A", "B"): np.array([0.5])}, "B", "A"), correlation({}, "A", "B")
        (array([0.5]), 0.0)
    """
    return known.get((first, second), known.get((second, first), 0.0))


def sum_error(first: np.ndarray, second: np.ndarray, correlated: np.ndarray | float) -> np.ndarray:
    """1-sigma error of a sum of two fluxes, sqrt(a^2 + b^2 + 2 rho a b).

    Args:
        first, second: a, b, 1-sigma errors (n,) in one unit.
        correlated: rho, correlation (n,) of the two.

    Returns:
        (n,) in that unit.

    Example:
        >>> float(sum_error(np.array(3.0), np.array(4.0), 0.0))
        5.0
    """
    return np.sqrt(np.maximum(first**2 + second**2 + 2.0 * correlated * first * second, 0.0))


def _sum(
    first: tuple[np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray],
    correlated: np.ndarray | float,
) -> tuple[np.ndarray, np.ndarray]:
    return first[0] + second[0], sum_error(first[1], second[1], correlated)


def _add_pairs(
    found: dict[tuple[str, str], np.ndarray],
    result: Result,
    rows: slice,
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> None:
    """Put in the correlation of every pair whose ratio the result has, once."""
    for top, bottom in itertools.permutations(lines, 2):
        known = (top, bottom) in found or (bottom, top) in found
        if not known and f"ratio_{top}_{bottom}_err" in result:
            found[top, bottom] = _of_pair(result, rows, lines[top], lines[bottom], (top, bottom))


def finite_column(result: Result, name: str, rows: slice) -> np.ndarray:
    """A column (n,) of some rows; what is infinite was not measured, and is NaN.

    Example:
        >>> finite_column(Result({"a": np.array([1.0, np.inf])}), "a", slice(None))
        array([ 1., nan])
    """
    values = np.asarray(result[name][rows], float)
    return np.where(np.isfinite(values), values, np.nan)


def _of_pair(
    result: Result,
    rows: slice,
    top: tuple[np.ndarray, np.ndarray],
    bottom: tuple[np.ndarray, np.ndarray],
    names: tuple[str, str],
) -> np.ndarray:
    ratio_error = finite_column(result, "ratio_{}_{}_err".format(*names), rows)
    (a, a_error), (b, b_error) = top, bottom
    with np.errstate(all="ignore"):
        ratio = a / b
        product = 2.0 * ratio * a_error * b_error
        found = (a_error**2 + (ratio * b_error) ** 2 - (ratio_error * b) ** 2) / product
        told = np.isfinite(found) & (np.abs(ratio) * b_error > _LEAST * a_error)
    return np.where(told, np.clip(found, -_LARGEST, _LARGEST), 0.0)
