"""Galaxies with consistent colours and lines: an empirical stand-in for a population model.

Colours are drawn with the mean and spread of DESI bright galaxies and the correlations of nearby
ones (``data/empirical.toml``); asinh EW is what a teacher network says of them, plus the
estimated scatter around it (``data/lines.toml``); [N II] 6548 and [O III] 4959 follow their
doublets. Measured widths add DESI's noise, so that many are undetected or negative. What no one
can learn from such galaxies is anything that the teacher does not know.
"""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from nebulines.galaxies.equivalent_widths import LINES, published_scatter
from nebulines.galaxies.learning import Measured, measured
from nebulines.lines import tied_groups

_BLOCK = 20_000


class EmpiricalPopulation(NamedTuple):
    """n galaxies.

    Attributes:
        galaxies: colours, and widths as they would be measured.
        true_ew: (n, 10) before noise [Angstrom].
    """

    galaxies: Measured
    true_ew: np.ndarray


def empirical_population(n: int, seed: Any, teacher: Any) -> EmpiricalPopulation:
    """Draw galaxies.

    Args:
        n: number of galaxies.
        seed: anything that numpy takes; a set that judges needs another than the one that trains.
        teacher: network with ``predict``, from `load_predictor`.

    Returns:
        `EmpiricalPopulation`.
    """
    rng = np.random.default_rng(seed)
    colours = draw_colours(n, rng)
    mean = np.concatenate(
        [np.asarray(teacher.predict(part).mean) for part in _parts(colours)]
    ).astype(float)
    true = _with_doublets(np.sinh(mean + _scatter(n, rng)))
    table = _table()["errors"]
    spread = np.asarray(table["error_spread"])
    error = np.asarray(table["ew_error"]) * np.exp(spread * rng.normal(size=(n, 1)))
    seen = true + error * rng.normal(size=true.shape)
    return EmpiricalPopulation(measured(colours, seen, error), true)


def draw_colours(n: int, rng: np.random.Generator) -> np.ndarray:
    """Colours (n, 11) [dex] of the population.

    Example:
        >>> draw_colours(3, np.random.default_rng(0)).shape
        (3, 11)
    """
    table = _table()["colours"]
    lower = np.linalg.cholesky(np.asarray(table["correlation"]))
    scale = np.exp(table["widening"] * rng.normal(size=(n, 1)))
    normal = scale * (rng.normal(size=(n, len(lower))) @ lower.T)
    return np.asarray(table["mean"]) + np.asarray(table["spread"]) * normal


def _scatter(n: int, rng: np.random.Generator) -> np.ndarray:
    scatter, together = published_scatter()
    shared = np.sqrt(together) * rng.normal(size=(n, 1))
    return scatter * (shared + np.sqrt(1.0 - together) * rng.normal(size=(n, len(LINES))))


def _with_doublets(ew: np.ndarray) -> np.ndarray:
    """Widths with the weak lines of fixed doublets at their ratio to the strong ones."""
    ew = ew.copy()
    for tie in tied_groups(LINES):
        ew[:, LINES.index(tie.weak)] = ew[:, LINES.index(tie.strong)] / tie.ratio
    return ew


def _parts(colours: np.ndarray) -> list[Any]:
    return [jnp.asarray(colours[i : i + _BLOCK]) for i in range(0, len(colours), _BLOCK)]


@functools.cache
def _table() -> dict[str, Any]:
    path = Path(__file__).parent / "data" / "empirical.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))
