"""The networks of the package as methods to judge."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from nebulines.errors import UsageError
from nebulines.evaluation.methods import Method


def kinematics(weights: Path | None = None, **options: Any) -> Method:
    """The network ``kinematics`` alone: posterior means, widths and draws."""
    return _network("kinematics", weights, **options)


def starnet(weights: Path | None = None, **options: Any) -> Method:
    """The network of Rhea et al. 2020: point estimates, no errors."""
    return _network("starnet", weights, **options)


def network_and_fit(weights: Path | None = None, **options: Any) -> Method:
    """The network ``kinematics`` polished by least squares."""
    return _network("both", weights, **options)


def _network(name: str, weights: Path | None, **options: Any) -> Method:
    if importlib.util.find_spec("nebulines.networks") is None:
        raise UsageError(f"the method {name!r} needs networks, which are not installed: use 'fit'")
    raise UsageError(f"no weights of {name!r} are shipped yet: use 'fit'")
