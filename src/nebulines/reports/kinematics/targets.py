"""The first section of the report on kinematics: what was asked for, and what was reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nebulines.evaluation.calibration import worst_by_chance
from nebulines.reports.section import Section
from nebulines.reports.target_rows import Row, target_section, wanted


def targets(numbers: dict[str, Any]) -> Section:
    """What was asked for beside what the other sections found.

    Args:
        numbers: of the sections made so far, by title; what is missing is left out.
    """
    numbers = {title: found for title, found in numbers.items() if "not_made" not in found}
    rows = [*_rms_rows(numbers), *_bin_rows(numbers), *_range_rows(numbers), *_speed_rows(numbers)]
    text = (
        "± is the sampling error of this run; of bins the worst is shown. Beside the scatter "
        "stands that of the exact posterior (section *What can be reached*): a target below it "
        "cannot be had from these spectra. Beside a coverage stands how far the worst bin of an "
        "exact posterior would be off by chance. Beside the two components stands how many of "
        "them a test would flag that knew both; beside the rates, what they cost."
    )
    return target_section(text, rows)


def _judged(numbers: dict[str, Any], method: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Title of each resolution and the record of a method there."""
    for title, records in numbers.get("Resolutions", {}).items():
        yield from ((title, r) for r in records if r["method"] == method)


def _rms_rows(numbers: dict[str, Any]) -> Iterator[Row]:
    limits = numbers.get("What can be reached", {})
    for row in wanted("kinematics_targets")["rms"]:
        for title, record in _judged(numbers, row["method"]):
            if title != f"R {row['resolution']}":
                continue
            for found in record["bins"][-2:]:
                quantity = found["quantity"]
                limit, exact = row[quantity], limits.get(title, {}).get(quantity)
                yield Row(
                    f"`{row['method']}` {title}: RMS of {quantity} [km/s]",
                    f"at most {limit:g}",
                    found["rms"],
                    found["rms"] / np.sqrt(2.0 * found["n"]),
                    found["rms"] <= limit,
                    _exact_text(exact, found) if exact else None,
                )
        yield from _nominal_rows(numbers, row)


def _nominal_rows(numbers: dict[str, Any], asked: dict[str, Any]) -> Iterator[Row]:
    """The same at the nominal resolution alone."""
    title = f"R {asked['resolution']}"
    for record in numbers.get("Nominal resolution", {}).get(title, []):
        for found in record["bins"] if record["method"] == asked["method"] else []:
            quantity = found["quantity"]
            yield Row(
                f"`{asked['method']}` {title} alone: RMS of {quantity} [km/s]",
                f"at most {asked[quantity]:g}",
                found["rms"],
                found["rms"] / np.sqrt(2.0 * found["n"]),
                found["rms"] <= asked[quantity],
                "not up to 200 below",
            )


def _exact_text(exact: dict[str, float], found: dict[str, Any]) -> str:
    """What the exact posterior reaches on the judged set. Its velocity follows the Cramer-Rao
    bound, which changes with the S/N drawn, and is carried over by it."""
    if found["quantity"] == "velocity":
        share = exact["expected"] / exact["bound"]
        return f"exact posterior: {share * found['bound']:.2f} ({share:.3f} of the CRLB)"
    return f"exact posterior: {exact['expected']:.2f} ± {exact['error']:.2f}"


def _bin_rows(numbers: dict[str, Any]) -> Iterator[Row]:
    asked = wanted("kinematics_targets")["bins"]
    for title, record in _judged(numbers, "kinematics"):
        for quantity in ("velocity", "broadening"):
            bins = [b for b in record["bins"] if b["quantity"] == quantity]
            name = f"`kinematics` {title}, every bin of S/N:"
            worst = max(bins[:-1], key=lambda b: b["rms_over_bound"])
            ratio = worst["rms_over_bound"]
            error = ratio / np.sqrt(2.0 * worst["n"])
            limit = asked["rms_over_bound"]
            yield Row(f"{name} RMS/CRLB of {quantity}", f"at most {limit:g}", ratio, error,
                       ratio <= limit)  # fmt: skip
            for level in (68, 95):
                low, high = asked[f"coverage_{level}"]
                key, middle = f"coverage_{level}", 0.5 * (low + high)
                off = [abs(100 * b[key] - middle) for b in bins[:-1]]
                worst = bins[int(np.argmax(off))]
                share = 100 * worst[key]
                yield Row(f"{name} {level} % intervals of {quantity} cover [%]",
                           f"{low:g}-{high:g}", share, 100 * worst[f"{key}_error"],
                           low <= share <= high, _chance_text(level, bins[:-1]))  # fmt: skip
            yield Row(f"`kinematics` {title}: KS of the PIT of {quantity}",
                       f"under {asked['ks']:g}", bins[-1]["ks"], 0.5 / np.sqrt(bins[-1]["n"]),
                       bins[-1]["ks"] < asked["ks"])  # fmt: skip


def _chance_text(level: int, bins: list[dict[str, Any]]) -> str:
    """How far the worst bin of an exact posterior would be off."""
    counts = [b["n"] for b in bins]
    usual, rare = (100 * worst_by_chance(level / 100, counts, p) for p in (0.5, 0.95))
    return f"an exact posterior: {usual:.1f} off, {rare:.1f} in 1 of 20 sets"


def _range_rows(numbers: dict[str, Any]) -> Iterator[Row]:
    asked = wanted("kinematics_targets")["range"]
    ideal = next((r[-1]["ideal"] for r in numbers.get("Two components", {}).values()), None)
    for method, cases in numbers.get("Out of range", {}).items():
        if method == "starnet":  # states no errors and raises no flags
            continue
        for case in cases:
            within = case["case"] == "in range"
            share = 100 * (case["flagged"] if within else case["safe"])
            error = float(np.sqrt(max(share * (100 - share), 0.0) / case["n"]))
            limit = asked["false_flags"] if within else asked["safe"]
            yield Row(
                f"`{method}` {case['case']}: {'false flags' if within else 'flagged or covered'}"
                " [%]",
                f"{'under' if within else 'at least'} {limit:g}",
                share,
                error,
                share < limit if within else share >= limit,
                f"ideal test: {ideal:.1f}"
                if case["case"] == "two components" and ideal is not None
                else None,
            )


def _speed_rows(numbers: dict[str, Any]) -> Iterator[Row]:
    limit = wanted("kinematics_targets")["speed"]["spectra_per_second"]
    timed = numbers.get("Time", {}).get("kinematics", {})
    for title, found in timed.items():
        if title == "kinematics":  # with fluxes, model and flags: not what the papers time
            continue
        rate, busy = found["spectra_per_second"], found["processor_us"]
        yield Row(
            f"`{title}` [spectra/s]",
            f"at least {limit:,}",
            rate,
            None,
            rate >= limit,
            f"{busy:.1f} us of processor a spectrum",
        )
