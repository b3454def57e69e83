"""Judgements as tables: Markdown for people, plain records for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nebulines.evaluation.judge import Judgement
from nebulines.evaluation.out_of_range import Verdict
from nebulines.evaluation.published import published

Cell = str | float | int | None


def markdown(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A Markdown table; numbers that are not finite, and None, are shown as a dash.

    Args:
        header: names of the columns.
        rows: cells; a float is shown with three significant digits.

    Example:
        >>> print(markdown(["what", "km/s"], [["a", 5.0], ["b", None]]))
        | what | km/s |
        | --- | --- |
        | a | 5.00 |
        | b | - |
    """
    lines = [list(header), ["---"] * len(header), *([_cell(c) for c in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Cell) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str):
        return value.replace("|", r"\|")
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _percent(fraction: float | None, error: float | None = None) -> str | None:
    if fraction is None or not math.isfinite(fraction):
        return None
    return f"{100 * fraction:.1f}" + (f" ± {100 * error:.1f}" if error is not None else "")


_BINS = (
    "S/N", "quantity", "n", "flagged", "RMS", "RMS with flagged", "NMAD", "bias", "±",
    "RMS/CRLB", "stated width", "68 % covers", "95 % covers", "KS of PIT",
)  # fmt: skip


def bins_table(judgement: Judgement) -> str:
    """Statistics per bin of S/N and quantity, in km/s."""
    rows = []
    for b in judgement.bins:
        coverages = [
            _percent(b.get(f"coverage_{k}"), b.get(f"coverage_{k}_error")) for k in (68, 95)
        ]
        rows.append(
            [f"{b['low']:g}-{b['high']:g}", b["quantity"], b["n"], b["flagged"], b["rms"],
             b["rms_all"], b["nmad"], b["bias"], b["bias_error"], b["rms_over_bound"],
             b["width"], *coverages, b.get("ks")]
        )  # fmt: skip
    return markdown(_BINS, rows)


def calibration_table(judgement: Judgement) -> str:
    """Tests of the posterior as a whole: PIT, ranks, TARP."""
    rows: list[list[Cell]] = []
    for quantity, test in judgement.ks.items():
        rows.append([f"KS of the PIT, {quantity}", test.distance, _probability(test.p_value)])
    for quantity, ranks in judgement.sbc.items():
        freedom = len(ranks.counts) - 1
        rows.append([f"SBC ranks, {quantity}, chi2 / {freedom}", ranks.chi2 / freedom,
                     _probability(ranks.p_value)])  # fmt: skip
    if judgement.tarp is not None:
        test_joint = judgement.tarp
        rows.append(["TARP, joint: largest |coverage - level|", test_joint.distance,
                     _probability(test_joint.p_value)])  # fmt: skip
    return markdown(["test", "value", "probability of worse if exact"], rows)


def _probability(value: float) -> str:
    return f"{value:.2g}" if value > 1e-4 else "< 0.0001"


def paper_table(judgements: Sequence[Judgement], resolution: float) -> str:
    """Our scatter beside the paper's at one resolution, over all S/N.

    Args:
        judgements: of several methods on sets of that resolution.
        resolution: nominal R.
    """
    paper = published("rhea2020")
    rows: list[list[Cell]] = []
    for judgement in judgements:
        velocity, broadening = judgement.bins[-2:]
        rows.append(
            [judgement.method, velocity["n"], velocity["flagged"], velocity["rms"],
             broadening["rms"], velocity["rms_all"], broadening["rms_all"], velocity["width"],
             broadening["width"], "here"]
        )  # fmt: skip
    blank: list[Cell] = [None, None]
    for row in paper["scatter"]:
        if row["resolution"] == resolution:
            numbers: list[Cell] = [row["velocity"], row["broadening"]]
            rows.append([row["method"], *blank, *numbers, *blank, *blank, f"paper, {row['where']}"])
    for row in paper["failure"]:
        if row["resolution"] == resolution:
            rows.append([f"{row['method']}: {row['text']}", *blank, *blank, *blank, *blank,
                         f"paper, {row['where']}"])  # fmt: skip
    header = ["method", "n", "flagged", "velocity RMS", "broadening RMS", "v with flagged",
              "s with flagged", "stated v width", "stated s width", "source"]  # fmt: skip
    return markdown(header, rows)


def range_table(verdicts: Mapping[str, Sequence[Verdict]]) -> str:
    """Out-of-range spectra: method -> verdicts."""
    rows: list[list[Cell]] = []
    for method, found in verdicts.items():
        for v in found:
            rows.append([method, v.case, v.text, v.n, *map(_percent, v[3:])])
    header = ["method", "case", "spectra", "n", "flagged %", "v within 3 sigma %",
              "v and s within 3 sigma %", "flagged or covered %"]  # fmt: skip
    return markdown(header, rows)


def records(judgement: Judgement) -> dict[str, Any]:
    """A judgement as plain numbers for JSON."""
    held_out = judgement.held_out
    tests = {q: {"distance": t.distance, "p_value": t.p_value} for q, t in judgement.ks.items()}
    found: dict[str, Any] = {
        "method": judgement.method,
        "source": {
            "title": held_out.source.title,
            "instrument": held_out.source.instrument,
            "lines": list(held_out.source.lines),
            "options": {k: _plain(v) for k, v in held_out.source.options.items()},
            "n": len(held_out.spectra),
            "channels": held_out.spectra.axis.n_channels,
            "seed": held_out.seed,
        },
        "spectra_per_second": judgement.spectra_per_second,
        "bins": judgement.bins,
        "ks": tests,
        "coverage": {q: _arrays(c) for q, c in judgement.coverage.items()},
        "sbc": {q: _arrays(r) for q, r in judgement.sbc.items()},
        "tarp": None if judgement.tarp is None else _arrays(judgement.tarp),
    }
    return found


def _arrays(values: Any) -> dict[str, Any]:
    return {name: _plain(value) for name, value in values._asdict().items()}


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
