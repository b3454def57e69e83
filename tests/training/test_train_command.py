"""``nebulines train``."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from nebulines.cli.main import cli
from nebulines.networks.weights import load


def run(*arguments):
    return CliRunner().invoke(cli, ["train", *arguments])


@pytest.fixture
def quick(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "quick.toml"
    path.write_text(
        "[train]\nbatch = 16\nvalidation = 16\nvalidate_every = 2\n"
        "[network]\nwidth = 8\ndepth = 1\ncomponents = 2\n"
    )
    return ["--config", str(path), "--steps", "4", "--seed", "3"]


def test_it_writes_a_network_with_its_card(quick, tmp_path):
    done = run("kinematics", *quick, "--out", "mine", "--no-progress")
    assert done.exit_code == 0, done.output
    network, card = load(str(tmp_path / "mine" / "kinematics.safetensors"))
    assert card["trained_with"]["command"] == "nebulines train kinematics --steps 4 --seed 3"
    assert card["size"] == {"width": 8, "depth": 1, "components": 2}
    assert network.inward.out_features == 8
    lines = (tmp_path / "mine" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 4]


def test_the_same_seed_gives_the_same_weights(quick, tmp_path):
    for name in ("a", "b"):
        assert run("kinematics", *quick, "--out", name).exit_code == 0
    a, b = (load(str(tmp_path / n / "kinematics.safetensors")).network for n in ("a", "b"))
    np.testing.assert_array_equal(a.outward.weight, b.outward.weight)


def test_bad_use_is_explained(quick, tmp_path):
    (tmp_path / "bad.toml").write_text("[train]\nspeed = 3\n")
    for arguments, message in (
        (["nonsense"], "no network 'nonsense' to train"),
        (["kinematics", "--config", "bad.toml"], "unknown speed"),
        (["kinematics", "--config", "none.toml"], "cannot read"),
        (["kinematics", "--learning-rate", "0"], "learning_rate must be positive"),
    ):
        done = run(*arguments)
        assert done.exit_code == 2
        assert message in done.output
