"""How de-noising is learned: the basis, the noise in the statistics, the paper's recipe."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import jax
import numpy as np
import pytest

from nebulines.errors import InputError, UsageError
from nebulines.galaxies.denoising.scores import covered
from nebulines.galaxies.denoising.training_sets import LINES
from nebulines.networks.denoise.any_noise import MOST_FREE
from nebulines.networks.denoise.autoencoder import Autoencoder
from nebulines.networks.denoise.galaxy_kinds import BEYOND
from nebulines.networks.denoise.grid import N_BINS, bin_centres, bin_edges, unit_norm
from nebulines.networks.denoise.network import NOISE_KNOTS
from nebulines.networks.denoise.posterior import draw_lines
from nebulines.training import TrainConfig, train
from nebulines.training.denoise.basis import learn_basis, line_profiles, line_shapes
from nebulines.training.denoise.galaxy_kinds import learn_kinds
from nebulines.training.denoise.network import CleanGalaxies, found, noise_shapes, sample
from nebulines.training.denoise.paper import (
    Pairs,
    Plateau,
    Recipe,
    autoencoder_task,
    latent_of,
    paper_loss,
    pca_task,
    pixel_weights,
)
from nebulines.training.denoise.search import search_config, search_layers
from nebulines.training.denoise.task import denoise_task
from nebulines.training.tasks import card

NAMES = ("HALPHA6563", "OIII5007")
SIZE = 8


def toy(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Spectra of unit norm on two continua with two lines of many widths, and their fluxes."""
    rng = np.random.default_rng(seed)
    wave = bin_centres() / 5500.0
    share = rng.random((n, 1))
    flux = np.exp(rng.normal(1.0, 1.0, (n, 2)))
    spectra = share * wave + (1 - share) * wave**-1.5
    wide, moved = rng.random((n, 1)), rng.uniform(-0.3, 0.3, (n, 1))
    red, blue = (line_profiles(NAMES, velocity_kms=v) for v in (60.0, -60.0))
    spectra = spectra + (flux * (1 - wide)) @ line_profiles(NAMES) + (flux * moved) @ (red - blue)
    spectra = spectra + (flux * wide) @ line_profiles(NAMES, 260.0)
    norm = np.linalg.norm(spectra, axis=1, keepdims=True)
    return (spectra / norm).astype("f4"), (flux / norm).astype("f4")


@pytest.fixture(scope="module")
def learned():
    spectra, flux = toy(600, 0)
    return learn_basis(spectra, flux, NAMES, size=SIZE), spectra, flux


def test_bins_are_those_of_the_paper():
    assert len(bin_edges()) == N_BINS + 1
    assert np.ptp(np.diff(np.log(bin_edges()))) < 1e-12
    np.testing.assert_allclose(np.linalg.norm(unit_norm(np.ones((2, 5))), axis=1), 1.0)


def test_the_basis_holds_spectra_and_line_fluxes(learned):
    basis, _, _ = learned
    spectra, flux = toy(200, 1)
    vectors = np.asarray(basis.vectors)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(SIZE), atol=1e-5)
    coefficients = spectra @ vectors.T
    assert np.abs(coefficients @ vectors - spectra).max() < 1e-4
    found = coefficients @ np.asarray(basis.coordinates)[:2].T
    assert np.percentile(np.abs(found / flux - 1.0), 95) < 0.05


def test_line_fluxes_do_not_lean_on_other_lines(learned):
    """A line alone gives its flux, others none, at widths that the set does not have."""
    basis, _, _ = learned
    rows = np.asarray(basis.coordinates)[:2] @ np.asarray(basis.vectors)
    for sigma in (80.0, 160.0):
        found = rows @ line_profiles(NAMES, sigma, velocity_kms=20.0).T
        np.testing.assert_allclose(found, np.eye(2), atol=0.1)


def test_a_basis_needs_spectra():
    spectra, flux = toy(5, 0)
    with pytest.raises(InputError, match="needs more spectra"):
        learn_basis(spectra, flux, NAMES, size=SIZE)


def galaxies(learned, rows) -> CleanGalaxies:
    basis, spectra, flux = learned
    prior = np.arange(len(flux))[rows, None] % 2.0
    return CleanGalaxies(spectra[rows] @ np.asarray(basis.vectors).T, flux[rows], prior)


