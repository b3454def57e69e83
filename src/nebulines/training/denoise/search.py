"""The paper's random search for dropout and layers, with Optuna."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nebulines.errors import UsageError
from nebulines.io.atomic import atomic_path
from nebulines.training.config import TrainConfig
from nebulines.training.denoise.paper import EPOCHS, Recipe
from nebulines.training.loop import progress_bar
from nebulines.training.task import Task

SEARCH_EPOCHS = 25
"""Epochs that each model of the paper's search is given."""
_UNPRUNED = {"n_startup_trials": 10, "n_warmup_steps": 3}
"""The first models, and the first epochs of the others, that are trained in any case."""


class Model(NamedTuple):
    """A model of the search: what was drawn, and how far it came.

    Attributes:
        number: in the order of training, from 0.
        dropout, layers: as the network takes them.
        loss: of the validation set after its last epoch.
        epochs: trained.
        given_up: it was worse than the median of the models before it.
    """

    number: int
    dropout: float
    layers: list[int]
    loss: float
    epochs: int
    given_up: bool


def search_config(task: Task, **given: Any) -> TrainConfig:
    """Options of a training of the search: those of the task for `SEARCH_EPOCHS` epochs, where
    ``given`` does not say otherwise.

    Raises:
        UsageError: the task is not one of an autoencoder.
    """
    _recipe(task)
    steps = task.learning["steps"] * SEARCH_EPOCHS // EPOCHS
    return TrainConfig(**{**task.learning, "steps": steps, **given})


def search_layers(
    task: Task,
    config: TrainConfig,
    models: int = 100,
    *,
    journal: Path | None = None,
    progress: bool | None = None,
) -> list[Model]:
    """Random search as in the paper: dropout 0 to 0.9, 2 to 4 layers of 100 to 1000 units, none
    wider than the one before.

    A model whose smallest validation loss is above the median that the models before it had
    after as many epochs is given up, from the eleventh model and the fourth epoch on. Model k is
    drawn, and trains, with the seed ``config.seed`` + k.

    Args:
        task: of an autoencoder, `nebulines.training.denoise.paper.autoencoder_task`.
        config: of each training, `search_config`.
        models: that are trained; the paper's are 100.
        journal: file that keeps the study; the models in it count. None keeps it in memory.
        progress: bar of models on stderr; None = when that is a terminal.

    Returns:
        The models, the smallest loss first.

    Raises:
        UsageError: Optuna is not installed, the task is not one of an autoencoder, or the journal
            belongs to another search.
    """
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = _study(optuna, task, config, journal)
    done = len(_models(study))
    with progress_bar(models, done, progress, "models") as bar:
        for number in range(done, models):
            study.sampler = optuna.samplers.RandomSampler(seed=config.seed + number)
            study.optimize(_Objective(task, config, config.seed + number), n_trials=1)
            bar.update(1)
    return sorted(_models(study), key=lambda model: model.loss)


class _Objective(NamedTuple):
    """The validation loss after the last epoch of a model."""

    task: Task
    config: TrainConfig
    seed: int

    def __call__(self, trial: Any) -> float:
        size = suggested(trial)
        config = TrainConfig(**{**self.config.as_dict(), "seed": self.seed})
        epochs = _recipe(self.task).epochs(self.task, config, size)
        for epoch, (_, record) in enumerate(epochs):
            trial.report(record["validation"], epoch)
            if trial.should_prune():
                raise _optuna().TrialPruned
        return record["validation"]


def suggested(trial: Any) -> dict[str, Any]:
    """Dropout and layers of a trial.

    Example:
        >>> class First:
        ...     def suggest_int(self, name, low, high):
        ...         return high
        >>> suggested(First())
        {'dropout': 0.9, 'layers': [1000, 1000, 1000, 1000]}
    """
    dropout = trial.suggest_int("dropout_tenths", 0, 9) / 10
    layers, most = [], 10
    for number in range(trial.suggest_int("layers", 2, 4)):
        share = trial.suggest_int(f"units_{number}_of_{most}", 1, most)
        layers.append(100 * share)
        most = share
    return {"dropout": dropout, "layers": layers}


def write_models(path: Path, models: Sequence[Model]) -> None:
    """A table of models as CSV; layers are joined by spaces."""
    with atomic_path(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Model._fields)
        for model in models:
            written = {"layers": " ".join(map(str, model.layers)), "loss": round(model.loss, 1)}
            writer.writerow((model._asdict() | written).values())


def write_network_table(path: Path, model: Model) -> None:
    """The layers and the dropout of a model as ``[network]`` of a file for ``--config``."""
    text = f"[network]\nlayers = {model.layers}\ndropout = {model.dropout}\n"
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _study(optuna: Any, task: Task, config: TrainConfig, journal: Path | None) -> Any:
    storage = None
    if journal is not None:
        backend = optuna.storages.journal.JournalFileBackend(str(journal))
        storage = optuna.storages.JournalStorage(backend)
    study = optuna.create_study(
        storage=storage,
        study_name=task.name,
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(**_UNPRUNED),
    )
    settings = config.as_dict()
    kept = study.user_attrs.get("settings", settings)
    if kept != settings:
        changed = ", ".join(key for key in settings if kept.get(key) != settings[key])
        raise UsageError(f"{journal} is a search with another {changed}: use another folder")
    study.set_user_attr("settings", settings)
    return study


def _models(study: Any) -> list[Model]:
    """Models that came to their end; one that was interrupted is trained again."""
    optuna = _optuna()
    found: list[Model] = []
    for trial in study.trials:
        if trial.state.name in ("COMPLETE", "PRUNED"):
            size = suggested(optuna.trial.FixedTrial(trial.params))
            losses = trial.intermediate_values
            given_up = trial.state.name == "PRUNED"
            found.append(Model(len(found), **size, loss=losses[max(losses)], epochs=len(losses),
                               given_up=given_up))  # fmt: skip
    return found


def _recipe(task: Task) -> Recipe:
    if not isinstance(task.recipe, Recipe):
        raise UsageError(f"the random search is one of ae and vae (ae-4 ...), not of {task.name}")
    return task.recipe


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise UsageError("the search needs Optuna: pip install 'nebulines[train]'") from error
    return optuna
