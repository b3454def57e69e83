"""The stellar basis of the package: spectra of stars of one age and one metallicity.

54 single stellar populations of MaStar (Maraston et al. 2020, MNRAS 496, 2962), nine ages from
3 Myr to 14 Gyr, six metallicities from -1.35 to +0.35 dex, with the near ultraviolet and the
light per mass of Bruzual & Charlot 2003 (MNRAS 344, 1000). ``benchmarks/learn_starlight.py``
says how they were made from files of sdss-mangadap (BSD-3: ``data/starlight-LICENSE.txt``), and
makes them again.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Starlight(NamedTuple):
    """k stellar populations on a common grid of m wavelengths, even in their logarithm.

    Attributes:
        wavelength_air: (m,) [Angstrom, rest frame].
        flux: (k, m) luminosity of one solar mass of stars formed (Salpeter, 0.1 to 100 solar
            masses) [solar luminosities per Angstrom].
        log_age: (k,) log10 of the age in years.
        metallicity: (k,) log10 of the metallicity over the Sun's.
        fwhm: (m,) line spread of the spectra [Angstrom].
    """

    wavelength_air: np.ndarray
    flux: np.ndarray
    log_age: np.ndarray
    metallicity: np.ndarray
    fwhm: np.ndarray

    @property
    def step_kms(self) -> float:
        """Width of a channel [km/s]."""
        from nebulines.constants import SPEED_OF_LIGHT_KMS

        first, second = self.wavelength_air[:2]
        return float(SPEED_OF_LIGHT_KMS * np.log(second / first))


@functools.cache
def load_starlight() -> Starlight:
    """The package's own stellar populations.

    Returns:
        `Starlight`, 3300 to 9300 Angstrom in air, 69 km/s a channel; the arrays are shared and
        read-only.

    Example:
        >>> stars = load_starlight()
        >>> stars.flux.shape, round(stars.step_kms, 1)
        ((54, 4501), 69.0)
    """
    from safetensors.numpy import load_file

    stored = load_file(Path(__file__).parent / "data" / "starlight.safetensors")
    first, step, n = stored["log10_wavelength_air"]
    wave = 10.0 ** (first + step * np.arange(int(n)))
    flux = stored["level"][:, None] * stored["flux"].astype(np.float32)
    every = np.linspace(0, len(wave) - 1, len(stored["resolution"]))
    resolution = np.interp(np.arange(len(wave)), every, stored["resolution"])
    parts = (wave, flux, stored["log_age"], stored["metallicity"], wave / resolution)
    for part in parts:
        part.flags.writeable = False
    return Starlight(*parts)
