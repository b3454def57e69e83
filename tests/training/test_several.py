"""Ensembles, folds and searches."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.errors import UsageError
from nebulines.training.config import TrainConfig
from nebulines.training.several import Range, cross_validate, folds, search, train_ensemble

CONFIG = TrainConfig(
    steps=20, batch=32, learning_rate=0.1, warmup=2, validation=64, validate_every=20
)


def test_members_differ_in_their_seed_alone(line_task, tmp_path):
    first, second = train_ensemble(line_task, CONFIG, 2, out=tmp_path)
    assert not np.array_equal(first.network.weight, second.network.weight)
    again = train_ensemble(line_task, CONFIG, 1)[0]
    np.testing.assert_array_equal(first.network.weight, again.network.weight)
    assert (tmp_path / "member-1" / "metrics.jsonl").exists()


def test_every_example_is_left_out_once():
    parts = list(folds(23, 5))
    np.testing.assert_array_equal(np.sort(np.concatenate([p[1] for p in parts])), np.arange(23))
    for learn, left_out in parts:
        assert not set(learn) & set(left_out)
        assert len(learn) + len(left_out) == 23
    with pytest.raises(UsageError, match="folds"):
        list(folds(3, 4))


def test_folds_are_judged_on_what_they_did_not_see(line_task):
    seen = []

    def make(learn, left_out):
        seen.append((len(learn), len(left_out)))
        return line_task

    trained = cross_validate(make, 30, 3, CONFIG)
    assert seen == [(20, 10)] * 3
    assert len(trained) == 3


def test_the_search_finds_the_better_rate(line_task):
    pytest.importorskip("optuna")
    ranges = {"learning_rate": Range(choices=(1e-7, 0.1))}
    best, loss, every = search(line_task, CONFIG, ranges, trials=6)
    assert best == {"learning_rate": 0.1}
    assert loss == min(value for _, value in every)
