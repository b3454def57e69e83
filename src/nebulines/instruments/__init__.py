"""Instruments as data: bands, axes and line spreads."""

from nebulines.instruments.instrument import Instrument
from nebulines.instruments.line_spread import LineSpread
from nebulines.instruments.registry import get_instrument, instrument_names

__all__ = ["Instrument", "LineSpread", "get_instrument", "instrument_names"]
