"""The first section of the report on line ratios: what was asked for, and what was reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nebulines.evaluation.published import published
from nebulines.networks.line_ratios.ann import RATIOS
from nebulines.reports.section import Section
from nebulines.reports.target_rows import Row, target_section, wanted

_LEVELS = {68: 0.6827, 95: 0.9545}
_CORES = 2


def targets(numbers: dict[str, Any]) -> Section:
    """What was asked for beside what the other sections found.

    Args:
        numbers: of the sections made so far, by title; what is missing is left out.
    """
    numbers = {title: found for title, found in numbers.items() if "not_made" not in found}
    makers = (_ann_rows, _doublet_rows, _bound_rows, _bin_rows, _dust_rows, _speed_rows)
    rows = [row for make in makers for row in make(numbers)]
    text = (
        "± is the sampling error of this run; of bins and ratios the worst is shown. **Least "
        "possible** is the scatter of the exact posterior (section *Table 2*): a target below it "
        "cannot be had from these spectra. Beside the worst bin stands how far the worst bin of an "
        "exact posterior would be off in one run of twenty."
    )
    return target_section(text, rows)


def _ann_rows(numbers: dict[str, Any]) -> Iterator[Row]:
    """Every column of the paper's table 2, in the paper's measure."""
    table = numbers.get("Table 2", {})
    paper = next(r for r in published("rhea2021")["scatter"] if r["method"] == "ANN")["percent"]
    found = table.get("line_ratio_ann", [])
    floor = table.get("least possible", {}).get("arcsinh", [None] * len(paper))
    for ratio, limit, row, least in zip(RATIOS, paper, found, floor, strict=False):
        reached = row["arcsinh_std"]
        beside = None if least is None else f"least possible: {least:.2f}"
        if least is not None and least > limit:
            beside = f"{beside}, above the target"
        yield Row(f"`line_ratio_ann`, {ratio}: scatter of arcsinh, as the paper's table 2 [%]",
                   f"at most {limit:g}", reached, reached / np.sqrt(2.0 * row["n"]),
                   reached <= limit, beside)  # fmt: skip


def _doublet_rows(numbers: dict[str, Any]) -> Iterator[Row]:
    found = numbers.get("The fixed ratio", {}).get("line_ratio_ann")
    if found is None:
        return
    for key, name in (("bias", "median error"), ("std", "scatter")):
        limit = wanted("line_ratio_targets")["ann"][
            "doublet_bias" if key == "bias" else "doublet_scatter"
        ]
        yield Row(f"`line_ratio_ann`, NII6548/NII6583: {name} [%]", f"within {limit:g}",
                   found[key], None, abs(found[key]) <= limit,
                   "joint fit, `line_ratios`: tied, exact")  # fmt: skip


def _bound_rows(numbers: dict[str, Any]) -> Iterator[Row]:
    """RMS over the bound, and over that of the joint fit, of the worst ratio."""
    table = numbers.get("Table 2", {})
    if "line_ratios" not in table:
        return
    ours, joint = (table[name][:-1] for name in ("line_ratios", "joint fit"))
    worst = int(np.argmax([row["over_bound"] for row in ours]))
    limit, reached = (
        wanted("line_ratio_targets")["ratios"]["rms_over_bound"],
        ours[worst]["over_bound"],
    )
    yield Row("`line_ratios`, lines above 3 σ: RMS over the Cramér-Rao bound, worst ratio",
               f"at most {limit:g}", reached, reached / np.sqrt(2.0 * ours[worst]["judged"]),
               reached <= limit, RATIOS[worst])  # fmt: skip
    shares = [own["over_bound"] / free["over_bound"] for own, free in zip(ours, joint, strict=True)]
    worst, limit = int(np.argmax(shares)), wanted("line_ratio_targets")["ratios"]["over_joint_fit"]
    yield Row("`line_ratios`: RMS over that of the joint fit started at the truth, worst ratio",
               f"at most {limit:g}", shares[worst],
               shares[worst] / np.sqrt(ours[worst]["judged"]), shares[worst] <= limit,
               RATIOS[worst])  # fmt: skip


def _bin_rows(numbers: dict[str, Any]) -> Iterator[Row]:
    """Coverage of the worst bin of S/N and ratio, and the largest KS over all S/N."""
    rows, asked = (
        numbers.get("Calibration", {}).get("rows", []),
        wanted("line_ratio_targets")["bins"],
    )
    if not rows:
        return
    count = len(RATIOS) - 1
    bins, whole = rows[:-count], rows[-count:]
    for level, exact in _LEVELS.items():
        low, high = asked[f"coverage_{level}"]
        worst = max(bins, key=lambda r, k=f"covers_{level}", x=exact: abs(r[k] - x))  # type: ignore[misc]
        share = 100.0 * worst[f"covers_{level}"]
        error = 100.0 * np.sqrt(exact * (1.0 - exact) / worst["n"])
        name = f"{worst['ratio']}, S/N {worst['low']:g}-{worst['high']:g}"
        yield Row(f"`line_ratios`: {level} % intervals cover [%], worst of {len(bins)} bins",
                   f"{low:g}-{high:g}", share, error, low <= share <= high,
                   f"{name}; by chance alone {_worst(len(bins)) * error:.1f} off")  # fmt: skip
    worst = max(whole, key=lambda r: r["ks"])
    yield Row("`line_ratios`: KS of the PIT, worst ratio", f"under {asked['ks']:g}", worst["ks"],
               0.5 / np.sqrt(worst["n"]), worst["ks"] < asked["ks"], worst["ratio"])  # fmt: skip


def _worst(bins: int) -> float:
    """Standard deviations that the worst of so many bins is off in one run of twenty."""
    from scipy.stats import norm

    return float(norm.isf(0.5 * (1.0 - 0.95 ** (1.0 / bins))))


def _dust_rows(numbers: dict[str, Any]) -> Iterator[Row]:
    """The correction of [O II]/Hβ, by what users deredden with."""
    limit = wanted("line_ratio_targets")["dust"]["bias"]
    cases = numbers.get("Dust", {})
    for method in ("line_ratios", "joint fit"):
        found = [(name, case["dereddened"][method]) for name, case in cases.items()]
        if not found:
            continue
        name, worst = max(found, key=lambda pair: abs(pair[1]["bias"]))
        yield Row(f"correction of [O II]/Hβ for dust, from the fluxes of `{method}`: mean error "
                   "[%], worst of A_V 0-3", f"within {limit:g}", 100.0 * worst["bias"],
                   100.0 * worst["error"], 100.0 * abs(worst["bias"]) <= limit,
                   f"{name}; exact posterior: {_largest(cases, 'exact'):+.2f}")  # fmt: skip


def _largest(cases: dict[str, Any], key: str) -> float:
    """Largest mean error of Hα/Hβ over the cases [%]."""
    return 100.0 * max((case[key]["bias"] for case in cases.values()), key=abs)


def _speed_rows(numbers: dict[str, Any]) -> Iterator[Row]:
    found, asked = numbers.get("Time", {}), wanted("line_ratio_targets")["speed"]
    for key, name, what in (
        ("network", "line_ratio_ann", "`line_ratio_ann`, from spectra"),
        ("network", "its posterior, from the fluxes", "`line_ratios`, from line fluxes"),
        (
            "network",
            "line_ratios, the whole result table, one field",
            "`line_ratios`, from spectra",
        ),
        ("joint_fit", "joint fit with its velocity search, one field", "joint fit, from spectra"),
    ):
        if name not in found:
            continue
        cost, limit = found[name]["processor_us"], asked[key]
        rate = _CORES * 1e6 / cost
        yield Row(f"{what}: objects/s of {_CORES} free cores, three bands each",
                   f"at least {limit:,}", rate, None, rate >= limit,
                   f"{cost:.3g} us of processor time an object")  # fmt: skip