def test_noise_in_the_statistics_is_the_noise_of_spectra(learned):
    """Mean A a and covariance A of b, for a noise shape with gaps."""
    shapes = noise_shapes(learned[0], 1, seed=3)
    batch = sample(galaxies(learned, slice(0, 1)), shapes, jax.random.key(0), 16_000)
    level = 1.0 / np.sqrt(batch.a[:, 0, 0] / shapes.a[0, 0, 0])
    white = len(batch.weight)
    away = batch.b[white:] - np.einsum("nij,nj->ni", batch.a, batch.truth[white:])
    unit = away * level[:, None]
    root = np.sqrt(np.diag(shapes.a[0]))
    found = np.cov(unit.T) / root / root[:, None]
    np.testing.assert_allclose(found, shapes.a[0] / root / root[:, None], atol=0.08)


def test_a_short_training_learns(learned):
    basis = learned[0]
    sets = [galaxies(learned, rows) for rows in (slice(0, 400), slice(400, 600))]
    task = denoise_task(basis, line_profiles(NAMES), sets, 0)
    config = TrainConfig(**{**task.learning, "steps": 24, "batch": 32, "validate_every": 12,
                            "validation": 128})  # fmt: skip
    task = task._replace(finish=partial(task.finish, n=800))
    trained = train(task, config, size={"width": 16, "depth": 1, "components": 1}, progress=False)
    assert trained.history[-1]["validation"] < trained.history[0]["validation"]
    np.testing.assert_array_equal(trained.network.basis.vectors, basis.vectors)
    assert float(trained.network.most_noise) == pytest.approx(0.15)
    _covers(trained.network, galaxies(learned, slice(400, 600)))


def _covers(network, judged: CleanGalaxies) -> None:
    """Widths set on a validation set cover other noise on it as they should."""
    shapes, noise = noise_shapes(network.basis, 3, seed=8), NOISE_KNOTS[3]
    batch = sample(judged, shapes, jax.random.key(9), 800, noise=noise)
    seen = found(network.basis, batch)
    posterior = network(seen, batch.prior)
    drawn = np.asarray(posterior.scale[:, None] * draw_lines(network.basis, posterior,
                                                             jax.random.key(1), 100))  # fmt: skip
    assert np.all(np.abs(covered(drawn, batch.flux) - 0.683) < 0.08)


def pairs(n: int, seed: int) -> Pairs:
    clean, _ = toy(n, seed)
    noise = 0.04 * np.random.default_rng(seed).normal(size=clean.shape)
    return Pairs((clean + noise).astype("f4"), clean, pixel_weights(0.0 * clean + 0.001))


def test_the_paper_s_loss():
    network = Autoencoder(key=jax.random.key(0), latent=2, layers=[8], dropout=0.0)
    batch = pairs(3, 0)
    mean, log_variance = (np.asarray(part, float) for part in network.encode(batch.noisy))
    error = 0.5 * np.sum(batch.weight * (np.asarray(network(batch.noisy)) - batch.clean) ** 2, 1)
    divergence = -0.5 * np.sum(1 + log_variance - mean**2 - np.exp(log_variance), axis=1)
    assert float(paper_loss(network, batch)) == pytest.approx(np.mean(error + divergence), rel=1e-4)
    assert np.all(divergence >= 0)


def test_the_plateau_rule():
    rule = Plateau(1e-4, patience=5)
    steps = [rule.goes_on(loss) for loss in [1.0] + [0.95] * 5]
    assert all(steps)
    assert rule.rate == pytest.approx(1e-5)
    assert rule.goes_on(0.5)
    assert [rule.goes_on(0.5) for _ in range(10)] == [True] * 9 + [False]


def test_the_paper_s_recipe_learns_and_ends():
    training = pairs(128, 1)
    task = autoencoder_task("vae", 2, training, pairs(64, 2), about={"trained_ranges": {}})
    config = TrainConfig(**{**task.learning, "steps": 8, "learning_rate": 1e-3})
    size = {"layers": [16], "dropout": 0.1}
    trained = train(task, config, size=size, progress=False)
    losses = [row["validation"] for row in trained.history]
    assert len(losses) == 4
    assert losses[-1] < losses[0]
    epochs = card(task, config, size, trained)["epochs"]
    assert epochs["validation"] == pytest.approx(losses, rel=1e-5)
    assert len(epochs["loss"]) == 4
    mean = training.noisy.mean(axis=0)
    np.testing.assert_array_equal(trained.network.centre, mean, "no gradient moves the mean")
    with pytest.raises(UsageError, match="cannot be resumed"):
        train(task, config, size={"layers": [16]}, out=Path("nowhere"), resume=True)


