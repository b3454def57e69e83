"""Readers, found by the content of a file, and writers of the input formats."""

from nebulines.io.describe import describe
from nebulines.io.reading import read
from nebulines.io.row_stacked import write_row_stacked

__all__ = ["describe", "read", "write_row_stacked"]
