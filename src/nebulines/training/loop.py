"""The training loop, one for all networks.

Batch k is drawn with a key made from the seed and k, the validation set from a stream of its
own, so that a run that was stopped goes on exactly where it was, and no example that judges is
ever learned from.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
import optax
from jax import Array

from nebulines.errors import UsageError
from nebulines.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from nebulines.training.config import TrainConfig
from nebulines.training.task import Task

_INITIAL, _BATCHES, _VALIDATION, _DROPOUT = range(4)  # streams of random numbers


class Trained(NamedTuple):
    """A trained network.

    Attributes:
        network: with the weights of the best validation.
        history: one record a validation: step, seconds, loss (of training), validation.
        best: the smallest validation loss.
    """

    network: Any
    history: list[dict[str, float]]
    best: float


def train(
    task: Task,
    config: TrainConfig,
    *,
    size: dict[str, Any] | None = None,
    out: Path | None = None,
    resume: bool = False,
    progress: bool | None = None,
) -> Trained:
    """Train a network with AdamW and a cosine schedule.

    Args:
        task: network, examples, loss.
        config: options.
        size: arguments of the network's constructor.
        out: folder for checkpoints and ``metrics.jsonl``; None keeps everything in memory.
        resume: go on from the checkpoint in ``out``, if there is one.
        progress: bar on stderr; None = when that is a terminal.

    Returns:
        `Trained`; the same configuration gives the same weights, interrupted or not.

    Raises:
        UsageError: ``resume`` without ``out``, or a checkpoint of another configuration.
    """
    if resume and out is None:
        raise UsageError("resume needs the folder of the run (--out)")
    if task.recipe is not None:
        return task.recipe(task, config, size=size or {}, out=out, resume=resume, progress=progress)
    seed = jax.random.key(config.seed)
    streams = [jax.random.fold_in(seed, k) for k in range(4)]
    size = {**task.size, **(size or {})}
    network = task.build(streams[_INITIAL], **size)
    optimiser = _optimiser(config)
    settings = {"task": task.name, "size": size, **config.as_dict()}
    state = Checkpoint.fresh(network, optimiser.init(eqx.filter(network, eqx.is_inexact_array)))
    if resume and out is not None:
        state = load_checkpoint(out, state, settings) or state
    judges = task.validation or task.sample
    validation = judges(streams[_VALIDATION], config.validation)
    judge = eqx.filter_jit(task.loss)
    step = _step_function(task, optimiser, streams[_DROPOUT])
    batches = _batches(task, config, streams[_BATCHES], state.step)
    began, losses = time.monotonic(), []
    with progress_bar(config.steps, state.step, progress) as bar:
        for number, batch in batches:
            network, optimiser_state, loss = step(state.network, state.optimiser, batch, number)
            state = state._replace(network=network, optimiser=optimiser_state, step=number + 1)
            losses.append(float(loss))
            bar.update(1)
            if state.step % config.validate_every and state.step != config.steps:
                continue
            record = {
                "step": state.step,
                "seconds": round(time.monotonic() - began, 1),
                "loss": float(np.mean(losses)),
                "validation": float(judge(state.network, validation, None)),
            }
            state, losses = state.judged(record), []
            bar.set_postfix(validation=f"{record['validation']:.4f}")
            if out is not None:
                save_checkpoint(out, state, settings)
            if config.patience and state.since_best >= config.patience:
                break
    best = state.best_network
    return Trained(task.finish(best) if task.finish else best, state.history, state.best)


def _optimiser(config: TrainConfig) -> optax.GradientTransformation:
    warmup = min(config.warmup, config.steps // 2)
    rate = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, warmup, config.steps, 1e-3 * config.learning_rate
    )
    return optax.chain(
        optax.clip_by_global_norm(config.clip), optax.adamw(rate, weight_decay=config.weight_decay)
    )


def _step_function(task: Task, optimiser: optax.GradientTransformation, stream: Array) -> Any:
    @eqx.filter_jit
    def compiled(network: Any, state: Any, batch: Any, key: Array) -> tuple[Any, Any, Array]:
        loss, gradient = eqx.filter_value_and_grad(task.loss)(network, batch, key)
        updates, state = optimiser.update(
            gradient, state, eqx.filter(network, eqx.is_inexact_array)
        )
        return eqx.apply_updates(network, updates), state, loss

    def step(network: Any, state: Any, batch: Any, number: int) -> tuple[Any, Any, Array]:
        return compiled(network, state, batch, jax.random.fold_in(stream, number))

    return step


def _batches(
    task: Task, config: TrainConfig, stream: Array, first: int
) -> Iterator[tuple[int, Any]]:
    """Numbered batches, the next one being simulated while this one is learned from."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(task.sample, jax.random.fold_in(stream, first), config.batch)
        for number in range(first, config.steps):
            batch = coming.result()
            if number + 1 < config.steps:
                coming = pool.submit(
                    task.sample, jax.random.fold_in(stream, number + 1), config.batch
                )
            yield number, batch


def progress_bar(total: int, done: int, progress: bool | None, unit: str = "steps") -> Any:
    """A bar of steps, or other units, on stderr; None = when that is a terminal."""
    from tqdm import tqdm

    shown = sys.stderr.isatty() if progress is None else progress
    return tqdm(total=total, initial=done, unit=f" {unit}", disable=not shown, file=sys.stderr)


def read_history(out: Path) -> list[dict[str, float]]:
    """The records of ``metrics.jsonl`` in the folder of a run."""
    text = (out / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
