"""Errors of equivalent widths as a survey measures them, and widths measured with them."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.galaxies.widths.equivalent_widths import LINES


def draw_errors(ew: Any, rng: np.random.Generator) -> np.ndarray:
    """Errors of widths, as DESI's bright galaxies have them (``data/width_errors.toml``).

    ln error = level + slope asinh EW + residual, the residuals of a galaxy's lines correlated.

    Args:
        ew: (n, 10) true widths [Angstrom]; negative ones count as zero.
        rng: generator.

    Returns:
        (n, 10) [Angstrom].

    Example:
        >>> error = draw_errors(np.ones((4, 10)), np.random.default_rng(0))
        >>> error.shape, bool((error > 0).all())
        ((4, 10), True)
    """
    level, slope, residual, together = _coefficients()
    normal = np.sqrt(together) * rng.normal(size=(len(ew), 1))
    normal = normal + np.sqrt(1.0 - together) * rng.normal(size=np.shape(ew))
    expected = level + slope * np.arcsinh(np.maximum(np.asarray(ew, float), 0.0))
    return np.exp(expected + residual * normal)


def measure(ew: Any, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Widths as they would be measured, and their errors, each (n, 10) [Angstrom].

    Example:
        >>> seen, error = measure(np.zeros((1000, 10)), np.random.default_rng(0))
        >>> bool(abs((seen / error).std() - 1.0) < 0.05)
        True
    """
    error = draw_errors(ew, rng)
    return np.asarray(ew, float) + error * rng.normal(size=error.shape), error


@functools.cache
def _coefficients() -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    path = Path(__file__).parent / "data" / "width_errors.toml"
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    rows = [table["lines"][name] for name in LINES]
    columns = [np.array([row[key] for row in rows]) for key in ("level", "slope", "residual")]
    return columns[0], columns[1], columns[2], float(table["together"])
