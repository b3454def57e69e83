"""The table of targets says yes where a number reaches what is asked, and no where it does not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nebulines.reports.denoising.targets import target_table, targets


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


@pytest.mark.parametrize(("worst", "met"), [(0.45, [True, True]), (0.405, [True, False])])
def test_the_order_of_the_paper_s_table(worst, met):
    """The paper has the variational one first, and PCA before the plain one in filled bins."""
    row = {"recovered": 1.0, "everywhere": 0.3, "filled": 0.3}
    lines = dict.fromkeys(("HALPHA6563", "OIII5007", "NII6583"), row)
    found = dict.fromkeys(("ours, median of draws", "bound, mean of log flux"), lines)
    every = {"pca-4": 0.6, "ae-4": 0.5, "vae-4": 0.4}
    filled = {"pca-4": 0.41, "ae-4": worst, "vae-4": 0.40}
    for name in every:
        both = {"everywhere": every[name], "filled": filled[name]}
        found[name] = {"HALPHA6563": row | both}
    rows = [row for row in targets({"Line fluxes": found}, {}) if "order" in row.asked]
    assert [row.met for row in rows] == met
    assert rows[0].reached == "vae-4 0.400, ae-4 0.500, pca-4 0.600"
