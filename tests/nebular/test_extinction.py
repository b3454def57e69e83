"""Balmer decrement, dereddening, and the propagation of errors through them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from nebulines.errors import UsageError
from nebulines.models import extinction_laws, transmission
from nebulines.nebular import balmer_ebv, case_b_ratio, correct_extinction, deredden, propagate
from nebulines.nebular.extinction import MILKY_WAY, Dust, Plasma, vacuum_wavelength
from nebulines.nebular.ratios import has_line, line_flux, log_ratio

LINES = ("OII3726", "HGAMMA4340", "HBETA4861", "OIII5007", "HALPHA6563", "NII6583", "SII6716")


def intrinsic():
    fluxes = {"OII3726": 1.1, "OIII5007": 2.0, "NII6583": 0.8, "SII6716": 0.5}
    for line in ("HGAMMA4340", "HBETA4861", "HALPHA6563"):
        fluxes[line] = float(case_b_ratio(line))
    return fluxes


def reddened(ebv, dust=MILKY_WAY, redshift=0.0):
    ebv = np.asarray(ebv, float)
    waves = np.array([vacuum_wavelength(line) for line in LINES]) * (1 + redshift)
    left = transmission(waves, ebv, dust.law, rv=dust.rv)
    return {line: intrinsic()[line] * left[..., i] for i, line in enumerate(LINES)}


@pytest.mark.parametrize("law", extinction_laws())
@pytest.mark.parametrize("pair", [("HALPHA6563", "HBETA4861"), ("HBETA4861", "HGAMMA4340")])
def test_every_law_comes_back(law, pair):
    ebv = np.array([0.0, 0.3, 1.0])
    dust = Dust(law)
    fluxes = reddened(ebv, dust)
    np.testing.assert_allclose(balmer_ebv(fluxes, dust=dust, pair=pair), ebv, atol=1e-6)
    clean = correct_extinction(fluxes, dust=dust)
    for line, flux in intrinsic().items():
        np.testing.assert_allclose(clean[line], flux, rtol=1e-5)


def test_foreground_is_taken_out_where_it_is_observed():
    dust = Dust("Fitzpatrick99", 3.1)
    fluxes = reddened([0.2], dust, redshift=0.1)
    clean = deredden(fluxes, 0.2, dust=dust, redshift=0.1)
    for line, flux in intrinsic().items():
        np.testing.assert_allclose(clean[line], flux, rtol=1e-9)


def test_hot_gas_has_a_smaller_decrement():
    fluxes = {"HALPHA6563": [2.75], "HBETA4861": [1.0]}
    assert balmer_ebv(fluxes, plasma=Plasma(2e4, 1e2))[0] == pytest.approx(0.0, abs=2e-3)
    assert balmer_ebv(fluxes)[0] < 0


@pytest.mark.parametrize("a_v", [0.0, 1.0, 3.0])
def test_dereddened_ratios_are_unbiased(a_v):
    """1 per cent for A_V 0 to 3 where H-beta has S/N 30; errors match the scatter."""
    generator, n = np.random.default_rng(4), 40_000
    truth = reddened(a_v / 3.1)
    sigma = float(truth["HBETA4861"]) / 30.0
    noisy = {line: flux + sigma * generator.standard_normal(n) for line, flux in truth.items()}
    ratio = "OIII5007/HALPHA6563"

    def corrected(fluxes):
        return log_ratio(correct_extinction(fluxes), ratio)

    value, error = propagate(corrected, noisy, dict.fromkeys(LINES, sigma))
    expected = np.log10(intrinsic()["OIII5007"] / intrinsic()["HALPHA6563"])
    assert np.median(value) == pytest.approx(expected, abs=np.log10(1.01))
    assert np.mean(value) == pytest.approx(expected, abs=np.log10(1.01))
    assert np.mean(np.abs(value - expected) < error) == pytest.approx(0.683, abs=0.015)


def test_draws_along_a_leading_axis_give_draws():
    generator = np.random.default_rng(5)
    mean = reddened([0.1, 0.5])
    sigma = {line: flux / 50.0 for line, flux in mean.items()}
    draws = {
        line: flux + sigma[line] * generator.standard_normal((4000, 2))
        for line, flux in mean.items()
    }
    from_draws = balmer_ebv(draws)
    linear = propagate(balmer_ebv, mean, sigma)
    assert from_draws.shape == (4000, 2)
    np.testing.assert_allclose(from_draws.std(axis=0), linear.error, rtol=0.05)
    np.testing.assert_allclose(from_draws.mean(axis=0), linear.value, atol=5e-3)


def test_errors_of_a_ratio_are_exact():
    fluxes, errors = {"A": np.array([10.0, -1.0]), "B": np.array([5.0, 5.0])}, {"A": 1.0}
    value, error = propagate(partial(log_ratio, ratio="A/B"), fluxes, errors)
    assert value[0] == pytest.approx(np.log10(2.0))
    assert error[0] == pytest.approx(0.1 / np.log(10), rel=1e-4)
    assert np.isnan(value[1])
    assert np.isnan(error[1])


def test_lines_by_partner_and_sum():
    assert line_flux({"OIII4959": 1.0}, "OIII") == pytest.approx(1 + 2.98, abs=0.05)
    assert line_flux({"OII": 3.0}, "OII") == 3.0
    assert not has_line({"OII3726": 1.0}, "OII")
    with pytest.raises(UsageError, match="SII6716 is needed"):
        line_flux({"HALPHA6563": 1.0}, "SII")
    with pytest.raises(UsageError, match="TOP/BOTTOM"):
        log_ratio({}, "SII")


def test_wrong_use():
    with pytest.raises(UsageError, match="two different lines"):
        balmer_ebv(reddened(0.1), pair=("HBETA4861", "HBETA4861"))
    with pytest.raises(UsageError, match="unknown extinction law"):
        balmer_ebv(reddened(0.1), dust=Dust("CCM98"))
    assert np.isnan(balmer_ebv({"HALPHA6563": [1.0, 0.0], "HBETA4861": [-1.0, 1.0]})).all()
