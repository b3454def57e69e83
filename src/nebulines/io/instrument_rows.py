"""What the instrument table adds to a file: medium, line spread, and the name of the row."""

from __future__ import annotations

import re
from typing import Any

from nebulines.errors import UsageError
from nebulines.instruments import get_instrument
from nebulines.instruments.instrument import Instrument
from nebulines.instruments.line_spread import LineSpread
from nebulines.io.fits_file import FitsFile, FitsHdu

_MODES = {
    "muse": (),
    "manga": (),
    "sdss": (),
    "boss": (),
    "desi": (),
    "gmos": ("GRATING", "HIERARCH GEM GRATING", "DISPERSR"),
    "kmos": ("HIERARCH ESO INS FILT1 ID", "HIERARCH ESO INS GRAT1 ID", "FILTER", "BAND"),
    "nirspec": ("GRATING",),
    "megara": ("VPH", "INSMODE"),
}
"""INSTRUME, lower case, and the cards that may name its mode."""
_SAME = {"boss": "sdss"}


def instrument_in_header(file: FitsFile, hdu: FitsHdu | None = None) -> str | None:
    """The instrument row that INSTRUME and the mode's card name, or None."""
    text = str(file.card("INSTRUME", hdu=hdu) or "").strip().lower()
    for stem, cards in _MODES.items():
        if not text.startswith(stem):
            continue
        stem = _SAME.get(stem, stem)
        for card in cards:
            mode = str(file.card(card, hdu=hdu) or "").strip().lower()
            for candidate in (mode, re.split(r"[^a-z0-9]", mode)[0]):
                if candidate and row_or_none(f"{stem}-{candidate}"):
                    return f"{stem}-{candidate}"
        return stem if row_or_none(stem) else None
    return None


def medium_of_instrument(name: str | None) -> str | None:
    """``air`` or ``vacuum`` as the instrument's row says, or None."""
    row = row_or_none(name)
    return None if row is None else row.medium


def line_spread_of(name: str | None, resolution: Any = None) -> LineSpread | None:
    """The line spread of an instrument's row, at ``resolution`` when that is given; a Gaussian
    when there is a resolution but no instrument.

    Args:
        name: instrument row, or None.
        resolution: R, scalar or (n,), or None.

    Example:
        >>> line_spread_of(None, 2000.0).shape, line_spread_of("sitelle-sn3", 2000.0).shape
        ('gaussian', 'sinc')
    """
    row = row_or_none(name)
    if row is None:
        return None if resolution is None else LineSpread("gaussian", resolution=resolution)
    return row.line_spread if resolution is None else row.line_spread_at(resolution)


def row_or_none(name: str | None) -> Instrument | None:
    """The instrument's row, or None when there is no such instrument."""
    try:
        return None if name is None else get_instrument(name)
    except UsageError:
        return None
