"""Spectra: which are shown, which part of them, and what is drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.figure import Figure

from nebulines.plots.spectra import (
    FittedSpectrum,
    Window,
    choose_spaxels,
    draw_spectrum,
    line_windows,
)


@given(
    arrays(float, (7, 9), elements=st.floats(-5, 100) | st.just(float("nan"))), st.integers(1, 8)
)
def test_chosen_spaxels_are_distinct_usable_and_start_with_the_brightest(snr, count):
    chosen = choose_spaxels(snr, count=count, border=0)
    usable = np.isfinite(snr) & (snr > 0)
    assert len(chosen) == min(count, usable.sum())
    assert len(set(chosen)) == len(chosen)
    assert all(usable[place] for place in chosen)
    if chosen:
        assert snr[chosen[0]] == snr[usable].max()


def test_chosen_spaxels_span_the_range_of_signal_to_noise():
    y, x = np.mgrid[:40, :40]
    snr = 80.0 * np.exp(-0.5 * ((y - 15) ** 2 + (x - 22) ** 2) / 7.0**2)
    values = np.array([snr[place] for place in choose_spaxels(snr, lowest=4.0)])
    wanted = np.geomspace(80.0, 4.0, 6)
    np.testing.assert_allclose(values, wanted, rtol=0.1)


def test_chosen_spaxels_keep_off_the_rim_and_apart():
    snr = np.full((20, 20), 10.0)
    chosen = np.array(choose_spaxels(snr, count=4))
    assert chosen.min() >= 2
    assert chosen.max() <= 17
    gaps = np.hypot(*(chosen[:, None] - chosen[None]).transpose(2, 0, 1))
    assert gaps[~np.eye(4, dtype=bool)].min() > 10


def test_windows_hold_their_lines_and_stay_in_the_band():
    lines = {"HALPHA6563": 7126.0, "NII6583": 7148.0, "SII6716": 7292.0, "HBETA4861": 5278.0}
    windows = line_windows(lines, (5270.0, 7300.0))
    assert [set(w.lines) for w in windows] == [
        {"HBETA4861"},
        {"HALPHA6563", "NII6583"},
        {"SII6716"},
    ]
    for window in windows:
        assert 5270.0 <= window.low < min(window.lines.values())
        assert max(window.lines.values()) < window.high <= 7300.0


def test_windows_of_lines_outside_every_group_and_of_none():
    assert [set(w.lines) for w in line_windows({"MINE": 5000.0}, (4000.0, 6000.0))] == [{"MINE"}]
    assert line_windows({"HALPHA6563": 6563.0}, (4000.0, 6000.0)) == []


def test_windows_may_be_marked_elsewhere():
    (window,) = line_windows({"HALPHA6563": 7126.0}, (5000, 9000), marks={"HALPHA6563": 7130.0})
    assert window.lines == {"HALPHA6563": 7130.0}
    assert window.low < 7126.0 - 25


@pytest.fixture
def spectrum():
    wavelength = np.arange(7080.0, 7200.0, 1.25)
    model = 20.0 + 100.0 * np.exp(-0.5 * ((wavelength - 7126.0) / 2.5) ** 2)
    flux = model + 3.0
    return FittedSpectrum(
        wavelength,
        flux,
        np.full_like(flux, 2.0),
        model,
        [Window(7090.0, 7190.0, {"HALPHA6563": 7126.0, "NII6583": 7148.0})],
        "a title",
    )


def test_data_fit_and_normalised_residuals_are_drawn(spectrum):
    figure = Figure()
    place = figure.add_gridspec(1, 1)[0]
    above, below = draw_spectrum(figure, place, spectrum)
    inside = (spectrum.wavelength >= 7090) & (spectrum.wavelength <= 7190)
    data, fit = (line.get_ydata() for line in above.lines[:2])
    np.testing.assert_array_equal(data, spectrum.flux[inside])
    np.testing.assert_array_equal(fit, spectrum.model[inside])
    residual = next(line for line in below.lines if len(line.get_ydata()) == inside.sum())
    np.testing.assert_allclose(residual.get_ydata(), 1.5)
    written = {text.get_text() for text in above.texts}
    assert {"a title", "[N II]", r"H$\alpha$"} <= written


def test_hidden_channels_and_missing_errors_leave_no_warning(spectrum):
    spectrum.flux[10:20] = np.nan
    spectrum.error[:] = np.nan
    figure = Figure()
    draw_spectrum(figure, figure.add_gridspec(1, 1)[0], spectrum)
    figure.draw_without_rendering()
