"""The judge of the classes: honest arithmetic, no data that were learned from."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import classify, learn_regions
from nebulines.nebular.regions import CLASSES, Classified


def test_the_judge_uses_other_streams_than_the_teacher():
    assert classify.HELD_OUT_SEED != learn_regions.TRAINING_SEED
    taught = learn_regions.draw_features(learn_regions.TRAINING_SEED, "hii", 5)
    held = learn_regions.draw_features(classify.HELD_OUT_SEED, "hii", 5)
    assert not np.any(np.isclose(taught, held))


def test_scores_of_a_known_answer():
    probability = np.tile([0.6, 0.1, 0.1, 0.1, 0.1], (10, 1))
    region = np.ones(10, int)
    truth = np.array([1] * 6 + [2] * 4)
    none = np.zeros(10, bool)
    found = classify.scores(Classified(probability, region, none, ~none, np.full(10, 3)), truth)
    assert found["accuracy"] == pytest.approx(0.6)
    assert found["promised"] == pytest.approx(0.6)
    assert found["ambiguous"] == found["wrong_ambiguous"] == 1.0
    assert found["confusion"][0][0] == 6
    assert found["confusion"][1][0] == 4
    rows = classify.reliability(probability, truth)
    assert [count for *_, count in rows] == [40, 10]
    assert rows[1][0] == pytest.approx(0.6)
    assert rows[1][1] == pytest.approx(0.6)
    assert sum(map(sum, classify.confusion(region, truth))) == 10
    assert len(CLASSES) == len(learn_regions.CLASSES)


def test_lists_are_read(tmp_path):
    (tmp_path / "a.dat").write_text(
        "#Galactic HII region\n4861.33 100 1\n6562.77 286 3\n6583.50 50 2\n3726.03 40 1\n"
        "3728.82 50 1\n6716.44 9\n"
    )
    (tmp_path / "b.dat").write_text("#Something else\n4861.33 100 1\n")
    (one,) = classify.read_lists(tmp_path)
    assert (one.name, one.kind) == ("a", "hii")
    assert one.fluxes["NII6583"] == 50.0
    assert one.errors["HALPHA6563"] == pytest.approx(5.72)
    assert one.errors["SII6716"] == pytest.approx(0.9)
    assert "OII" not in one.fluxes
    assert classify.classify_list(one).region[0] > 0


def test_a_mixture_is_learned():
    generator = np.random.default_rng(3)
    data = np.concatenate([generator.normal(m, 0.2, (2000, 2)) for m in (-1.0, 1.0)])
    found = learn_regions.fit_mixture(generator, data)
    assert found.weights.sum() == pytest.approx(1.0)
    assert (found.weights[found.means[:, 0] > 0]).sum() == pytest.approx(0.5, abs=0.02)
    text = learn_regions.as_toml({"hii": found})
    assert text.startswith("# Densities")
