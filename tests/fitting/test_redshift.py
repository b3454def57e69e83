"""Redshifts found by a comb of lines in simulated spectra, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.errors import UsageError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.redshift import find_redshift
from nebulines.fitting.sample import brightest_spaxels, join_rows, line_contrast, middle_spaxel
from nebulines.instruments.line_spread import LineSpread
from nebulines.lines import load_catalogue
from nebulines.spectra import Cube, Spectra
from nebulines.spectral_axis import SpectralAxis
from nebulines.synthetic import simulate

DEFAULT = load_catalogue().defaults()


def find(spectra):
    return find_redshift(spectra, DEFAULT, FitConfig())


@pytest.mark.parametrize("redshift", [-0.001, 0.0, 0.0073, 0.03, 0.12, 0.33])
@pytest.mark.parametrize("snr", [8.0, 300.0])
def test_muse_spectra(redshift, snr):
    lines = [
        name
        for name in ("HBETA4861", "OIII4959", "OIII5007", "NII6548", "HALPHA6563", "NII6583",
                     "SII6716", "SII6731")
        if 4750 < load_catalogue().select([name]).wavelength_air[0] * (1 + redshift) < 9350
    ]  # fmt: skip
    _, spectra = simulate("muse", n=4, seed=3, lines=lines, redshift=redshift, snr=(snr, snr))
    found, gain = find(spectra)
    assert abs((1 + found) / (1 + redshift) - 1) * 299792.458 < 300
    assert gain > 100


def test_sitelle_spectra_with_a_scale_for_each():
    _, spectra = simulate(
        "sitelle-sn3", n=6, seed=4, snr=(10, 20), correction=np.linspace(1.01, 1.04, 6),
        velocity=(0.0, 300.0),
    )  # fmt: skip
    found, _ = find(spectra)
    assert -50 < found * 299792.458 < 350


def test_a_bright_sloping_continuum_and_missing_channels_do_not_matter():
    _, spectra = simulate("muse", n=3, seed=5, redshift=0.02, snr=(20, 20))
    ramp = np.linspace(1.0, 30.0, spectra.axis.n_channels) * spectra.flux.max()
    flux = np.asarray(spectra.flux) + ramp
    flux[:, 1000:1100] = np.nan
    found, _ = find(Spectra(flux, spectra.axis, spectra.variance, line_spread=spectra.line_spread))
    assert abs(found - 0.02) < 0.001


def plain(flux, variance=1.0):
    axis = SpectralAxis(np.linspace(4800.0, 9000.0, flux.shape[1]), "wavelength", "air")
    spread = LineSpread("gaussian", resolution=2500.0)
    return Spectra(flux, axis, np.full(flux.shape, variance), line_spread=spread)


@pytest.mark.parametrize("seed", range(4))
def test_noise_has_no_redshift(seed):
    noise = np.random.default_rng(seed).normal(size=(3, 2000))
    with pytest.raises(UsageError, match="no comb of lines"):
        find(plain(noise))


def test_underestimated_noise_has_no_redshift():
    noise = 10 * np.random.default_rng(1).normal(size=(3, 2000))
    with pytest.raises(UsageError, match="no comb of lines"):
        find(plain(noise))


def test_one_line_may_be_any_line():
    x = np.linspace(4800.0, 9000.0, 2000)
    flux = 50.0 * np.exp(-0.5 * ((x - 6900.0) / 4.0) ** 2)[None]
    flux = flux + np.random.default_rng(2).normal(size=flux.shape)
    with pytest.raises(UsageError, match="a single line is not enough"):
        find(plain(flux))


def test_absorption_is_no_emission():
    _, spectra = simulate("muse", n=3, seed=5, redshift=0.02, snr=(30, 30))
    flux = -np.asarray(spectra.flux)
    with pytest.raises(UsageError, match="no comb of lines"):
        find(Spectra(flux, spectra.axis, spectra.variance, line_spread=spectra.line_spread))


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_nothing_has_no_redshift(value):
    with pytest.raises(UsageError, match="redshift"):
        find(plain(np.full((40, 300), value)))


def test_a_band_without_lines():
    axis = SpectralAxis(np.linspace(2000.0, 2300.0, 300), "wavelength", "air")
    with pytest.raises(UsageError, match="no line of the comb can fall"):
        find(Spectra(np.ones((1, 300)), axis))


def cube_of(flux, mask=None, **more):
    """A cube (ny, nx, channel)."""
    axis = SpectralAxis(np.linspace(6500.0, 6700.0, flux.shape[-1]), "wavelength", "air")

    def read(block):
        part = slice(block.y0, block.y1), slice(block.x0, block.x1)
        rows = flux[part].reshape(-1, flux.shape[-1])
        hidden = None if mask is None else mask[part].reshape(rows.shape)
        return Spectra(rows, axis, mask=hidden, **more)

    return Cube(flux.shape, read)


def test_the_sample_of_a_cube_is_where_the_lines_are():
    rng = np.random.default_rng(0)
    flux = rng.normal(size=(9, 8, 100))
    flux[4, 5, 50] += 40.0
    flux[2, 1, 50] += 30.0
    flux[0, 0] = np.nan
    flux[8, 7] += 1e3 * np.linspace(0, 1, 100)  # a star
    mask = np.zeros(flux.shape, bool)
    flux[6, 6, 20] += 1e6  # a hot pixel, masked
    mask[6, 6, 20] = True
    chosen = brightest_spaxels(cube_of(flux, mask))
    assert 2 <= len(chosen) <= 32
    contrast = line_contrast(np.asarray(chosen.flux), chosen.mask)
    assert np.all(np.diff(contrast) <= 0)
    assert any(np.array_equal(row, flux[4, 5]) for row in chosen.flux[:4])
    assert any(np.array_equal(row, flux[2, 1]) for row in chosen.flux[:4])
    np.testing.assert_array_equal(middle_spaxel(cube_of(flux)).flux[0], flux[4, 4])


def test_joined_rows_keep_what_is_their_own():
    resolution, table = np.array([1000.0, 2000.0, 3000.0]), np.ones((3, 5)) * [[1], [2], [3]]
    grid = np.linspace(5000.0, 6000.0, 5)
    spreads = [
        LineSpread("gaussian", resolution=resolution),
        LineSpread("gaussian", fwhm_table=(grid, table)),
        LineSpread("sinc", fwhm_cm1=np.array([2.0, 3.0, 4.0])),
    ]
    axes = [
        SpectralAxis(grid, "wavelength", "air", np.array([1.0, 1.01, 1.02])),
        SpectralAxis(grid * [[1.0], [1.1], [1.2]], "wavelength", "air"),
        SpectralAxis(grid, "wavelength", "air"),
    ]
    for axis, spread in zip(axes, spreads, strict=True):
        whole = Spectra(
            np.arange(15.0).reshape(3, 5), axis, np.ones((3, 5)), line_spread=spread,
            redshift=np.array([0.1, 0.2, 0.3]),
        )  # fmt: skip
        again = join_rows([whole[2], whole[0], whole[1]])
        order = [2, 0, 1]
        np.testing.assert_array_equal(again.flux, whole.flux[order])
        np.testing.assert_array_equal(again.redshift, whole.redshift[order])
        np.testing.assert_array_equal(again.axis.per_spectrum(3), axis.rows(order).per_spectrum(3))
        at = np.array([5400.0])
        np.testing.assert_array_equal(
            again.line_spread.fwhm_angstrom(at), spread.rows(order).fwhm_angstrom(at)
        )
