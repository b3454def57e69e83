"""Flux units as files write them, brought to the FITS standard."""

from __future__ import annotations

import re
import warnings

_NAMES = {
    "A": "Angstrom",
    "ANG": "Angstrom",
    "ANGSTROM": "Angstrom",
    "ANGSTROMS": "Angstrom",
    "AA": "Angstrom",
    "Å": "Angstrom",
    "ERG": "erg",
    "ERGS": "erg",
    "S": "s",
    "SEC": "s",
    "CM": "cm",
    "ARCSEC": "arcsec",
    "COUNTS": "count",
    "CTS": "count",
    "ADU": "adu",
    "JY": "Jy",
    "ELECTRONS": "electron",
}
_PER_ELEMENT = re.compile(
    r"\s*(/\s*(spaxel|fiber|fibre|spax|bin)\b|\b(spaxel|fiber|fibre)-1)", re.I
)


def normalise_unit(text: str | None) -> str:
    """A flux unit that a strict FITS parser accepts, or the text itself when none is found.

    Leading factors become powers of ten (``1e-20`` -> ``10**-20``), ``A`` and ``Ang`` beside
    ``erg`` mean Angstrom, ``/spaxel`` and ``/fiber`` are dropped.

    Args:
        text: the unit as the file gives it; None and blank mean no unit.

    Returns:
        A string for which ``astropy.units.Unit(text, format="fits")`` works; the text itself
        when it means nothing to astropy; "" for no unit.

    Example:
        >>> normalise_unit("1E-17 erg/s/cm^2/Ang/spaxel")
        '10**-17 erg Angstrom-1 s-1 cm-2'
        >>> normalise_unit("furlongs")
        'furlongs'
    """
    raw = (text or "").strip()
    if not raw or raw.lower() in ("none", "unknown", "unitless", "dimensionless"):
        return ""
    from astropy import units

    tidy = _tidy(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", units.UnitsWarning)
        for candidate, parser in ((tidy, "fits"), (tidy, None), (raw, "fits"), (raw, None)):
            try:
                return units.Unit(candidate, format=parser).to_string("fits")
            except (ValueError, TypeError):
                continue
    return raw


def _tidy(text: str) -> str:
    text = _PER_ELEMENT.sub("", text)
    text = re.sub(r"^10\s*(?:\*\*|\^)?\s*\(?\s*([+-]\d+)\s*\)?", r"1e\1", text)
    factor, rest = "", text
    match = re.match(r"^\s*(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*[*x. ]?\s*(?=[A-Za-zÅ(])", text)
    if match:
        factor, rest = match.group(1) + " ", text[match.end() :]
    if re.search(r"erg", rest, re.I) or rest.upper() in _NAMES:
        rest = re.sub(r"[A-Za-zÅ]+", lambda m: _NAMES.get(m.group().upper(), m.group()), rest)
    return factor + rest
