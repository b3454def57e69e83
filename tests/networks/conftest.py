"""Small networks with random weights, one of each kind, and inputs for them."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest

from nebulines.networks.kinematics.line_stack import feature_count
from nebulines.networks.kinematics.network import Kinematics
from nebulines.networks.starnet import StarNet


class Member(NamedTuple):
    """A network with what it needs to be built again, and an input."""

    architecture: str
    size: dict[str, Any]
    network: Any
    inputs: jax.Array
    n_out: int


def _members() -> dict[str, Member]:
    key = jax.random.key(3)
    features = jax.random.normal(key, (6, feature_count()))
    spectra = 1.0 + jax.random.normal(key, (6, 48))
    small: dict[str, Any] = {"width": 16, "depth": 2, "components": 3}
    members = {
        "kinematics": Member("kinematics", small, Kinematics(key=key, **small), features, 19)
    }
    for variant in ("paper", "notebook"):
        size = {"channels": 48, "variant": variant}
        members[f"starnet-{variant}"] = Member(
            "starnet", size, StarNet(key=key, **size), spectra, 2
        )
    return members


@pytest.fixture(params=["kinematics", "starnet-paper", "starnet-notebook"])
def member(request) -> Member:
    return _members()[request.param]


@pytest.fixture
def close():
    def compare(a, b, tolerance=2e-5):
        return bool(jnp.allclose(a, b, rtol=tolerance, atol=tolerance))

    return compare
