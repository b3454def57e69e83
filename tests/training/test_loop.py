"""The loop: it learns, it resumes exactly, it stops early, it says what it did."""

from __future__ import annotations

from dataclasses import replace

import equinox as eqx
import jax
import numpy as np
import pytest

from nebulines.errors import UsageError
from nebulines.training.config import TrainConfig, read_training_file
from nebulines.training.loop import read_history, train

CONFIG = TrainConfig(
    steps=60, batch=64, learning_rate=0.2, warmup=5, validation=256, validate_every=20, seed=4
)


class Interrupted(Exception):
    """In place of a crash."""


def leaves(network):
    return jax.tree.leaves(eqx.filter(network, eqx.is_inexact_array))


def test_it_learns(line_task):
    trained = train(line_task, CONFIG)
    np.testing.assert_allclose(trained.network.weight[0], [2.0, -1.0], atol=0.1)
    assert trained.best < 0.05
    assert [record["step"] for record in trained.history] == [20, 40, 60]


def test_the_seed_decides(line_task):
    one, same, other = (
        train(line_task, replace(CONFIG, seed=seed)).network.weight for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_run_that_was_stopped_goes_on_exactly(line_task, tmp_path):
    whole = train(line_task, CONFIG)

    def interrupted(key, n, calls=[]):  # noqa: B006
        calls.append(n)
        if len(calls) > 45:
            raise Interrupted
        return line_task.sample(key, n)

    with pytest.raises(Interrupted):
        train(line_task._replace(sample=interrupted, validation=line_task.sample), CONFIG,
              out=tmp_path)  # fmt: skip
    assert read_history(tmp_path)[-1]["step"] == 40
    resumed = train(line_task, CONFIG, out=tmp_path, resume=True)
    for a, b in zip(leaves(whole.network), leaves(resumed.network), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [record["step"] for record in resumed.history] == [20, 40, 60]
    assert resumed.best == whole.best


def test_another_configuration_does_not_resume(line_task, tmp_path):
    train(line_task, replace(CONFIG, steps=20), out=tmp_path)
    with pytest.raises(UsageError, match="other settings \\(steps\\)"):
        train(line_task, CONFIG, out=tmp_path, resume=True)


def test_a_damaged_checkpoint_is_an_error(line_task, tmp_path):
    train(line_task, replace(CONFIG, steps=20), out=tmp_path)
    arrays = next(tmp_path.glob("*.eqx"))
    arrays.write_bytes(arrays.read_bytes()[:30])
    with pytest.raises(UsageError, match="cannot read the checkpoint"):
        train(line_task, replace(CONFIG, steps=20), out=tmp_path, resume=True)


def test_it_stops_when_nothing_is_gained(line_task):
    config = replace(CONFIG, steps=2000, patience=2, validate_every=10)

    def constant(network, batch, key=None):
        return 0.0 * network.weight.sum() + 1.0

    stopped = train(line_task._replace(loss=constant), config)
    assert stopped.history[-1]["step"] == 30


def test_the_best_network_is_kept(line_task):
    trained = train(line_task, replace(CONFIG, learning_rate=3.0, warmup=0))
    assert trained.best == min(record["validation"] for record in trained.history)


@pytest.mark.parametrize(
    ("field", "value"), [("steps", 0), ("learning_rate", 0.0), ("seed", -1), ("batch", 0)]
)
def test_bad_numbers_are_refused(field, value):
    with pytest.raises(UsageError, match=field):
        TrainConfig(**{field: value})


def test_an_unknown_key_is_an_error(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("[train]\nsteps = 10\nmomentum = 0.9\n")
    with pytest.raises(UsageError, match="momentum"):
        read_training_file(path)
    path.write_text("[train]\nsteps = 10\n[network]\nwidth = 8\n")
    assert read_training_file(path) == ({"steps": 10}, {"width": 8})
