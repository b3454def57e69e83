"""Physical and mathematical constants: the only place where each is written down."""

from __future__ import annotations

import math

SPEED_OF_LIGHT_KMS = 299792.458
"""Speed of light in vacuum [km/s] (exact, SI)."""

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian in units of its standard deviation."""

SINC_FWHM_PER_WIDTH = 1.2067091288032284
"""FWHM of sinc(x / w) = sin(pi x / w) / (pi x / w) in units of its first zero w
(Martin et al. 2016, MNRAS 463, 4223: 1.20671)."""

ANGSTROM_PER_CM = 1e8
"""Wavelength [Angstrom] = ANGSTROM_PER_CM / wavenumber [cm-1], in the same medium."""

ANGSTROM_PER_MICRON = 1e4
"""Angstrom in a micrometre: extinction laws are written in 1 / um."""

KELVIN_CM = 1.438776877
"""Second radiation constant h c / k [K cm] (exact, SI)."""

CM_PER_MEGAPARSEC = 3.0856775814913673e24
"""Centimetres in a megaparsec (IAU 2015 resolution B2)."""
