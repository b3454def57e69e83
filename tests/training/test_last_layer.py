"""The last layer of ``line_ratio_ann`` by least squares."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from nebulines.networks.line_ratios.ann import LAST_GAIN, LineRatioAnn
from nebulines.training.line_ratios.ann import Labelled, with_noise
from nebulines.training.line_ratios.last_layer import with_solved_last_layer

N = 300


@pytest.fixture(scope="module")
def network():
    return LineRatioAnn(key=jax.random.key(3), channels=6, hidden=(8, 5), members=2)


@pytest.fixture(scope="module")
def spectra():
    return np.random.default_rng(1).uniform(size=(N, 6)).astype(np.float32)


def quiet(spectra, target):
    return Labelled(spectra, target.astype(np.float32), np.zeros((N, 3)))


def test_outputs_that_a_last_layer_can_say_are_said_exactly(network, spectra):
    hidden = np.asarray(network.last_hidden(spectra))
    generator = np.random.default_rng(2)
    wanted = hidden[0] @ generator.normal(size=(hidden.shape[-1], 9)) + 0.2
    solved = with_solved_last_layer(network, quiet(spectra, wanted), with_noise)
    np.testing.assert_allclose(solved.raw(spectra)[0], wanted, atol=2e-4 * np.ptp(wanted))
    np.testing.assert_array_equal(solved.last_hidden(spectra), hidden)


def test_a_target_that_never_varies_is_said_whatever_the_spectrum(network, spectra):
    target = np.random.default_rng(5).normal(size=(N, 9))
    target[:, -1] = np.arcsinh(1.0 / 3.0)
    solved = with_solved_last_layer(network, quiet(spectra, target), with_noise)
    strange = solved.raw(10.0 * spectra[:, ::-1] - 3.0)
    np.testing.assert_allclose(strange[..., -1], target[0, -1], rtol=1e-5)
    assert np.ptp(strange[..., 0]) > 1e-3


def test_no_other_last_layer_fits_better(network, spectra):
    target = np.random.default_rng(7).normal(size=(N, 9))
    data = quiet(spectra, target)
    solved = with_solved_last_layer(network, data, with_noise)

    def misfit(weight):
        hidden = np.asarray(solved.last_hidden(spectra), float)
        said = LAST_GAIN * (hidden @ weight.swapaxes(1, 2) + np.asarray(solved.bias[-1])[:, None])
        return np.sum((said - target) ** 2)

    best = np.asarray(solved.weight[-1], float)
    least = misfit(best)
    generator = np.random.default_rng(8)
    for _ in range(5):
        assert misfit(best + 1e-3 * np.std(best) * generator.normal(size=best.shape)) > least
