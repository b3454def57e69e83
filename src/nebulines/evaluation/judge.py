"""Judge one method on one held-out set: every number of its tables and figures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.evaluation.calibration import (
    KS,
    CoverageCurve,
    coverage_curve,
    ks_uniform,
    pit_draws,
    pit_normal,
)
from nebulines.evaluation.coverage import nmad
from nebulines.evaluation.held_out import HeldOut
from nebulines.evaluation.methods import QUANTITIES, Measured, Method
from nebulines.evaluation.ranks import RankHistogram, rank_histogram, ranks
from nebulines.evaluation.summary import DISTRUSTED
from nebulines.evaluation.tarp import Tarp, tarp

SNR_EDGES = (5.0, 10.0, 15.0, 20.0, 30.0)
_DRAWS = 199
_LEVELS = (0.68, 0.95)


@dataclass(frozen=True)
class Judgement:
    """What a method reached on a held-out set.

    Attributes:
        method: its name.
        held_out: the set.
        measured: its answers.
        trusted: (n,) rows without a flag of `DISTRUSTED`.
        bins: one record per S/N bin and quantity, see `bin_record`; the last bin is the whole.
        pit: quantity -> (n,) probability integral transform, empty without stated errors.
        ks: quantity -> its distance from uniform.
        coverage: quantity -> coverage curve.
        sbc: quantity -> histogram of ranks.
        tarp: test of the joint posterior, or None.
        spectra_per_second: of the measurement, compiled beforehand.
    """

    method: str
    held_out: HeldOut
    measured: Measured
    trusted: np.ndarray
    bins: list[dict[str, Any]]
    pit: dict[str, np.ndarray]
    ks: dict[str, KS]
    coverage: dict[str, CoverageCurve]
    sbc: dict[str, RankHistogram]
    tarp: Tarp | None
    spectra_per_second: float


def judge(
    name: str,
    method: Method,
    held_out: HeldOut,
    *,
    edges: Sequence[float] = SNR_EDGES,
    seed: int = 0,
) -> Judgement:
    """Measure a held-out set and judge the answers.

    Rows with a flag of `DISTRUSTED` are counted in ``flagged`` and left out of every statistic
    but ``rms_all``.

    Args:
        name: of the method, for tables.
        method: measures spectra.
        held_out: the set, of spectra that the method was not trained on.
        edges: of the S/N bins, increasing.
        seed: of the draws of normal posteriors and of the random points of TARP.

    Returns:
        `Judgement`.

    Example:
        >>> from nebulines.evaluation.held_out import draw, sn3
        >>> from nebulines.evaluation.methods import from_columns
        >>> held_out = draw(sn3(), 40, seed=1)
        >>> found = judge("truth", lambda spectra: from_columns(held_out.truth), held_out)
        >>> found.bins[-1]["rms"]
        0.0
    """
    measured, speed = _timed(method, held_out)
    if len(measured.velocity) != len(held_out.spectra):
        raise UsageError(
            f"the method {name!r} answered {len(measured.velocity)} rows for "
            f"{len(held_out.spectra)} spectra: a method gives one row a spectrum"
        )
    if measured.draws is None and hasattr(method, "draws"):
        measured = measured._replace(draws=method.draws(held_out.spectra, seed=seed))
    trusted = (np.asarray(measured.flags) & int(DISTRUSTED)) == 0
    draws = _draws(measured, seed) if measured.stated else None
    pit = {q: _pit(q, measured, held_out, seed) for q in QUANTITIES} if measured.stated else {}
    good = {q: np.where(trusted, values, np.nan) for q, values in pit.items()}
    limits = [*pairwise(edges), (float(edges[0]), float(edges[-1]))]
    bins = [
        bin_record(q, measured, held_out, trusted, pit.get(q), limit=limit)
        for limit in limits
        for q in QUANTITIES
    ]
    return Judgement(
        name, held_out, measured, trusted, bins, pit,
        {q: ks_uniform(values) for q, values in good.items()},
        {q: coverage_curve(values) for q, values in good.items()},
        {} if draws is None else _sbc(held_out, draws, trusted),
        None if draws is None else _joint(held_out, draws, trusted, seed),
        speed,
    )  # fmt: skip


def bin_record(
    quantity: str,
    measured: Measured,
    held_out: HeldOut,
    trusted: np.ndarray,
    pit: np.ndarray | None,
    *,
    limit: tuple[float, float],
) -> dict[str, Any]:
    """Numbers of one quantity in one bin of S/N [low, high).

    Returns:
        ``low``, ``high``, ``quantity``, ``n``, ``flagged``; ``rms`` and ``nmad`` of estimate -
        truth, ``bias`` (median) and ``bias_error``, ``rms_all`` with the flagged rows [km/s];
        ``bound`` (RMS of the Cramer-Rao bound over the rows where it exists, broadening above
        the source's ``resolved``) and ``rms_over_bound`` of those rows; ``width``, the RMS of
        the stated errors; ``coverage_68``, ``coverage_95``, their binomial standard errors and
        ``ks`` of the PIT, where errors are stated.
    """
    truth = held_out.truth[quantity]
    miss = np.asarray(getattr(measured, quantity), float) - truth
    here = (held_out.truth["snr"] >= limit[0]) & (held_out.truth["snr"] < limit[1])
    good = here & trusted & np.isfinite(miss)
    bound = getattr(held_out.bound, f"{quantity}_kms")
    least = held_out.source.resolved if quantity == "broadening" else -np.inf
    resolved = good & (held_out.truth["broadening"] > least) & np.isfinite(bound)
    error = np.asarray(getattr(measured, f"{quantity}_err"), float)
    record = {
        "low": limit[0],
        "high": limit[1],
        "quantity": quantity,
        "n": int(here.sum()),
        "flagged": int((here & ~trusted).sum()),
        "rms": _rms(miss[good]),
        "rms_all": _rms(miss[here & np.isfinite(miss)]),
        "nmad": nmad(miss[good]),
        "bias": float(np.median(miss[good])) if good.any() else float("nan"),
        "bias_error": float(np.sqrt(np.pi / 2 / max(good.sum(), 1)) * nmad(miss[good])),
        "bound": _rms(bound[resolved]),
        "rms_over_bound": _rms(miss[resolved]) / _rms(bound[resolved]),
        "width": _rms(error[good]),
    }
    return record if pit is None else record | _interval_record(np.where(good, pit, np.nan))


def _interval_record(pit: np.ndarray) -> dict[str, float]:
    found = coverage_curve(pit, _LEVELS)
    record = {}
    for k, level in enumerate(_LEVELS):
        record[f"coverage_{round(100 * level)}"] = float(found.fraction[k])
        record[f"coverage_{round(100 * level)}_error"] = float(found.uncertainty[k])
    return record | {"ks": ks_uniform(pit).distance}


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else float("nan")


def _timed(method: Method, held_out: HeldOut) -> tuple[Measured, float]:
    """Answers and spectra per second, of a second run of the same shapes."""
    method(held_out.spectra)
    begin = time.perf_counter()
    measured = method(held_out.spectra)
    return measured, len(held_out.spectra) / (time.perf_counter() - begin)


def _pit(quantity: str, measured: Measured, held_out: HeldOut, seed: int) -> np.ndarray:
    truth = held_out.truth[quantity]
    if measured.draws is not None:
        return pit_draws(truth, measured.draws[:, :, QUANTITIES.index(quantity)], seed=seed)
    error = getattr(measured, f"{quantity}_err")
    return pit_normal(truth, getattr(measured, quantity), error)


def _draws(measured: Measured, seed: int) -> np.ndarray:
    """Draws (n, m, 2) of the posterior; of two normal laws where none are given."""
    if measured.draws is not None:
        return measured.draws
    centre = np.stack([measured.velocity, measured.broadening], axis=1)
    width = np.stack([measured.velocity_err, measured.broadening_err], axis=1)
    noise = np.random.default_rng(seed).standard_normal((len(centre), _DRAWS, 2), np.float32)
    return centre[:, None, :] + width[:, None, :] * noise


def _sbc(held_out: HeldOut, draws: np.ndarray, rows: np.ndarray) -> dict[str, RankHistogram]:
    found = {}
    for k, quantity in enumerate(QUANTITIES):
        values = ranks(held_out.truth[quantity][rows], draws[rows, :, k])
        if (values >= 0).any():
            found[quantity] = rank_histogram(values, draws.shape[1])
    return found


def _joint(held_out: HeldOut, draws: np.ndarray, rows: np.ndarray, seed: int) -> Tarp | None:
    truth = np.stack([held_out.truth[q] for q in QUANTITIES], axis=1)
    return tarp(truth[rows], draws[rows], seed=seed) if rows.any() else None
