"""Networks as methods: which weights serve which spectra."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from nebulines.errors import UsageError
from nebulines.evaluation.held_out import draw, sn3
from nebulines.evaluation.judge import judge
from nebulines.evaluation.methods import get_method
from nebulines.networks.kinematics import Kinematics
from nebulines.networks.starnet import StarNet
from nebulines.networks.weights import save
from nebulines.training.starnet import band_flux


@pytest.fixture(scope="module")
def held_out():
    return draw(sn3(1000.0), 200, seed=1)


def test_starnet_measures_the_spectra_that_it_fits(held_out, tmp_path):
    channels = band_flux(held_out.spectra).shape[1]
    network = StarNet(key=jax.random.key(0), channels=channels)
    path = tmp_path / "mine.safetensors"
    save(path, network, {"architecture": "starnet", "size": {"channels": channels}})
    method = get_method("starnet", weights=path)
    found = judge("starnet", method, held_out)
    expected = np.asarray(network(band_flux(held_out.spectra)))
    np.testing.assert_allclose(found.measured.velocity, expected[:, 0], rtol=1e-4, atol=1e-3)
    assert found.coverage == {}
    with pytest.raises(UsageError, match=f"with {channels} channels"):
        method(draw(sn3(2000.0), 4, seed=1).spectra)


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    network = Kinematics(key=jax.random.key(0), width=8, depth=1)
    save(path, network, {"architecture": "kinematics", "size": {"width": 8, "depth": 1}})
    with pytest.raises(UsageError, match="not of 'starnet'"):
        get_method("starnet", weights=path)
