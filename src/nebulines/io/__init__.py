"""Readers, found by the content of a file, and writers of the input formats."""

from nebulines.io.describe import describe
from nebulines.io.reading import read
from nebulines.io.row_stacked import write_row_stacked
from nebulines.io.sitelle_parameters import Scan
from nebulines.io.write_muse import write_muse
from nebulines.io.write_sitelle import write_sitelle

__all__ = ["Scan", "describe", "read", "write_muse", "write_row_stacked", "write_sitelle"]
