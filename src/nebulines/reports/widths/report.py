"""``nebulines reproduce lines-from-continuum``: Khederlarian et al. 2024, ours beside theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nebulines.evaluation.equivalent_width import (
    Judged,
    TestSets,
    judge_all,
    judge_predictions,
    published_agreement,
)
from nebulines.evaluation.line_leakage import leakage
from nebulines.evaluation.tables import markdown
from nebulines.evaluation.width_speed import Rate, neighbour_rates, network_rates
from nebulines.galaxies.widths.equivalent_widths import LINES
from nebulines.galaxies.widths.predictors import default_predictor, load_predictor
from nebulines.galaxies.widths.tasks import by_line
from nebulines.galaxies.widths.width_mixture import WidthMixture
from nebulines.reports.page import pictures, prepare_folder, write_numbers, write_page
from nebulines.reports.section import made
from nebulines.reports.widths.parts import LEGEND, distribution_parts, records, scores_table
from nebulines.reports.widths.targets import MIXTURE, targets


class WidthPlan(NamedTuple):
    """What a reproduction is made of.

    Attributes:
        folder: for the report.
        seed: of all galaxies.
        n: that judge.
        n_training: that the baselines learn from.
        n_leakage: of the audit of masks.
        many: galaxies of the largest batch that is timed.
        repeats: of every timing.
        weights: published weights, or None.
    """

    folder: Path
    seed: int = 1
    n: int = 20_000
    n_training: int = 50_000
    n_leakage: int = 6000
    many: int = 2_000_000
    repeats: int = 5
    weights: Path | None = None

    @classmethod
    def of(cls, folder: Path, *, seed: int, quick: bool, weights: Path | None) -> WidthPlan:
        """The plan with its usual numbers, or a quarter of them."""
        if quick:
            return cls(folder, seed, 5000, 20_000, 2000, 200_000, 2, weights)
        return cls(folder, seed, weights=weights)


def reproduce_lines_from_continuum(plan: WidthPlan, *, command: str) -> list[Path]:
    """Make every table and figure, and one page that shows them.

    Args:
        plan: what to make.
        command: that was given, for the page.

    Returns:
        The files, ``lines_from_continuum.md`` first.

    Raises:
        UsageError: a folder that cannot be made.
    """
    folder = prepare_folder(plan.folder)
    sets = TestSets.draw(plan.n, plan.n_training, plan.seed)
    judged = judge_all(sets, weights=plan.weights)
    judged.insert(2, _of_mixture(judged, sets))
    by_name = {one.name.partition(",")[0]: one for one in judged}
    ours = by_name["equivalent_width"]
    spread, numbers, figures = distribution_parts(
        ours, sets.test["colours"], folder, seed=plan.seed
    )
    audit = leakage(plan.n_leakage, plan.seed)
    rates = _rates(plan, sets)
    tables = [scores_table(judged, key) for key in ("spearman", "nmad", "bias", "coverage")]
    record: dict[str, Any] = {
        "scores": records(judged),
        **numbers,
        "leakage": {key: by_line(row) for key, row in audit.items()},
        "speed": {title: [rate._asdict() for rate in part] for title, part in rates.items()},
    }
    if plan.weights is not None:
        record["published"] = published_agreement(plan.weights, sets.test["colours"])
    asked = made("What was asked for, and what was reached", targets, record)
    parts = [
        _introduction(plan),
        *asked.parts,
        "## Scores on equal inputs",
        LEGEND,
        *tables,
        "## Distributions",
        *spread,
        "## Line leakage",
        "Rank correlation of widths predicted by 20 neighbours in colours with the true ones. "
        "What exceeds the first row comes from the lines themselves.",
        markdown(["lines", *LINES], [[k, *(f"{v:.3f}" for v in row)] for k, row in audit.items()]),
        "## Speed",
        _speed(rates),
        pictures(figures),
    ]
    record["targets"] = asked.numbers
    title = "Lines from the continuum: the paper and here"
    page = write_page(folder / "lines_from_continuum.md", title, command, parts)
    return [page, write_numbers(folder / "lines_from_continuum.json", command, record), *figures]


def _of_mixture(judged: list[Judged], sets: TestSets) -> Judged:
    """The medians of the mixture of the network of colours, which the stated ones are a copy of."""
    ours = next(one for one in judged if one.name.startswith("equivalent_width,"))
    assert isinstance(ours.widths, WidthMixture)
    ew = np.sinh(np.asarray(ours.widths.quantile(0.5)))
    return judge_predictions(MIXTURE, ew, sets.test["colours"])


def _introduction(plan: WidthPlan) -> str:
    text = (
        "Paper: Khederlarian et al. 2024, MNRAS 531, 1454: one small network a line from eleven "
        "colours, against PCA and k-NN on DESI spectra. Its test colours are not public, so that "
        f"everything is measured on {plan.n:,} synthetic galaxies; baselines learn from "
        f"{plan.n_training:,} others."
    )
    if plan.weights is None:
        text += " The published network is left out: give its weights with --weights."
    else:
        text += (
            " The published network learned from real DESI galaxies with EW > 0, not from these: "
            "its numbers here say how far the two populations differ, no more."
        )
    return text


def _rates(plan: WidthPlan, sets: TestSets) -> dict[str, list[Rate]]:
    training, test = sets.training["colours"], sets.test["colours"]
    options: dict[str, Any] = {"many": plan.many, "repeats": plan.repeats}
    rates = {"equivalent_width": network_rates(default_predictor().network, training, **options)}
    if plan.weights is not None:
        options["many"] = min(plan.many, 200_000)
        published = load_predictor(plan.weights).network
        rates["published"] = network_rates(published, training, **options)
    rates["k-NN"] = neighbour_rates(training, test, repeats=plan.repeats)
    return rates


def _speed(rates: dict[str, list[Rate]]) -> str:
    joint, separate = rates["k-NN"]
    rows = []
    for title, part in rates.items():
        for rate in part:
            galaxies = "blocks" in rate.what
            rows.append([
                title, rate.what, f"{rate.per_second:,.0f}", f"{rate.median_per_second:,.0f}",
                f"{rate.cpu_us:.2f}",
                f"{rate.per_second / joint.per_second:,.0f}" if galaxies else "-",
                f"{rate.per_second / separate.per_second:,.0f}" if galaxies else "-",
                f"{joint.cpu_us / rate.cpu_us:,.0f}" if galaxies else "-",
            ])  # fmt: skip
    header = ["method", "what", "a second", "median run", "processor time [us]", "x joint k-NN",
              "x ten k-NN", "x joint, processor time"]  # fmt: skip
    text = (
        "Ten widths from colours, compiled beforehand, one run on all cores, the best of some "
        "repeats and their median; a column is the ratio to the k-NN of the same run. The paper's "
        "400 is for one network a line against PCA and k-NN."
    )
    return f"{text}\n\n{markdown(header, rows)}"
