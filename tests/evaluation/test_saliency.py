"""What an answer hangs on: gradients of known functions, and the influence of channels."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from nebulines.errors import InputError
from nebulines.evaluation.cramer_rao import cramer_rao, influence
from nebulines.evaluation.held_out import FIVE_LINES, draw, sn3
from nebulines.evaluation.methods import from_columns
from nebulines.evaluation.saliency import best_saliency, gradient_saliency, method_saliency
from nebulines.lines import load_catalogue


@pytest.fixture(scope="module")
def held_out():
    return draw(sn3(), 20, seed=1)


def system(held_out):
    wave = load_catalogue().select(FIVE_LINES).wavelength(held_out.spectra.axis.medium)
    fluxes = np.stack([held_out.truth[f"{name}_flux"] for name in FIVE_LINES], axis=1)
    truth = {f"{q}_kms": held_out.truth[q] for q in ("velocity", "broadening")}
    return wave, truth | {"fluxes": fluxes}


def test_the_influence_turns_noise_into_the_bound(held_out):
    wave, truth = system(held_out)
    slopes = influence(held_out.spectra, wave, **truth)
    variance = np.einsum("npc,nc,nqc->npq", slopes, held_out.spectra.variance, slopes)
    covariance = cramer_rao(held_out.spectra, wave, **truth).covariance
    np.testing.assert_allclose(variance, covariance, rtol=1e-5, atol=1e-8)


def test_gradients_of_a_known_function():
    flux = np.random.default_rng(0).normal(size=(700, 5)).astype(np.float32)
    found = gradient_saliency(lambda f: jnp.sum(f**2), flux)
    np.testing.assert_allclose(found, np.abs(2 * flux).mean(axis=0), rtol=1e-4)
    with pytest.raises(InputError, match="n of 1 or more"):
        gradient_saliency(jnp.sum, np.zeros(5))


def test_any_method_changed_channel_by_channel(held_out):
    weights = np.random.default_rng(1).normal(size=(2, 842)).astype(np.float32)

    def linear(spectra):
        velocity, broadening = weights @ spectra.flux.T
        return from_columns({"velocity": velocity, "broadening": broadening})

    spectra = held_out.spectra[:3]
    found = method_saliency(linear, spectra)
    noise = np.sqrt(np.asarray(spectra.variance)).mean(axis=0)
    for row, quantity in enumerate(("velocity", "broadening")):
        np.testing.assert_allclose(found[quantity], np.abs(weights[row]) * noise, atol=2e-3)
    with pytest.raises(InputError, match="variance"):
        method_saliency(linear, replace(spectra, variance=None))


def test_the_best_answer_hangs_on_the_lines(held_out):
    found = best_saliency(held_out, rows=20)
    wave = held_out.spectra.axis.wavelength()
    near = np.abs(wave - 6562.8) < 8
    far = (wave > 6620) & (wave < 6690)
    for values in found.values():
        assert values[near].max() > 20 * values[far].max()
