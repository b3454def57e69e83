"""The noise classifier of the paper's section 3.2, in ``nebulines reproduce line-ratios``."""

from __future__ import annotations

from typing import Any

import numpy as np

from nebulines.evaluation.held_out import held_out_seed
from nebulines.evaluation.line_ratio_floor import ideal_noise_accuracy
from nebulines.evaluation.line_ratio_noise import as_noise_set, draw_noise_set, judge_noise
from nebulines.evaluation.published import published
from nebulines.evaluation.tables import markdown
from nebulines.reports.line_ratios.workshop import Workshop
from nebulines.reports.section import Section
from nebulines.training.line_ratios.priors import PAPER_CLASS
from nebulines.training.line_ratios.spectra import paper_objects

_IDEAL_OBJECTS = 600
_THRESHOLDS = (0.01, 0.02, 0.03, 0.05, 0.08)
# of H-alpha; above, hardly any source of the prior is clean


def noise_classifier(work: Workshop) -> Section:
    """The random forest: confusion matrix, threshold scan, S/N scan."""
    found = draw_noise_set(work.plan.n_noise, seed=work.plan.seed)
    paper = published("rhea2021")["noise"]
    verdicts = [judge_noise(found, threshold=t, seed=work.plan.seed) for t in _THRESHOLDS]
    chosen = verdicts[_THRESHOLDS.index(paper["threshold"])]
    confusion = markdown(
        ["truth", "called noisy", "called clean"],
        [
            [name, *map(int, row)]
            for name, row in zip(("noisy", "clean"), chosen.confusion, strict=True)
        ],
    )
    scan = markdown(
        ["threshold [% of Ha]", "test spectra", "right [%]"],
        [[100 * v.threshold, int(v.confusion.sum()), 100 * v.accuracy] for v in verdicts],
    )
    snr = markdown(
        ["S/N", "test spectra", "right [%]"],
        [[f"{low:g}-{high:g}", n, 100 * share] for low, high, n, share in chosen.by_snr],
    )
    ideal = _ideal_accuracy(work, paper["threshold"])
    text = (
        f"{paper['trees']} trees, as many noisy as clean spectra, 90 % of them to learn from; the "
        f"paper: {100 * paper['accuracy']:.0f} % right at a threshold of "
        f"{100 * paper['threshold']:.0f} % ({paper['where']}). Lines just above and just below "
        "the threshold look the same in a noisy spectrum, so that no classifier can be right "
        "always where the lines are drawn from one continuous distribution, as here: the exact "
        f"posterior of the fluxes under that very distribution is right for {100 * ideal:.0f} % "
        f"of {_IDEAL_OBJECTS:,} spectra at {100 * paper['threshold']:.0f} %."
    )
    numbers: dict[str, Any] = {"exact posterior": ideal}
    numbers |= {f"{v.threshold:g}": {"accuracy": v.accuracy, "confusion": v.confusion.tolist()}
               for v in verdicts}  # fmt: skip
    return Section([text, confusion, scan, snr], numbers)


def _ideal_accuracy(work: Workshop, threshold: float) -> float:
    """Of the exact posterior, on as many noisy as clean objects."""
    objects = paper_objects(3 * _IDEAL_OBJECTS, held_out_seed(work.plan.seed, 61), kind=PAPER_CLASS)
    clean = as_noise_set(objects).weakest >= threshold
    half = _IDEAL_OBJECTS // 2
    rows = np.concatenate([np.flatnonzero(clean)[:half], np.flatnonzero(~clean)[:half]])
    few = objects._replace(
        truth={name: values[rows] for name, values in objects.truth.items()},
        bands=tuple(band[rows] for band in objects.bands),
    )
    return ideal_noise_accuracy(few, clean[rows], threshold, seed=work.plan.seed)
