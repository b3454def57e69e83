"""The report of ``nebulines evaluate line_ratios``: accuracy and calibration, held out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.evaluation.line_ratio_methods import Ours
from nebulines.evaluation.line_ratios import calibration_rows, draw_ratio_set, table_row
from nebulines.evaluation.tables import markdown
from nebulines.networks.line_ratios.ann import RATIOS
from nebulines.networks.line_ratios.network import PRIORS
from nebulines.reports.page import prepare_folder, write_numbers, write_page

LEGEND = """Objects in SN1, SN2 and SN3 (R 800-1000, 800-1000, 4800-5000) from a stream of seeds
that no training draws from; S/N of the peak of Hα as given, velocity within 200 km/s, broadening
10 to 50 km/s. The estimate is the posterior's median. **over bound**: RMS of the error of the
natural logarithm over that of the Cramér-Rao bound of the joint fit, where every line of the ratio
truly has 3 sigma; below 1 the prior helps. Coverage is of central intervals, KS of the probability
integral transform."""


def evaluate_line_ratios(
    folder: Path,
    *,
    n: int = 4000,
    seed: int = 1,
    weights: Path | None = None,
    command: str = "nebulines evaluate line_ratios",
    kinds: tuple[str, ...] = ("mixed", "rhea2021"),
) -> list[Path]:
    """Judge ``line_ratios`` on held-out objects of several kinds and write tables.

    Args:
        folder: for the report.
        n: objects of each kind.
        seed: of the held-out stream.
        weights: file of the network's weights, or None for those shipped.
        command: that was given, for the page.
        kinds: of nebulae, of `nebulines.networks.line_ratios.network.PRIORS`; the network is told.

    Returns:
        The files: line_ratios.md and line_ratios.json.

    Raises:
        UsageError: too few objects, weights of another network.
    """
    if n < 100:
        raise UsageError(f"--n must be 100 or more for statistics to mean anything, not {n}")
    folder = prepare_folder(folder)
    parts, numbers = [LEGEND], {}
    for kind in kinds:
        ours = Ours(kind, weights)
        held_out = draw_ratio_set(n, seed=seed, stream=20 + PRIORS.index(kind), kind=kind)
        found = ours(held_out.objects)
        accuracy, calibration = (
            table_row(held_out, found),
            calibration_rows(held_out.objects.truth["snr"], found),
        )
        numbers[kind] = {"accuracy": accuracy, "calibration": calibration}
        parts += [f"## {kind}, {n:,} objects", _accuracy(accuracy), _calibration(calibration)]
    return [
        write_page(folder / "line_ratios.md", "line_ratios: held-out objects", command, parts),
        write_numbers(folder / "line_ratios.json", command, numbers),
    ]


def _accuracy(rows: list[dict[str, float]]) -> str:
    table: list[list[Any]] = [
        [
            ratio,
            row["judged"],
            row["over_bound"],
            row["robust_over_bound"],
            row["nmad"],
            row["bias"],
        ]
        for ratio, row in zip(RATIOS[:-1], rows, strict=False)
    ]
    header = ["ratio", "above 3 σ", "over bound", "robust", "robust scatter [%]", "bias [%]"]
    return markdown(header, table)


def _calibration(rows: list[dict[str, Any]]) -> str:
    table: list[list[Any]] = [
        [f"{r['low']:g}-{r['high']:g}", r["ratio"], r["n"], f"{100 * r['covers_68']:.1f}",
         f"{100 * r['covers_95']:.1f}", float(np.round(r["ks"], 4))]
        for r in rows
    ]  # fmt: skip
    return markdown(["S/N", "ratio", "n", "68 % covers", "95 % covers", "KS"], table)
