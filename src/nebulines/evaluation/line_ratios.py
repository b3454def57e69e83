"""Line ratios of held-out objects in three bands, by several methods, beside the bound.

Estimates are compared as natural logarithms, where the error of a ratio is its relative error
and does not depend on which line is above; the paper's own measure, the standard deviation of
the relative error, is given too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from nebulines.evaluation.calibration import ks_uniform
from nebulines.evaluation.coverage import nmad
from nebulines.evaluation.cramer_rao import Bound, cramer_rao
from nebulines.evaluation.fit_bound import combine
from nebulines.evaluation.held_out import held_out_seed
from nebulines.lines import amplitude_matrix, load_catalogue
from nebulines.networks.line_ratios.ann import RATIOS
from nebulines.training.line_ratios.ann import true_ratios
from nebulines.training.line_ratios.priors import PAPER
from nebulines.training.line_ratios.spectra import SEEN, Objects, paper_objects

EDGES = (5.0, 10.0, 15.0, 20.0, 30.0)
DETECTED = 3.0
"""Least true S/N of every line of a ratio that is judged beside the bound."""
_PARTS = {"SII": ("SII6716", "SII6731"), "OII": ("OII3726", "OII3729")}


class Estimate(NamedTuple):
    """Ratios of n objects as one method gives them.

    Attributes:
        ratio: (n, 9) of `RATIOS`; NaN where it gives none.
        error: (n, 9) stated 1-sigma errors, or None.
        pit: (n, 9) probability of a smaller ratio than the true one, or None.
    """

    ratio: np.ndarray
    error: np.ndarray | None = None
    pit: np.ndarray | None = None


class RatioSet(NamedTuple):
    """Held-out objects.

    Attributes:
        objects: truth and spectra.
        ratio: (n, 9) true ratios.
        bound: (n, 9) Cramer-Rao bound of the natural logarithm, from a joint fit with lines of
            fixed ratio tied.
        detected: (n, 9) bool, all lines of the ratio above `DETECTED` of their bound.
    """

    objects: Objects
    ratio: np.ndarray
    bound: np.ndarray
    detected: np.ndarray


RatioMethod = Callable[[Objects], Estimate]


def draw_ratio_set(
    n: int, *, seed: int, stream: int = 0, kind: str = PAPER, **options: Any
) -> RatioSet:
    """Simulate held-out objects with their bound.

    Args:
        n: objects.
        seed, stream: see `nebulines.evaluation.held_out.held_out_seed`.
        kind: of nebulae.
        **options: of `paper_objects`.
    """
    objects = paper_objects(n, held_out_seed(seed, 40 + stream), kind=kind, **options)
    bound, detected = ratio_bounds(objects)
    return RatioSet(objects, true_ratios(objects.truth), bound, detected)


def ratio_bounds(objects: Objects) -> tuple[np.ndarray, np.ndarray]:
    """Bound (n, 9) of the natural logarithm of each ratio, and whether its lines are detected."""
    joint, names = joint_bound(objects)
    lines = amplitude_matrix(names, tied=True)
    strong = [names[k] for k in np.argmax(lines, axis=1)]
    covariance, flux = _tied(joint, lines)
    sigma = np.sqrt(np.einsum("nll->nl", covariance))
    weights = {name: np.eye(len(strong))[k] for k, name in enumerate(strong)}
    weights |= {total: weights[a] + weights[b] for total, (a, b) in _PARTS.items()}
    bounds, detected = [], []
    for ratio in RATIOS:
        top, bottom = ratio.split("/")
        if top not in weights:  # of fixed ratio
            bounds.append(np.zeros(len(flux)))
            detected.append(np.ones(len(flux), bool))
            continue
        a, b = weights[top], weights[bottom]
        slope = a / (flux @ a)[:, None] - b / (flux @ b)[:, None]
        bounds.append(np.sqrt(np.einsum("ni,nij,nj->n", slope, covariance, slope)))
        detected.append((flux / sigma > DETECTED)[:, (a + b) > 0].all(axis=1))
    return np.stack(bounds, axis=1), np.stack(detected, axis=1)


def joint_bound(objects: Objects) -> tuple[Bound, list[str]]:
    """Cramer-Rao bound of all lines, free, and kinematics shared by the bands; their names."""
    truth = objects.truth
    parts: list[Bound] = []
    fluxes: list[np.ndarray] = []
    names: list[str] = []
    for spectra in objects.bands:
        lines = load_catalogue().select(SEEN[str(spectra.instrument)])
        flux = np.stack([truth[f"{name}_flux"] for name in lines.names], axis=1)
        parts.append(
            cramer_rao(
                spectra,
                lines.wavelength(spectra.axis.medium),
                velocity_kms=truth["velocity"],
                broadening_kms=truth["broadening"],
                fluxes=flux,
            )
        )
        names += lines.names
        fluxes.append(flux)
    return combine(parts, np.concatenate(fluxes, axis=1)), names


def _tied(joint: Bound, lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariance (n, T, T) and values (n, T) of the templates, fixed ratios imposed."""
    first, last = 2, 2 + joint.truth.shape[1]
    information = np.linalg.inv(joint.covariance[:, first:last, first:last])
    covariance = np.linalg.inv(lines @ information @ lines.T)
    return covariance, joint.truth[:, np.argmax(lines, axis=1)]


