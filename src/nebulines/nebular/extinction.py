"""Reddening of nebular lines: measured from hydrogen lines, and taken out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import UsageError
from nebulines.lines import load_catalogue
from nebulines.models import transmission
from nebulines.nebular.propagation import Fluxes
from nebulines.nebular.ratios import SUMS, line_flux
from nebulines.nebular.recombination import case_b_ratio


class Dust(NamedTuple):
    """A law of extinction.

    Attributes:
        law: one of `nebulines.models.extinction_laws`.
        rv: R_V = A_V / E(B-V); None = the law's usual value.
    """

    law: str = "CCM89"
    rv: float | None = None

    def k(self, wavelength: Any) -> np.ndarray:
        """A(wavelength) / E(B-V), shape of ``wavelength`` [Angstrom in vacuum].

        Example:
            >>> Dust().k([6564.61, 4862.69]).round(3)
            array([2.534, 3.608])
        """
        left = transmission(np.ravel(wavelength), 1.0, self.law, rv=self.rv)
        return (-2.5 * np.log10(left)).reshape(np.shape(wavelength))


MILKY_WAY = Dust()
"""Cardelli, Clayton & Mathis 1989 with R_V = 3.1."""


class Plasma(NamedTuple):
    """Conditions that set the ratios of hydrogen lines: electron temperature [K] and density
    [cm-3], scalars or (...)."""

    temperature: Any = 1e4
    density: Any = 1e2


WARM_GAS = Plasma()
"""10^4 K and 100 cm-3."""


def balmer_ebv(
    fluxes: Fluxes,
    *,
    dust: Dust = MILKY_WAY,
    pair: tuple[str, str] = ("HALPHA6563", "HBETA4861"),
    plasma: Plasma = WARM_GAS,
) -> np.ndarray:
    """Colour excess from the ratio of two hydrogen lines.

    E(B-V) = 2.5 / (k(blue) - k(red)) log10[(F(red) / F(blue)) / case-B ratio]. It is negative
    where noise makes the ratio smaller than case B, so that its mean is right.

    Args:
        fluxes: {line: (...)}, of both lines.
        dust: the law, in the rest frame of the source.
        pair: the redder line, then the bluer one.
        plasma: temperature and density of the gas.

    Returns:
        (...) E(B-V) [mag]; NaN where a flux is not positive.

    Raises:
        UsageError: a line is missing or has no case-B ratio; an unknown law.

    Source: Osterbrock & Ferland 2006, Astrophysics of Gaseous Nebulae, sect. 7.2.

    Example:
        >>> balmer_ebv({"HALPHA6563": [286.32, 400.0], "HBETA4861": [100.0, 100.0]}).round(3) + 0.0
        array([0.   , 0.338])
    """
    red, blue = pair
    k_red, k_blue = (float(dust.k(vacuum_wavelength(line))) for line in pair)
    if k_red == k_blue:
        raise UsageError(f"two different lines are needed to measure dust, got {red} and {blue}")
    expected = case_b_ratio(red, *plasma) / case_b_ratio(blue, *plasma)
    above, below = line_flux(fluxes, red), line_flux(fluxes, blue)
    good = (above > 0) & (below > 0)
    measured = np.where(good, above, 1.0) / np.where(good, below, 1.0)
    return np.where(good, 2.5 / (k_blue - k_red) * np.log10(measured / expected), np.nan)


def deredden(
    fluxes: Fluxes, ebv: Any, *, dust: Dust = MILKY_WAY, redshift: Any = None
) -> dict[str, np.ndarray]:
    """Fluxes without the dust, F 10^(0.4 k E(B-V)).

    Args:
        fluxes: {line: (...)}.
        ebv: E(B-V) [mag], () or (...).
        dust: the law.
        redshift: None = dust in the source's own rest frame; a number or (...) = dust of the
            Milky Way in front of a source at that redshift.

    Returns:
        {line: (...)} in the unit of the fluxes.

    Raises:
        UsageError: a name that is no line, a wavelength outside the law's range.

    Example:
        >>> clean = deredden({"HALPHA6563": [100.0], "HBETA4861": [25.0]}, 0.1)
        >>> clean["HALPHA6563"].round(1), clean["HBETA4861"].round(1)
        (array([126.3]), array([34.9]))
    """
    stretch = 1.0 if redshift is None else 1.0 + np.asarray(redshift, float)
    ebv = np.asarray(ebv, float)
    return {
        name: np.asarray(flux, float)
        * 10.0 ** (0.4 * ebv * dust.k(vacuum_wavelength(name) * stretch))
        for name, flux in fluxes.items()
    }


def correct_extinction(
    fluxes: Fluxes, *, dust: Dust = MILKY_WAY, plasma: Plasma = WARM_GAS
) -> dict[str, np.ndarray]:
    """Fluxes without the dust that their own Balmer decrement tells of.

    `balmer_ebv`, then `deredden`. An E(B-V) below 0 is used as it is: cutting it at 0 would bias
    the ratios of sources with little dust. Inside `propagate` the error of E(B-V) reaches every
    line with its correlations.

    Example:
        >>> clean = correct_extinction({"HALPHA6563": [400.0], "HBETA4861": [100.0]})
        >>> (clean["HALPHA6563"] / clean["HBETA4861"]).round(3)
        array([2.863])
    """
    return deredden(fluxes, balmer_ebv(fluxes, dust=dust, plasma=plasma), dust=dust)


def vacuum_wavelength(name: str) -> float:
    """Rest wavelength in vacuum [Angstrom] of a line, or the mean of a sum of lines.

    Example:
        >>> vacuum_wavelength("HALPHA6563"), round(vacuum_wavelength("OII"), 1)
        (6564.613, 3728.5)
    """
    catalogue = load_catalogue()
    lines = SUMS.get(name, (name,))
    return float(np.mean([catalogue.wavelength_vacuum[catalogue.index(line)] for line in lines]))
