"""What a spectral axis is counted in: units as files write them, and the way to Angstrom."""

from __future__ import annotations

from typing import Any

import numpy as np

from nebulines.constants import ANGSTROM_PER_CM, SPEED_OF_LIGHT_KMS
from nebulines.errors import InputError

_LENGTH = {
    "angstrom": 1.0,
    "angstroms": 1.0,
    "ang": 1.0,
    "a": 1.0,
    "aa": 1.0,
    "å": 1.0,
    "0.1nm": 1.0,
    "nm": 1e1,
    "nanometer": 1e1,
    "nanometers": 1e1,
    "nanometre": 1e1,
    "um": 1e4,
    "µm": 1e4,
    "μm": 1e4,
    "micron": 1e4,
    "microns": 1e4,
    "micrometer": 1e4,
    "mm": 1e7,
    "cm": 1e8,
    "m": 1e10,
    "meter": 1e10,
}
_PER_LENGTH = {
    "cm-1": 1.0,
    "1/cm": 1.0,
    "cm^-1": 1.0,
    "cm**-1": 1.0,
    "cm**(-1)": 1.0,
    "cm^(-1)": 1.0,
    "kayser": 1.0,
    "m-1": 1e-2,
    "1/m": 1e-2,
    "m**-1": 1e-2,
}
_FREQUENCY = {"hz": 1.0, "khz": 1e3, "mhz": 1e6, "ghz": 1e9, "thz": 1e12}
_SPEED = {
    "km/s": 1.0,
    "km s-1": 1.0,
    "km s^-1": 1.0,
    "km s**-1": 1.0,
    "kms": 1.0,
    "m/s": 1e-3,
    "m s-1": 1e-3,
    "m s^-1": 1e-3,
    "m s**-1": 1e-3,
}
_QUANTITIES = {
    "length": _LENGTH,
    "wavenumber": _PER_LENGTH,
    "frequency": _FREQUENCY,
    "speed": _SPEED,
}


def quantity_of(unit: str) -> tuple[str, float] | None:
    """What a unit measures and its size in Angstrom, cm-1, Hz or km/s; None when unknown.

    Example:
        >>> quantity_of("nm"), quantity_of("km s-1"), quantity_of("parsec per fortnight")
        (('length', 10.0), ('speed', 1.0), None)
    """
    key = " ".join(unit.strip().lower().split())
    for quantity, table in _QUANTITIES.items():
        if key in table:
            return quantity, table[key]
    return None


def angstrom_from_frequency(frequency_hz: Any) -> Any:
    """Vacuum wavelength [Angstrom] of a frequency [Hz]: c / nu.

    Example:
        >>> round(float(angstrom_from_frequency(4.5668e14)), 2)
        6564.61
    """
    return SPEED_OF_LIGHT_KMS * 1e3 * 1e10 / np.asarray(frequency_hz, float)


def angstrom_from_velocity(velocity_kms: Any, rest_angstrom: float, convention: str) -> Any:
    """Wavelength [Angstrom] at an apparent velocity [km/s] of a line at ``rest_angstrom``.

    VOPT: lambda0 (1 + v/c); VRAD: lambda0 / (1 - v/c); VELO: lambda0 sqrt((1+v/c)/(1-v/c))
    (Greisen et al. 2006, A&A 446, 747, table 3).

    Raises:
        InputError: a velocity that no wavelength has.

    Example:
        >>> round(float(angstrom_from_velocity(1000.0, 6562.80, "VOPT")), 3)
        6584.691
    """
    beta = np.asarray(velocity_kms, float) / SPEED_OF_LIGHT_KMS
    if np.any(beta <= -1) or (convention != "VOPT" and np.any(beta >= 1)):
        raise InputError(
            f"a {convention} axis reaches {np.abs(velocity_kms).max():.6g} km/s: "
            "check CRVAL, CDELT and CUNIT"
        )
    if convention == "VOPT":
        return rest_angstrom * (1.0 + beta)
    if convention == "VRAD":
        return rest_angstrom / (1.0 - beta)
    return rest_angstrom * np.sqrt((1.0 + beta) / (1.0 - beta))


def angstrom_from_wavenumber(wavenumber_cm1: Any) -> Any:
    """Wavelength [Angstrom] of a wavenumber [cm-1] in the same medium.

    Example:
        >>> float(angstrom_from_wavenumber(20000.0))
        5000.0
    """
    return ANGSTROM_PER_CM / np.asarray(wavenumber_cm1, float)
