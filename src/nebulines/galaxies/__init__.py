"""Galaxies: emission lines from the stellar continuum."""

from nebulines.galaxies.widths.equivalent_widths import LINES, LineWidths
from nebulines.galaxies.widths.painter import Painted, Painter
from nebulines.galaxies.widths.painting import paint
from nebulines.galaxies.widths.predictors import (
    convert_published,
    load_predictor,
    widths_of_colours,
)
from nebulines.galaxies.widths.sed import SedPainter, binned_templates, ssp_templates, whole_sed

__all__ = [
    "LINES",
    "LineWidths",
    "Painted",
    "Painter",
    "SedPainter",
    "binned_templates",
    "convert_published",
    "load_predictor",
    "paint",
    "ssp_templates",
    "whole_sed",
    "widths_of_colours",
]
