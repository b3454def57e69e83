"""Networks as methods: which weights serve which spectra."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from nebulines.cubes.network.input import NetworkInput
from nebulines.errors import UsageError
from nebulines.evaluation.held_out import draw, sn3
from nebulines.evaluation.judge import judge
from nebulines.evaluation.methods import get_method
from nebulines.fitting.fit import resolve
from nebulines.fitting.prepared import prepare
from nebulines.networks.kinematics.network import Kinematics
from nebulines.networks.kinematics.posterior import moments, where_found
from nebulines.networks.starnet import StarNet
from nebulines.networks.weights import save
from nebulines.training.kinematics.starnet import band_flux


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


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small network ``kinematics``, untrained."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    size = {"width": 8, "depth": 1, "components": 2}
    card = {
        "architecture": "kinematics",
        "size": size,
        "trained_ranges": {"line_spread_fwhm_kms": [10, 400], "snr": [3, 1000]},
    }
    save(path, Kinematics(key=jax.random.key(0), **size), card)
    return path


def test_draws_of_kinematics_belong_to_its_answers(held_out, small):
    ranges = {"velocity_range": (-200.0, 200.0), "broadening_range": (10.0, 50.0)}
    method = get_method("kinematics", weights=small, **ranges)
    spectra = held_out.spectra[:40]
    measured, draws = method(spectra), method.draws(spectra, seed=1)
    assert draws.shape == (40, 199, 2)
    assert np.abs(draws[..., 0]).max() <= 201
    assert (draws[..., 1].min() > 9.9) & (draws[..., 1].max() < 50.1)
    for k, quantity in enumerate(("velocity", "broadening")):
        apart = draws[..., k].mean(axis=1) - getattr(measured, quantity)
        error = draws[..., k].std(axis=1) / np.sqrt(199)
        assert np.median(np.abs(apart) / error) < 2.5  # an honest pair gives 0.67
    only = method.kinematics_only(spectra)
    np.testing.assert_allclose(only[:, 0], measured.velocity, rtol=1e-3, atol=0.05)


def test_what_is_shown_beside_a_truth_is_what_is_answered(held_out, small):
    """Answers taken for the truth lie at the mean of the posterior of what the network sees."""
    method = get_method("kinematics", weights=small, velocity_range=(-300.0, 300.0))
    spectra = held_out.spectra[:40]
    velocity, broadening = method.kinematics_only(spectra).T
    given = NetworkInput(prepare(spectra, resolve(spectra, method.config)))
    seen = given.measured(velocity, broadening)
    posterior = method.network.network.posterior(seen.features, seen.snr)
    found = moments(where_found(posterior), seen.box)
    np.testing.assert_allclose(seen.u, found.mean_u, atol=2e-3)
    np.testing.assert_allclose(seen.r, found.mean_r, atol=2e-3)


def test_both_needs_the_shipped_network(small):
    with pytest.raises(UsageError, match="leave --weights out"):
        get_method("both", weights=small)
