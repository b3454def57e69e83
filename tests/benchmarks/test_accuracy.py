"""The machinery that judges accuracy: bounds of windows, statistics, verdicts, tables."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.accuracy import judge_bin
from benchmarks.accuracy_tables import render, targets
from benchmarks.measures import measure
from benchmarks.mocks import FIVE_LINES, MUSE, SN3, MockSet, draw
from benchmarks.reference import gaussian_profile, sincgauss_profile
from benchmarks.reporting import command, judged, table

from nebulines.spectra import Flag


@pytest.fixture(scope="module")
def mocks() -> MockSet:
    return draw(SN3, (15.0, 25.0), 64, seed=3)


def perfect_columns(mocks: MockSet) -> dict[str, np.ndarray]:
    """A result that is the truth, with the bound for errors."""
    columns = {"flags": np.zeros(64, int), "chi2": np.ones(64)}
    columns |= {name: mocks.truth[name].copy() for name in ("velocity", "broadening")}
    columns["velocity_err"] = mocks.bound.velocity_kms
    columns["broadening_err"] = mocks.bound.broadening_kms
    for k, name in enumerate(FIVE_LINES):
        columns[f"{name}_flux"] = mocks.truth[f"{name}_flux"]
        columns[f"{name}_flux_err"] = mocks.bound.fluxes[:, k]
    return columns


def test_an_outlier_is_counted_and_its_flag_seen(mocks):
    columns = perfect_columns(mocks)
    columns["velocity"][:2] += 900.0
    columns["flags"][0] |= int(Flag.AMBIGUOUS_VELOCITY)
    found = measure(mocks, columns, resolved=20.0)
    assert (found["outliers"], found["outliers_flagged"]) == (2, 1)
    assert found["velocity"]["n"] == 63
    # the one without a flag stays in
    expected = 900.0 / np.sqrt(np.sum(mocks.bound.velocity_kms[1:] ** 2))
    assert found["velocity"]["rms_over_bound"] == pytest.approx(expected)


@pytest.mark.parametrize("profile", [sincgauss_profile, gaussian_profile])
def test_reference_profiles_have_unit_area_and_their_derivatives(profile):
    x = np.linspace(-400.0, 400.0, 80_001)
    value, first, second = profile(x, 2.5, 1.2)
    assert np.trapezoid(value, x) == pytest.approx(1.0, abs=2e-3)
    inner = slice(35_000, 45_000)
    np.testing.assert_allclose(np.gradient(value, x)[inner], first[inner], atol=2e-5)
    np.testing.assert_allclose(np.gradient(first, x)[inner], second[inner], atol=2e-5)


def test_a_bin_is_judged_and_becomes_tables():
    numbers = judge_bin(MUSE, (20.0, 30.0), 64, seed=2, n_scipy=8)
    assert numbers["fit"]["n"] == 64
    for kind in ("fit", "near_truth", "estimated_noise"):
        assert 0.7 < numbers[kind]["velocity"]["rms_over_bound"] < 1.4
        assert set(numbers[kind]["fluxes"]) == set(FIVE_LINES)
    # the same optimum, found by an independent float64 fit, and with the search narrowed
    assert numbers["scipy"]["median_difference"]["velocity"] < 0.05
    wide, near = (numbers[kind]["velocity"]["bias"] for kind in ("fit", "near_truth"))
    assert abs(wide - near) < 1.0
    text = render({"muse": [numbers]})
    assert "### Velocity" in text
    assert "| 20-30 |" in text


def test_verdicts_and_commands():
    assert judged(1.0, most=1.03) == "PASS"
    assert judged(0.6, least=0.66, most=0.71) == "FAIL"
    assert judged(1.05, most=1.03, error=0.02) == "pass~"
    assert targets([5.0, 10.0]) == (1.09, 1.15)
    assert targets([100.0, 100.0]) is None
    assert command(["some/where/speed.py", "--quick", "--luci", "/home/me/python"]) == (
        "python -m benchmarks.speed --quick --luci PATH"
    )
    assert table(["a"], [[1]]).splitlines() == ["| a |", "| --- |", "| 1 |"]
