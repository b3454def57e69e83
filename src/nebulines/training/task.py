"""What is trained: a network, where its examples come from, and what it should minimise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

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
    """

    name: str
    build: Callable[..., Any]
    sample: Callable[[Array, int], Any]
    loss: Callable[[Any, Any, Array | None], Array]
    learning: Mapping[str, Any] = MappingProxyType({})
    validation: Callable[[Array, int], Any] | None = None
    size: Mapping[str, Any] = MappingProxyType({})
    finish: Callable[[Any], Any] | None = None
