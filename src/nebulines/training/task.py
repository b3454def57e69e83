"""What is trained: a network, where its examples come from, and what it should minimise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array


class Task(NamedTuple):
    """A network with its examples and its loss.

    Attributes:
        name: of the network.
        build: (key, **size) -> network, an Equinox module.
        sample: (key, n) -> a batch of n examples, any tree of arrays (n, ...), simulated or
            picked from files. Different keys give independent batches.
        loss: (network, batch, key) -> mean loss, a scalar; the key is None outside training
            (no dropout).
        learning: fields of `TrainConfig` that suit this network.
        finish: network -> network, applied to the trained one; None = nothing.
        size: arguments of ``build`` that belong to the task, such as the number of channels.
        validation: as ``sample``, for the spectra that judge; None = ``sample``, when every
            example is new anyway.
        about: what the card says of the network: ``data``, ``trained_ranges`` ...; ``options``
            are further words of the command that trains it.
        score: network -> scores on examples that neither train nor validate, for the card;
            None = it is judged elsewhere.
        recipe: (task, config, size=, out=, resume=, progress=) -> `Trained`, for a network that is
            trained in a way of its own; None = the common loop.
    """

    name: str
    build: Callable[..., Any]
    sample: Callable[[Array, int], Any]
    loss: Callable[[Any, Any, Array | None], Array]
    learning: Mapping[str, Any] = MappingProxyType({})
    validation: Callable[[Array, int], Any] | None = None
    size: Mapping[str, Any] = MappingProxyType({})
    finish: Callable[[Any], Any] | None = None
    about: Mapping[str, Any] = MappingProxyType({})
    score: Callable[[Any], dict[str, Any]] | None = None
    recipe: Callable[..., Any] | None = None


def pick(examples: Any, key: Array, n: int) -> Any:
    """n of a fixed set of examples: all in order when that many are asked for, else at random.

    Args:
        examples: a tree of arrays (total, ...).
        key: of the choice.
        n: how many.

    Example:
        >>> pick((np.arange(5), np.ones((5, 2))), jax.random.key(0), 3)[1].shape
        (3, 2)
    """
    total = len(jax.tree.leaves(examples)[0])
    if n >= total:
        return examples
    seed = np.asarray(jax.random.key_data(key)).tolist()
    index = np.random.default_rng(seed).integers(0, total, n)
    return jax.tree.map(lambda values: values[index], examples)
