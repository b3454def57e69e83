"""``nebulines reproduce line-ratios``: its first table, and the weights that it takes."""

from __future__ import annotations

import jax
import pytest

from nebulines.errors import UsageError
from nebulines.networks.line_ratios.ann import RATIOS, LineRatioAnn
from nebulines.networks.weights import save
from nebulines.reports.line_ratios.checks import dust_section
from nebulines.reports.line_ratios.targets import targets
from nebulines.reports.line_ratios.workshop import loaded


def table_rows(over_bound, scatter=10.0):
    return [
        {"arcsinh_std": scatter, "over_bound": over_bound, "n": 200, "judged": 100} for _ in RATIOS
    ]


@pytest.fixture
def numbers():
    bins = [
        {"low": low, "high": high, "ratio": ratio, "n": 400, "covers_68": 0.68, "covers_95": 0.955,
         "ks": 0.01}
        for low, high in ((5, 10), (10, 30), (5, 30)) for ratio in RATIOS[:-1]
    ]  # fmt: skip
    mean = {"bias": 0.004, "error": 0.002}
    case = {
        "posterior": mean,
        "exact": mean,
        "line_ratios": mean,
        "bound": 0.1,
        "joint fit": {**mean, "bias": -0.01},
    }  # 1.1 % in the corrected ratio
    return {
        "Table 2": {
            "line_ratio_ann": table_rows(1.2),
            "line_ratios": table_rows(0.8),
            "joint fit": table_rows(1.0),
            "least possible": {"arcsinh": [1.64, 9.0, 9.0, 9.0, 9.0, 6.0, 9.0, 5.0]},
        },
        "Calibration": {"rows": bins},
        "The fixed ratio": {"line_ratio_ann": {"bias": -0.1, "std": 0.5}},
        "Dust": dust_section({"A_V 2": case}, 800).numbers,
        "Time": {"its posterior, from the fluxes": {"processor_us": 20.0}},
    }  # fmt: skip


def test_every_target_has_its_verdict(numbers):
    section = targets(numbers)
    rows = {row["what"]: row for row in section.numbers["rows"]}
    passed = {what: row["passed"] for what, row in rows.items()}
    ann = [p for what, p in passed.items() if "scatter of arcsinh" in what]
    # scatter 10 % beside the paper's .94, 19, 30, 32, 25, 9.0, 15 and 6.8
    assert ann == [False, True, True, True, True, False, True, False]
    doublet = next(row for what, row in rows.items() if "SII6731/SII6716" in what)
    assert doublet["beside"].endswith("above the target")
    found = {key: [p for what, p in passed.items() if key in what]
             for key in ("NII6548", "Cramér-Rao", "joint fit started", "cover", "KS", "for dust",
                         "free cores")}  # fmt: skip
    assert found == {"NII6548": [True, False], "Cramér-Rao": [True], "joint fit started": [True],
                     "cover": [True, True], "KS": [True], "for dust": [True, False],
                     "free cores": [True]}  # fmt: skip
    assert "| **no** |" in section.parts[1]


def test_sections_that_are_missing_are_left_out(numbers):
    numbers["Calibration"]["rows"][3]["covers_68"] = 0.6
    numbers["Dust"] = {"not_made": "no time"}
    del numbers["Table 2"]
    rows = targets(numbers).numbers["rows"]
    assert not [row for row in rows if "for dust" in row["what"] or "arcsinh" in row["what"]]
    worst = next(row for row in rows if "68 %" in row["what"])
    assert not worst["passed"]
    assert worst["reached"] == pytest.approx(60.0)


def test_weights_are_a_file_or_a_folder_of_members(tmp_path):
    with pytest.raises(UsageError, match="no line_ratio_ann"):
        loaded(tmp_path)
    size = {"channels": 12, "hidden": [4], "members": 1}
    for k in range(2):
        path = tmp_path / f"member-{k}" / "line_ratio_ann.safetensors"
        path.parent.mkdir()
        made = LineRatioAnn(key=jax.random.key(k), channels=12, hidden=(4,), members=1)
        trained = {"command": "nebulines train line_ratio_ann", "seconds": 3.0,
                   "config": {"steps": 10, "batch": 2}}  # fmt: skip
        save(path, made, {"architecture": "line_ratio_ann", "size": size, "trained_with": trained})
    network, note = loaded(tmp_path)
    assert network.weight[0].shape == (2, 4, 12)
    assert "2 members" in note
    assert "6 s in all" in note
    assert loaded(path)[0].weight[0].shape == (1, 4, 12)
    assert loaded(path.parent)[0].weight[0].shape == (1, 4, 12)
    shipped, origin = loaded(None)
    assert shipped.weight[-1].shape[1] == len(RATIOS)
    assert "as shipped" in origin
