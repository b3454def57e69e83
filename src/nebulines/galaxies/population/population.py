"""What a population of galaxies is: light, lines, classes and properties."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nebulines.galaxies.population.ionised_gas import LINES

CLASSES = ("emission", "absorption", "quiescent", "agn", "liner", "post-starburst")
"""Names of the classes, by number: star-forming with lines; weak lines and young enough stars
for absorption (H-alpha under 3 A, D4000 under 1.6); no lines; narrow-line nucleus; lines lit by
old stars; post-starburst."""


class Population(NamedTuple):
    """n galaxies at rest, behind their own dust.

    Attributes:
        wavelength_air: (m,) even in its logarithm [Angstrom, rest frame].
        continuum: (n, m) stars alone, float32 [solar luminosities per Angstrom].
        flux: (n, L) of the lines `LINES` [solar luminosities].
        ew: (n, L) their equivalent widths: flux over the mean continuum beside the line
            [Angstrom, positive in emission].
        velocity_dispersion: (n,) of the stars, 1-sigma [km/s].
        gas_dispersion: (n,) of the gas [km/s].
        kind: (n,) number of the class in `CLASSES`.
        log_mass: (n,) log10 of the stellar mass formed [solar].
        log_sfr: (n,) log10 of the star-formation rate of the last 10 Myr [solar masses / yr].
        oxygen_abundance: (n,) 12 + log10(O/H) of the gas.
        log_u: (n,) log10 of the ionisation parameter.
        av: (n,) A_V of the diffuse dust [mag], before stars and gas.
        av_clouds: (n,) A_V of birth clouds [mag], before young stars and their gas too.
        mean_log_age: (n,) mean log10 age, weighted by light at 5500 A [yr].
        d4000: (n,) flux ratio of 4000-4100 over 3850-3950 A, per frequency.
    """

    wavelength_air: np.ndarray
    continuum: np.ndarray
    flux: np.ndarray
    ew: np.ndarray
    velocity_dispersion: np.ndarray
    gas_dispersion: np.ndarray
    kind: np.ndarray
    log_mass: np.ndarray
    log_sfr: np.ndarray
    oxygen_abundance: np.ndarray
    log_u: np.ndarray
    av: np.ndarray
    av_clouds: np.ndarray
    mean_log_age: np.ndarray
    d4000: np.ndarray

    @property
    def lines(self) -> tuple[str, ...]:
        """Names of the lines."""
        return LINES

    @property
    def line_ew(self) -> dict[str, np.ndarray]:
        """Equivalent width (n,) of each line by name; OII3727 is the doublet."""
        ew = dict(zip(LINES, self.ew.T, strict=True))
        return {**ew, "OII3727": ew["OII3726"] + ew["OII3729"]}

    def rows(self, index: Any) -> Population:
        """A part of the galaxies."""
        return Population(self.wavelength_air, *(part[index] for part in self[1:]))
