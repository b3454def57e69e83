"""The paper's recipe on few spectra: sets apart, batches from the right one, learning."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from nebulines.training.config import TrainConfig
from nebulines.training.kinematics.starnet import (
    absolute_error,
    centred,
    paper_spectra,
    split,
    square_error,
    starnet_task,
)
from nebulines.training.loop import train
from nebulines.training.tasks import card, get_task


@pytest.fixture(scope="module")
def parts():
    _, labelled = paper_spectra(300, 3, resolution=(800.0, 1000.0), n_steps=168)
    return labelled, split(labelled, 3)


def test_the_sets_are_apart_and_have_the_shares_of_the_paper(parts):
    labelled, sets = parts
    assert [len(one.spectra) for one in sets] == [210, 60, 30]
    rows = {row.tobytes() for row in labelled.spectra}
    seen = [{row.tobytes() for row in one.spectra} for one in sets]
    assert len(set.union(*seen)) == len(rows) == 300


def test_batches_come_from_the_training_set(parts):
    _, (training, validation, _) = parts
    task = starnet_task(training, validation)
    batch = task.sample(jax.random.key(1), 16)
    known = {row.tobytes() for row in training.spectra}
    assert all(row.tobytes() in known for row in batch.spectra)
    same, other = (task.sample(jax.random.key(k), 16) for k in (1, 2))
    np.testing.assert_array_equal(batch.target, same.target)
    assert not np.array_equal(batch.target, other.target)
    assert task.learning["steps"] == 10 * 210 // 8


def test_it_learns_and_ends_without_a_mean_error(parts):
    _, (training, validation, _) = parts
    task = starnet_task(training, validation)
    config = TrainConfig(**{**task.learning, "batch": 32, "steps": 150, "validate_every": 50})
    trained = train(task, config)
    assert trained.history[-1]["validation"] < 0.95 * float(np.mean(validation.target**2))
    residual = trained.network.raw(validation.spectra) - validation.target
    np.testing.assert_allclose(np.mean(residual, axis=0), 0.0, atol=1e-3)
    again = centred(trained.network, validation)
    np.testing.assert_allclose(again.dense[-1].bias, trained.network.dense[-1].bias, atol=1e-3)
    assert card(task, config, {}, trained)["size"]["channels"] == training.spectra.shape[1]


def test_losses_can_be_swapped(parts):
    _, (training, validation, _) = parts
    task = starnet_task(training, validation)
    network = task.build(jax.random.key(0), **task.size)
    target = validation.target
    assert float(square_error(network, validation)) != float(absolute_error(network, validation))
    own = task._replace(loss=absolute_error)
    config = TrainConfig(**{**task.learning, "batch": 16, "steps": 5, "validate_every": 5})
    assert train(own, config).best < float(np.abs(target).mean()) * 1.5


def test_tasks_have_names():
    task = get_task("starnet-r1000", seed=1, spectra=100)
    assert task.name == "starnet-r1000"
    assert task.size["channels"] < 100
