"""How a network is trained: one frozen record, saved beside every checkpoint."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nebulines.errors import UsageError


@dataclass(frozen=True)
class TrainConfig:
    """Options of a training run.

    Attributes:
        steps: gradient steps; the learning rate follows a cosine to its end.
        batch: spectra in a step.
        learning_rate: largest, after the warm-up.
        warmup: steps of linear rise.
        weight_decay: of AdamW.
        clip: largest norm of a gradient.
        seed: decides the initial weights, every batch and the validation set, which come from
            separate streams.
        validation: spectra in the validation set.
        validate_every: steps between validations, each followed by a checkpoint.
        patience: validations without improvement after which training stops; 0 = never.

    Example:
        >>> TrainConfig(steps=100).batch
        1024
    """

    steps: int = 12_000
    batch: int = 1024
    learning_rate: float = 2e-3
    warmup: int = 200
    weight_decay: float = 1e-5
    clip: float = 1.0
    seed: int = 0
    validation: int = 8192
    validate_every: int = 500
    patience: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "validation", "validate_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} must be positive, not {getattr(self, name)}")
        for name in ("warmup", "weight_decay", "patience", "seed"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} cannot be negative, got {getattr(self, name)}")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON and TOML."""
        return dataclasses.asdict(self)


def read_training_file(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tables ``[train]`` (fields of `TrainConfig`) and ``[network]`` (its size) of a file.

    Raises:
        UsageError: the file cannot be read, or holds an unknown table or key.
    """
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read the configuration {path}: {error}") from error
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    unknown = sorted({*tables} - {"train", "network"})
    unknown += sorted({*tables.get("train", {})} - known)
    if unknown:
        raise UsageError(
            f"{path}: unknown {', '.join(unknown)}; expected tables [train] and [network], and in "
            f"[train] {', '.join(sorted(known))}"
        )
    return tables.get("train", {}), tables.get("network", {})
