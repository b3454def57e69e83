"""The table of targets says yes where a number reaches what is asked, and no where it does not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nebulines.reports.denoising_targets import target_table, targets


def numbers(cover: float, error: float) -> dict:
    return {
        "Reconstruction (Figures 7 and 8)": {
            "over_bound": 1.04, "mse": {"ours": 1.0, "pca-4": 2.0, "bound": 0.9},
        },
        "Coverage": {"0.04": {"coverage": {"HALPHA6563": cover, "OIII5007": 0.68}}},
        "Mass and metallicity (Figure 10)": {
            "uniform-0.04": {"error": error, "bound": 0.12, "sampled_over_true_spread": 1.2},
        },
        "Speed": {"means": {"processor": 120_000.0}, "any noise": {"processor": 4000.0}},
    }  # fmt: skip


@pytest.mark.parametrize(("cover", "met"), [(0.649, False), (0.65, True), (0.711, False)])
def test_a_cell_outside_fails_the_coverage(cover, met):
    rows = {row.asked: row for row in targets(numbers(cover, 0.08), {})}
    row = rows["68 % intervals cover 65 to 71 %, .005 to .08"]
    assert row.met is met
    assert f"{0 if met else 1} of 2 outside" in row.reached


def test_every_number_is_compared_with_what_was_asked():
    rows = targets(numbers(0.68, np.float64(0.12)), {"trained_with": {"seconds": 2400.0}})
    assert [row.met for row in rows] == [
        True, False, True, False, False, True, False, False,
    ]  # fmt: skip
    assert len(json.loads(json.dumps([row._asdict() for row in rows]))) == len(rows)
    table = target_table(rows)
    assert table.count("**no**") == 5
    assert "40 minutes" in table
