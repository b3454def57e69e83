"""Spectra outside the training range: what they are, and how answers to them are judged."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.evaluation.methods import Measured, get_method
from nebulines.evaluation.out_of_range import CASES, judge_out_of_range, verdict
from nebulines.spectra import Flag

BY_NAME = {case.name: case for case in CASES}


def test_a_verdict_counts_flagged_covered_and_safe():
    truth = {"velocity": np.zeros(4), "broadening": np.full(4, 20.0)}
    one = np.ones(4)
    flags = np.array([0, 0, int(Flag.SECOND_COMPONENT), int(Flag.UNRESOLVED)])
    measured = Measured(
        np.array([1.0, 9.0, 9.0, 1.0]), one, np.array([20.0, 20.0, 20.0, 40.0]), one, flags
    )
    found = verdict("case", "", measured, truth)
    assert (found.flagged, found.covered_velocity) == (0.25, 0.5)
    assert (found.covered, found.safe) == (0.25, 0.5)
    nothing = {name: np.full(4, np.nan) for name in truth}
    noise = verdict("noise", "", measured, nothing)
    assert np.isnan(noise.covered)
    assert noise.safe == 0.25
    silent = measured._replace(velocity_err=one * np.nan)
    assert verdict("no errors", "", silent, truth).covered == 0.0


@pytest.mark.parametrize("name", BY_NAME)
def test_cases_are_what_they_say(name):
    truth, spectra = BY_NAME[name].make(40, 5)
    assert spectra.flux.shape == (40, 842)
    assert np.isfinite(spectra.flux).all()
    again = BY_NAME[name].make(40, 5)[1]
    np.testing.assert_array_equal(again.flux, spectra.flux)
    sigma = np.sqrt(np.median(spectra.variance, axis=1))
    brightest = spectra.flux.max(axis=1) / sigma
    if name == "fast":
        assert (np.abs(truth["velocity"]) >= 250).all()
        assert {*np.sign(truth["velocity"])} == {-1.0, 1.0}
    elif name == "strong [N II]":
        ratio = truth["NII6583_flux"] / truth["HALPHA6563_flux"]
        assert (ratio.min() >= 2) & (ratio.max() <= 4)
    elif name == "faint":
        assert truth["snr"].max() <= 4
    elif name == "pure noise":
        assert np.isnan(truth["velocity"]).all()
        assert brightest.max() < 7
        assert (spectra.flux / sigma[:, None]).std() == pytest.approx(1.0, abs=0.03)
    elif name == "slope":
        ends = spectra.flux[:, -80:].mean(axis=1) - spectra.flux[:, :80].mean(axis=1)
        assert (np.abs(ends) > 0.2 * truth["snr"] * sigma).all()


def test_a_spike_is_one_channel():
    spiky = BY_NAME["spike"].make(40, 5)[1].flux
    plain = BY_NAME["in range"].make(40, 5)[1].flux
    assert ((spiky != plain).sum(axis=1) == 1).all()


def test_two_components_are_brighter_than_one():
    truth, spectra = BY_NAME["two components"].make(40, 5)
    sigma = np.sqrt(spectra.variance[:, :1])
    excess = spectra.flux.sum(axis=1) / (sigma[:, 0] * np.sqrt(842))
    assert len(spectra) == 40
    assert (excess > 0).mean() > 0.9
    assert (np.abs(truth["velocity"]) <= 200).all()


def test_least_squares_knows_noise_from_lines():
    cases = (BY_NAME["in range"], BY_NAME["pure noise"])
    found = judge_out_of_range(get_method("fit"), 200, seed=1, cases=cases)
    assert found[0].flagged < 0.05
    assert found[0].covered > 0.95
    assert found[1].flagged > 0.9
