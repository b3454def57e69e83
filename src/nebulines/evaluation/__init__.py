"""How good a measurement is: its Cramer-Rao bound, its scatter, the honesty of its errors."""

from nebulines.evaluation.calibration import coverage_curve, ks_uniform, pit_draws, pit_normal
from nebulines.evaluation.coverage import Coverage, ScatterTable, coverage, nmad, scatter_table
from nebulines.evaluation.cramer_rao import Bound, cramer_rao
from nebulines.evaluation.density import kernel_density
from nebulines.evaluation.ranks import rank_histogram, ranks
from nebulines.evaluation.summary import DISTRUSTED, OUTLIER_SIGMA, summary
from nebulines.evaluation.tarp import tarp

__all__ = [
    "DISTRUSTED",
    "OUTLIER_SIGMA",
    "Bound",
    "Coverage",
    "ScatterTable",
    "coverage",
    "coverage_curve",
    "cramer_rao",
    "kernel_density",
    "ks_uniform",
    "nmad",
    "pit_draws",
    "pit_normal",
    "rank_histogram",
    "ranks",
    "scatter_table",
    "summary",
    "tarp",
]
