"""Typical relative line strengths, by class of nebula: what a velocity search looks for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np
from astropy.table import Table


class LineStrengths(NamedTuple):
    """Relative fluxes of lines in each class.

    Attributes:
        classes: (T,) names.
        flux: (T, L) relative to H-alpha.
        rarity: (T,) share of its gain in chi2 that a rare class forgoes, so that it is believed
            only where a common one does clearly worse.
    """

    classes: tuple[str, ...]
    flux: np.ndarray
    rarity: np.ndarray


@cache
def _table() -> Table:
    path = resources.files("nebulines.lines") / "data" / "line_strengths.ecsv"
    return Table.read(path.read_text(encoding="utf-8"), format="ascii.ecsv")


def line_strengths(names: Sequence[str]) -> LineStrengths:
    """Typical strengths of the named lines; a line that the table does not hold counts 0.02.

    When none of the names is in the table, one class with equal strengths is returned.

    Example:
        >>> line_strengths(["HALPHA6563", "NII6583"]).flux[0]
        array([1. , 0.3])
    """
    table = _table()
    classes = tuple(name for name in table.colnames if name != "name")
    row_of = {str(name): row for row, name in enumerate(table["name"])}
    if not any(name in row_of for name in names):
        return LineStrengths(("equal",), np.ones((1, len(names))), np.zeros(1))
    flux = np.full((len(classes), len(names)), 0.02)
    for column, name in enumerate(names):
        if name in row_of:
            flux[:, column] = [table[c][row_of[name]] for c in classes]
    rarity = np.array([float(table.meta["rarity"][c]) for c in classes])
    return LineStrengths(classes, flux, rarity)
