"""``nebulines reproduce lines-from-continuum`` and ``nebulines evaluate equivalent_width``."""

from __future__ import annotations

import json

import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner

from nebulines.cli.main import cli
from nebulines.evaluation.equivalent_width import judge_predictions, kolmogorov_smirnov
from nebulines.evaluation.line_leakage import leakage
from nebulines.evaluation.width_diagrams import bpt_points, class_shares
from nebulines.galaxies.widths.equivalent_widths import LINES, LineWidths
from nebulines.galaxies.widths.samples import TEST, draw_sample
from nebulines.reports.widths import report
from nebulines.reports.widths.report import WidthPlan, reproduce_lines_from_continuum


def test_the_page_has_every_section_and_the_targets_beside_their_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "_rates", lambda plan, sets: {"k-NN": [RATE, RATE]})
    plan = WidthPlan(tmp_path, 1, 400, 400, 200, 5000, 1)
    page, numbers, *figures = reproduce_lines_from_continuum(plan, command="the command")
    text, found = page.read_text(), json.loads(numbers.read_text())
    parts = ("the command", "noise ceiling", "NMAD below k-NN", "Line leakage", "0.66-0.70")
    assert all(part in text for part in (*parts, "mixture: "))
    assert len(found["targets"]["rows"]) == 5 + 6 + 3
    assert len(figures) == 3
    assert all(path.stat().st_size < 300_000 for path in figures)
    ours = found["scores"]["equivalent_width, 11 colours"]
    top = found["scores"]["true widths (noise ceiling)"]
    assert ours["spearman"]["HALPHA6563"] < top["spearman"]["HALPHA6563"]
    assert set(found["ks"]) == set(LINES)
    assert abs(sum(found["bpt"]["observed"]) - 1.0) < 0.01


RATE = report.Rate("some", 10.0, 9.0, 1.0)


def test_evaluate_writes_a_report(tmp_path):
    out = tmp_path / "report"
    words = ["evaluate", "equivalent_width", "--n", "300", "-o", str(out)]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    found = json.loads((out / "equivalent_width.json").read_text())
    assert found["galaxies"] == 300
    assert "nebulines evaluate equivalent_width --n 300 --seed 1" in done.output
    few = CliRunner().invoke(cli, [*words[:3], "20", "-o", str(tmp_path / "x")])
    assert few.exit_code == 2
    assert "100 or more" in few.output


def test_lines_leak_into_the_colours_unless_they_are_masked():
    found = leakage(800, 0)
    halpha = {name: rows[LINES.index("HALPHA6563")] for name, rows in found.items()}
    clean, masked, partly, kept = halpha.values()
    assert kept > clean + 0.01
    assert abs(masked - clean) < 0.02
    assert masked <= partly + 0.02 <= kept + 0.04


def test_scores_of_the_truth_with_its_own_scatter_cover():
    """Widths known up to a scatter of 0.3 in asinh cover 68 %."""
    test = draw_sample(3000, 5, TEST)
    rng = np.random.default_rng(0)
    scatter = np.full(test.true_ew.shape, 0.3)
    mean = np.arcsinh(test.true_ew) + scatter * rng.normal(size=scatter.shape)
    arrays = (mean, np.zeros((*scatter.shape, 1)), scatter)
    widths = LineWidths(*(jnp.asarray(part, jnp.float32) for part in arrays))
    judged = judge_predictions("truth", np.sinh(mean), test, widths)
    np.testing.assert_allclose(judged.coverage, 0.6827, atol=0.035)


def test_distances_and_classes_of_known_sets():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4000, 2))
    b[:, 1] += 1.0
    distance = kolmogorov_smirnov(a, b)
    assert distance[0] < 0.04
    assert distance[1] == pytest.approx(0.383, abs=0.03)  # 2 Phi(1/2) - 1
    ew = np.full((3, 10), 10.0)
    ew[1, LINES.index("HBETA4861")] = 0.1
    ew[2, LINES.index("NII6583")] = 1.0
    points = bpt_points(ew, np.full(ew.shape, 0.2))
    assert len(points) == 2
    assert class_shares(points).tolist() == [0.5, 0.0, 0.5]
