"""Names of lines and units as plain text, for pages."""

from __future__ import annotations

import warnings

from nebulines.io.units import normalise_unit
from nebulines.plots.names import line_label

_GREEK = {"$\\alpha$": "α", "$\\beta$": "β", "$\\gamma$": "γ", "$\\delta$": "δ"}


def plain_label(name: str, *, wavelength: bool = True) -> str:
    """The printed name of a line as plain text.

    Example:
        >>> plain_label("HALPHA6563"), plain_label("OII3727")
        ('Hα', '[O II] 3727')
    """
    if name == "OII3727":  # the doublet, which the catalogue lists line by line
        return "[O II] 3727" if wavelength else "[O II]"
    label = line_label(name, wavelength=wavelength)
    for text, letter in _GREEK.items():
        label = label.replace(text, letter)
    return label.replace("$", "")


def plain_unit(unit: str) -> str:
    """A FITS unit string in plain text; a string that is no unit is kept as it is.

    Example:
        >>> plain_unit("10**(-20)*erg/s/cm**2/Angstrom"), plain_unit("km s-1"), plain_unit("mine")
        ('10⁻²⁰ erg s⁻¹ cm⁻² Å⁻¹', 'km s⁻¹', 'mine')
    """
    from astropy.units import Unit, UnitsWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UnitsWarning)
            parsed = Unit(normalise_unit(unit))
    except (ValueError, TypeError, UnitsWarning):
        return unit
    words = sorted(parsed.to_string("unicode", fraction=False).split(), key=_reading_order)
    return " ".join(words).replace("1×10", "10")


_ORDER = ("×", "erg", "W", "km", "s", "cm", "m", "Å")


def _reading_order(word: str) -> tuple[bool, bool, int]:
    """The scale, positive powers, then negative ones as astronomers write them."""
    base = word.rstrip("⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    place = _ORDER.index(base) if base in _ORDER else len(_ORDER)
    return not word[0].isdigit(), "⁻" in word, place
