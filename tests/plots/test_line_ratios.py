"""Figures of line ratios: what they draw, and which colour a method has."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.plots.line_ratios import (
    COLOURS,
    activation_figure,
    against_snr_figure,
    density_figure,
)

RATIOS = ("SII/HALPHA6563", "NII6583/HALPHA6563", "OII/HBETA4861")


@pytest.fixture
def relative():
    generator = np.random.default_rng(0)
    return {name: generator.normal(2.0, 10.0, (300, 3)) for name in ("joint fit", "line_ratios")}


def colours(axes):
    return {line.get_label(): line.get_color() for line in axes.get_lines()}


def test_a_method_has_one_colour_in_all_figures(relative):
    density = density_figure(relative, RATIOS, title="errors")
    snr = np.random.default_rng(1).uniform(5.0, 30.0, 300)
    against = against_snr_figure(relative, snr, RATIOS, title="errors")
    for figure in (density, against):
        found = colours(figure.axes[0])
        assert all(found[name] == COLOURS[name] for name in relative)
    medians = [line for line in against.axes[0].get_lines() if line.get_label() in relative]
    assert all(abs(np.mean(line.get_ydata()) - 2.0) < 3.0 for line in medians)


def test_an_exact_answer_needs_no_density(relative):
    exact = relative | {"line_ratio_ann": np.zeros((300, 3))}
    assert "line_ratio_ann" not in colours(density_figure(exact, RATIOS, title="x").axes[0])


def test_each_band_has_a_panel():
    wave = np.linspace(3600.0, 3700.0, 50)
    bands = [(name, wave, np.arange(1.0, 51.0)) for name in ("SN1", "SN2")]
    figure = activation_figure(bands, {"network": [np.ones(50), np.zeros(50)]}, title="x")
    assert [axes.get_ylabel() for axes in figure.axes] == ["SN1", "SN2"]
    assert figure.axes[0].get_lines()[0].get_ydata().max() == 1.0
