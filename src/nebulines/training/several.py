"""More than one training: deep ensembles, k-fold cross-validation, hyper-parameter search."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import UsageError
from nebulines.training.config import TrainConfig
from nebulines.training.loop import Trained, train
from nebulines.training.task import Task


def train_ensemble(
    task: Task, config: TrainConfig, members: int, *, out: Path | None = None, **options: Any
) -> list[Trained]:
    """Train several networks that differ in their seed alone: initial weights and examples.

    Args:
        task, config: as for `train`.
        members: number of networks; member k has the seed ``config.seed + k``.
        out: folder; member k keeps its checkpoints in ``member-k``.
        **options: of `train`.

    Source: Lakshminarayanan, Pritzel & Blundell 2017, NeurIPS 30.
    """
    if members < 1:
        raise UsageError(f"an ensemble has at least one member, not {members}")
    return [
        train(
            task,
            replace(config, seed=config.seed + k),
            out=None if out is None else out / f"member-{k}",
            **options,
        )
        for k in range(members)
    ]


def folds(n: int, k: int, seed: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices of the training and the left-out part, for each of k folds of n examples.

    Every example is left out exactly once.

    Example:
        >>> [len(left_out) for _, left_out in folds(10, 3)]
        [4, 3, 3]
    """
    if not 2 <= k <= n:
        raise UsageError(f"k-fold cross-validation needs 2 to {n} folds, not {k}")
    parts = np.array_split(np.random.default_rng([seed, 2]).permutation(n), k)
    for number, left_out in enumerate(parts):
        yield np.concatenate([p for i, p in enumerate(parts) if i != number]), left_out


def cross_validate(
    make_task: Callable[[np.ndarray, np.ndarray], Task],
    n: int,
    k: int,
    config: TrainConfig | None = None,
    *,
    seed: int = 0,
    **options: Any,
) -> list[Trained]:
    """Train on all but one of k parts and judge on that part, for every part.

    Args:
        make_task: (indices that train, indices left out) -> task.
        n: number of examples.
        k: parts.
        config: of each training; None = what the task suggests.
        seed: of the partition.
        **options: of `train`.

    Returns:
        One `Trained` for each part; ``best`` is the loss on the part left out.
    """
    trained = []
    for learn, judge in folds(n, k, seed):
        task = make_task(learn, judge)
        trained.append(train(task, config or TrainConfig(**task.learning), **options))
    return trained


class Range(NamedTuple):
    """What a search may choose: floats (``log`` or not), integers, or one of ``choices``."""

    low: float = 0.0
    high: float = 1.0
    log: bool = False
    integer: bool = False
    choices: tuple[Any, ...] = ()


PAPER_RANGES: dict[str, Range] = {
    "learning_rate": Range(1e-4, 1e-2, log=True),
    "batch": Range(choices=(4, 8, 16, 32, 64)),
    "size.dropout": Range(0.0, 0.5),
    "size.variant": Range(choices=("paper", "notebook")),
}
"""What paper I's random search varied (section 2.1): learning rate, batch, dropout, filters.
Names that start with ``size.`` are arguments of the network."""


def search(
    task: Task,
    config: TrainConfig,
    ranges: dict[str, Range],
    *,
    trials: int = 20,
    progress: bool | None = None,
) -> tuple[dict[str, Any], float, list[tuple[dict[str, Any], float]]]:
    """Search hyper-parameters with Optuna's tree-structured Parzen estimator.

    Args:
        task: network, examples, loss.
        config: of each training; what ``ranges`` names is replaced.
        ranges: name of a field of `TrainConfig`, or ``size.NAME`` -> `Range`.
        trials: trainings.
        progress: as for `train`.

    Returns:
        The best values, their validation loss, and (values, loss) of every trial.

    Raises:
        UsageError: Optuna is not installed (extra ``train``).
    """
    try:
        import optuna
    except ImportError:
        raise UsageError("the search needs Optuna: pip install 'nebulines[train]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: Any) -> float:
        values = {name: _suggest(trial, name, r) for name, r in ranges.items()}
        size = {k.removeprefix("size."): v for k, v in values.items() if k.startswith("size.")}
        fields = {k: v for k, v in values.items() if not k.startswith("size.")}
        return train(task, replace(config, **fields), size=size, progress=progress).best

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=config.seed))
    study.optimize(objective, n_trials=trials)
    every = [(t.params, float(t.value)) for t in study.trials if t.value is not None]
    return study.best_params, float(study.best_value), every


def _suggest(trial: Any, name: str, allowed: Range) -> Any:
    if allowed.choices:
        return trial.suggest_categorical(name, list(allowed.choices))
    if allowed.integer:
        return trial.suggest_int(name, int(allowed.low), int(allowed.high), log=allowed.log)
    return trial.suggest_float(name, allowed.low, allowed.high, log=allowed.log)
