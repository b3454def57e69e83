"""Surveys of galaxies through ``nebulines.fit``: lines above starlight, and what fails."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import nebulines as nl
from nebulines.errors import InputError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.fit import resolve
from nebulines.fitting.prepared import prepare
from nebulines.fitting.start import Start
from nebulines.galaxies.population.drawing import draw_population
from nebulines.galaxies.population.spectra import render
from nebulines.galaxies.starlight import gas
from nebulines.galaxies.starlight.basis import load_starlight
from nebulines.instruments.line_spread import LineSpread
from nebulines.spectra import Flag, Spectra
from nebulines.spectral_axis import SpectralAxis

LINES = ("HBETA4861", "OIII4959", "OIII5007")
SNR, REDSHIFT, N = 40.0, 0.05, 16
WAVE = 10 ** np.arange(3.6, 3.765, 1e-4)
WRONG, NEGATIVE, MASKED, SKY, NO_REDSHIFT, EMPTY = range(N - 6, N)


@pytest.fixture(scope="module")
def galaxies():
    """Sixteen galaxies as SDSS would see them; the last six are spoiled, each in its own way."""
    population = draw_population(200, seed=(8, 16))
    bright = np.flatnonzero(population.ew[:, population.lines.index("HBETA4861")] > 2.0)[:N]
    population = population.rows(bright)
    flux = render(population, WAVE, medium="vacuum", redshift=REDSHIFT)
    level = np.median(flux, axis=1, keepdims=True)
    rng = np.random.default_rng(2)
    noisy = flux / level + rng.normal(size=flux.shape) / SNR
    redshift = np.full(N, REDSHIFT)
    redshift[WRONG] = 0.09
    noisy[NEGATIVE] -= 2.0
    mask = np.zeros(flux.shape, bool)
    mask[MASKED, 500:600] = True
    noisy[MASKED, 500:600] = np.nan
    noisy[SKY, 300:1400:100] += 20.0
    redshift[NO_REDSHIFT] = np.nan
    mask[EMPTY] = True
    stars = load_starlight()
    width = (1 + REDSHIFT) * np.interp(WAVE / (1 + REDSHIFT), stars.wavelength_air, stars.fwhm)
    spectra = Spectra(
        noisy.astype(np.float32),
        SpectralAxis(WAVE, "wavelength", "vacuum"),
        variance=np.full(flux.shape, SNR**-2, np.float32),
        mask=mask,
        line_spread=LineSpread("gaussian", fwhm_table=(WAVE, width)),
        redshift=redshift,
        instrument="sdss",
    )
    index = [population.lines.index(name) for name in LINES]
    return spectra, population, population.flux[:, index] / level


@pytest.fixture(scope="module")
def result(galaxies):
    return nl.fit(galaxies[0], lines=LINES, method="fit")


def test_a_survey_is_fitted_above_starlight_by_itself(result):
    assert '"continuum": "stellar"' in result.meta["CONFIG"]
    assert result.meta["STELLAR"] == "nebulines"


def test_fluxes_and_widths_are_those_of_the_gas(galaxies, result):
    _, population, flux = galaxies
    good = slice(0, N - 6)
    for i, name in enumerate(LINES):
        pull = (result[f"{name}_flux"][good] - flux[good, i]) / result[f"{name}_flux_err"][good]
        assert np.abs(pull).max() < 4.5, name
        assert abs(np.median(pull)) < 1.0, name
        ew = population.ew[good, population.lines.index(name)]
        miss = (result[f"{name}_ew"][good] - ew) / np.hypot(
            result[f"{name}_ew_err"][good], 0.02 * ew
        )
        assert np.abs(miss).max() < 4.5, name
    assert np.all(result["HBETA4861_continuum"][good] > 0)


@pytest.mark.parametrize("unit", [1e-20, 1e15])
def test_any_unit_gives_the_same_answer(galaxies, result, unit):
    """cgs numbers, whose squares single precision does not hold, among them."""
    spectra = galaxies[0]
    flux, variance = (np.asarray(part, float) for part in (spectra.flux, spectra.variance))
    filled = np.where(spectra.mask, 1e30, flux * unit)  # what some files hold where nothing is
    scaled = replace(spectra, flux=filled, variance=variance * unit**2)
    tiny = nl.fit(scaled, lines=LINES, method="fit")
    np.testing.assert_array_equal(tiny["flags"], result["flags"])
    good = result["flags"] == 0
    for column in ("OIII5007_flux", "OIII5007_flux_err", "OIII5007_amplitude", "continuum"):
        np.testing.assert_allclose(tiny[column][good] / unit, result[column][good], rtol=5e-3)
    for column in ("stellar_velocity", "OIII5007_ew", "velocity"):
        np.testing.assert_allclose(tiny[column][good], result[column][good], atol=0.2, rtol=0.01)


def test_balmer_absorption_is_given_back(galaxies, result):
    spectra, _, flux = galaxies
    plain = nl.fit(spectra, lines=LINES, method="fit", continuum="window", keep_model=False)
    good = slice(0, N - 6)
    biased = np.median(plain["HBETA4861_flux"][good] / flux[good, 0])
    right = np.median(result["HBETA4861_flux"][good] / flux[good, 0])
    assert abs(right - 1.0) < 0.02
    assert biased < right - 0.05
    assert "stellar_velocity" not in plain


def test_kinematics_of_the_stars(galaxies, result):
    _, population, _ = galaxies
    good = slice(0, N - 6)
    pull = result["stellar_velocity"][good] / result["stellar_velocity_err"][good]
    assert np.abs(pull).max() < 4.5
    miss = result["stellar_dispersion"][good] - population.velocity_dispersion[good]
    assert np.median(np.abs(miss)) < 20.0
    assert np.all(result["stellar_ebv"][good] >= 0.0)


def test_the_model_covers_the_spectrum(galaxies, result):
    spectra, _, _ = galaxies
    good = slice(0, N - 6)
    left = (spectra.flux[good] - result.model[good]) * SNR
    assert np.isfinite(result.model[good]).all()
    # lines that were not asked for stay in the residual
    assert 0.8 < 1.4826 * np.median(np.abs(left)) < 1.2


def test_spoiled_spectra_are_flagged(result):
    flags = result["flags"]
    assert flags[WRONG] & int(Flag.POOR_STARLIGHT | Flag.LOW_SNR | Flag.POOR_FIT)
    assert flags[NEGATIVE] & int(Flag.NO_STARLIGHT)
    assert flags[SKY] & int(Flag.POOR_STARLIGHT | Flag.OUTLIER_CHANNEL | Flag.POOR_FIT)
    assert flags[NO_REDSHIFT] & int(Flag.BAD_REDSHIFT)
    assert flags[EMPTY] & int(Flag.NO_DATA)
    assert not flags[MASKED] & int(Flag.NO_STARLIGHT | Flag.NO_DATA)
    for name in result:
        values = result[name]
        assert not np.any(~np.isfinite(values) & (flags == 0)), name
    assert np.isnan(result["stellar_velocity"][[NEGATIVE, EMPTY]]).all()


def test_good_spectra_are_not_flagged(result):
    quiet = int(Flag.UNRESOLVED | Flag.LOW_SNR)
    assert ((result["flags"][: N - 6] & ~quiet) == 0).mean() > 0.7


def test_spectra_that_are_too_short_are_fitted_above_a_polynomial(galaxies):
    spectra, _, _ = galaxies
    near = slice(900, 1250)
    short = Spectra(
        spectra.flux[:4, near],
        SpectralAxis(WAVE[near], "wavelength", "vacuum"),
        variance=spectra.variance[:4, near],
        line_spread=LineSpread("gaussian", resolution=1800.0),
        redshift=REDSHIFT,
        instrument="sdss",
    )
    found = nl.fit(short, lines=LINES, method="fit", keep_model=False)
    assert "stellar_velocity" not in found
    asked = nl.fit(short, lines=LINES, method="fit", keep_model=False, continuum="stellar")
    assert np.all(asked["flags"] & int(Flag.NO_STARLIGHT))
    assert np.allclose(asked["OIII5007_flux"], found["OIII5007_flux"], rtol=1e-3)


def test_templates_that_do_not_exist(galaxies):
    with pytest.raises(InputError, match="no such file or folder"):
        nl.fit(galaxies[0][:2], lines=LINES, templates="/nowhere", continuum="stellar")


def test_columns_have_units_and_names_in_maps(result):
    table = result.table()
    assert str(table["HBETA4861_ew"].unit) == "Angstrom"
    assert str(table["stellar_velocity_err"].unit) == "km / s"
    assert "1-sigma error" in table["stellar_dispersion_err"].description
    assert list(table.colnames)[-1] == "flags"


def test_the_last_fit_starts_where_gas_was_seen_and_searches_elsewhere(galaxies, monkeypatch):
    spectra = galaxies[0][:4]
    config = resolve(spectra, FitConfig(lines=LINES, continuum="window"))
    prepared, places = prepare(spectra, config), np.array([10.0, 20.0, 30.0, 40.0])
    seen = np.array([True, False, True, False])
    searched = []

    def search(part):
        searched.append(part.data.data.copy())
        return Start(*(np.full(len(part.data.data), -1.0) for _ in Start._fields))

    monkeypatch.setattr(gas, "search_start", search)
    first = gas.Gas(seen, Start(places, places, places, places))
    start = first.find(prepared)
    assert start.velocity.tolist() == start.score.tolist() == [10.0, -1.0, 30.0, -1.0]
    assert len(searched) == 1
    assert np.array_equal(searched[0], prepared.data.data[~seen])
    known = first.kinematics(np.array([1.0, 2.0, 3.0, 4.0]))
    assert known["velocity_kms"].tolist() == [10.0, 2.0, 30.0, 4.0]


def test_a_bright_line_that_is_no_gaussian_keeps_its_error(galaxies):
    """Channels under such a line are clipped; what starlight adds to the variance of its flux is
    not what the few that are left would tell."""
    spectra = galaxies[0][:4]
    line = np.abs(WAVE - 5008.24 * (1 + REDSHIFT)) < 4.0
    bright = replace(spectra, flux=spectra.flux + np.float32(300.0 / SNR) * line)
    error = [nl.fit(bright, lines=LINES, method="fit", continuum=name).columns["OIII5007_flux_err"]
             for name in ("stellar", "window")]  # fmt: skip
    assert np.all(error[0] < 1.5 * error[1])
