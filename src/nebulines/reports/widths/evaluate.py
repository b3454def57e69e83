"""``nebulines evaluate equivalent_width``: one network on held-out galaxies."""

from __future__ import annotations

from pathlib import Path

from nebulines.errors import UsageError
from nebulines.evaluation.equivalent_width import ceiling, judge_network
from nebulines.galaxies.widths.predictors import load_predictor
from nebulines.galaxies.widths.samples import TEST, View, draw_sample
from nebulines.reports.page import pictures, prepare_folder, write_numbers, write_page
from nebulines.reports.widths.parts import LEGEND, distribution_parts, records, scores_table


def evaluate_equivalent_width(
    name: str,
    folder: Path,
    *,
    n: int = 20_000,
    seed: int = 1,
    weights: Path | None = None,
    command: str = "nebulines evaluate equivalent_width",
) -> list[Path]:
    """Judge a network of equivalent widths.

    Args:
        name: ``equivalent_width`` or ``equivalent_width_spectrum``.
        folder: for the report; made where it is missing.
        n: held-out galaxies.
        seed: of theirs; not that of the training, though its stream is another one anyway.
        weights: of a user's network or the published one; None = the package's.
        command: that was given, for the page.

    Returns:
        The files: NAME.md, NAME.json and figures.

    Raises:
        UsageError: too few galaxies.
        InputError: weights that cannot be read.
    """
    if n < 100:
        raise UsageError(f"--n must be 100 or more for statistics to mean anything, not {n}")
    view: View = "spectrum" if name.endswith("spectrum") else "colours"
    network = load_predictor(weights or name).network
    folder, test = prepare_folder(folder), draw_sample(n, seed, TEST, view=view)
    judged = judge_network(name, network, test)
    both = [ceiling(test), judged]
    parts, numbers, figures = distribution_parts(judged, test, folder, seed=seed)
    tables = [scores_table(both, key) for key in ("spearman", "nmad", "bias", "coverage")]
    page = [LEGEND, *tables, "## Distributions", *parts, pictures(figures)]
    numbers = {"galaxies": n, "scores": records(both), **numbers}
    return [
        write_page(folder / f"{name}.md", f"{name}: {n:,} held-out galaxies", command, page),
        write_numbers(folder / f"{name}.json", command, numbers),
        *figures,
    ]
