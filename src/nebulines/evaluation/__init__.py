"""How good a measurement is: its Cramer-Rao bound, the coverage of its errors."""

from nebulines.evaluation.coverage import Coverage, ScatterTable, coverage, nmad, scatter_table
from nebulines.evaluation.cramer_rao import Bound, cramer_rao

__all__ = [
    "Bound",
    "Coverage",
    "ScatterTable",
    "coverage",
    "cramer_rao",
    "nmad",
    "scatter_table",
]
