"""One quantity, many spectra, few numbers: scatter beside the bound, bias, coverage."""

from __future__ import annotations

import numpy as np

from nebulines.evaluation.coverage import coverage, nmad
from nebulines.spectra import Flag

OUTLIER_SIGMA = 10.0
TWO_SIDED_95 = 1.959963984540054
DISTRUSTED = (
    Flag.NO_DATA
    | Flag.LOW_SNR
    | Flag.AT_BOUND
    | Flag.NOT_CONVERGED
    | Flag.AMBIGUOUS_VELOCITY
    | Flag.POOR_FIT
    | Flag.OUT_OF_RANGE
)
"""Flags that tell a user not to take the velocity at face value."""


def summary(
    truth: np.ndarray, estimate: np.ndarray, bound: np.ndarray, error: np.ndarray | None = None
) -> dict[str, float]:
    """Scatter beside the bound, bias and coverage of one quantity.

    Args:
        truth, estimate, bound: (k,), one unit; rows that are not finite are left out.
        error: (k,) stated 1-sigma errors, or None.

    Returns:
        ``rms_over_bound`` (RMS of the misses over RMS of the bound), ``pull_rms`` (RMS of miss /
        bound), ``nmad_over_bound`` (robust scatter of miss / bound), ``bias`` (median miss),
        ``bias_error``, ``relative_bias`` (mean miss over mean truth) with its error, and with
        stated errors ``coverage`` and ``coverage_95``.

    Example:
        >>> misses = np.array([1.0, -1.0, 1.0, -1.0])
        >>> numbers = summary(np.ones(4), 1.0 + misses, np.ones(4))
        >>> numbers["rms_over_bound"], numbers["bias"]
        (1.0, 0.0)
    """
    miss = estimate - truth
    good = np.isfinite(miss) & np.isfinite(bound)
    miss, bound = miss[good], bound[good]
    count = max(len(miss), 1)
    scale = np.mean(np.abs(truth[good])) if len(miss) else np.nan
    pulls = miss / bound
    numbers = {
        "n": len(miss),
        "bound": float(np.median(bound)),
        "rms_over_bound": float(np.sqrt(np.mean(miss**2) / np.mean(bound**2))),
        "pull_rms": float(np.sqrt(np.mean(pulls**2))),
        "nmad_over_bound": nmad(pulls),
        "bias": float(np.median(miss)),
        "bias_error": float(np.sqrt(np.pi / 2.0 / count) * nmad(miss)),
        "relative_bias": float(np.mean(miss) / scale),
        "relative_bias_error": float(np.std(miss) / np.sqrt(count) / scale),
    }
    if error is not None:
        inside = [coverage(truth, estimate, error, sigmas=k) for k in (1.0, TWO_SIDED_95)]
        numbers |= {"coverage": inside[0].fraction, "coverage_95": inside[1].fraction}
        numbers["coverage_error"] = inside[0].uncertainty
    return numbers
