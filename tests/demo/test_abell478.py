"""The real cube: what the demonstration finds, against what is known and an independent fit."""

import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import median_filter
from scipy.optimize import curve_fit

from nebulines.constants import FWHM_PER_SIGMA, SPEED_OF_LIGHT_KMS
from nebulines.demo.data import REDSHIFT, find_cube
from nebulines.spectra import Flag

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
COSMIC_RAY = (14, 23)


def snr(demo):
    flux, error = (demo.result[f"HALPHA6563_flux{end}"] for end in ("", "_err"))
    return (flux / error).reshape(demo.result.shape)


def test_every_product_is_there_and_five_lines_say_so(demo):
    assert set(demo.paths) == {"report", "figure", "figure_pdf", "maps", "model", "table"}
    assert all(path.stat().st_size > 10_000 for path in demo.paths.values())
    assert not [p for p in demo.folder.iterdir() if p.name.startswith(".")]
    assert len(demo.said) == 5
    for path in demo.paths.values():
        assert path.name in demo.said[-1]


def test_default_lines_of_the_band_were_fitted(demo):
    assert {"HBETA4861", "OIII5007", "OI6300", "HALPHA6563", "NII6583", "SII6731"} <= set(
        demo.result.lines
    )
    assert "OII3726" not in demo.result.lines


def test_the_search_puts_ha_on_ha_in_every_bright_spaxel(demo):
    """The gas moves at -625 km/s; with Ha on [N II] 6583 it would be at +318, on 6548 at -1300."""
    velocity = demo.result.image("velocity")[snr(demo) > 10]
    assert velocity.size > 800
    assert np.median(velocity) == pytest.approx(-625, abs=10)
    assert velocity.min() > -800
    assert velocity.max() < -480


def test_velocity_field_is_smooth_where_ha_is_bright(demo):
    velocity = demo.result.image("velocity")
    error = demo.result.image("velocity_err")
    bright = snr(demo) > 20
    rough = velocity - median_filter(np.nan_to_num(velocity, nan=-625.0), 3)
    assert np.std(rough[bright]) < 8
    assert np.median(error[bright]) < 5


def test_line_ratios_are_those_of_a_cool_core(demo):
    bright = (snr(demo) > 20).ravel()
    result = demo.result
    assert np.median(result["ratio_NII6583_HALPHA6563"][bright]) == pytest.approx(1.1, abs=0.1)
    doublet = result["NII6583_flux"][bright].sum() / result["NII6548_flux"][bright].sum()
    assert doublet == pytest.approx(3.05, abs=0.12)
    assert np.median(result["broadening"][bright]) == pytest.approx(108, abs=15)


def test_residuals_are_noise(demo):
    assert np.median(demo.result["chi2"]) == pytest.approx(1.0, abs=0.05)
    assert np.mean(demo.result["chi2"] > 1.3) < 0.01


def test_cosmic_ray_on_ha_is_flagged_and_no_bright_spaxel_is_ambiguous(demo):
    flags = demo.result.image("flags").astype(int)
    assert flags[COSMIC_RAY] & Flag.OUTLIER_CHANNEL
    assert not np.any(flags[snr(demo) > 10] & int(Flag.AMBIGUOUS_VELOCITY | Flag.LOW_SNR))
    others = flags & ~int(Flag.SECOND_COMPONENT)
    assert np.mean(others[snr(demo) > 10] == 0) > 0.95


def test_maps_and_table_agree(demo):
    with fits.open(demo.paths["maps"]) as maps:
        np.testing.assert_allclose(
            maps["HA6562_VEL"].data, demo.result.image("velocity"), rtol=1e-6
        )
        np.testing.assert_array_equal(maps["MASK"].data, demo.result.image("flags"))


def test_bright_spaxels_agree_with_scipy(demo):
    """Ha and [N II] alone, by curve_fit, with MUSE's line spread (Bacon et al. 2017, A&A 608,
    A1): velocity, dispersion and flux within the errors' range of the joint fit."""
    with fits.open(find_cube()) as file:
        data, stat = (file[name].data for name in ("DATA", "STAT"))
        wavelength = 4749.890625 + 1.25 * np.arange(data.shape[0])
        for y, x in [(17, 14), (25, 28), (12, 24), (30, 10)]:
            _compare(demo.result, wavelength, data[:, y, x], stat[:, y, x], y, x)


def _compare(result, wavelength, flux, variance, y, x):
    near = (wavelength > 7080) & (wavelength < 7175)
    at, values = wavelength[near], flux[near].astype(float)
    start = [-625.0, 100.0, 900.0, 350.0, 900.0, float(np.median(values)), 0.0]
    found, covariance = curve_fit(
        _three_lines, at, values, start, np.sqrt(variance[near].astype(float))
    )
    found[1] = abs(found[1])
    row = y * result.shape[1] + x
    measured = [result[name][row] for name in ("velocity", "broadening", "HALPHA6563_flux")]
    pull = (np.array(measured) - found[:3]) / np.sqrt(np.diag(covariance)[:3])
    assert np.all(np.abs(pull) < 2.5), f"spaxel ({y}, {x}): {pull}"


def _three_lines(wavelength, velocity, sigma, ha, n2, n2_red, level, slope):
    model = level + slope * (wavelength - 7128.0) / 50.0
    for rest, area in ((6562.80, ha), (6548.05, n2), (6583.45, n2_red)):
        centre = rest * (1 + REDSHIFT) * (1 + velocity / SPEED_OF_LIGHT_KMS)
        spread = (5.866e-8 * centre**2 - 9.187e-4 * centre + 6.040) / FWHM_PER_SIGMA
        width = np.hypot(spread, centre * sigma / SPEED_OF_LIGHT_KMS)
        profile = np.exp(-0.5 * ((wavelength - centre) / width) ** 2)
        model = model + area * profile / (width * np.sqrt(2 * np.pi))
    return model


def test_the_tutorial_runs_on_what_the_demonstration_left(demo, monkeypatch, tmp_path):
    (tmp_path / "nebulines-demo").symlink_to(demo.folder)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    text = TUTORIAL.read_text(encoding="utf-8")
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        exec(block, names)
    names["maps"].close()
    assert "OUTLIER_CHANNEL" in Flag.describe(int(names["row"]["flags"]))
    assert (tmp_path / "spaxel.pdf").stat().st_size > 5000
