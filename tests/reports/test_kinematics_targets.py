"""Targets: passed and missed by the numbers of the other sections, the bound beside them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nebulines.reports.kinematics.bounds import bounds
from nebulines.reports.kinematics.plan import Plan
from nebulines.reports.kinematics.targets import targets


def one_bin(low, high, quantity, **changes):
    good = {
        "rms": 9.0,
        "bound": 5.2,
        "rms_over_bound": 1.02,
        "coverage_68": 0.68,
        "coverage_68_error": 0.01,
    }
    good |= {"coverage_95": 0.95, "coverage_95_error": 0.005, "ks": 0.01, "n": 5000}
    return {"low": low, "high": high, "quantity": quantity} | good | changes


@pytest.fixture
def numbers():
    both = ("velocity", "broadening")
    bins = [one_bin(*ends, q) for ends in ((5, 10), (10, 30), (5, 30)) for q in both]
    limit = {"expected": 10.2, "error": 0.1, "measured": 10.3, "bound": 10.4}
    return {
        "Resolutions": {"R 1000": [{"method": "kinematics", "bins": bins}]},
        "What can be reached": {"R 1000": dict.fromkeys(both, limit)},
        "Out of range": {
            "kinematics": [
                {"case": "in range", "flagged": 0.01, "safe": 1.0, "n": 400},
                {"case": "two components", "flagged": 0.8, "safe": 0.90, "n": 400},
            ]
        },
        "Two components": {"kinematics": [{"ideal": 87.6}]},
        "Time": {
            "kinematics": {
                "kinematics, velocity and broadening alone": {
                    "spectra_per_second": 160_000.0,
                    "processor_us": 12.0,
                }
            }
        },
        "A field": {"not_made": "no maps"},
    }


def verdicts(numbers):
    return {row["what"]: row for row in targets(numbers).numbers["rows"]}


def test_what_is_reached_passes(numbers):
    found = verdicts(numbers)
    row = found["`kinematics` R 1000: RMS of velocity [km/s]"]
    assert row["passed"]
    assert row["beside"] == "exact posterior: 5.10 (0.981 of the CRLB)"
    broadening = found["`kinematics` R 1000: RMS of broadening [km/s]"]
    assert broadening["beside"] == "exact posterior: 10.20 ± 0.10"
    assert row["error"] == pytest.approx(9.0 / 100.0)
    assert not found["`kinematics` two components: flagged or covered [%]"]["passed"]
    assert "87.6" in found["`kinematics` two components: flagged or covered [%]"]["beside"]
    assert all(row["passed"] for what, row in found.items() if "two components" not in what)


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({"rms_over_bound": 1.2}, "RMS/CRLB of velocity"),
        ({"coverage_68": 0.72}, "68 % intervals of velocity"),
        ({"coverage_95": 0.93}, "95 % intervals of velocity"),
    ],
)
def test_the_worst_bin_counts(numbers, change, missed):
    numbers["Resolutions"]["R 1000"][0]["bins"][0] |= change
    row = next(row for what, row in verdicts(numbers).items() if missed in what)
    assert not row["passed"]


def test_the_nominal_resolution_has_rows_of_its_own(numbers):
    whole = [one_bin(5, 30, "velocity", rms=9.8), one_bin(5, 30, "broadening", rms=12.0)]
    numbers["Nominal resolution"] = {"R 1000": [{"method": "kinematics", "bins": whole}]}
    found = verdicts(numbers)
    assert found["`kinematics` R 1000 alone: RMS of velocity [km/s]"]["passed"]
    assert not found["`kinematics` R 1000 alone: RMS of broadening [km/s]"]["passed"]


def test_missing_sections_leave_rows_out(numbers):
    found = verdicts({"Out of range": numbers["Out of range"], "Time": {"not_made": "no time"}})
    assert len(found) == 2


def test_the_bound_of_a_set_is_computed(tmp_path):
    plan = replace(Plan.of(tmp_path, methods=["fit"], quick=True), n_exact=3)
    section = bounds(plan)
    assert set(section.numbers) == {"R 2000", "R 1000"}
    one = section.numbers["R 1000"]["velocity"]
    assert 1.0 < one["expected"] < 1.3 * one["bound"]
    assert "| R 1000 | broadening | 3 |" in "\n".join(section.parts)
