"""``nebulines train``."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from nebulines.cli.main import cli
from nebulines.networks.weights import load
from nebulines.training.config import read_training_file


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


def test_a_search_leaves_a_table_and_a_file_for_config(tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nebulines.galaxies.denoising.tasks.PAPER_SIZES", (64, 32, 16))
    done = run("vae-2", "--search", "2", "--steps", "1", "-o", "drawn")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [
        "wrote drawn/vae-2-search.csv",
        "wrote drawn/vae-2-search.toml",
    ]
    first = (tmp_path / "drawn/vae-2-search.csv").read_text().splitlines()
    assert first[0] == "number,dropout,layers,loss,epochs,given_up"
    assert len(first) == 3
    _, size = read_training_file(tmp_path / "drawn/vae-2-search.toml")
    assert first[1].split(",")[1:3] == [str(size["dropout"]), " ".join(map(str, size["layers"]))]
    more = run("vae-2", "--search", "3", "--steps", "1", "-o", "drawn", "--resume")
    assert more.exit_code == 0, more.output
    second = (tmp_path / "drawn/vae-2-search.csv").read_text().splitlines()
    assert len(second) == 4
    assert set(first) < set(second)
    done = run("vae-2", "--search", "3", "--onnx")
    assert done.exit_code == 2
    assert "--onnx does nothing beside --search" in done.output
