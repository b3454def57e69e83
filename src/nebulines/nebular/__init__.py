"""Nebular physics: dust, density, temperature, abundance and class from line fluxes."""

from nebulines.nebular.density import electron_density, electron_temperature
from nebulines.nebular.diagnostics import Bpt, Whan, bpt_class, kewley06_class, whan_class
from nebulines.nebular.extinction import Dust, balmer_ebv, correct_extinction, deredden
from nebulines.nebular.metallicity import (
    calibrations,
    oxygen_abundance,
    r23,
)
from nebulines.nebular.propagation import Measured, propagate
from nebulines.nebular.radiation import ionisation_parameter, star_formation_rate
from nebulines.nebular.ratios import line_flux, log_ratio
from nebulines.nebular.recombination import case_b_ratio
from nebulines.nebular.regions import Classified, Region, classify

__all__ = [
    "Bpt",
    "Classified",
    "Dust",
    "Measured",
    "Region",
    "Whan",
    "balmer_ebv",
    "bpt_class",
    "calibrations",
    "case_b_ratio",
    "classify",
    "correct_extinction",
    "deredden",
    "electron_density",
    "electron_temperature",
    "ionisation_parameter",
    "kewley06_class",
    "line_flux",
    "log_ratio",
    "oxygen_abundance",
    "propagate",
    "r23",
    "star_formation_rate",
    "whan_class",
]
