"""Figures of judgements show the numbers that they are given."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from nebulines.evaluation.held_out import draw, sn3
from nebulines.evaluation.judge import judge
from nebulines.evaluation.methods import from_columns
from nebulines.evaluation.saliency import best_saliency
from nebulines.plots.calibration import calibration_figure
from nebulines.plots.comparison import (
    absolute_residual_figure,
    clipped_absolute,
    residual_maps_figure,
    scatter_figure,
)
from nebulines.plots.evaluation import (
    density_figure,
    distribution_figure,
    residual_figure,
    write_figures,
)
from nebulines.plots.saliency import saliency_figure

N = 900


@pytest.fixture(scope="module")
def held_out():
    return draw(sn3(), N, seed=6)


def at_bound(held_out, *, scale=1.0, stated=True):
    generator = np.random.default_rng(2)
    columns = {}
    for name in ("velocity", "broadening"):
        bound = getattr(held_out.bound, f"{name}_kms")
        columns[name] = held_out.truth[name] + scale * bound * generator.standard_normal(N)
        if stated:
            columns[f"{name}_err"] = bound
    return from_columns(columns)


@pytest.fixture(scope="module")
def judgement(held_out):
    return judge("ideal", lambda s: at_bound(held_out), held_out)


def test_the_running_band_of_an_ideal_method_is_the_bound(judgement):
    axes = residual_figure(judgement).axes[1]
    lines = {to_hex(line.get_color()): line for line in axes.lines if len(line.get_xdata()) == 16}
    median = next(line for line in lines.values() if line.get_linestyle() == "-")
    upper = next(line for line in lines.values() if line.get_linestyle() == "--")
    assert np.abs(median.get_ydata()).max() < 2.0
    bound = np.abs(upper.get_ydata())
    assert bound[0] > 2 * bound[-1]  # falls with the S/N


def test_the_density_lies_on_the_diagonal(judgement):
    for axes in density_figure(judgement).axes:
        assert axes.get_xlim() == axes.get_ylim()
        assert len(axes.collections) >= 1


def test_the_distribution_names_its_width(judgement):
    miss = judgement.measured.velocity - judgement.held_out.truth["velocity"]
    titles = [axes.get_title() for axes in distribution_figure(judgement).axes]
    assert titles[0] == f"velocity: std {np.std(miss):.2f} km/s"


def test_calibration_shows_coverage_and_needs_errors(judgement, held_out):
    figure = calibration_figure(judgement)
    curve = judgement.coverage["velocity"]
    shown = next(line for line in figure.axes[0].lines if line.get_label() == "velocity")
    np.testing.assert_allclose(shown.get_ydata(), curve.fraction - curve.level)
    points = judge("points", lambda s: at_bound(held_out, stated=False), held_out)
    assert calibration_figure(points) is None


def test_saliency_is_drawn_over_the_spectrum(judgement, held_out):
    best = best_saliency(held_out, rows=10)
    twice = {name: 2 * values for name, values in best.items()}
    figure = saliency_figure(judgement, twice, best)
    shown = figure.axes[1].lines[0].get_ydata()
    np.testing.assert_allclose(shown, twice["velocity"])
    low, high = figure.axes[2].get_xlim()
    assert low < 6548 < 6731 < high


def test_methods_side_by_side(judgement, held_out):
    worse = judge("worse", lambda s: at_bound(held_out, scale=3.0), held_out)
    figure = scatter_figure([judgement, worse], {"velocity": 5.0, "broadening": None}, title="")
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    ratio = np.median(np.asarray(lines["worse"]) / np.asarray(lines["ideal"]))
    assert ratio == pytest.approx(3.0, rel=0.1)
    assert set(lines["paper, all S/N"]) == {5.0}
    assert "paper, all S/N" not in [line.get_label() for line in figure.axes[1].lines]
    x, mean, _ = clipped_absolute(worse, "velocity")
    assert len(x) == 25
    assert mean[:5].mean() > 2 * mean[-5:].mean()
    assert absolute_residual_figure([judgement, worse], title="").axes[0].get_ylim()[0] == 0


def test_residual_maps_leave_gaps():
    maps = {"velocity": np.array([[0.0, 1.0], [np.nan, 2.0]]), "broadening": np.ones((2, 2))}
    labels = {name: f"{name} [km/s]" for name in maps}
    figure = residual_maps_figure(maps, title="", labels=labels)
    image = figure.axes[0].images[0]
    assert np.ma.getmaskarray(image.get_array()).sum() == 1
    assert image.norm.vmin == 0.0


def test_all_figures_are_written(judgement, tmp_path):
    paths = write_figures(judgement, tmp_path)
    assert sorted(p.name for p in paths) == sorted(p.name for p in tmp_path.iterdir())
    assert len(paths) == 4
    assert all(path.stat().st_size > 10_000 for path in paths)
