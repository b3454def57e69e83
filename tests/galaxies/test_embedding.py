"""The map of continua, sequences, and maps learned anew."""

from __future__ import annotations

import sys

import jax
import numpy as np
import pytest

from nebulines.errors import InputError, UsageError
from nebulines.galaxies.embedding.continuum_map import (
    EmbeddingMap,
    continuum_map,
    latent_features,
    place,
)
from nebulines.galaxies.embedding.learning import distil, explained, fit_umap, standardise
from nebulines.galaxies.embedding.sequences import Sequences, fit_sequences, sequence_of
from nebulines.galaxies.widths.equivalent_widths import LINES
from nebulines.networks.weights import load


def test_the_shipped_map_reaches_what_it_must():
    scores = load("continuum_map").card["scores"]
    assert scores["r2_held_out"] >= 0.99
    assert scores["r2_transform"] >= 0.99


def test_the_map_keeps_the_sequences_apart():
    """Galaxies of the population, of a seed that the map never saw."""
    from nebulines.explorer.demo_population import population_colours

    colours = population_colours(600, seed=77)
    sequences = Sequences(**load("continuum_map").card["sequences"])
    kind = sequence_of(colours, sequences)
    points = place(continuum_map(), colours)
    assert (np.asarray(continuum_map().support.distance(colours)) <= 1.0).mean() > 0.95
    # the nearest neighbour on the plane is of the same sequence
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    nearest = kind[distance.argmin(axis=1)]
    clear = kind != 1
    opposite = np.abs(nearest - kind) == 2
    assert opposite[clear].mean() < 0.02
    assert (kind == 0).mean() > 0.2
    assert (kind == 2).mean() > 0.2


def test_any_number_is_placed_alike():
    network = continuum_map()
    colours = np.random.default_rng(0).normal(0.0, 0.02, (5000, 11))
    placed = place(network, colours)
    assert placed[:3] == pytest.approx(place(network, colours[:3]), abs=1e-4)
    colours[4] = np.nan
    found = place(network, colours[:6])
    assert np.isnan(found).any(axis=1).tolist() == [False] * 4 + [True, False]
    assert place(network, np.zeros((0, 11))).shape == (0, 2)
    with pytest.raises(InputError, match=r"takes features \(n, 11\), not \(3, 4\)"):
        place(network, np.zeros((3, 4)))


def test_a_map_is_learned_and_held_to_unseen_galaxies():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(2400, 5)) * [1.0, 5.0, 0.1, 1.0, 1.0]
    plane = np.stack([np.tanh(features[:, 0]) * 7.0, np.sin(features[:, 3]) + 40.0], axis=1)
    network = distil(features[:2000], plane[:2000], steps=500)
    assert explained(network, features[2000:], plane[2000:]) > 0.97
    untrained = EmbeddingMap(key=jax.random.key(0), inputs=5)
    assert explained(untrained, features[2000:], plane[2000:]) < 0.1


def test_umap_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(UsageError, match=r"nebulines\[explore\]"):
        fit_umap(np.random.default_rng(0).normal(size=(200, 11)))


def test_umap_refuses_what_it_cannot_place():
    with pytest.raises(InputError, match="100 finite rows"):
        fit_umap(np.zeros((50, 3)))
    with pytest.raises(InputError, match="3 values that are not finite"):
        fit_umap(np.concatenate([np.zeros((100, 3)), np.full((1, 3), np.nan)]))


def test_standardised_features_have_unit_spread():
    reference = np.random.default_rng(2).normal(3.0, 7.0, (500, 2))
    found = standardise(reference, reference)
    assert found.std(axis=0) == pytest.approx([1.0, 1.0], rel=1e-4)
    assert standardise([[3.0, 3.0]], np.full((4, 2), 3.0)).tolist() == [[0.0, 0.0]]


def test_latent_features_are_the_last_hidden_layer():
    from nebulines.galaxies.widths.network import EquivalentWidth

    network = EquivalentWidth(key=jax.random.key(1), width=16)
    colours = np.random.default_rng(3).normal(0.0, 0.1, (7, 11)).astype(np.float32)
    latent = latent_features(network, colours)
    assert latent.shape == (7, 16)
    last = network.layers[-1]
    mixture = np.asarray(network(colours))[:, len(LINES) :]  # after the medians
    assert latent @ last.weight.T + last.bias == pytest.approx(mixture, abs=1e-5)


def test_sequences_of_a_mixture():
    rng = np.random.default_rng(4)
    overall = np.concatenate([rng.normal(0.1, 0.1, 3000), rng.normal(0.6, 0.05, 1000)])
    colours = np.outer(overall, np.ones(11)) / 11.0
    found = fit_sequences(colours)
    assert found.mean == pytest.approx([0.1, 0.6], abs=0.02)
    assert found.spread == pytest.approx([0.1, 0.05], abs=0.01)
    assert found.share == pytest.approx([0.75, 0.25], abs=0.02)
    colours[0] = np.nan
    kind = sequence_of(colours, found)
    assert kind[0] == -1
    assert (kind[3000:] == 2).mean() > 0.95
    far = sequence_of(np.outer([-3.0, 4.0], np.ones(11)) / 11.0, found)
    assert far.tolist() == [0, 2]  # beyond a sequence nothing changes side again
    with pytest.raises(InputError, match="100 galaxies or more"):
        fit_sequences(np.zeros((9, 11)))
