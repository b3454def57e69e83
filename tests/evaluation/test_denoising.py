"""Judges of de-noising, on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.evaluation.denoising import (
    bayes_bound,
    flux_scatter,
    library_quantiles,
    library_weights,
    neighbours_agree,
    strengthened,
)
from nebulines.evaluation.denoising_metals import abundances, relation, true_curve
from nebulines.evaluation.published import published
from nebulines.galaxies.denoising.training_sets import LINES, CleanSet


def library(spectra: np.ndarray, flux: np.ndarray) -> CleanSet:
    nothing = np.zeros(len(spectra))
    kind = nothing.astype(int)
    return CleanSet(spectra, flux, flux, kind, nothing, nothing, nothing, kind.astype(bool))


def test_the_bound_is_the_posterior_mean_of_two_spectra():
    two = np.array([[1.0, 0.0], [0.0, 1.0]])
    found = bayes_bound(np.array([[0.6, 0.5]]), 0.5, library(two, np.array([[1.0], [10.0]])))
    weight = np.exp(0.6 / 0.25) / (np.exp(0.6 / 0.25) + np.exp(0.5 / 0.25))
    np.testing.assert_allclose(found.mean, [[weight, 1 - weight]])
    assert found.log_flux.item() == pytest.approx(1 - weight)
    assert 1.0 < found.effective.item() <= 2.0


def test_quantiles_of_the_library_are_weighted():
    spectra, values = np.zeros((100, 3)), np.arange(100.0)[::-1, None]
    found = library_quantiles(np.zeros((2, 3)), 0.1, spectra, values, [0.1, 0.5])
    np.testing.assert_allclose(found[:, 0, 0], [9.0, 49.0], atol=1.0)
    noise = np.array([0.1, 1e3])
    two = np.array([[0.0, 0.0], [1.0, 5.0]])
    weight = next(library_weights(np.array([[1.0, 0.0]]), noise, two))
    np.testing.assert_allclose(weight, [[0.0, 1.0]], atol=1e-6)


def test_nothing_beats_the_bound_on_its_own_prior():
    rng = np.random.default_rng(0)

    def draw(n):
        angle = rng.uniform(0, np.pi, n)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)

    clean = draw(400)
    noisy = clean + 0.5 * rng.normal(size=clean.shape)
    bound = bayes_bound(noisy, 0.5, library(draw(4000), np.ones((4000, 1))))
    error = np.mean((bound.mean - clean) ** 2)
    wiener = clean.mean(0) + (noisy - clean.mean(0)) * clean.var(0) / (clean.var(0) + 0.25)
    assert error < np.mean((wiener - clean) ** 2)


def test_scatter_of_known_errors():
    rng = np.random.default_rng(0)
    truth = 10.0 ** rng.triangular(0.0, 2.5, 3.0, 4000)
    found = truth * 10.0 ** rng.normal(0.0, 0.2, 4000)
    found[:40] = -1.0
    scatter = flux_scatter(found, truth)
    assert scatter.everywhere == pytest.approx(0.2, abs=0.01)
    assert scatter.recovered == pytest.approx(0.99, abs=0.002)
    assert scatter.number_filled < scatter.number


def test_mixed_classes_do_not_separate():
    rng = np.random.default_rng(0)
    kind = np.arange(400) // 200
    apart = neighbours_agree(rng.normal(size=(400, 2)) + 20.0 * kind[:, None], kind)
    mixed = neighbours_agree(rng.normal(size=(400, 2)), kind)
    assert apart == {0: 1.0, 1: 1.0}
    assert 0.3 < mixed[0] < 0.7


def test_stronger_lines_are_stronger():
    spectra, profile = np.full((1, 4), 0.5), np.array([[0.0, 1.0, 0.0, 0.0]])
    found, flux = strengthened(library(spectra, np.array([[0.5]])), profile, np.array([3.0]))
    assert np.linalg.norm(found) == pytest.approx(1.0)
    assert flux.item() / found[0, 0] == pytest.approx(3.0)


def test_a_relation_is_recovered():
    rng = np.random.default_rng(0)
    mass, rate = rng.uniform(9, 11, 2000), rng.normal(size=2000)
    truth = 8.7 + 0.3 * (mass - 10) - 0.1 * (mass - 10) ** 2 - 0.05 * rate
    curve = true_curve(mass, truth)
    found = relation(truth + 0.05 * rng.normal(size=2000), mass, rate, curve)
    assert found.scatter == pytest.approx(0.07, abs=0.01)
    assert abs(found.offset) < 0.01
    assert found.third < -0.5
    assert np.isnan(relation(np.full(20, np.nan), mass[:20], rate[:20], curve).scatter)


def test_abundance_of_published_calibration():
    flux = np.ones((1, len(LINES)))
    flux[:, LINES.index("HALPHA6563")] = 2.86
    assert abundances(flux, LINES).item() == pytest.approx(8.73 - 0.32 * np.log10(2.86))


def test_the_paper_s_table_is_whole():
    table = published("scourfield2023")
    assert {len(row) for row in table["scatter"].values()} == {10}
    assert table["scatter"]["vae-4"][:2] == [0.36, 0.29]
