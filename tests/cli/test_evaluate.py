"""``nebulines evaluate`` and ``nebulines reproduce``: files, numbers, messages."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.table import Table
from click.testing import CliRunner

from nebulines.cli.main import cli
from nebulines.errors import UsageError
from nebulines.reports.kinematics import report, sections
from nebulines.reports.kinematics.plan import Plan
from nebulines.reports.kinematics.report import reproduce_kinematics


def invoke(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def test_evaluate_writes_tables_and_figures(tmp_path):
    out = tmp_path / "report"
    done = invoke("evaluate", "fit", "--n", 400, "--seed", 2, "--saliency", 0, "-o", out)
    assert done.exit_code == 0, done.stderr
    names = {path.name for path in out.iterdir()}
    assert {"fit.md", "fit.json", "fit_answers.ecsv", "fit_residuals.png"} <= names
    page = (out / "fit.md").read_text()
    assert "nebulines evaluate fit --n 400 --seed 2" in page
    assert "| CNN | - | - | 5.00 | 5.50 |" in page
    numbers = json.loads((out / "fit.json").read_text())
    answers = Table.read(out / "fit_answers.ecsv")
    assert len(answers) == 400
    assert str(answers["velocity"].unit) == "km / s"
    last = numbers["bins"][-2]
    assert last["n"] == 400
    miss = answers["velocity"] - answers["velocity_true"]
    rms = np.sqrt(np.mean(np.asarray(miss) ** 2))
    assert last["rms_all"] == pytest.approx(rms, rel=1e-3)
    assert f"{last['rms']:.2f}" in page
    assert len(numbers["out_of_range"]) == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "magic"), "kinematics, starnet, line_ratios, equivalent_width"),
        (("evaluate", "fit", "--n", "10"), "100 or more"),
        (("evaluate", "fit", "--weights", "w"), "no weights"),
        (("evaluate", "fit", "--resolution", "100"), "above 200"),
        (("reproduce", "gravity", "-o", "x"), "choose one of denoising, kinematics"),
        (("reproduce", "kinematics", "-o", "x", "--method", "magic"), "no method 'magic'"),
        (("reproduce", "kinematics", "-o", "x", "--truth-maps", "nowhere"), "nowhere"),
        (("reproduce", "denoising", "-o", "x", "--method", "fit"), "an option of kinematics, not"),
    ],
)
def test_wrong_use_is_told(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_reproduce_says_what_it_cannot_make(tmp_path, monkeypatch):
    def impossible(plan):
        raise UsageError("it needs what is not there")

    chosen = {"Time": report._sections()["Time"], "A field": impossible}
    monkeypatch.setattr(report, "_sections", lambda: chosen)
    plan = Plan.of(tmp_path, methods=["fit"], quick=True)
    small = Plan(plan.folder, 1, 200, 100, 500, plan.methods, {"starnet": "no weights"})
    paths = reproduce_kinematics(small, command="nebulines reproduce kinematics")
    page = paths[0].read_text()
    assert "`nebulines reproduce kinematics`" in page
    assert "The method `starnet` is missing: no weights." in page
    assert "## A field\n\nNot made: it needs what is not there" in page
    assert "| fit | 4,000,000 |" in page
    assert "from the rate of 500" in page
    assert "| CNN, not parallel | 62,500 | 180 |" in page
    numbers = json.loads(paths[1].read_text())
    assert numbers["Time"]["fit"]["fit"]["spectra_per_second"] > 0
    assert "not_made" in numbers["A field"]


def test_resolutions_stand_beside_the_paper(tmp_path, monkeypatch):
    monkeypatch.setattr(sections, "RESOLUTIONS", (2000.0,))
    plan = Plan.of(tmp_path, methods=["fit"], quick=True)
    small = Plan(plan.folder, 1, 300, 100, 500, plan.methods, {})
    section = sections.resolutions(small)
    text = "\n".join(section.parts)
    assert "337 channels" in text
    assert "| CNN | - | - | 75.0 | 12.0 |" in text
    assert [path.name for path in section.paths] == ["scatter_R2000.png"]
    assert section.numbers["R 2000"][0]["bins"][-2]["rms"] < 20
