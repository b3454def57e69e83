"""Checkpoints: everything a training run needs to go on as if it had never stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx

from nebulines.errors import UsageError
from nebulines.io.atomic import atomic_path


class Checkpoint(NamedTuple):
    """State of a run after ``step`` steps.

    Attributes:
        network, optimiser: now.
        best_network: of the smallest validation loss ``best``.
        since_best: validations since then.
        history: one record a validation.
    """

    network: Any
    optimiser: Any
    best_network: Any
    step: int
    best: float
    since_best: int
    history: list[dict[str, float]]

    @classmethod
    def fresh(cls, network: Any, optimiser: Any) -> Checkpoint:
        """Before the first step."""
        return cls(network, optimiser, network, 0, float("inf"), 0, [])

    def judged(self, record: dict[str, float]) -> Checkpoint:
        """After a validation."""
        history = [*self.history, record]
        if record["validation"] < self.best:
            return self._replace(
                best_network=self.network, best=record["validation"], since_best=0, history=history
            )
        return self._replace(since_best=self.since_best + 1, history=history)


def save_checkpoint(out: Path, state: Checkpoint, settings: dict[str, Any]) -> None:
    """Write ``checkpoint.eqx``, ``checkpoint.json`` and ``metrics.jsonl`` into a folder.

    The arrays carry their step in their name until the JSON that points to them is in place, so
    that a crash at any moment leaves a checkpoint that belongs together.
    """
    out.mkdir(parents=True, exist_ok=True)
    arrays = out / f"checkpoint-{state.step}.eqx"
    eqx.tree_serialise_leaves(arrays, (state.network, state.optimiser, state.best_network))
    lines = "".join(json.dumps(record) + "\n" for record in state.history)
    _replace(out / "metrics.jsonl", lines)
    facts = {
        "arrays": arrays.name,
        "step": state.step,
        "best": state.best,
        "since_best": state.since_best,
        "settings": settings,
        "history": state.history,
    }
    _replace(out / "checkpoint.json", json.dumps(facts, indent=1))
    for old in out.glob("checkpoint-*.eqx"):
        if old != arrays:
            old.unlink()


def load_checkpoint(out: Path, like: Checkpoint, settings: dict[str, Any]) -> Checkpoint | None:
    """The checkpoint of a folder, or None when it has none.

    Args:
        out: folder of the run.
        like: a fresh checkpoint of the same network.
        settings: of this run, which must be those of the checkpoint.

    Raises:
        UsageError: the checkpoint belongs to another configuration, or is damaged.
    """
    path = out / "checkpoint.json"
    if not path.exists():
        return None
    facts = json.loads(path.read_text(encoding="utf-8"))
    settings = json.loads(json.dumps(settings))
    changed = sorted(k for k in settings if settings[k] != facts["settings"].get(k))
    if changed:
        raise UsageError(
            f"{out} holds a run with other settings ({', '.join(changed)}): give the same ones, "
            "or another folder"
        )
    try:
        network, optimiser, best = eqx.tree_deserialise_leaves(
            out / facts["arrays"], (like.network, like.optimiser, like.best_network)
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"cannot read the checkpoint of {out}: {error}") from error
    return Checkpoint(
        network,
        optimiser,
        best,
        facts["step"],
        facts["best"],
        facts["since_best"],
        facts["history"],
    )


def _replace(path: Path, text: str) -> None:
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")
