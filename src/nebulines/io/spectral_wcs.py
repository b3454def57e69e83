"""The spectral axis that FITS keywords describe.

Understood: wavelength (A, nm, um, mm, m), wavenumber (cm-1, m-1), frequency (Hz ...), velocity
(VOPT, VRAD, VELO with a rest wavelength or frequency); linear, FITS ``-LOG``, IRAF DC-FLAG = 1,
SDSS COEFF0/COEFF1; other FITS algorithm codes through wcslib.

Source: Greisen et al. 2006, A&A 446, 747.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from nebulines.errors import InputError
from nebulines.io.axes import FoundAxis, axis_from_values, medium_of, medium_or_default
from nebulines.io.wavelength_units import (
    angstrom_from_frequency,
    angstrom_from_velocity,
    quantity_of,
)
from nebulines.spectral_axis import AxisKind

_QUANTITY = {
    "WAVE": "length",
    "AWAV": "length",
    "WAVN": "wavenumber",
    "FREQ": "frequency",
    "VOPT": "speed",
    "VRAD": "speed",
    "VELO": "speed",
    "FELO": "speed",
}
_SPECTRAL_WORDS = ("LAMBDA", "WAVELENGTH", "WAV", "LOGLAM", "SPECTRAL", "SPEC", "DISPERSION")
_DEFAULT_UNIT = {"wavenumber": "m-1", "frequency": "Hz", "speed": "m/s"}


@dataclass(frozen=True)
class _Keywords:
    """The keywords of one axis, as they stand in the header."""

    ctype: str
    unit: str
    reference: float
    pixel: float
    step: float
    log10: bool


def is_spectral(header: Any, fits_axis: int) -> bool:
    """True when CTYPE or CUNIT of a FITS axis (from 1) say that it is spectral.

    Example:
        >>> is_spectral({"CTYPE3": "AWAV"}, 3), is_spectral({"CTYPE1": "RA---TAN"}, 1)
        (True, False)
    """
    ctype = _text(header, f"CTYPE{fits_axis}").upper()
    if ctype[:4] in _QUANTITY or ctype.startswith(_SPECTRAL_WORDS):
        return True
    return not is_celestial(header, fits_axis) and quantity_of(_unit(header, fits_axis)) is not None


def is_celestial(header: Any, fits_axis: int) -> bool:
    """True when CTYPE of a FITS axis (from 1) names a coordinate on the sky.

    Example:
        >>> is_celestial({"CTYPE1": "GLON-CAR"}, 1), is_celestial({"CTYPE1": "LINEAR"}, 1)
        (True, False)
    """
    ctype = _text(header, f"CTYPE{fits_axis}").upper()
    return ctype[:3] in ("RA-", "DEC") or ctype[1:4] in ("LON", "LAT") or ctype in ("RA", "DEC")


def axis_from_header(
    header: Any,
    n_channels: int,
    fits_axis: int,
    *,
    where: str,
    default_medium: str | None = None,
) -> FoundAxis:
    """The axis of ``n_channels`` along a FITS axis.

    Args:
        header: FITS header (any mapping with ``get``).
        n_channels: length of the axis.
        fits_axis: its number in FITS order, from 1.
        where: name of the file's part, for messages.
        default_medium: the instrument's, when the header does not say.

    Raises:
        InputError: no keywords, no unit and no way to tell, or a unit that is none.

    Example:
        >>> header = {"CTYPE1": "AWAV", "CUNIT1": "nm", "CRVAL1": 500.0, "CDELT1": 0.1}
        >>> found = axis_from_header(header, 3, 1, where="example")
        >>> found.axis.values.tolist(), found.axis.medium
        ([5000.0, 5001.0, 5002.0], 'air')
    """
    if is_celestial(header, fits_axis):
        raise InputError(
            f"{where}: FITS axis {fits_axis} is {header.get(f'CTYPE{fits_axis}')}, a coordinate on "
            "the sky: expected a spectral axis; is this an image?"
        )
    keys = _keywords(header, fits_axis, where)
    code = keys.ctype[:4]
    values = _values(keys, n_channels, header, fits_axis)
    quantity, size, notes = _quantity(keys, values, where)
    values = values * size
    stated = medium_of(header)
    if quantity == "speed":
        rest = _rest_wavelength(header, where)
        values = angstrom_from_velocity(values, rest, code if code in _QUANTITY else "VOPT")
        stated = stated or "vacuum"
    if quantity == "frequency":
        with np.errstate(divide="ignore"):
            values, stated = angstrom_from_frequency(values), "vacuum"
    if stated is None and code in ("WAVE", "AWAV") and keys.ctype[4:5] in ("", "-"):
        stated = "air" if code == "AWAV" else "vacuum"
    if stated is None and quantity == "wavenumber" and default_medium is None:
        default_medium = "vacuum"
    medium, more = medium_or_default(stated, default_medium)
    law = _law(keys, quantity, fits_axis)
    kind: AxisKind = "wavenumber" if quantity == "wavenumber" else "wavelength"
    return axis_from_values(values, kind, medium, where=where, law=law, assumed=(*notes, *more))


def _keywords(header: Any, axis: int, where: str) -> _Keywords:
    ctype = _text(header, f"CTYPE{axis}").upper()
    log10 = _number(header, "DC-FLAG") == 1
    if axis == 1 and _number(header, "COEFF0") is not None:
        reference, step = _number(header, "COEFF0"), _number(header, "COEFF1")
        if step is None:
            raise InputError(f"{where}: COEFF0 stands without COEFF1: the step is missing")
        return _Keywords("LINEAR", "Angstrom", float(reference or 0.0), 1.0, step, True)
    reference, pixel = _number(header, f"CRVAL{axis}"), _number(header, f"CRPIX{axis}")
    step = _step(header, axis)
    if reference is None or not step:
        raise InputError(
            f"{where}: no spectral axis: expected CRVAL{axis} with CDELT{axis} or "
            f"CD{axis}_{axis} (CRVAL {reference}, step {step}); add them, or give the "
            "wavelengths in a WAVE extension"
        )
    unit = _unit(header, axis)
    if unit.lower().startswith("log"):
        log10, unit = True, unit[3:].removeprefix("10").strip(" ()[]")
    log10 = log10 or (ctype.startswith("LOGLAM") and reference < 10)
    return _Keywords(ctype, unit, reference, 1.0 if pixel is None else pixel, step, log10)


def _values(keys: _Keywords, n: int, header: Any, axis: int) -> np.ndarray:
    offset = (np.arange(n) + 1.0 - keys.pixel) * keys.step
    if keys.log10:
        with np.errstate(over="ignore"):
            return 10.0 ** (keys.reference + offset)
    if keys.ctype.endswith("-LOG"):
        return keys.reference * np.exp(offset / keys.reference)
    if keys.ctype[4:5] == "-" and keys.ctype[:4] in _QUANTITY and len(keys.ctype.strip("-")) > 4:
        return _through_wcslib(header, axis, n)
    return keys.reference + offset


def _through_wcslib(header: Any, axis: int, n: int) -> np.ndarray:
    from astropy.wcs import WCS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            values = WCS(header).sub([axis]).wcs_pix2world(np.arange(n, dtype=float), 0)[0]
            unit = str(WCS(header).wcs.cunit[axis - 1])
        except Exception as error:
            raise InputError(
                f"the spectral axis {header.get(f'CTYPE{axis}')} cannot be computed: {error}"
            ) from error
    # wcslib answers in SI; bring it back to the unit of the keywords
    there, back = quantity_of(unit), quantity_of(_unit(header, axis) or unit)
    return np.asarray(values) * (there[1] / back[1] if there and back else 1.0)


def _quantity(
    keys: _Keywords, values: np.ndarray, where: str
) -> tuple[str, float, tuple[str, ...]]:
    expected = _QUANTITY.get(keys.ctype[:4])
    if keys.unit:
        found = quantity_of(keys.unit)
        if found is None or (expected and found[0] != expected):
            raise InputError(
                f"{where}: the unit {keys.unit!r} of the spectral axis "
                f"{keys.ctype or '(no CTYPE)'} is not understood: expected Angstrom, nm, um, m, "
                "cm-1, Hz or km/s"
            )
        return *found, ()
    if expected in _DEFAULT_UNIT:
        unit = _DEFAULT_UNIT[expected]
        found = quantity_of(unit)
        assert found is not None
        return *found, (f"axis unit: none given; {unit}, the FITS default, is assumed",)
    low, high = float(np.min(values)), float(np.max(values))
    if low >= 900.0 and high <= 60_000.0:
        return "length", 1.0, ("axis unit: none given; Angstrom is assumed from the values",)
    if low >= 5e-8 and high <= 1e-4:
        return "length", 1e10, ("axis unit: none given; metre is assumed from the values",)
    raise InputError(
        f"{where}: the spectral axis has no unit and runs from {low:g} to {high:g}, which is "
        "neither Angstrom nor metre: add CUNIT"
    )


def _rest_wavelength(header: Any, where: str) -> float:
    wavelength = _number(header, "RESTWAV")
    if wavelength:
        return wavelength * (1e10 if wavelength < 1e-2 else 1.0)
    frequency = _number(header, "RESTFRQ") or _number(header, "RESTFREQ")
    if frequency:
        return float(angstrom_from_frequency(frequency))
    raise InputError(
        f"{where}: a velocity axis needs the line it refers to: add RESTWAV [m] or RESTFRQ [Hz]"
    )


def _law(keys: _Keywords, quantity: str, axis: int) -> str:
    how = "logarithmic" if keys.log10 or keys.ctype.endswith("-LOG") else "linear"
    name = {"length": "wavelength", "speed": "velocity"}.get(quantity, quantity)
    unit = keys.unit or "no unit"
    return f"{how} in {name} (FITS axis {axis}: {keys.ctype or 'no CTYPE'}, {unit})"


def _step(header: Any, axis: int) -> float | None:
    step = _number(header, f"CD{axis}_{axis}")
    if step is None and (step := _number(header, f"CDELT{axis}")) is not None:
        rotation = _number(header, f"PC{axis}_{axis}")
        step *= 1.0 if rotation is None else rotation
    return step


def _unit(header: Any, axis: int) -> str:
    unit = _text(header, f"CUNIT{axis}")
    if unit:
        return unit
    for word in _text(header, f"WAT{axis}_001").split():
        if word.lower().startswith("units="):
            return word[6:]
    return ""


def _text(header: Any, keyword: str) -> str:
    value = header.get(keyword)
    return value.strip() if isinstance(value, str) else ""


def _number(header: Any, keyword: str) -> float | None:
    value = header.get(keyword)
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if usable and np.isfinite(value) else None
