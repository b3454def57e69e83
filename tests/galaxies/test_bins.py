"""Bins and colours against their definitions."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from nebulines.errors import InputError
from nebulines.galaxies.widths.bins import (
    BIN_EDGES,
    bin_flux,
    bin_weights,
    colours,
    require_coverage,
)


def test_edges_are_the_published_ones():
    np.testing.assert_array_equal(BIN_EDGES, 3400.0 + 300.0 * np.arange(13))


def test_plain_mean_on_an_even_grid(double):
    wavelength = np.arange(3400.5, 7000.0, 1.0)
    flux = np.random.default_rng(0).uniform(1.0, 2.0, (3, 3600))
    binned = bin_flux(flux, bin_weights(wavelength))
    np.testing.assert_allclose(binned.flux, flux.reshape(3, 12, 300).mean(axis=2), rtol=1e-12)


@pytest.mark.parametrize("grid", ["linear", "logarithmic", "coarse", "random"])
def test_a_straight_line_keeps_its_mean_on_any_grid(double, grid):
    rng = np.random.default_rng(1)
    wavelength = {
        "linear": np.arange(3300.0, 7101.0, 1.7),
        "logarithmic": np.exp(np.arange(np.log(3300), np.log(7101), 3e-4)),
        "coarse": np.arange(3300.0, 7101.0, 37.0),
        "random": np.sort(rng.uniform(3300.0, 7100.0, 4000)),
    }[grid]
    middle = 0.5 * (BIN_EDGES[1:] + BIN_EDGES[:-1])
    tolerance = 1e-2 if grid == "coarse" else 1e-3
    binned = bin_flux(wavelength[None] / 5000.0, bin_weights(wavelength))
    np.testing.assert_allclose(binned.flux[0], middle / 5000.0, rtol=tolerance)


def test_missing_channels_do_not_count(double):
    wavelength = np.arange(3300.0, 7100.0)
    flux = np.ones((2, len(wavelength)))
    flux[0, 500:600] = np.nan
    flux[1, 500:600] = 1e6
    usable = np.ones(flux.shape, bool)
    usable[1, 500:600] = False
    binned = bin_flux(flux, bin_weights(wavelength), usable)
    np.testing.assert_allclose(binned.flux, 1.0)
    assert binned.coverage.min() == pytest.approx(2 / 3, abs=0.01)


def test_colours_are_the_published_ones():
    flux = np.random.default_rng(2).uniform(1.0, 3.0, (4, 12))
    np.testing.assert_allclose(colours(flux), -np.log10(flux[:, :-1] / flux[:, 1:]), atol=2e-7)


def test_a_negative_bin_spoils_its_own_colours_alone():
    flux = np.ones((1, 12), np.float32)
    flux[0, 4] = -1.0
    assert np.flatnonzero(np.isnan(colours(flux)[0])).tolist() == [3, 4]
    gradient = jax.grad(lambda f: colours(f)[0, 7])(flux)
    assert np.isfinite(gradient).all()


def test_short_axes_and_other_units_are_refused():
    with pytest.raises(InputError, match="3400 to 7000"):
        require_coverage(np.arange(3700.0, 7100.0))
    with pytest.raises(InputError, match="unit of the"):
        require_coverage(np.arange(330.0, 710.0))
    with pytest.raises(InputError, match="increase"):
        bin_weights(np.array([5000.0, 4000.0]))
