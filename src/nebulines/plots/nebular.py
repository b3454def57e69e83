"""Maps of what line fluxes mean: dust, density, abundance, and the classes of nebulae."""

from __future__ import annotations

import numpy as np

from nebulines.plots.quality import GOOD_COLOUR

NEBULAR_PANELS = (
    "ebv", "electron_density", "bpt_nii", "oxygen_abundance", "log_u", "region_class",
)  # fmt: skip
"""Columns of a classified result that are drawn; those of classes stand where their legends have
room."""
# of numbers 1, 2 ...: name and colour; 0 is unknown
_BPT = (
    ("star-forming", "#56B4E9"), ("composite", "#F0E442"), ("Seyfert", "#D55E00"),
    ("LINER", "#009E73"), ("ambiguous", "#CC79A7"),
)  # fmt: skip
_REGION = (
    ("H II region", "#56B4E9"), ("planetary nebula", "#009E73"), ("shock", "#E69F00"),
    ("diffuse gas", "#F0E442"), ("active nucleus", "#D55E00"),
)  # fmt: skip
_CLASSES = {
    "bpt": ("BPT class", _BPT),
    "bpt_nii": ("BPT class, [N II]", _BPT),
    "bpt_sii": ("BPT class, [S II]", _BPT),
    "bpt_oi": ("BPT class, [O I]", _BPT),
    "region_class": ("class of nebula", _REGION),
}


def class_title(column: str) -> str | None:
    """What stands above a map of classes; None for a column of anything else.

    Example:
        >>> class_title("region_class"), class_title("velocity")
        ('class of nebula', None)
    """
    return _CLASSES[column][0] if column in _CLASSES else None


def nebular_classes(column: str, values: np.ndarray) -> tuple[np.ndarray, list[str], list[str]]:
    """The classes of a column that occur, as `quality.flag_classes` gives those of flags.

    Args:
        column: for which `class_title` is not None.
        values: numbers of classes, 0 for none.

    Returns:
        Places in the names, of the same shape; the names that occur; their colours.

    Example:
        >>> nebular_classes("region_class", np.array([0, 1, 4]))[1]
        ['unknown', 'H II region', 'diffuse gas']
    """
    known = [("unknown", GOOD_COLOUR), *_CLASSES[column][1]]
    found = np.where(np.isfinite(values), values, 0).astype(int)
    there = np.unique(found)
    names, colours = zip(*(known[number] for number in there), strict=True)
    return np.searchsorted(there, found), list(names), list(colours)
