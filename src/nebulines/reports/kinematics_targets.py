"""The last sections of the report on kinematics: what can be reached at all, and what was."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nebulines.evaluation.exact_posterior import exact_posterior
from nebulines.evaluation.held_out import draw, sn3
from nebulines.evaluation.tables import Cell, markdown
from nebulines.reports.kinematics import Plan
from nebulines.reports.section import Section

BOUND_RESOLUTIONS = (2000.0, 1000.0)
_BOUND_STREAM = 30


class _Row(NamedTuple):
    """One line of the table: what was asked, of whom, the limit, the number with its sampling
    error, and what no method can pass, where that is known."""

    what: str
    limit: str
    reached: float
    error: float | None
    passed: bool
    bound: str | None = None


def bounds(plan: Plan) -> Section:
    """The exact posterior at the resolutions where the data say less than the prior."""
    rows: list[list[Cell]] = []
    numbers: dict[str, Any] = {}
    for k, resolution in enumerate(BOUND_RESOLUTIONS):
        held_out = draw(sn3(resolution), plan.n_exact, seed=plan.seed, stream=_BOUND_STREAM + k)
        found, title = exact_posterior(held_out), f"R {resolution:.0f}"
        numbers[title] = {
            quantity: _risk(
                getattr(found, f"{quantity}_err"),
                getattr(found, quantity) - held_out.truth[quantity],
                getattr(held_out.bound, f"{quantity}_kms"),
            )
            for quantity in ("velocity", "broadening")
        }
        for quantity, one in numbers[title].items():
            rows.append([title, quantity, plan.n_exact, *one.values()])
    text = (
        "The posterior of velocity and broadening on a grid, with exactly the noise, the line "
        "shape and the ranges that the spectra were drawn from, and nothing assumed of the ratios "
        "of the lines. The mean of a posterior has the smallest mean square error that any "
        "estimate can have that knows as much. *expected* is the root mean square of the "
        "posterior's own standard deviation, whose sampling error ± is smaller than that of the "
        "*measured* error of the same means."
    )
    header = ["set", "quantity", "n", "expected RMS [km/s]", "±", "measured RMS [km/s]",
              "CRLB, RMS [km/s]"]  # fmt: skip
    return Section([text, markdown(header, rows)], numbers)


def _risk(width: np.ndarray, miss: np.ndarray, bound: np.ndarray) -> dict[str, float]:
    """Expected root mean square error with its sampling error, the measured one, the CRLB's."""
    square = np.square(width)
    expected = float(np.sqrt(square.mean()))
    error = float(square.std(ddof=1) / (2.0 * expected * np.sqrt(len(square))))
    measured, limit = (float(np.sqrt(np.mean(x**2))) for x in (miss, bound))
    return {"expected": expected, "error": error, "measured": measured, "bound": limit}


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
        "cannot be had from these spectra. Beside the two components stands how many of them a "
        "test would flag that knew both; beside the rates, what they cost."
    )
    table = markdown(
        ["target", "limit", "reached", "±", "", "beside it"],
        [[r.what, r.limit, r.reached, r.error, "yes" if r.passed else "**no**", r.bound]
         for r in rows],
    )  # fmt: skip
    return Section([text, table], {"rows": [r._asdict() for r in rows]})


@functools.cache
def wanted() -> dict[str, Any]:
    """The targets, from ``data/kinematics_targets.toml``.

    Example:
        >>> wanted()["speed"]["spectra_per_second"]
        150000
    """
    path = Path(__file__).parent / "data" / "kinematics_targets.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _judged(numbers: dict[str, Any], method: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Title of each resolution and the record of a method there."""
    for title, records in numbers.get("Resolutions", {}).items():
        yield from ((title, r) for r in records if r["method"] == method)


def _rms_rows(numbers: dict[str, Any]) -> Iterator[_Row]:
    limits = numbers.get("What can be reached", {})
    for row in wanted()["rms"]:
        for title, record in _judged(numbers, row["method"]):
            if title != f"R {row['resolution']}":
                continue
            for found in record["bins"][-2:]:
                quantity = found["quantity"]
                limit, exact = row[quantity], limits.get(title, {}).get(quantity)
                yield _Row(
                    f"`{row['method']}` {title}: RMS of {quantity} [km/s]",
                    f"at most {limit:g}",
                    found["rms"],
                    found["rms"] / np.sqrt(2.0 * found["n"]),
                    found["rms"] <= limit,
                    f"exact posterior: {exact['expected']:.2f} ± {exact['error']:.2f}"
                    if exact
                    else None,
                )


def _bin_rows(numbers: dict[str, Any]) -> Iterator[_Row]:
    asked = wanted()["bins"]
    for title, record in _judged(numbers, "kinematics"):
        for quantity in ("velocity", "broadening"):
            bins = [b for b in record["bins"] if b["quantity"] == quantity]
            name = f"`kinematics` {title}, every bin of S/N:"
            worst = max(bins[:-1], key=lambda b: b["rms_over_bound"])
            ratio = worst["rms_over_bound"]
            error = ratio / np.sqrt(2.0 * worst["n"])
            limit = asked["rms_over_bound"]
            yield _Row(f"{name} RMS/CRLB of {quantity}", f"at most {limit:g}", ratio, error,
                       ratio <= limit)  # fmt: skip
            for level in (68, 95):
                low, high = asked[f"coverage_{level}"]
                key, middle = f"coverage_{level}", 0.5 * (low + high)
                worst = max(bins[:-1], key=lambda b, k=key, m=middle: abs(100 * b[k] - m))
                share = 100 * worst[key]
                yield _Row(f"{name} {level} % intervals of {quantity} cover [%]",
                           f"{low:g}-{high:g}", share, 100 * worst[f"{key}_error"],
                           low <= share <= high)  # fmt: skip
            yield _Row(f"`kinematics` {title}: KS of the PIT of {quantity}",
                       f"under {asked['ks']:g}", bins[-1]["ks"], 0.5 / np.sqrt(bins[-1]["n"]),
                       bins[-1]["ks"] < asked["ks"])  # fmt: skip


def _range_rows(numbers: dict[str, Any]) -> Iterator[_Row]:
    asked = wanted()["range"]
    ideal = next((r[-1]["ideal"] for r in numbers.get("Two components", {}).values()), None)
    for method, cases in numbers.get("Out of range", {}).items():
        if method == "starnet":  # states no errors and raises no flags
            continue
        for case in cases:
            within = case["case"] == "in range"
            share = 100 * (case["flagged"] if within else case["safe"])
            error = float(np.sqrt(max(share * (100 - share), 0.0) / case["n"]))
            limit = asked["false_flags"] if within else asked["safe"]
            yield _Row(
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


def _speed_rows(numbers: dict[str, Any]) -> Iterator[_Row]:
    limit = wanted()["speed"]["spectra_per_second"]
    timed = numbers.get("Time", {}).get("kinematics", {})
    for title, found in timed.items():
        if title == "kinematics":  # with fluxes, model and flags: not what the papers time
            continue
        rate, busy = found["spectra_per_second"], found["processor_us"]
        yield _Row(
            f"`{title}` [spectra/s]",
            f"at least {limit:,}",
            rate,
            None,
            rate >= limit,
            f"{busy:.1f} us of processor a spectrum",
        )
