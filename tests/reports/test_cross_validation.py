"""Folds of ``starnet``: scored on what was left out, in km/s."""

from __future__ import annotations

import numpy as np

from nebulines.reports.kinematics import cross_validation
from nebulines.reports.kinematics.cross_validation import Recipe, fold_scores


def test_folds_learn_and_are_scored_in_kms():
    scores = fold_scores(Recipe(400, 2, 6), seed=1)
    untrained = fold_scores(Recipe(400, 2, 1), seed=1)
    assert scores.shape == (2, 2)
    assert (scores[:, 0] < 400 / np.sqrt(12)).all()  # better than the middle of the range
    assert scores[:, 0].mean() < untrained[:, 0].mean()


def test_the_section_gives_every_fold_and_the_paper(monkeypatch, tmp_path):
    from nebulines.reports.kinematics.plan import Plan

    made = np.array([[5.0, 6.0], [7.0, 8.0]])
    monkeypatch.setattr(cross_validation, "fold_scores", lambda recipe, seed: made)
    section = cross_validation.cross_validation(Plan(tmp_path, 1, 1, 1, 1, {}, {}, quick=True))
    text = "\n".join(section.parts)
    assert "| 2 | 7.00 | 8.00 |" in text
    assert "| mean | 6.00 | 7.00 |" in text
    assert "10 folds, accuracies agree within 5 %" in text
    assert section.numbers["rms"] == made.tolist()
