"""The fitting engine, imported when the first spectrum is fitted (JAX is slow to import)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from nebulines.errors import UsageError

METHODS = ("network", "fit", "both")
"""The network alone; least squares with a velocity search; least squares from the network."""


class Engine(NamedTuple):
    """The two functions of the engine that runs need.

    Attributes:
        resolve: (data, config) -> config with explicit lines and redshift.
        fit_block: (spectra, resolved config) -> columns, model, notes.
    """

    resolve: Callable[..., Any]
    fit_block: Callable[..., Any]


def load(method: str = "fit") -> Engine:
    """The engine of a method.

    Args:
        method: one of `METHODS`.

    Raises:
        UsageError: another method.
    """
    if method not in METHODS:
        raise UsageError(
            f"method must be {', '.join(METHODS[:-1])} or {METHODS[-1]}; got {method!r}"
        )
    from nebulines.runtime import configure

    configure()
    from nebulines.fitting.fit import fit_block, resolve

    if method == "network":
        from nebulines.cubes.estimate import estimate_block

        return Engine(resolve, estimate_block)
    if method == "both":
        from nebulines.cubes.both import fit_from_network

        return Engine(resolve, fit_from_network)
    return Engine(resolve, fit_block)
