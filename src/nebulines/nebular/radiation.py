"""The young stars behind the lines: ionisation parameter and star formation rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from nebulines.constants import CM_PER_MEGAPARSEC
from nebulines.errors import UsageError
from nebulines.nebular.propagation import Fluxes
from nebulines.nebular.ratios import log_ratio


def ionisation_parameter(fluxes: Fluxes, ratio: str = "OIII/OII") -> np.ndarray:
    """log10 of the ionisation parameter U.

    ``OIII/OII``: 0.80 log([O III] 4959, 5007 / [O II] 3727) - 3.02 (Diaz et al. 2000,
    MNRAS 318, 462).
    ``SIII/SII``: 1.684 log([S III] 9069, 9531 / [S II] 6716, 6731) - 2.986 (Diaz et al. 1991,
    MNRAS 253, 245).

    Args:
        fluxes: {line: (...)} without dust.
        ratio: one of the two.

    Returns:
        (...) log10 U; NaN where a flux is not positive.

    Raises:
        UsageError: another ratio, a missing line.

    Example:
        >>> float(ionisation_parameter({"OIII": 2.0, "OII": 2.0}))
        -3.02
    """
    known = {"OIII/OII": (0.80, -3.02), "SIII/SII": (1.684, -2.986)}
    if ratio not in known:
        raise UsageError(f"log U comes from {' or '.join(known)}, not {ratio!r}")
    slope, offset = known[ratio]
    return slope * log_ratio(fluxes, ratio) + offset


def star_formation_rate(h_alpha: Any, distance_mpc: Any) -> np.ndarray:
    """log10 of the star formation rate from H-alpha without dust.

    log SFR = log L(Ha) - 41.27, L = 4 pi d^2 F.

    Args:
        h_alpha: flux without dust [erg s-1 cm-2], (...).
        distance_mpc: luminosity distance [Mpc], () or (...).

    Returns:
        (...) log10 of the rate [solar masses a year], Kroupa initial mass function; NaN where
        the flux is not positive.

    Source: Kennicutt & Evans 2012, ARA&A 50, 531, eq. 12 and table 1.

    Example:
        >>> star_formation_rate(1e-14, 10.0).round(2)
        np.float64(-3.19)
    """
    flux = np.asarray(h_alpha, float)
    area = 4.0 * np.pi * (np.asarray(distance_mpc, float) * CM_PER_MEGAPARSEC) ** 2
    with np.errstate(all="ignore"):
        return np.log10(np.where(flux > 0, flux, np.nan) * area) - 41.27
