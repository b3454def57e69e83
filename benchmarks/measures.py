"""From fitted columns, truth and bound to the numbers that judge a fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.mocks import FIVE_LINES, MockSet
from nebulines.evaluation import DISTRUSTED, OUTLIER_SIGMA, summary
from nebulines.spectra import Flag

DETECTED = 5.0
"""A ratio is judged where both true fluxes exceed their bounds by this."""
RATIOS = (("NII6583", "HALPHA6563"), ("SII6731", "SII6716"))


def measure(
    mocks: MockSet, columns: Mapping[str, np.ndarray], *, resolved: float
) -> dict[str, Any]:
    """Scatter over bound, bias, coverage, outliers and flags of one fit.

    Args:
        mocks: the spectra, their truth and bound.
        columns: of the result.
        resolved: broadening is judged where the true one is above this [km/s].

    Returns:
        Nested numbers. Rows with a flag of `DISTRUSTED` are counted, and left out of everything
        but ``rms_all_over_bound`` and the outliers; unflagged outliers stay in.
    """
    flags = np.asarray(columns["flags"])
    trusted = (flags & int(DISTRUSTED)) == 0
    miss = _miss(columns, mocks.truth, "velocity")
    outlier = ~(np.abs(miss) <= OUTLIER_SIGMA * mocks.bound.velocity_kms)
    wide = trusted & (mocks.truth["broadening"] > resolved)
    result: dict[str, Any] = {
        "n": len(flags),
        "distrusted": int((~trusted).sum()),
        "flags": {f.name: int((flags & f != 0).sum()) for f in Flag if (flags & f).any()},
        "outliers": int(outlier.sum()),
        "outliers_flagged": int((outlier & ~trusted).sum()),
        "outlier_velocities": np.sort(miss[outlier])[:20].round(1).tolist(),
        "velocity": _quantity(mocks, columns, "velocity", mocks.bound.velocity_kms, trusted),
        "broadening": _quantity(mocks, columns, "broadening", mocks.bound.broadening_kms, wide),
        "broadening_all": _quantity(
            mocks, columns, "broadening", mocks.bound.broadening_kms, trusted
        ),
        "chi2": float(np.nanmedian(columns["chi2"])),
    }
    everything = np.sqrt(np.nanmean(miss**2) / np.mean(mocks.bound.velocity_kms**2))
    result["velocity"]["rms_all_over_bound"] = float(everything)
    result["fluxes"] = {
        name: _quantity(mocks, columns, f"{name}_flux", mocks.bound.fluxes[:, k], trusted)
        for k, name in enumerate(FIVE_LINES)
    }
    result["ratios"] = _ratios(mocks, columns, trusted)
    return result


def _miss(columns: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], name: str) -> Any:
    return np.asarray(columns[name], float) - truth[name]


def _quantity(
    mocks: MockSet,
    columns: Mapping[str, np.ndarray],
    name: str,
    bound: np.ndarray,
    rows: np.ndarray,
) -> dict[str, float]:
    truth = mocks.truth[name][rows]
    error = np.asarray(columns[f"{name}_err"], float)[rows] if f"{name}_err" in columns else None
    return summary(truth, np.asarray(columns[name], float)[rows], bound[rows], error)


def _ratios(
    mocks: MockSet, columns: Mapping[str, np.ndarray], rows: np.ndarray
) -> dict[str, dict[str, float]]:
    found = {}
    for top, bottom in RATIOS:
        name = f"ratio_{top}_{bottom}"
        if name not in columns:
            continue
        truth = mocks.truth[f"{top}_flux"] / mocks.truth[f"{bottom}_flux"]
        pair = [FIVE_LINES.index(top), FIVE_LINES.index(bottom)]
        strong = (mocks.bound.truth[:, pair] >= DETECTED * mocks.bound.fluxes[:, pair]).all(axis=1)
        if (rows & strong).sum() < 30:
            continue
        arrays = (truth, columns[name], mocks.bound.ratio(*pair), columns[f"{name}_err"])
        found[f"{top}/{bottom}"] = summary(*(np.asarray(a, float)[rows & strong] for a in arrays))
    return found
