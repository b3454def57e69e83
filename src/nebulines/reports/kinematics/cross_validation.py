"""k-fold cross-validation of ``starnet``, by which the paper ruled out overfitting."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nebulines.evaluation.held_out import held_out_seed
from nebulines.evaluation.published import published
from nebulines.evaluation.tables import markdown
from nebulines.reports.kinematics.plan import Plan
from nebulines.reports.section import Section

_BATCH = 32
_ROWS = 1024


class Recipe(NamedTuple):
    """Size of a cross-validation.

    Attributes:
        n: spectra.
        k: folds.
        epochs: of each training.
    """

    n: int
    k: int
    epochs: int


QUICK, FULL = Recipe(2000, 3, 4), Recipe(6000, 10, 6)


def cross_validation(plan: Plan) -> Section:
    """Train on all folds but one, score the one left out: scatter of each fold."""
    recipe = QUICK if plan.quick else FULL
    scores = fold_scores(recipe, plan.seed)
    rows: list[list[Any]] = [[k + 1, *score] for k, score in enumerate(scores)]
    middle, spread = scores.mean(axis=0), scores.std(axis=0, ddof=1)
    rows += [["mean", *middle], ["standard deviation", *spread]]
    paper = published("rhea2020")["kfold"]
    text = (
        f"`starnet` trained from nothing {recipe.k} times on {recipe.n:,} spectra less a fold "
        f"({recipe.epochs} epochs, batches of {_BATCH}), scored on the fold left out, which also "
        f"chose the epoch. Fewer spectra than the paper's 50 000, so the scatter is larger; what "
        f"counts is that the folds agree. The paper ({paper['where']}): {paper['folds']} folds, "
        f"{paper['spread']}."
    )
    table = markdown(["fold", "velocity RMS [km/s]", "broadening RMS [km/s]"], rows)
    return Section([text, table], {"recipe": recipe._asdict(), "rms": scores.tolist()})


def fold_scores(recipe: Recipe, seed: int) -> np.ndarray:
    """RMS of velocity and broadening [km/s] on each fold left out, (k, 2).

    Args:
        recipe: how many spectra, folds, epochs.
        seed: of the spectra, of the partition and of the trainings.
    """
    from nebulines.training.config import TrainConfig
    from nebulines.training.kinematics.starnet import LEARNING_RATE, paper_spectra, starnet_task
    from nebulines.training.several import cross_validate, folds

    truth, labelled = paper_spectra(recipe.n, held_out_seed(seed, 30))
    answers = np.stack([truth["velocity"], truth["broadening"]], axis=1)
    size = recipe.n - recipe.n // recipe.k
    steps = recipe.epochs * size // _BATCH
    config = TrainConfig(
        steps=steps, batch=_BATCH, learning_rate=LEARNING_RATE, weight_decay=0.0, seed=seed,
        validation=recipe.n, validate_every=max(1, steps // recipe.epochs),
    )  # fmt: skip
    trained = cross_validate(
        lambda learn, left: starnet_task(labelled.rows(learn), labelled.rows(left)),
        recipe.n, recipe.k, config, seed=seed, progress=False,
    )  # fmt: skip
    scores = []
    for fold, (_, left) in zip(trained, folds(recipe.n, recipe.k, seed), strict=True):
        miss = _predict(fold.network, labelled.rows(left).spectra) - answers[left]
        scores.append(np.sqrt(np.mean(miss**2, axis=0)))
    return np.array(scores)


def _predict(network: Any, spectra: np.ndarray) -> np.ndarray:
    import equinox as eqx

    run = eqx.filter_jit(network)
    parts = [np.asarray(run(spectra[i : i + _ROWS])) for i in range(0, len(spectra), _ROWS)]
    return np.concatenate(parts).astype(float)
