"""Diagnostic diagrams: what ionises the gas.

Classes are small integers, 0 where a line is missing or not positive. The dividing lines stand
in ``data/demarcations.toml``.
"""

from __future__ import annotations

import functools
import tomllib
from enum import IntEnum
from typing import Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.nebular.propagation import Fluxes
from nebulines.nebular.ratios import log_ratio
from nebulines.nebular.recombination import DATA

BPT_LINES = {"NII": "NII6583", "SII": "SII", "OI": "OI6300"}
"""Line or sum that each BPT diagram compares with H-alpha."""
_X = {diagram: f"{line}/HALPHA6563" for diagram, line in BPT_LINES.items()}
_Y = "OIII5007/HBETA4861"


class Bpt(IntEnum):
    """Classes of the BPT diagrams."""

    UNKNOWN = 0
    STAR_FORMING = 1
    COMPOSITE = 2
    SEYFERT = 3
    LINER = 4
    AMBIGUOUS = 5


class Whan(IntEnum):
    """Classes of the WHAN diagram."""

    UNKNOWN = 0
    STAR_FORMING = 1
    STRONG_AGN = 2
    WEAK_AGN = 3
    RETIRED = 4
    PASSIVE = 5


def bpt_axes(fluxes: Fluxes, diagram: str = "NII") -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of a BPT diagram.

    Args:
        fluxes: {line: (...)}.
        diagram: ``NII``, ``SII`` or ``OI``.

    Returns:
        x = log10([N II] 6583 / Ha), ([S II] 6716 + 6731) / Ha or [O I] 6300 / Ha, and
        y = log10([O III] 5007 / Hb), (...); NaN where a flux is not positive.

    Raises:
        UsageError: another diagram, a missing line.

    Source: Baldwin, Phillips & Terlevich 1981, PASP 93, 5; Veilleux & Osterbrock 1987.

    Example:
        >>> fluxes = {"NII6583": 0.3, "HALPHA6563": 3.0, "OIII5007": 1.0, "HBETA4861": 1.0}
        >>> [float(axis) for axis in bpt_axes(fluxes)]
        [-1.0, 0.0]
    """
    if diagram not in _X:
        raise UsageError(f"the diagrams are NII, SII and OI, not {diagram!r}")
    return log_ratio(fluxes, _X[diagram]), log_ratio(fluxes, _Y)


def demarcation(x: Any, name: str, diagram: str = "NII") -> np.ndarray:
    """Height y of a dividing line above x; -inf beyond the asymptote of a curve.

    Args:
        x: abscissa of the diagram, (...).
        name: ``Kewley01``, ``Kauffmann03``, ``Schawinski07``, ``Kewley06``.
        diagram: ``NII``, ``SII`` or ``OI``.

    Raises:
        UsageError: no such line in that diagram.

    Source: named line by line in the table.

    Example:
        >>> demarcation([-0.5, 0.3], "Kauffmann03").round(3)
        array([0.191,  -inf])
    """
    x = np.asarray(x, float)
    curves, straight = _table()["curves"], _table()["lines"]
    if diagram in straight.get(name, {}):
        slope, offset = straight[name][diagram]
        return slope * x + offset
    if diagram not in curves.get(name, {}):
        known = [n for n, row in (curves | straight).items() if diagram in row]
        raise UsageError(f"no line {name!r} in the diagram {diagram!r}; it has {', '.join(known)}")
    a, b, c = curves[name][diagram]
    with np.errstate(divide="ignore"):
        return np.where(
            x < b, a / np.where(x < b, x - b, -1.0) + c, np.where(x >= b, -np.inf, np.nan)
        )


def bpt_class(fluxes: Fluxes, diagram: str = "NII") -> np.ndarray:
    """Class in one BPT diagram.

    [N II]: star-forming below Kauffmann 03, composite up to Kewley 01, above it Seyfert or LINER
    by Schawinski 07. [S II], [O I]: star-forming below Kewley 01, above it Seyfert or LINER by
    Kewley 06.

    Returns:
        (...) int, values of `Bpt`.

    Raises:
        UsageError: another diagram, a missing line.

    Source: the papers named, and Kewley et al. 2006, MNRAS 372, 961.

    Example:
        >>> fluxes = {"NII6583": [0.9, 3.0], "HALPHA6563": [3.0, 3.0], "OIII5007": [0.5, 9.0],
        ...           "HBETA4861": [1.0, 1.0]}
        >>> [Bpt(k).name for k in bpt_class(fluxes)]
        ['STAR_FORMING', 'SEYFERT']
    """
    x, y = bpt_axes(fluxes, diagram)
    starburst = y < demarcation(x, "Kewley01", diagram)
    seyfert = y > demarcation(x, "Schawinski07" if diagram == "NII" else "Kewley06", diagram)
    found = np.where(starburst, Bpt.STAR_FORMING, np.where(seyfert, Bpt.SEYFERT, Bpt.LINER))
    if diagram == "NII":
        between = starburst & (y >= demarcation(x, "Kauffmann03"))
        found = np.where(between, Bpt.COMPOSITE, found)
    return np.where(np.isfinite(x + y), found, Bpt.UNKNOWN).astype(np.int32)


def kewley06_class(fluxes: Fluxes) -> np.ndarray:
    """Class from the three BPT diagrams together.

    Star-forming, Seyfert or LINER where the diagrams that can tell agree; composite between
    Kauffmann 03 and Kewley 01 in [N II] and star-forming in the others; else ambiguous.

    Returns:
        (...) int, values of `Bpt`.

    Raises:
        UsageError: a missing line.

    Source: Kewley et al. 2006, MNRAS 372, 961, sect. 3.

    Example:
        >>> fluxes = {"NII6583": 0.9, "SII6716": 0.3, "SII6731": 0.2, "OI6300": 0.03,
        ...           "HALPHA6563": 3.0, "OIII5007": 0.5, "HBETA4861": 1.0}
        >>> Bpt(int(kewley06_class(fluxes))).name
        'STAR_FORMING'
    """
    nitrogen, *others = (bpt_class(fluxes, diagram) for diagram in _X)
    x, y = bpt_axes(fluxes, "NII")
    nitrogen_agn = y >= demarcation(x, "Kewley01")
    found = np.full(nitrogen.shape, Bpt.AMBIGUOUS)
    formed = np.all([other == Bpt.STAR_FORMING for other in others], axis=0)
    for kind in (Bpt.STAR_FORMING, Bpt.COMPOSITE):
        found = np.where(formed & (nitrogen == kind), kind, found)
    for kind in (Bpt.SEYFERT, Bpt.LINER):
        agreed = np.all([other == kind for other in others], axis=0)
        found = np.where(agreed & nitrogen_agn, kind, found)
    known = np.all([one != Bpt.UNKNOWN for one in (nitrogen, *others)], axis=0)
    return np.where(known, found, Bpt.UNKNOWN).astype(np.int32)


def whan_class(fluxes: Fluxes, equivalent_width: Any) -> np.ndarray:
    """Class in the diagram of the equivalent width of Ha against [N II] / Ha.

    Args:
        fluxes: {line: (...)} of [N II] 6583 and Ha.
        equivalent_width: of Ha in the rest frame [Angstrom], emission positive, (...).

    Returns:
        (...) int, values of `Whan`.

    Raises:
        UsageError: a missing line.

    Source: Cid Fernandes et al. 2011, MNRAS 413, 1687.

    Example:
        >>> fluxes = {"NII6583": [0.3, 1.0, 1.0], "HALPHA6563": [1.0, 1.0, 1.0]}
        >>> [Whan(k).name for k in whan_class(fluxes, [20.0, 20.0, 1.0])]
        ['STAR_FORMING', 'STRONG_AGN', 'RETIRED']
    """
    limits = _table()["whan"]
    x, width = np.broadcast_arrays(
        log_ratio(fluxes, _X["NII"]), np.asarray(equivalent_width, float)
    )
    agn = np.where(width > limits["strong"], Whan.STRONG_AGN, Whan.WEAK_AGN)
    found = np.where(x < limits["log_nii_ha"], Whan.STAR_FORMING, agn)
    found = np.where(width < limits["weak"], Whan.RETIRED, found)
    passive = (width < limits["passive"]) & (width * 10.0**x < limits["passive"])
    found = np.where(passive, Whan.PASSIVE, found)
    return np.where(np.isfinite(x + width), found, Whan.UNKNOWN).astype(np.int32)


@functools.cache
def _table() -> dict[str, Any]:
    return tomllib.loads((DATA / "demarcations.toml").read_text(encoding="utf-8"))
