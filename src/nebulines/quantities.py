"""Astropy quantities at the door: inside the package arrays are bare, in documented units."""

from __future__ import annotations

from typing import Any

from nebulines.errors import UsageError


def bare(value: Any, unit: Any, *, name: str) -> Any:
    """A value in a unit, without it; what brings no unit is returned as it is.

    Args:
        value: anything; an astropy quantity is converted.
        unit: that is wanted, or its name.
        name: of the value, for messages.

    Raises:
        UsageError: the value's own unit is of another kind.

    Example:
        >>> from astropy import units
        >>> float(bare(2.0 * units.km, "m", name="length")), bare(3, "km/s", name="v")
        (2000.0, 3)
    """
    if not hasattr(value, "to_value"):
        return value
    from astropy.units import UnitConversionError

    try:
        return value.to_value(unit)
    except UnitConversionError:
        raise UsageError(
            f"{name} must be in {unit} or what it converts to, not {value.unit}"
        ) from None


def bare_range(limits: Any, unit: str, *, name: str) -> Any:
    """`bare` for (low, high), whether the two stand in one quantity or each has a unit of its own.

    Example:
        >>> from astropy import units
        >>> bare_range((-200 * units.km / units.s, 3e5 * units.m / units.s), "km/s", name="v")
        (-200.0, 300.0)
    """
    limits = bare(limits, unit, name=name)
    if isinstance(limits, list | tuple) and any(hasattr(end, "to_value") for end in limits):
        return tuple(float(bare(end, unit, name=name)) for end in limits)
    return limits


def unit_text(unit: Any) -> str:
    """The FITS string of an astropy unit.

    Raises:
        UsageError: FITS has none for it.

    Example:
        >>> from astropy import units
        >>> unit_text(units.km / units.s)
        'km s-1'
    """
    try:
        return unit.to_string("fits")
    except ValueError as error:
        raise UsageError(f"the unit {unit} cannot be written to FITS: {error}") from None


def fits_unit(text: str) -> Any:
    """The astropy unit of a FITS string.

    Raises:
        UsageError: it is none.

    Example:
        >>> fits_unit("10**-20 erg s-1").bases
        [Unit("erg"), Unit("s")]
    """
    from astropy.units import Unit

    try:
        return Unit(text, format="fits")
    except ValueError as error:
        raise UsageError(f"{text!r} is no unit that FITS knows: {error}") from None
