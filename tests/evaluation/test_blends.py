"""Spectra of two components: the bound on telling them apart, and the two truths."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.evaluation.blends import Blends, ideal_share, judge_blends, summed
from nebulines.evaluation.methods import Measured
from nebulines.evaluation.out_of_range import two_components
from nebulines.fitting.columns import PROFILE_STATISTIC
from nebulines.spectra import Flag


@pytest.fixture(scope="module")
def blend():
    return two_components(30, 4)


def test_the_same_spectra_come_without_noise(blend):
    clean = two_components(30, 4, noise=False)
    np.testing.assert_array_equal(clean.first["velocity"], blend.first["velocity"])
    np.testing.assert_array_equal(clean.spectra.variance, blend.spectra.variance)
    left = (blend.spectra.flux - clean.spectra.flux) / np.sqrt(blend.spectra.variance)
    assert float(left.std()) == pytest.approx(1.0, abs=0.03)


def test_the_sum_lies_between_and_is_broader(blend):
    velocity, broadening = summed(blend)
    both = np.stack([blend.first["velocity"], blend.second["velocity"]])
    assert (velocity > both.min(axis=0)).all()
    assert (velocity < both.max(axis=0)).all()
    assert (broadening > blend.first["broadening"].clip(max=20.0)).all()


def test_an_ideal_test_at_its_threshold_is_right_half_the_time():
    assert ideal_share(np.full(3, PROFILE_STATISTIC)) == pytest.approx(0.5)
    assert ideal_share(np.zeros(3)) < 1e-3
    assert ideal_share(np.full(3, 100.0)) > 0.9999


def test_the_sum_is_a_truth_only_where_the_components_cannot_be_told(blend):
    velocity, broadening = summed(blend)
    statistic = np.where(np.arange(30) < 10, 4.0, 60.0)
    error = np.full(30, 0.1)
    flags = np.where(np.arange(30) >= 25, int(Flag.SECOND_COMPONENT), 0)

    def answers(spectra):
        return Measured(velocity, error, broadening, error, flags)

    rows = judge_blends(answers, Blends(blend, statistic, velocity, broadening))
    assert [row["n"] for row in rows] == [10, 20, 30]
    assert [row["flagged"] for row in rows] == pytest.approx([0.0, 25.0, 100.0 * 5 / 30])
    assert all(row["sum"] == 100.0 for row in rows)
    assert rows[0]["safe"] == 100.0
    assert rows[1]["safe"] == pytest.approx(25.0, abs=5.1)  # but for a chance coverage
    assert rows[0]["ideal"] < 12.0 < 99.0 < rows[1]["ideal"]
