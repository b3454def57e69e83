"""How many layers and how wide: the search of Rhea et al. 2021, section 2.3, in small."""

from __future__ import annotations

from typing import Any

import numpy as np

from nebulines.evaluation.held_out import held_out_seed
from nebulines.evaluation.tables import markdown
from nebulines.reports.line_ratios.workshop import Workshop
from nebulines.reports.section import Section
from nebulines.training.line_ratios.spectra import paper_objects

HIDDEN = (
    (1000, 1000),
    (1000, 1000, 1000),
    (1000, 1000, 1000, 1000),
    (128, 128, 64),
    (256, 256, 128),
    (512, 512, 256),
    (1024, 1024, 512),
)
"""Hidden layers that are tried: the paper's numbers of layers of 1000 nodes, then widths."""
_STREAM = 72


def layers(work: Workshop) -> Section:
    """Loss on the validation set, and mean error, of networks of several shapes."""
    from nebulines.training.config import TrainConfig
    from nebulines.training.line_ratios.ann import labelled, line_ratio_ann_task
    from nebulines.training.loop import train

    plan = work.plan
    objects = paper_objects(plan.k_spectra, held_out_seed(plan.seed, _STREAM), noise=False)
    data = labelled(objects, noisy=False)
    last = plan.k_spectra - plan.k_spectra // 5
    parts = data.rows(slice(0, last)), data.rows(slice(last, None))
    rows: list[list[Any]] = []
    numbers: dict[str, Any] = {}
    for hidden in HIDDEN:
        task = line_ratio_ann_task(*parts, epochs=plan.k_epochs, members=1, hidden=hidden)
        trained = train(task, TrainConfig(**{**task.learning, "seed": plan.seed}), progress=False)
        name = " + ".join(map(str, hidden))
        weights = int(sum(np.size(weight) for weight in trained.network.weight))
        numbers[name] = {"loss": float(trained.best), "weights": weights}
        rows.append([name, f"{weights / 1e6:.2f}", float(trained.best)])
    best = min(numbers, key=lambda name: numbers[name]["loss"])
    text = (
        f"One member each, {last:,} objects to learn from and {plan.k_spectra - last:,} to judge "
        f"on, {plan.k_epochs} epochs, one seed: far fewer than a training that ends, so that the "
        f"table says which shapes learn fastest, and no more; lowest here: {best}. The paper (its "
        "section 2.3: 10,000 spectra, five epochs) tries two and more hidden layers of 1000 nodes, "
        "sees its error on the training set flat from four on and that on the others rise, and "
        "chooses three; then 64 to 1024 nodes for each, of which 1024, 1024 and 512 are best."
    )
    return Section([text, markdown(["hidden layers", "weights [1e6]", "loss"], rows)], numbers)
