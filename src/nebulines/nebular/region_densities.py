"""Densities of line ratios of the classes of nebulae, on a grid of true ratios."""

from __future__ import annotations

import functools
import tomllib
from typing import Any, NamedTuple

import numpy as np

from nebulines.nebular.recombination import DATA

_STEP_DEX = 0.05
_EDGES = np.arange(-4.5, 1.75 + _STEP_DEX / 2, _STEP_DEX)
GRID = 0.5 * (_EDGES[1:] + _EDGES[:-1])
"""(grid) log10 of true ratios, centres of cells; what lies beyond counts in the outermost."""

CLASS_NAMES = ("hii", "pn", "shock", "dig", "agn")


def features() -> tuple[str, ...]:
    """The ratios that classes are told from.

    Example:
        >>> features()[:3]
        ('NII6583/HALPHA6563', 'SII/HALPHA6563', 'OI6300/HALPHA6563')
    """
    return tuple(_table()["features"])


class Densities(NamedTuple):
    """All Gaussians of all classes.

    Attributes:
        classes: (C,) number of the class in `CLASS_NAMES`.
        weights: (C,) within the class.
        means, sigma: (C, d) of each of `features`.
        integrals: (d, grid, C) float32, probability of each cell of the grid.
    """

    classes: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    sigma: np.ndarray
    integrals: np.ndarray


@functools.cache
def densities() -> Densities:
    """The densities of ``data/regions.toml``.

    Example:
        >>> bool(np.allclose(densities().integrals.sum(axis=1), 1.0, atol=1e-5))
        True
    """
    from scipy.special import ndtr

    rows = [_table()["classes"][name] for name in CLASS_NAMES]
    classes = np.repeat(np.arange(len(rows)), [len(row["weights"]) for row in rows])
    weights, means, sigma = (
        np.concatenate([np.asarray(row[key], float) for row in rows])
        for key in ("weights", "means", "sigma")
    )
    edges = np.concatenate([[-np.inf], _EDGES[1:-1], [np.inf]])
    below = ndtr((edges[None, :, None] - means.T[:, None]) / sigma.T[:, None])
    cells = np.diff(below, axis=1).astype(np.float32)
    return Densities(classes, np.maximum(weights, 1e-12), means, sigma, cells)


@functools.cache
def _table() -> dict[str, Any]:
    return tomllib.loads((DATA / "regions.toml").read_text(encoding="utf-8"))
