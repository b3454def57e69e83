"""Oxygen abundance from strong lines."""

from __future__ import annotations

import functools
import tomllib
from typing import Any, NamedTuple

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.errors import UsageError
from nebulines.nebular.propagation import Fluxes
from nebulines.nebular.ratios import line_flux, log_ratio
from nebulines.nebular.recombination import DATA

_POLYNOMIAL = np.polynomial.polynomial.polyval
_LOG_C_CGS = np.log10(SPEED_OF_LIGHT_KMS * 1e5)
R23_KK04 = "R23_KK04"
"""Name of the abundance of `r23` beside the `calibrations`."""
_UPPER_BRANCH = -1.2
"""log10([N II] 6583 / [O II]) above which R23 is read on its metal-rich branch."""


class Calibration(NamedTuple):
    """A strong-line calibration: source, range (low, high) of its index, 1-sigma scatter [dex]."""

    source: str
    range: tuple[float, float]
    scatter: float


def calibrations() -> dict[str, Calibration]:
    """The calibrations by name.

    Example:
        >>> list(calibrations())
        ['O3N2_PP04', 'N2_PP04', 'N2cubic_PP04', 'O3N2_M13', 'N2_M13', 'N2S2_D16', 'N2O2_KD02']
        >>> calibrations()["O3N2_M13"].scatter
        0.18
    """
    return {
        name: Calibration(row["source"], tuple(row["range"]), row["scatter"])
        for name, row in _table().items()
    }


def abundance_index(fluxes: Fluxes, calibration: str) -> np.ndarray:
    """Index that a calibration is a function of, such as log10 of [N II] 6583 / Ha, (...).

    Example:
        >>> fluxes = {"NII6583": 0.3, "HALPHA6563": 3.0}
        >>> float(abundance_index(fluxes, "N2_M13"))
        -1.0
    """
    row = _row(calibration)
    return np.sum([k * log_ratio(fluxes, ratio) for ratio, k in row["index"].items()], axis=0)


def oxygen_abundance(fluxes: Fluxes, calibration: str = "O3N2_M13") -> np.ndarray:
    """12 + log10(O/H) from one strong-line calibration.

    Args:
        fluxes: {line: (...)}, without dust where the lines are far apart (N2O2).
        calibration: one of `calibrations`, or ``R23_KK04`` (see `r23`).

    Returns:
        (...) 12 + log10(O/H); NaN where a flux is not positive or the index is outside the
        range of the calibration. The scatter of the calibration itself is not in propagated errors.

    Raises:
        UsageError: another calibration, a missing line.

    Source: named calibration by calibration in ``data/calibrations.toml``.

    Example:
        >>> fluxes = {"NII6583": 0.3, "HALPHA6563": 3.0, "OIII5007": 1.0, "HBETA4861": 1.0}
        >>> oxygen_abundance(fluxes, "O3N2_PP04").round(2), oxygen_abundance(fluxes).round(3)
        (np.float64(8.41), np.float64(8.319))
    """
    if calibration == R23_KK04:
        return r23(fluxes).abundance
    row, index = _row(calibration), abundance_index(fluxes, calibration)
    low, high = row["range"]
    answer = _POLYNOMIAL(index, row["polynomial"])
    if "logarithm_of" in row:
        inner = _POLYNOMIAL(index, row["logarithm_of"])
        answer = answer + np.log10(np.where(inner > 0, inner, np.nan))
    return np.where((index >= low) & (index <= high), answer, np.nan)


class R23(NamedTuple):
    """What R23 gives: 12 + log10(O/H), and log10 of the ionisation parameter U."""

    abundance: np.ndarray
    log_u: np.ndarray


def r23(fluxes: Fluxes, *, iterations: int = 8) -> R23:
    """Oxygen abundance and ionisation parameter from R23 and O32, solved together.

    R23 = ([O II] 3727 + [O III] 4959, 5007) / Hb, O32 = [O III] / [O II]; the branch follows from
    [N II] 6583 / [O II] (upper above 10^-1.2), where [N II] is measured; else the upper one.

    Args:
        fluxes: {line: (...)} without dust.
        iterations: between abundance and ionisation parameter; 3 are usual.

    Returns:
        `R23`; NaN where a flux is not positive or log R23 is above 1.

    Raises:
        UsageError: a missing line.

    Source: Kobulnicky & Kewley 2004, ApJ 617, 240, eq. 13, 16, 17; branch: Kewley & Ellison 2008.

    Example:
        >>> fluxes = {"OII": 2.0, "OIII5007": 1.0, "HBETA4861": 1.0, "NII6583": 0.9}
        >>> found = r23(fluxes)
        >>> found.abundance.round(2), found.log_u.round(2)
        (np.float64(8.99), np.float64(-2.74))
    """
    oxygen = line_flux(fluxes, "OII") + line_flux(fluxes, "OIII")
    x = log_ratio({"O": oxygen, "H": line_flux(fluxes, "HBETA4861")}, "O/H")
    y = log_ratio(fluxes, "OIII/OII")
    upper = np.ones(np.shape(x), bool)
    if "NII6583" in fluxes:
        upper = ~(log_ratio(fluxes, "NII6583/OII") <= _UPPER_BRANCH)
    abundance = np.where(upper, 8.7, 8.2)
    for _ in range(iterations):
        log_q = _log_q(y, abundance)
        abundance = np.where(upper, _upper(x, log_q), _lower(x, log_q))
    good = np.isfinite(x + y) & (x <= 1.0)
    return R23(np.where(good, abundance, np.nan), np.where(good, log_q - _LOG_C_CGS, np.nan))


def _log_q(y: np.ndarray, z: np.ndarray) -> np.ndarray:
    top = 32.81 - 1.153 * y**2 + z * (-3.396 - 0.025 * y + 0.1444 * y**2)
    return top / (4.603 - 0.3119 * y - 0.163 * y**2 + z * (-0.48 + 0.0271 * y + 0.02037 * y**2))


def _upper(x: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    plain = _POLYNOMIAL(x, [9.72, -0.777, -0.951, -0.072, -0.811])
    return plain - log_q * _POLYNOMIAL(x, [0.0737, -0.0713, -0.141, 0.0373, -0.058])


def _lower(x: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    return _POLYNOMIAL(x, [9.40, 4.65, -3.17]) - log_q * _POLYNOMIAL(x, [0.272, 0.547, -0.513])


def lines_of(calibration: str) -> tuple[str, ...]:
    """Lines and sums of lines that a calibration is made of.

    Example:
        >>> lines_of("N2S2_D16")
        ('NII6583', 'SII', 'HALPHA6563')
    """
    if calibration == R23_KK04:
        return ("OII", "OIII", "HBETA4861", "NII6583")
    sides = [side for ratio in _row(calibration)["index"] for side in ratio.split("/")]
    return tuple(dict.fromkeys(sides))


def _row(calibration: str) -> dict[str, Any]:
    if calibration not in _table():
        raise UsageError(
            f"unknown calibration {calibration!r}; known: {', '.join((*_table(), R23_KK04))}"
        )
    return _table()[calibration]


@functools.cache
def _table() -> dict[str, dict[str, Any]]:
    return tomllib.loads((DATA / "calibrations.toml").read_text(encoding="utf-8"))
