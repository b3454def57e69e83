"""Every option does what it says, on spectra with known truth."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import nebulines as nl
from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.errors import InputError, UsageError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.fit import resolve
from nebulines.instruments.line_spread import LineSpread
from nebulines.spectra import Flag
from nebulines.spectral_axis import SpectralAxis, doppler_factor, velocity_of

PAIR = ("HALPHA6563", "NII6583")
TRIPLET = ("HALPHA6563", "NII6548", "NII6583")


def assert_clean(result):
    assert np.all(result["flags"] == 0), [Flag.describe(int(f)) for f in result["flags"]]


@pytest.mark.parametrize("seed", [1, 2])
def test_truth_comes_back(pair_of_lines, fit_pair, pulls, like_noise, seed):
    known = pair_of_lines(seed=seed)
    result = fit_pair(known.spectra)
    assert_clean(result)
    like_noise(pulls(result, known))
    np.testing.assert_allclose(result["continuum"], 0.5, atol=0.03)
    assert 0.8 < np.median(result["chi2"]) < 1.2
    inside = np.isfinite(result.model)
    miss = (result.model - known.spectra.flux)[inside]
    assert np.std(miss) == pytest.approx(0.02, rel=0.05)


def test_velocity_conventions(pair_of_lines, fit_pair):
    known = pair_of_lines(velocity=600.0, convention="relativistic", noise=2e-4)
    relativistic = fit_pair(known.spectra, velocity_convention="relativistic")
    optical = fit_pair(known.spectra)
    np.testing.assert_allclose(relativistic["velocity"], 600.0, atol=0.5)
    np.testing.assert_allclose(
        optical["velocity"], velocity_of(doppler_factor(600.0, "relativistic")), atol=0.5
    )
    ratio = relativistic["velocity_err"] / optical["velocity_err"]
    np.testing.assert_allclose(ratio, 1 - 600.0 / SPEED_OF_LIGHT_KMS, rtol=1e-4)


def test_vacuum_axes(pair_of_lines, fit_pair, pulls, like_noise):
    known = pair_of_lines(medium="vacuum")
    like_noise(pulls(fit_pair(known.spectra), known))
    # the same numbers called air lie at another velocity: n - 1 = 2.76e-4 at H-alpha
    wrong = replace(known.spectra, axis=replace(known.spectra.axis, medium="air"))
    shift = fit_pair(wrong)["velocity"] - known.velocity
    np.testing.assert_allclose(shift, 2.76e-4 * SPEED_OF_LIGHT_KMS, atol=5.0)


def test_wavenumber_axes_give_fluxes_over_wavelength(pair_of_lines, fit_pair, pulls, like_noise):
    known = pair_of_lines(kind="wavenumber")
    result = fit_pair(known.spectra)
    assert_clean(result)
    like_noise(pulls(result, known))


def test_an_axis_for_every_spectrum(pair_of_lines, fit_pair, pulls, like_noise):
    rng = np.random.default_rng(5)
    values = np.linspace(6470.0, 6670.0, 201) * (1 + rng.uniform(-1e-3, 1e-3, (12, 1)))
    known = pair_of_lines(axis=SpectralAxis(values, "wavelength", "air"))
    like_noise(pulls(fit_pair(known.spectra), known))


def test_a_scale_for_every_spectrum(pair_of_lines, fit_pair, pulls, like_noise):
    scale = np.random.default_rng(6).uniform(1.0, 1.004, 12)
    axis = SpectralAxis(np.linspace(6450.0, 6650.0, 201), "wavelength", "air", scale)
    known = pair_of_lines(axis=axis)
    result = fit_pair(known.spectra)
    assert_clean(result)
    like_noise(pulls(result, known))


def test_numbers_of_numpy_are_numbers():
    numpys = {"detection": np.array(5.0), "continuum_order": np.int64(1)}
    config = FitConfig(redshift=np.float32(0.25), **numpys)
    assert config == FitConfig(redshift=0.25, detection=5.0, continuum_order=1)
    assert json.loads(json.dumps(config.as_dict()))["redshift"] == 0.25
    with pytest.raises(UsageError, match="redshift must be a number"):
        FitConfig(redshift=np.array([0.1, 0.2]))
    with pytest.raises(UsageError, match="between"):
        FitConfig(redshift=np.float32(30.0))


def test_a_redshift_for_every_spectrum(pair_of_lines, fit_pair, pulls, like_noise):
    redshift = np.random.default_rng(7).uniform(0.0, 0.004, 12)
    axis = SpectralAxis(np.linspace(6490.0, 6690.0, 201), "wavelength", "air")
    known = pair_of_lines(axis=axis, redshift=redshift, velocity=(-200.0, 200.0))
    like_noise(pulls(fit_pair(known.spectra), known))
    # a redshift given by hand replaces the file's
    moved = fit_pair(known.spectra, redshift=0.002)
    expected = (1 + redshift) * (1 + known.velocity / SPEED_OF_LIGHT_KMS) / 1.002 - 1
    np.testing.assert_allclose(moved["velocity"], expected * SPEED_OF_LIGHT_KMS, atol=15.0)


def test_a_line_spread_for_every_spectrum(pair_of_lines, fit_pair, pulls, like_noise):
    resolution = np.random.default_rng(8).uniform(1500.0, 4000.0, 12)
    known = pair_of_lines(spread=LineSpread("gaussian", resolution=resolution))
    like_noise(pulls(fit_pair(known.spectra), known))
    # a resolution given by hand replaces the file's
    same = fit_pair(known.spectra, resolution=3000.0)
    wide = resolution < 2900
    excess = (same["broadening"] - known.broadening) / same["broadening_err"]
    assert excess[wide].mean() > 2.0
    assert excess[wide].min() > -3.0


def test_tied_amplitudes_keep_the_ratio_of_theory_and_groups_move_apart(pair_of_lines, fluxes_of):
    strong = np.random.default_rng(9).uniform(1.5, 3.0, (12, 1))
    nitrogen = pair_of_lines(
        lines=TRIPLET[1:], velocity=150.0, broadening=130.0, fluxes=strong * [1.0 / 3.05, 1.0]
    )
    hydrogen = pair_of_lines(lines=TRIPLET[:1], velocity=-100.0, broadening=60.0, seed=1)
    both = replace(
        hydrogen.spectra,
        flux=hydrogen.spectra.flux + nitrogen.spectra.flux,
        variance=hydrogen.spectra.variance + nitrogen.spectra.variance,
    )
    result = nl.fit(both, lines=TRIPLET, amplitudes="tied", ties="HALPHA6563;NII6583,NII6548")
    found = fluxes_of(result, TRIPLET)
    errors = np.stack([result[f"{line}_flux_err"] for line in TRIPLET], axis=1)
    for values in (found, errors):
        np.testing.assert_allclose(values[:, 2] / values[:, 1], 3.05, rtol=1e-5)
    miss = (found - np.concatenate([hydrogen.fluxes, nitrogen.fluxes], axis=1)) / errors
    assert np.abs(miss).max() < 4.5
    assert 0.5 < miss.std() < 1.5
    for name, truth in [
        ("velocity", -100.0),
        ("broadening", 60.0),
        ("velocity_group2", 150.0),
        ("broadening_group2", 130.0),
    ]:
        miss = (result[name] - truth) / result[f"{name}_err"]
        assert np.abs(miss).max() < 4.5, name


def test_positive_amplitudes_are_never_negative(pair_of_lines, fit_pair, fluxes_of):
    known = pair_of_lines(fluxes=[2.0, -0.4])
    assert np.all(fluxes_of(fit_pair(known.spectra), PAIR)[:, 1] < 0)
    positive = fluxes_of(fit_pair(known.spectra, amplitudes="positive"), PAIR)
    assert np.all(positive >= 0)
    assert np.all(positive[:, 1] == 0)
    np.testing.assert_allclose(positive[:, 0], 2.0, rtol=0.15)


def test_line_shapes_differ_as_they_should(sn3):
    truth, spectra, _ = sn3
    few = np.flatnonzero(truth["snr"] > 25)[:12]
    lines = tuple(truth.meta["LINES"])
    fits = {
        shape: nl.fit(spectra[few], lines=lines, shape=shape)
        for shape in ("auto", "sincgauss", "sinc")
    }
    for name in fits["auto"]:
        assert np.array_equal(fits["auto"][name], fits["sincgauss"][name], equal_nan=True), name
    assert np.all(fits["sinc"]["broadening"] == 0)
    assert np.all(fits["sinc"]["chi2"] >= fits["auto"]["chi2"] * 0.999)
    assert np.median(fits["sinc"]["chi2"]) > 1.02 * np.median(fits["auto"]["chi2"])
    for shape in fits:
        np.testing.assert_allclose(fits[shape]["velocity"], truth["velocity"][few], atol=12.0)


def test_noise_estimated_from_the_residuals(pair_of_lines, fit_pair):
    known = pair_of_lines(n=16, noise=0.05)
    blind = replace(known.spectra, variance=None)
    from_file, estimated = fit_pair(known.spectra), fit_pair(blind)
    for name in ("velocity_err", "broadening_err", "HALPHA6563_flux_err"):
        ratio = estimated[name] / from_file[name]
        assert np.median(ratio) == pytest.approx(1.0, abs=0.06)
        assert np.all(np.abs(ratio - 1) < 0.35)
    np.testing.assert_allclose(estimated["velocity"], from_file["velocity"], atol=0.5)
    wrong = replace(known.spectra, variance=known.spectra.variance * 100)
    again = fit_pair(wrong, noise="estimate")
    np.testing.assert_allclose(again["velocity_err"], estimated["velocity_err"], rtol=1e-3)
    with pytest.raises(InputError, match="noise"):
        fit_pair(blind, noise="file")


def test_upper_limits_of_what_is_not_there(pair_of_lines, fit_pair):
    known = pair_of_lines(n=16, fluxes=[3.0, 0.0], seed=4)
    result = fit_pair(known.spectra)
    flux, error = result["NII6583_flux"], result["NII6583_flux_err"]
    np.testing.assert_allclose(
        result["NII6583_flux_limit"], np.maximum(flux, 0) + 3 * error, rtol=1e-5
    )
    assert np.abs(flux / error).max() < 4
    assert np.all(result["HALPHA6563_flux"] > 10 * result["HALPHA6563_flux_err"])


def test_nothing_there_is_flagged(pair_of_lines, fit_pair):
    known = pair_of_lines(n=16, fluxes=0.0)
    result = fit_pair(known.spectra)
    low = (result["flags"] & Flag.LOW_SNR) != 0
    # the search looks at many velocities, so that some of them reach 3 sigma by chance
    assert low.mean() > 0.5
    np.testing.assert_array_equal(low, result["snr"] < 3.0)


def test_unresolved_lines(pair_of_lines, fit_pair):
    known = pair_of_lines(n=16, broadening=0.0, noise=0.05)
    result = fit_pair(known.spectra)
    flagged = (result["flags"] & Flag.UNRESOLVED) != 0
    assert flagged.mean() > 0.9
    assert np.all(result["broadening"] < 3.5 * result["broadening_err"])
    assert np.all(result["broadening_err"] > 0)
    miss = (result["velocity"] - known.velocity) / result["velocity_err"]
    assert 0.5 < miss.std() < 1.6


def test_errors_of_ratios_are_those_of_their_lines_together(pair_of_lines, fit_pair):
    fluxes, noise = [2.0, 1.2], 0.08
    known = pair_of_lines(n=16, fluxes=fluxes, noise=noise, broadening=80.0, seed=10)
    more = [pair_of_lines(n=16, fluxes=fluxes, noise=noise, broadening=80.0, seed=s)
            for s in range(11, 24)]  # fmt: skip
    results = [fit_pair(k.spectra) for k in [known, *more]]
    ratio, error = (
        np.concatenate([r[f"ratio_NII6583_HALPHA6563{x}"] for r in results]) for x in ("", "_err")
    )
    top, bottom = (
        np.concatenate([r[f"{line}_flux"] for r in results]) for line in ("NII6583", "HALPHA6563")
    )
    np.testing.assert_allclose(ratio, top / bottom, rtol=1e-5)
    pull = (ratio - 0.6) / error
    assert abs(np.median(pull)) < 0.3
    assert 1.4826 * np.median(np.abs(pull)) == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("unit", [1e-17, 1e-25, 1e12])
def test_units_do_not_matter(pair_of_lines, fit_pair, unit):
    known = pair_of_lines(seed=3)
    scaled = replace(
        known.spectra, flux=known.spectra.flux * unit, variance=known.spectra.variance * unit**2
    )
    one, other = fit_pair(known.spectra), fit_pair(scaled)
    for name in one:
        in_unit = name.startswith(PAIR) or name in ("continuum", "noise")
        np.testing.assert_allclose(
            other[name] / (unit if in_unit else 1.0), one[name], rtol=2e-3, atol=1e-3, err_msg=name
        )


def test_a_level_far_above_the_lines_does_not_matter(pair_of_lines, fit_pair, pulls, like_noise):
    known = pair_of_lines(level=1e4, noise=0.02)
    like_noise(pulls(fit_pair(known.spectra), known))


def test_bounds_hold_and_are_flagged(pair_of_lines, fit_pair):
    known = pair_of_lines(velocity=(170.0, 300.0), broadening=200.0)
    result = fit_pair(known.spectra, velocity_range=(-500.0, 150.0), broadening_range=(0.0, 100.0))
    assert np.all(result["velocity"] <= 150.01)
    assert np.all(result["broadening"] <= 100.01)
    assert np.all(result["flags"] & Flag.AT_BOUND)


def test_what_is_resolved_before_a_fit(pair_of_lines):
    spectra = pair_of_lines(n=1).spectra
    assert set(resolve(spectra, FitConfig()).lines) == {"HALPHA6563", "NII6548", "NII6583"}
    with pytest.raises(UsageError, match="no default line"):
        resolve(spectra, FitConfig(redshift=5.0))
    with pytest.raises(InputError, match="0 rows"):
        resolve(spectra[:0], FitConfig())
    with pytest.raises(UsageError):
        resolve(spectra, FitConfig(lines=("HALFA",)))


def test_default_lines_of_a_scan_are_those_its_filter_lets_through():
    _, spectra = nl.simulate("sitelle-sn3", n=2, seed=4)
    low, high = spectra.axis.wavelength_range()
    assert low < 6363.78 < high  # the folding order reaches [O I], the filter does not
    assert "OI6364" not in resolve(spectra, FitConfig()).lines
