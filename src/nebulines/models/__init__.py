"""Forward models of spectra: emission lines and continuum."""

from nebulines.models.continuum import continuum, legendre_basis
from nebulines.models.dust import extinction, extinction_laws, transmission
from nebulines.models.spectrum import (
    line_peaks,
    line_positions,
    line_spectrum,
    line_spread_width,
    lines_at_offsets,
)

__all__ = [
    "continuum",
    "extinction",
    "extinction_laws",
    "legendre_basis",
    "line_peaks",
    "line_positions",
    "line_spectrum",
    "line_spread_width",
    "lines_at_offsets",
    "transmission",
]
