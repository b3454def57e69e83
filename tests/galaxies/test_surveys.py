"""Galaxies rendered on axes and seen by surveys; mock files."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from click.testing import CliRunner

import nebulines as nl
from nebulines.cli.main import cli
from nebulines.constants import FWHM_PER_SIGMA, SPEED_OF_LIGHT_KMS
from nebulines.errors import UsageError
from nebulines.galaxies.population.drawing import draw_population
from nebulines.galaxies.population.ionised_gas import LINES
from nebulines.galaxies.population.mocks import GalaxyConfig, simulate_galaxies
from nebulines.galaxies.population.observing import observe
from nebulines.galaxies.population.spectra import channel_edges, render
from nebulines.galaxies.population.surveys import get_survey, noise_shape, survey_names
from nebulines.lines import load_catalogue


@pytest.fixture(autouse=True)
def _keep_environment(monkeypatch):
    monkeypatch.setattr("nebulines.runtime.configure", lambda: None)


@pytest.fixture(scope="module")
def galaxies():
    return draw_population(64, [6, 1])


def without_lines(galaxies):
    return galaxies._replace(flux=np.zeros_like(galaxies.flux))


@pytest.mark.parametrize("medium", ["air", "vacuum"])
@pytest.mark.parametrize("z", [0.0, 0.1])
def test_lines_keep_their_flux_and_place(galaxies, medium, z):
    wave = np.arange(6400.0, 6900.0, 0.7) * (1.0 + z)
    options = {"medium": medium, "redshift": np.full(len(galaxies.kind), z), "fwhm": 2.0}
    lines = render(galaxies, wave, **options) - render(without_lines(galaxies), wave, **options)
    names = [name for name in LINES if 6500 < float(name[-4:]) < 6800]
    total = galaxies.flux[:, [LINES.index(name) for name in names]].sum(axis=1)
    found = lines @ np.diff(channel_edges(wave))
    np.testing.assert_allclose(found, total, rtol=3e-3)
    row = int(np.argmax(galaxies.line_ew["HALPHA6563"]))
    centres = load_catalogue().select(["HALPHA6563"]).wavelength(medium)[0] * (1.0 + z)
    near = np.abs(wave - centres) < 8.0
    peak = np.sum(wave[near] * lines[row, near]) / np.sum(lines[row, near])
    assert peak == pytest.approx(centres, abs=0.6)


def test_the_width_of_a_line_is_gas_and_instrument(galaxies):
    only = np.zeros_like(galaxies.flux)
    only[:, LINES.index("OIII5007")] = 1e6
    alone = galaxies._replace(flux=only, continuum=np.zeros_like(galaxies.continuum))
    wave = np.arange(4900.0, 5110.0, 0.5)
    flux = render(alone, wave, fwhm=3.0)
    centre = load_catalogue().select(["OIII5007"]).wavelength_air[0]
    width = np.sqrt(flux @ (wave - centre) ** 2 / flux.sum(axis=1))
    gas = galaxies.gas_dispersion / SPEED_OF_LIGHT_KMS * centre
    np.testing.assert_allclose(width, np.hypot(gas, 3.0 / FWHM_PER_SIGMA), rtol=0.01)


def test_starlight_is_averaged_and_interpolated_alike(galaxies):
    stars = without_lines(galaxies)
    coarse = np.geomspace(3700.0, 7900.0, 825)
    fine = np.geomspace(3700.0, 7900.0, 8241)
    averaged, sampled = render(stars, coarse), render(stars, fine)
    again = np.stack([sampled[:, 5 + 10 * k : 16 + 10 * k].mean(axis=1) for k in range(823)], 1)
    np.testing.assert_allclose(again, averaged[:, 1:-1], rtol=0.02)


def test_redshift_stretches_and_dims(galaxies):
    stars = without_lines(galaxies)
    wave = np.arange(4000.0, 6000.0, 1.0)
    rest, seen = render(stars, wave), render(stars, 1.25 * wave, redshift=0.25)
    np.testing.assert_allclose(seen * 1.25, rest, rtol=5e-3)


def test_channels_beyond_the_basis_are_nan(galaxies):
    flux = render(galaxies, np.arange(3000.0, 3600.0), redshift=0.0)
    assert np.isnan(flux[:, :290]).all()
    assert np.isfinite(flux[:, 310:]).all()


@pytest.mark.parametrize("wave", [[5000.0, 4000.0], [5000.0], [[1.0, 2.0]]])
def test_axes_that_are_none_are_refused(galaxies, wave):
    with pytest.raises(UsageError, match="increasing"):
        render(galaxies, wave)


@pytest.mark.parametrize("name", ["sdss", "manga", "uniform-0.04", "desi-z0.1"])
def test_noise_is_what_sigma_says(galaxies, name):
    seen = observe(galaxies, name, seed=3)
    pulls = ((seen.flux - seen.clean) / seen.sigma)[seen.usable]
    assert pulls.std() == pytest.approx(1.0, abs=0.01)
    assert abs(pulls.mean()) < 0.01
    assert np.isfinite(seen.flux).all()
    assert (seen.flux[~seen.usable] == 0).all()


def test_the_papers_settings(galaxies):
    seen = observe(galaxies, "uniform-0.04", seed=3)
    assert seen.flux.shape[1] == 825
    assert (seen.wavelength[0], seen.wavelength[-1]) == (3700.0, pytest.approx(7900.0))
    np.testing.assert_allclose((seen.clean.astype(float) ** 2).sum(axis=1), 1.0, rtol=1e-4)
    np.testing.assert_allclose(seen.sigma, 0.04, rtol=1e-6)
    desi = observe(galaxies, "desi-z0.1", seed=3)
    assert desi.sigma.max() == pytest.approx(0.04)
    assert desi.sigma[0, 0] > 2.0 * np.median(desi.sigma[0])


def test_snr_and_redshift_as_asked(galaxies):
    snr = np.linspace(2.0, 40.0, len(galaxies.kind))
    seen = observe(galaxies, "sdss", 1, snr=snr, redshift=0.05)
    np.testing.assert_allclose(seen.snr, snr, rtol=0.1)
    assert (seen.redshift == 0.05).all()
    with pytest.raises(UsageError, match="positive"):
        observe(galaxies, "sdss", 1, snr=-1.0)


def test_noise_shows_the_sky_and_the_blue_end():
    shape = noise_shape("desi", [3650.0, 5500.0, 5577.0])
    assert shape[0] > 3.0
    assert shape[1] == pytest.approx(1.0, abs=0.1)
    assert shape[2] > 1.2 * shape[1]
    with pytest.raises(UsageError, match="sdss, desi or manga"):
        noise_shape("step", [5000.0])


def test_unknown_surveys_are_refused():
    assert "desi" in survey_names()
    with pytest.raises(UsageError, match="known: sdss"):
        get_survey("2dF")


def test_truth_holds_the_lines_of_the_spectra():
    truth, spectra = simulate_galaxies(
        "galaxies-sdss", 20, 4, GalaxyConfig(redshift=(0.05, 0.06), snr=(300.0, 301.0))
    )
    wave = spectra.axis.wavelength()
    row = int(np.argmax(truth["OIII5007_ew"]))
    centre = load_catalogue().select(["OIII5007"]).wavelength_vacuum[0]
    centre *= 1.0 + truth["true_redshift"][row]
    near = np.abs(wave - centre) < 15.0
    side = (np.abs(wave - centre) > 15.0) & (np.abs(wave - centre) < 22.0)
    excess = spectra.flux[row] - np.median(spectra.flux[row, side])
    found = np.sum((excess * np.gradient(wave))[near])
    assert found == pytest.approx(truth["OIII5007_flux"][row], rel=0.15)
    shift = (1 + truth["true_redshift"]) / (1 + spectra.redshift) - 1
    np.testing.assert_allclose(shift * SPEED_OF_LIGHT_KMS, truth["velocity"], atol=1e-6)


def test_the_verb_knows_galaxies():
    truth, spectra = nl.simulate("galaxies-manga", n=3, seed=2, redshift=(0.02, 0.03))
    assert spectra.instrument == "manga"
    assert len(truth) == 3
    assert (spectra.variance > 0).all()
    with pytest.raises(UsageError, match="redshift and snr"):
        nl.simulate("galaxies-manga", n=3, ebv=(0, 1))


def test_the_command_writes_spectra_and_truth(tmp_path):
    output = tmp_path / "mock.fits"
    arguments = ["simulate", "galaxies-sdss", "-o", str(output), "--n", "3", "--redshift", "0.05"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    spectra, truth = nl.read(output), Table.read(tmp_path / "mock_TRUTH.fits", hdu="RESULT")
    assert len(spectra) == len(truth) == 3
    np.testing.assert_allclose(spectra.redshift, 0.05)
    expected = simulate_galaxies("galaxies-sdss", 3, 0, GalaxyConfig(redshift=0.05))[1]
    np.testing.assert_allclose(spectra.flux, expected.flux, rtol=1e-6)


def test_the_command_says_what_is_wrong(tmp_path):
    output = str(tmp_path / "mock.fits")
    for arguments in (["galaxies-2df"], ["galaxies-sdss", "--ebv", "0", "1"]):
        done = CliRunner().invoke(cli, ["simulate", *arguments, "-o", output])
        assert done.exit_code == 2
    assert not list(tmp_path.iterdir())
