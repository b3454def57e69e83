"""The fitting engine, imported when the first spectrum is fitted (JAX is slow to import)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Engine(NamedTuple):
    """The two functions of the engine that runs need.

    Attributes:
        resolve: (data, config) -> config with explicit lines and redshift.
        fit_block: (spectra, resolved config) -> columns, model, notes.
    """

    resolve: Callable[..., Any]
    fit_block: Callable[..., Any]


def load() -> Engine:
    """The engine of `nebulines.fitting`."""
    from nebulines.runtime import configure

    configure()
    from nebulines.fitting.fit import fit_block, resolve

    return Engine(resolve, fit_block)
