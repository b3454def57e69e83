"""Tables and figures that the reports on equivalent widths share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.evaluation.equivalent_width import Judged, kolmogorov_smirnov, with_noise
from nebulines.evaluation.tables import markdown
from nebulines.evaluation.width_diagrams import CLASSES, bpt_points, class_shares
from nebulines.galaxies.widths.equivalent_widths import LINES
from nebulines.galaxies.widths.samples import Sample
from nebulines.galaxies.widths.tasks import by_line
from nebulines.plots.line_widths import (
    bpt_figure,
    predicted_against_measured,
    width_distributions,
)
from nebulines.plots.style import save_figure

LEGEND = """**Spearman**: rank correlation of predicted and measured widths. **NMAD** [A]: 1.4826
times the median absolute deviation of predicted - measured. **bias** [A]: its median. **coverage**:
share of measured widths inside the central 68.27 % of prediction and measurement noise together.
The ceiling is what the true widths score against their noisy measurements. Galaxies: the package's
population with DESI's errors of widths, noise and calibration errors in the continua; those that
judge, those that networks learned from and those of the baselines are drawn from separate streams
of seeds."""


def scores_table(judged: Sequence[Judged], quantity: str) -> str:
    """One row a method, one column a line."""
    rows = [
        [one.name, *(_shown(v) for v in getattr(one, quantity))]
        for one in judged
        if np.isfinite(getattr(one, quantity)).any()
    ]
    return markdown([quantity, *LINES], rows)


def _shown(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"


def records(judged: Sequence[Judged]) -> dict[str, Any]:
    """Scores of methods, for JSON."""
    keys = ("spearman", "nmad", "bias", "coverage")
    return {one.name: {key: by_line(getattr(one, key)) for key in keys} for one in judged}


def distribution_parts(
    judged: Judged, test: Sample, folder: Path, *, seed: int
) -> tuple[list[str], dict[str, Any], list[Path]]:
    """Marginal distributions and the BPT diagram of a network, with their figures."""
    galaxies, noisy = test.galaxies, with_noise(judged, test, seed=seed)
    distance = kolmogorov_smirnov(noisy, galaxies.ew)
    alone = kolmogorov_smirnov(judged.ew, galaxies.ew)
    rows = [
        ["predicted + scatter + noise", *(_shown(v) for v in distance)],
        ["predicted medians alone", *(_shown(v) for v in alone)],
    ]
    sets = {
        "observed": (galaxies.ew, galaxies.ew_err),
        "predicted": (judged.ew, galaxies.ew_err),
        "predicted + scatter + noise": (noisy, galaxies.ew_err),
    }
    shares = {label: class_shares(bpt_points(*pair)) for label, pair in sets.items()}
    classes = [[label, *(f"{v:.3f}" for v in part)] for label, part in shares.items()]
    name = judged.name.partition(",")[0]
    figures = {
        "predicted_measured": predicted_against_measured(judged.ew, galaxies.ew, title=judged.name),
        "distributions": width_distributions(
            {label: pair[0] for label, pair in sets.items()}, title=judged.name
        ),
        "bpt": bpt_figure(sets, title=judged.name),
    }
    paths = [
        path
        for key, figure in figures.items()
        for path in save_figure(figure, folder / f"{name}_{key}", formats=("png",))
    ]
    text = [
        "Kolmogorov-Smirnov distance of the distribution of each line's widths from the observed "
        "one (target: under 0.03).",
        markdown(["KS", *LINES], rows),
        "Shares in the [N II] diagram, galaxies with four lines above 3 sigma.",
        markdown(["", *CLASSES], classes),
    ]
    numbers = {
        "ks": by_line(distance),
        "ks_medians": by_line(alone),
        "bpt": {label: [round(float(v), 4) for v in part] for label, part in shares.items()},
    }
    return text, numbers, paths
