"""Ratios of hydrogen recombination lines, case B."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.errors import UsageError

DATA = Path(__file__).parent / "data"
REFERENCE = "HBETA4861"
"""Line that the ratios are relative to."""


def balmer_lines() -> tuple[str, ...]:
    """Hydrogen lines whose ratio to H-beta is known.

    Example:
        >>> balmer_lines()
        ('HALPHA6563', 'HGAMMA4340', 'HDELTA4102', 'HEPSILON3970', 'HBETA4861')
    """
    return (*_table()["lines"], REFERENCE)


def case_b_ratio(line: str, temperature: Any = 1e4, density: Any = 1e2) -> np.ndarray:
    """Flux of a Balmer line relative to H-beta without dust, case B.

    The logarithm is interpolated linearly in log T and log n; beyond the table (5000 to
    20000 K, 10^2 to 10^6 cm-3) its edge holds.

    Args:
        line: one of `balmer_lines`.
        temperature: of the electrons [K], (...).
        density: of the electrons [cm-3], (...).

    Returns:
        (...) ratio.

    Raises:
        UsageError: an unknown line.

    Source: Storey & Hummer 1995, MNRAS 272, 41.

    Example:
        >>> case_b_ratio("HALPHA6563").round(3), case_b_ratio("HALPHA6563", 2e4, 1e4).round(2)
        (np.float64(2.863), np.float64(2.74))
    """
    if line not in balmer_lines():
        raise UsageError(
            f"no case-B ratio for {line!r}; there is one for {', '.join(balmer_lines())}"
        )
    log_t, log_n = np.broadcast_arrays(
        np.log10(np.asarray(temperature, float)), np.log10(np.asarray(density, float))
    )
    if line == REFERENCE:
        return np.ones(log_t.shape)
    table = _table()
    return 10.0 ** _bilinear(
        (np.log10(table["temperature"]), np.asarray(table["log_density"])),
        np.log10(table["lines"][line]),
        (log_t, log_n),
    )


def _bilinear(
    axes: tuple[np.ndarray, np.ndarray],
    values: np.ndarray,
    at: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    (i, u), (j, v) = (_place(axis, x) for axis, x in zip(axes, at, strict=True))
    low = values[i, j] * (1 - v) + values[i, j + 1] * v
    high = values[i + 1, j] * (1 - v) + values[i + 1, j + 1] * v
    return low * (1 - u) + high * u


def _place(axis: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cell of each value and the fraction of the cell before it, 0 to 1."""
    cell = np.clip(np.searchsorted(axis, x) - 1, 0, len(axis) - 2)
    return cell, np.clip((x - axis[cell]) / (axis[cell + 1] - axis[cell]), 0.0, 1.0)


@functools.cache
def _table() -> dict[str, Any]:
    return tomllib.loads((DATA / "case_b.toml").read_text(encoding="utf-8"))
