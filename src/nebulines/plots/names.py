"""Line names as astronomers print them: ``NII6583`` is [N II] 6583."""

from __future__ import annotations

import re

_BALMER = {"ALPHA": "α", "BETA": "β", "GAMMA": "γ", "DELTA": "δ", "EPSILON": "ε", "ZETA": "ζ"}
_PERMITTED = {"HEI", "HEII"}
_ION = re.compile(r"^([A-Z]+?)([IVX]+)(\d+)$")


def line_label(name: str, *, wavelength: bool = True) -> str:
    """The printed name of a catalogue line.

    Args:
        name: name of a line, such as ``HALPHA6563`` or ``OIII5007``.
        wavelength: also print the wavelength of a metal or helium line.

    Example:
        >>> [line_label(n) for n in ("HALPHA6563", "NII6583", "HEI5876", "NEIII3869")]
        ['Hα', '[N II] 6583', 'He I 5876', '[Ne III] 3869']
        >>> line_label("SII6716", wavelength=False), line_label("mine")
        ('[S II]', 'mine')
    """
    for greek, letter in _BALMER.items():
        if re.fullmatch(rf"H{greek}\d*", name):
            return f"H{letter}"
    match = _ION.match(name)
    if not match:
        return name
    element, stage, number = match.groups()
    ion = f"{element.capitalize()} {stage}"
    ion = ion if element + stage in _PERMITTED else f"[{ion}]"
    return f"{ion} {number}" if wavelength else ion
