"""The mass-metallicity relation from line fluxes: its shape, scatter, and a third parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nebulines.nebular.metallicity import oxygen_abundance

CALIBRATION = "O3N2_PP04"
_NEEDED = ("OIII5007", "HBETA4861", "NII6583", "HALPHA6563")
_DEGREE = 2


class Relation(NamedTuple):
    """A mass-metallicity relation.

    Attributes:
        measured: share of the galaxies with an abundance.
        spread: half of the central 68 % of the abundances [dex].
        scatter: the same about the true relation [dex].
        offset: median difference from the true relation [dex].
        third: rank correlation of the residual with the star-formation rate at given mass.
    """

    measured: float
    spread: float
    scatter: float
    offset: float
    third: float


def abundances(flux: np.ndarray, lines: Sequence[str]) -> np.ndarray:
    """12 + log10(O/H) (...) of line fluxes (..., L) after Pettini & Pagel 2004 (O3N2).

    Example:
        >>> flux = np.array([1.0, 1.0, 3.0, 0.3])
        >>> float(abundances(flux, ["OIII5007", "HBETA4861", "HALPHA6563", "NII6583"]).round(2))
        8.41
    """
    fluxes = {name: np.asarray(flux[..., lines.index(name)], float) for name in _NEEDED}
    with np.errstate(invalid="ignore", divide="ignore"):
        return oxygen_abundance(fluxes, CALIBRATION)


def true_curve(log_mass: np.ndarray, abundance: np.ndarray) -> np.ndarray:
    """Coefficients of the parabola through true abundances, mass about 10^10 solar masses."""
    good = np.isfinite(abundance)
    return np.polyfit(log_mass[good] - 10.0, abundance[good], _DEGREE)


def relation(
    abundance: np.ndarray, log_mass: np.ndarray, log_sfr: np.ndarray, curve: np.ndarray
) -> Relation:
    """What abundances (n,), NaN where not measured, say of the relation.

    Args:
        abundance, log_mass, log_sfr: (n,).
        curve: of `true_curve`.
    """
    from scipy.stats import spearmanr

    good = np.isfinite(abundance)
    if good.sum() < 10:
        return Relation(float(good.mean()), *(np.nan,) * 4)
    residual = abundance[good] - np.polyval(curve, log_mass[good] - 10.0)
    rate = log_sfr[good] - np.polyval(np.polyfit(log_mass[good], log_sfr[good], 1), log_mass[good])
    third = spearmanr(residual, rate).statistic
    return Relation(
        float(good.mean()),
        half_width(abundance[good]),
        half_width(residual),
        float(np.median(residual)),
        float(third),
    )


def half_width(values: np.ndarray) -> float:
    """Half of the central 68.27 %.

    Example:
        >>> half_width(np.linspace(0.0, 1.0, 10001)).__round__(3)
        0.341
    """
    low, high = np.percentile(values, [15.87, 84.13])
    return float(0.5 * (high - low))


def as_dict(found: Relation) -> dict[str, Any]:
    """Plain numbers, three digits."""
    return {name: round(value, 3) for name, value in found._asdict().items()}