def test_pca_is_trained_by_the_same_verb():
    task = pca_task(2, pairs(64, 1), pairs(32, 2))
    trained = train(task, TrainConfig(**task.learning), progress=False)
    assert trained.network.components.shape == (2, N_BINS)
    assert trained.best < 0.04**2


def test_names_with_dimensions():
    assert latent_of("vae-10") == 10
    with pytest.raises(UsageError, match="number of dimensions"):
        latent_of("vae-many")


class Quick(Recipe):
    """Two epochs whose losses follow from what was drawn."""

    def epochs(self, task, config, size):
        for epoch in (1, 2):
            loss = sum(size["layers"]) * (1 + size["dropout"]) / epoch
            yield None, {"validation": loss, "seed": config.seed}


def search_task():
    training, validation = pairs(64, 1), pairs(32, 2)
    task = autoencoder_task("ae", 2, training, validation)
    return task._replace(recipe=Quick(training, validation))


def test_the_random_search_follows_the_paper():
    pytest.importorskip("optuna")
    task = search_task()
    assert search_config(task).steps == 25, "epochs of one batch"
    seen = search_layers(task, search_config(task), 30)
    assert sorted(model.number for model in seen) == list(range(30))
    assert [model.loss for model in seen] == sorted(model.loss for model in seen)
    assert {len(model.layers) for model in seen} == {2, 3, 4}
    for model in seen:
        assert all(a >= b for a, b in pairwise(model.layers))
        assert all(100 <= units <= 1000 and units % 100 == 0 for units in model.layers)
        assert model.dropout in [tenths / 10 for tenths in range(10)]
        assert model.loss == pytest.approx(sum(model.layers) * (1 + model.dropout) / 2)
        assert (model.epochs, model.given_up) == (2, False)


def test_a_search_goes_on_where_it_was(tmp_path):
    pytest.importorskip("optuna")
    task, journal = search_task(), tmp_path / "journal"
    config = search_config(task)
    search_layers(task, config, 3, journal=journal)
    assert search_layers(task, config, 5, journal=journal) == search_layers(task, config, 5)
    with pytest.raises(UsageError, match="another seed"):
        search_layers(task, replace(config, seed=1), 5, journal=journal)
    with pytest.raises(UsageError, match="not of pca-2"):
        search_config(pca_task(2, pairs(64, 1), pairs(32, 2)))


def test_models_worse_than_most_are_given_up():
    pytest.importorskip("optuna")

    class Steady(Recipe):
        def epochs(self, task, config, size):
            for _ in range(8):
                yield None, {"validation": float(config.seed % 2)}

    task = search_task()
    task = task._replace(recipe=Steady(task.recipe.training, task.recipe.validation))
    seen = {model.number: model for model in search_layers(task, search_config(task), 14)}
    assert [seen[k].given_up for k in range(10, 14)] == [False, True, False, True]
    assert not any(seen[k].given_up for k in range(10))
    assert (seen[10].epochs, seen[11].epochs) == (8, 4)


def test_the_loose_prior_has_no_more_shapes_than_are_looked_for():
    assert len(line_shapes(LINES)) <= MOST_FREE


def test_kinds_of_galaxies_are_told_apart():
    """Two kinds, one with a line: shares, and second moments as they were drawn."""
    rng = np.random.default_rng(8)
    size = N_BINS + 2 * BEYOND
    flat, line = np.full(size, size**-0.5), np.eye(size)[400]
    strong = rng.random(4000) < 0.3
    height = np.where(strong, rng.normal(0.5, 0.1, 4000), 0.0)
    spectra = flat + height[:, None] * line + 1e-3 * rng.normal(size=(4000, size))
    found, _ = learn_kinds(spectra, kinds=2, ways=3)
    order = np.argsort(found.share)
    assert np.asarray(found.share)[order] == pytest.approx([0.3, 0.7], abs=0.03)
    for kind, members in zip(order, (strong, ~strong), strict=True):
        moment = np.sum(np.square(np.asarray(found.shapes)[kind] @ line))
        drawn = np.mean(np.square(spectra[members] @ line))
        assert moment == pytest.approx(drawn, rel=0.02, abs=1e-5)
    with pytest.raises(InputError, match="96 spectra or more"):
        learn_kinds(spectra[:50])
