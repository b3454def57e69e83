"""The machinery that judges accuracy: bounds of windows, statistics, verdicts, tables."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.accuracy import judge_bin
from benchmarks.accuracy_tables import render, targets
from benchmarks.measures import measure, summary
from benchmarks.mocks import FIVE_LINES, MUSE, SN3, MockSet, combine, draw
from benchmarks.reference import gaussian_profile, sincgauss_profile
from benchmarks.reporting import command, judged, table

from nebulines.evaluation import Bound
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


def test_statistics_of_known_numbers():
    generator = np.random.default_rng(1)
    truth, bound = np.full(40_000, 10.0), np.full(40_000, 2.0)
    found = summary(truth, truth + generator.normal(0.2, 2.0, 40_000), bound, bound)
    assert found["rms_over_bound"] == pytest.approx(np.hypot(1.0, 0.1), abs=0.01)
    assert found["nmad_over_bound"] == pytest.approx(1.0, abs=0.02)
    assert found["bias"] == pytest.approx(0.2, abs=4 * found["bias_error"])
    assert found["relative_bias"] == pytest.approx(0.02, abs=4 * found["relative_bias_error"])
    assert found["coverage"] == pytest.approx(0.68, abs=0.01)
    assert found["coverage_95"] == pytest.approx(0.949, abs=0.005)


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


def test_windows_combine_as_one_information_matrix():
    """Velocity and broadening shared, fluxes and continuum of two windows apart."""
    generator = np.random.default_rng(2)
    jacobian = np.zeros((200, 9))
    jacobian[:, :2] = generator.normal(size=(200, 2))
    jacobian[:100, 2:6] = generator.normal(size=(100, 4))  # two lines, two continuum terms
    jacobian[100:, 6:] = generator.normal(size=(100, 3))  # one line, two continuum terms
    whole = np.linalg.inv(jacobian.T @ jacobian)
    parts = []
    for rows, columns, n_lines in (
        (slice(0, 100), slice(2, 6), 2),
        (slice(100, 200), slice(6, 9), 1),
    ):
        own = np.concatenate([jacobian[rows, :2], jacobian[rows, columns]], axis=1)
        covariance = np.linalg.inv(own.T @ own)[None]
        none = np.zeros((1, 0))
        parts.append(Bound(none, none, none, none, covariance, np.ones((1, n_lines))))
    bound = combine(parts, np.ones((1, 3)))
    keep = np.ix_([0, 1, 2, 3, 6], [0, 1, 2, 3, 6])
    np.testing.assert_allclose(bound.covariance[0], whole[keep], rtol=1e-9)
    np.testing.assert_allclose(bound.velocity_kms[0], np.sqrt(whole[0, 0]))


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