def table_row(held_out: RatioSet, found: Estimate) -> list[dict[str, float]]:
    """What the paper's table 2 gives, and more, for each of `RATIOS`.

    Returns:
        ``std`` and ``bias`` (median) of the relative error, ``nmad`` its robust scatter;
        ``arcsinh_std``, the standard deviation of the relative error of arcsinh of the ratio, which
        is what the paper's published notebook computes; of detected lines ``over_bound``, RMS of
        the logarithm's error over RMS of the bound; and ``missing``, the share without a
        (positive) answer; percent where relative.
    """
    return [
        _statistics(
            held_out.ratio[:, k], found.ratio[:, k], held_out.bound[:, k], held_out.detected[:, k]
        )
        for k in range(len(RATIOS))
    ]


def _statistics(
    truth: np.ndarray, ratio: np.ndarray, bound: np.ndarray, detected: np.ndarray
) -> dict[str, float]:
    relative = ratio / truth - 1.0
    good = np.isfinite(relative)
    with np.errstate(invalid="ignore", divide="ignore"):
        miss = np.log(np.where(ratio > 0, ratio, np.nan) / truth)
    judged = detected & np.isfinite(miss)
    scale = np.sqrt(np.mean(bound[judged] ** 2)) if judged.any() else np.nan
    over = np.sqrt(np.mean(miss[judged] ** 2)) / scale if scale > 0 else np.nan
    return {
        "n": int(good.sum()),
        "std": 100.0 * float(np.std(relative[good])),
        "arcsinh_std": 100.0 * float(np.std(np.arcsinh(ratio[good]) / np.arcsinh(truth[good]))),
        "bias": 100.0 * float(np.median(relative[good])),
        "nmad": 100.0 * nmad(relative[good]),
        "judged": int(judged.sum()),
        "over_bound": float(over),
        "robust_over_bound": nmad(miss[judged] / bound[judged]) if scale > 0 else float("nan"),
        "missing": 100.0 * float(1.0 - np.mean(ratio[np.isfinite(truth)] > 0)),
    }


def calibration_rows(
    snr: np.ndarray, found: Estimate, *, edges: Sequence[float] = EDGES
) -> list[dict[str, Any]]:
    """Coverage of the posterior and Kolmogorov-Smirnov distance, per bin of S/N and ratio; the
    last bin is all.

    Args:
        snr: (n,) true S/N of the objects.
        found: with ``pit``; None gives no rows.
        edges: of the bins.
    """
    if found.pit is None:
        return []
    bins = [*pairwise(edges), (edges[0], edges[-1])]
    rows = []
    for low, high in bins:
        inside = (snr >= low) & (snr <= high)
        for k, ratio in enumerate(RATIOS[:-1]):
            rows.append(
                {"low": low, "high": high, "ratio": ratio, **_covered(found.pit[inside, k])}
            )
    return rows


def _covered(pit: np.ndarray) -> dict[str, float]:
    pit = pit[np.isfinite(pit)]
    within = 2.0 * np.abs(pit - 0.5)
    test = ks_uniform(pit)
    return {
        "n": len(pit),
        "covers_68": float(np.mean(within <= 0.6827)),
        "covers_95": float(np.mean(within <= 0.9545)),
        "ks": test.distance,
        "ks_p": test.p_value,
    }
