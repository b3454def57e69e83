"""The networks that ``nebulines reproduce denoising`` compares with ours."""

from __future__ import annotations

import pytest

from nebulines.galaxies.denoising.scores import score_reconstruction
from nebulines.galaxies.denoising.tasks import noise_added
from nebulines.galaxies.denoising.training_sets import TEST, TRAINING, clean_set
from nebulines.networks.denoise.pca import fit_pca
from nebulines.reports.denoising.bench import AUTOENCODERS, autoencoders


def test_the_autoencoders_of_the_package_do_as_their_cards_say_and_better_than_pca():
    pairs = noise_added(clean_set(1500, 11, TEST).spectra, 1)
    training = noise_added(clean_set(1500, 0, TRAINING).spectra, 2)
    pca = score_reconstruction(fit_pca(training.noisy, 4), pairs)["mse"]
    found = autoencoders()
    assert set(found) == set(AUTOENCODERS)
    for name, (network, card) in found.items():
        error = score_reconstruction(network, pairs)["mse"]
        assert error == pytest.approx(card["scores"]["mse"], rel=0.15), name
        assert error < pca, name


def test_another_folder_has_only_what_lies_there(tmp_path):
    assert autoencoders(tmp_path) == {}
