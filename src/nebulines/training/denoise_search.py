"""The paper's random search for dropout and layers, with Optuna."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from nebulines.errors import UsageError
from nebulines.training.config import TrainConfig
from nebulines.training.denoise_paper import LEARNING, Pairs, autoencoder_task
from nebulines.training.loop import train

TRIALS, EPOCHS = 100, 25
"""Models of the paper's search, and the epochs that each is given."""


def search_layers(
    kind: str,
    latent: int,
    training: Pairs,
    validation: Pairs,
    *,
    trials: int = TRIALS,
    epochs: int = EPOCHS,
    seed: int = 0,
    report: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Random search as in the paper: dropout 0 to 0.9, 2 to 4 layers of 100 to 1000 units, none
    wider than the one before.

    Args:
        kind: ``ae`` or ``vae``.
        latent: dimensions.
        training, validation: disjoint sets.
        trials, epochs: models, and epochs of each.
        seed: of the search; trial k trains with seed + k.
        report: called with the record of every trial.

    Returns:
        ``dropout`` and ``layers`` of the smallest validation loss, and that ``loss``.

    Raises:
        UsageError: Optuna is not installed.
    """
    optuna = _optuna()
    per_epoch = math.ceil(len(training.clean) / LEARNING["batch"])

    def objective(trial: Any) -> float:
        size = suggested(trial)
        task = autoencoder_task(kind, latent, training, validation)
        config = TrainConfig(
            **{**task.learning, "steps": epochs * per_epoch, "seed": seed + trial.number}
        )
        loss = train(task, config, size=size, progress=False).history[-1]["validation"]
        if report is not None:
            report({**size, "loss": loss, "trial": trial.number})
        return loss

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    study.optimize(objective, n_trials=trials)
    return {**suggested(study.best_trial), "loss": study.best_value}


def suggested(trial: Any) -> dict[str, Any]:
    """Dropout and layers of a trial.

    Example:
        >>> class First:
        ...     def suggest_int(self, name, low, high):
        ...         return high
        >>> suggested(First())
        {'dropout': 0.9, 'layers': [1000, 1000, 1000, 1000]}
    """
    dropout = 0.1 * trial.suggest_int("dropout_tenths", 0, 9)
    layers, most = [], 10
    for number in range(trial.suggest_int("layers", 2, 4)):
        share = trial.suggest_int(f"units_{number}_of_{most}", 1, most)
        layers.append(100 * share)
        most = share
    return {"dropout": dropout, "layers": layers}


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise UsageError("the search needs Optuna: pip install 'nebulines[train]'") from error
    return optuna
