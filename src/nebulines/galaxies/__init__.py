"""Galaxies: emission lines from the stellar continuum."""

from nebulines.galaxies.equivalent_widths import LINES, LineWidths
from nebulines.galaxies.painter import Painted, Painter
from nebulines.galaxies.painting import paint
from nebulines.galaxies.predictors import convert_published, load_predictor, widths_of_colours
from nebulines.galaxies.sed import SedPainter, binned_templates, ssp_templates

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
    "widths_of_colours",
]
