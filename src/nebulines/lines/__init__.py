"""Emission lines as data: the catalogue, and what ties lines to each other."""

from nebulines.lines.catalogue import LineCatalogue, load_catalogue
from nebulines.lines.ties import (
    Doublet,
    Tie,
    amplitude_matrix,
    kinematic_groups,
    load_doublets,
    load_ties,
    standard_ratios,
    tied_groups,
)

__all__ = [
    "Doublet",
    "LineCatalogue",
    "Tie",
    "amplitude_matrix",
    "kinematic_groups",
    "load_catalogue",
    "load_doublets",
    "load_ties",
    "standard_ratios",
    "tied_groups",
]
