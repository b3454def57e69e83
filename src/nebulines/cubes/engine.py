"""The fitting engine, imported when the first spectrum is fitted (JAX is slow to import)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from nebulines.errors import UsageError
from nebulines.fitting.config import FitConfig

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
        from nebulines.cubes.network.estimate import estimate_block

        return _above_starlight(Engine(resolve, estimate_block))
    if method == "both":
        from nebulines.cubes.network.both import fit_from_network

        return _above_starlight(Engine(resolve, fit_from_network))
    return _above_starlight(Engine(resolve, fit_block))


def _above_starlight(engine: Engine) -> Engine:
    """The engine that fits stellar templates below the lines where ``continuum`` is ``stellar``,
    which ``auto`` becomes for galaxy surveys. The room of galaxies, below this one, is imported
    only then."""

    def resolve(data: Any, config: FitConfig) -> FitConfig:
        resolved = engine.resolve(data, config)
        if resolved.continuum == "auto":
            from nebulines.galaxies.starlight.setup import stellar_applies

            if stellar_applies(data, resolved):
                resolved = replace(resolved, continuum="stellar")
        if resolved.templates is not None and resolved.continuum != "stellar":
            raise UsageError(
                "templates are fitted where the continuum is stellar, and here it is a polynomial: "
                "add --continuum stellar (continuum='stellar'), or leave templates out"
            )
        return resolved

    def fit_block(spectra: Any, config: FitConfig, *, with_model: bool = True) -> Any:
        if config.continuum != "stellar":
            return engine.fit_block(spectra, config, with_model=with_model)
        from nebulines.galaxies.starlight.stage import fit_above_starlight

        return fit_above_starlight(spectra, config, with_model=with_model, measure=engine.fit_block)

    return Engine(resolve, fit_block)
