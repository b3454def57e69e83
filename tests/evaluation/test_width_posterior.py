"""The exact posterior of widths beside the normal law that it sums, and its limits where the answer
is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm, rankdata

from nebulines.evaluation.width_limits import limits_of, together
from nebulines.evaluation.width_posterior import Library, posteriors
from nebulines.galaxies.widths.bins import BIN_EDGES
from nebulines.galaxies.widths.samples import calibration_shapes, survey_settings

GALAXIES = 4000


def library_of(log_flux, ew):
    measured = ew + 0.1
    rank = (rankdata(measured, axis=0) - 0.5) / len(ew)
    return Library(log_flux.astype(np.float32), ew, measured, rank)


@pytest.fixture(scope="module")
def mixed():
    """Galaxies from blue to red, with widths that follow the slope."""
    rng = np.random.default_rng(1)
    slope = rng.normal(size=(GALAXIES, 1))
    log_flux = 0.3 * slope * np.linspace(-1.0, 1.0, 12) + 0.001 * rng.normal(size=(GALAXIES, 12))
    ew = 10.0 - 4.0 * slope + rng.normal(size=(GALAXIES, 10))
    return library_of(log_flux, ew)


def colours_of(library, rows):
    return np.diff(library.log_flux[rows].astype(float), axis=1) / np.log(10.0)


def direct(colours, library):
    """Weights (m,) from the covariance of eleven colours, S/N by S/N."""
    low, high = np.log(survey_settings()["snr"])
    levels = np.exp(low + (high - low) * (np.arange(12) + 0.5) / 12)
    bends = survey_settings()["calibration"] * calibration_shapes(120).reshape(2, 12, 10).mean(-1)
    step = np.diff(np.eye(12), axis=0)
    weights = np.zeros(len(library.ew))
    for k, log_flux in enumerate(library.log_flux.astype(float)):
        away = np.log(10.0) * colours - np.diff(log_flux)
        white = np.exp(-2.0 * log_flux) / np.diff(BIN_EDGES)[0]
        for snr in levels:
            covariance = step @ (np.diag(white / snr**2) + bends.T @ bends) @ step.T
            weights[k] += multivariate_normal(cov=covariance).pdf(away)
    return weights / weights.sum()


def test_weights_are_those_of_the_normal_law_of_eleven_colours(mixed):
    some = Library(*(part[:60] for part in mixed))
    colours = colours_of(mixed, [0, 7]) + 0.01 * np.sin(np.arange(11))
    for colour, one in zip(colours, posteriors(colours, some), strict=True):
        expected = direct(colour, some)
        np.testing.assert_allclose(one.weight, expected[one.rows], rtol=2e-3, atol=1e-6)
        assert expected[one.rows].sum() == pytest.approx(1.0, abs=1e-5)
        assert one.effective == pytest.approx(1.0 / np.sum(expected**2), rel=2e-3)


def test_medians_and_limits_where_colours_tell_the_slope(mixed):
    windows = np.linspace(0.2, 2.0, 10)[:, None] * np.ones(10)
    rows = np.arange(60)
    rest = Library(*(part[60:] for part in mixed))
    found = together(list(limits_of(colours_of(mixed, rows), rest, windows)))
    expected = mixed.ew[rows].mean(axis=1, keepdims=True)
    assert np.median(np.abs(found.median - expected)) < 0.5
    # of variance 16 + 1 the colours decide 16, less what their noise takes
    assert (found.most_spearman() > 0.9).all()
    assert (found.most_spearman() < 0.98).all()
    # one standard deviation times the quartile of a normal law, and what noise adds
    low, high = found.least_half_width(windows)
    quartile = norm.ppf(0.75)
    assert ((0.8 * quartile < low) & (low < high + 0.05) & (high < 1.6 * quartile)).all()


def test_colours_that_say_nothing_leave_the_population():
    rng = np.random.default_rng(2)
    ew = rng.normal(size=(GALAXIES, 10))
    library = library_of(np.zeros((GALAXIES, 12)), ew)
    windows = np.linspace(0.3, 1.2, 10)[:, None] * np.ones(10)
    found = together(list(limits_of(np.zeros((3, 11)), library, windows)))
    np.testing.assert_allclose(found.effective, GALAXIES, rtol=1e-3)
    np.testing.assert_allclose(found.median, np.median(ew, axis=0)[None].repeat(3, 0), atol=0.01)
    np.testing.assert_allclose(found.rank, 0.5, atol=1e-3)
    low, high = found.least_half_width(windows)
    assert low.mean() < high.mean()
    np.testing.assert_allclose(0.5 * (low + high), norm.ppf(0.75), rtol=0.06)
