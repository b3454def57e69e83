"""Extinction by dust: how much of the light of each wavelength is left.

A law gives A(wavelength) / A_V; the flux that is left is 10^(-0.4 A), A_V = R_V E(B-V). The
published coefficients stand in ``data/extinction.toml``.
"""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.constants import ANGSTROM_PER_MICRON
from nebulines.errors import UsageError

_FIRST_UV = 2700.0
_SECOND_UV = 2600.0


def extinction_laws() -> tuple[str, ...]:
    """Names of the laws.

    Example:
        >>> extinction_laws()
        ('CCM89', 'ODonnell94', 'Fitzpatrick99', 'Gordon03SMC', 'Calzetti00')
    """
    return tuple(_laws())


def extinction(wavelength: Any, law: str = "CCM89", *, rv: float | None = None) -> np.ndarray:
    """A(wavelength) / A_V of an extinction law.

    Args:
        wavelength: rest frame of the dust [Angstrom, in vacuum by definition; air differs by
            less than 1e-4 of A], any shape.
        law: one of `extinction_laws`.
        rv: R_V = A_V / E(B-V), 2 to 6; None = the law's usual value (3.1 for the Milky Way).

    Returns:
        Extinction relative to V, shape of ``wavelength``.

    Raises:
        UsageError: an unknown law, an R_V that it does not have, a wavelength outside its range.

    Source: named law by law in the table: Cardelli, Clayton & Mathis 1989; O'Donnell 1994;
    Fitzpatrick 1999; Gordon et al. 2003 (SMC bar); Calzetti et al. 2000.

    Example:
        >>> extinction([6562.80, 4861.33], "CCM89").round(4)
        array([0.8178, 1.1642])
    """
    row = _law(law)
    wavelength = np.asarray(wavelength, float)
    low, high = row["range"]
    if not np.all((wavelength >= low) & (wavelength <= high)):
        raise UsageError(f"the law {law} holds from {low:.0f} to {high:.0f} Angstrom only")
    curve = _KINDS[row["kind"]](ANGSTROM_PER_MICRON / wavelength.ravel(), row, _checked_rv(row, rv))
    return curve.reshape(wavelength.shape)


def transmission(
    wavelength: Any, ebv: Any, law: str = "CCM89", *, rv: float | None = None
) -> np.ndarray:
    """Fraction of the light that dust lets through, 10^(-0.4 R_V E(B-V) A / A_V).

    Args:
        wavelength: (L,) rest frame of the dust [Angstrom].
        ebv: colour excess E(B-V) [mag], () or (n,).
        law, rv: as in `extinction`.

    Returns:
        (L,) or (n, L).

    Example:
        >>> transmission([6562.80, 4861.33], 0.3).round(3)
        array([0.496, 0.369])
    """
    row = _law(law)
    total = _checked_rv(row, rv) * np.asarray(ebv, float)
    return 10.0 ** (-0.4 * total[..., None] * extinction(wavelength, law, rv=rv))


@functools.cache
def _laws() -> dict[str, dict[str, Any]]:
    path = Path(__file__).parent / "data" / "extinction.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _law(name: str) -> dict[str, Any]:
    folded = {known.casefold(): row for known, row in _laws().items()}
    if str(name).casefold() not in folded:
        raise UsageError(f"unknown extinction law {name!r}; known: {', '.join(extinction_laws())}")
    return folded[name.casefold()] | {"name": name}


def _checked_rv(row: dict[str, Any], rv: float | None) -> float:
    if rv is None or (row.get("fixed_rv") and rv == row["rv"]):
        return float(row["rv"])
    if row.get("fixed_rv"):
        raise UsageError(f"the law {row['name']} has R_V = {row['rv']}, not {rv}: leave it out")
    if not 2.0 <= rv <= 6.0:
        raise UsageError(f"R_V must lie between 2 and 6, not {rv}")
    return float(rv)


def _two_coefficient(x: np.ndarray, row: dict[str, Any], rv: float) -> np.ndarray:
    """CCM89 eq. 2-4: infrared power law, optical polynomial in x - 1.82, ultraviolet."""
    y = x - 1.82
    a = np.polynomial.polynomial.polyval(y, row["optical_a"])
    b = np.polynomial.polynomial.polyval(y, row["optical_b"])
    infrared, ultraviolet = x < 1.1, x >= 3.3
    a = np.where(infrared, 0.574 * x**1.61, a)
    b = np.where(infrared, -0.527 * x**1.61, b)
    rise = np.maximum(x - 5.9, 0.0)
    a_uv = 1.752 - 0.316 * x - 0.104 / ((x - 4.67) ** 2 + 0.341)
    b_uv = -3.090 + 1.825 * x + 1.206 / ((x - 4.62) ** 2 + 0.263)
    a = np.where(ultraviolet, a_uv - 0.04473 * rise**2 - 0.009779 * rise**3, a)
    b = np.where(ultraviolet, b_uv + 0.2130 * rise**2 + 0.1207 * rise**3, b)
    return a + b / rv


def _spline(x: np.ndarray, row: dict[str, Any], rv: float) -> np.ndarray:
    """Fitzpatrick 1999: the ultraviolet curve of Fitzpatrick & Massa 1990, and a natural cubic
    spline through its first two points, the anchors and zero at infinite wavelength."""
    from scipy.interpolate import CubicSpline

    first, second = ANGSTROM_PER_MICRON / _FIRST_UV, ANGSTROM_PER_MICRON / _SECOND_UV
    anchors = ANGSTROM_PER_MICRON / np.asarray(row["anchors"])
    values = [np.polynomial.polynomial.polyval(rv, c) / rv for c in row["values"]]
    if row.get("fixed_rv"):
        values = [c[1] for c in row["values"]]
    knots = np.concatenate([[0.0], anchors, [first, second]])
    heights = np.concatenate([[0.0], values, _ultraviolet(knots[-2:], row, rv)])
    smooth = CubicSpline(knots, heights, bc_type="natural")(x)
    return np.where(x >= first, _ultraviolet(x, row, rv), smooth)


def _ultraviolet(x: np.ndarray, row: dict[str, Any], rv: float) -> np.ndarray:
    """1 + (c1 + c2 x + c3 D(x) + c4 F(x)) / R_V, D a Drude bump, F the far-ultraviolet rise."""
    c2 = row["c2"][0] + row["c2"][1] / rv
    c1 = row["c1"][0] + row["c1"][1] * c2
    bump = x**2 / ((x**2 - row["x0"] ** 2) ** 2 + (x * row["gamma"]) ** 2)
    rise = np.maximum(x - 5.9, 0.0)
    far = 0.5392 * rise**2 + 0.05644 * rise**3
    return 1.0 + (c1 + c2 * x + row["c3"] * bump + row["c4"] * far) / rv


def _starburst(x: np.ndarray, row: dict[str, Any], rv: float) -> np.ndarray:
    """Calzetti et al. 2000, eq. 4, k / R_V."""
    polynomial = np.polynomial.polynomial.polyval
    blue = x > ANGSTROM_PER_MICRON / row["split"]
    shape = np.where(blue, polynomial(x, row["blue"]), polynomial(x, row["red"]))
    return row["factor"] * shape / rv + 1.0


_KINDS = {"two-coefficient": _two_coefficient, "spline": _spline, "starburst": _starburst}
