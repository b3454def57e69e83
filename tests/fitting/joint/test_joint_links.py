"""Laws imposed on fluxes: fixed ratios, and hydrogen lines behind dust."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.fitting.config import FitConfig
from nebulines.fitting.joint.fluxes import links_of
from nebulines.fitting.joint.links import Link, impose, redden
from nebulines.fitting.joint.problem import JointPlan
from nebulines.lines import load_catalogue
from nebulines.lines.recombination import case_b_ratio
from nebulines.models.dust import transmission

NAMES = ["HDELTA4102", "HGAMMA4340", "HBETA4861", "OIII5007", "HALPHA6563"]
HYDROGEN = [0, 1, 2, 4]


def nebulae(n, ebv, noise, seed=0):
    """Fluxes with correlated errors: truth (n, L), measured, covariance."""
    rng = np.random.default_rng(seed)
    ratio = np.array([1.0 if name == "OIII5007" else float(case_b_ratio(name)) for name in NAMES])
    wave = load_catalogue().select(NAMES).wavelength_vacuum
    true = 1e-15 * ratio * transmission(wave, np.broadcast_to(ebv, (n,)), "CCM89")
    common = rng.uniform(0.0, 1.0, (n, len(NAMES), 2))
    covariance = common @ common.swapaxes(1, 2) + np.eye(len(NAMES))
    covariance = covariance * (noise * 1e-15) ** 2
    draw = rng.standard_normal((n, len(NAMES), 1))
    return true, true + (np.linalg.cholesky(covariance) @ draw)[..., 0], covariance


def test_dust_is_found_without_bias_and_with_honest_errors():
    n = 4000
    ebv = np.random.default_rng(1).uniform(0.0, 0.6, n)
    true, flux, covariance = nebulae(n, ebv, 0.01)
    found = redden(flux, covariance, NAMES, "CCM89")
    pull = (found.ebv - ebv) / found.ebv_err
    assert abs(pull.mean()) < 0.06
    assert pull.std() == pytest.approx(1.0, abs=0.05)
    assert np.mean(found.fluxes.chi2) == pytest.approx(2.0, abs=0.12)  # four lines, two unknowns
    for k in range(len(NAMES)):
        error = np.sqrt(found.fluxes.covariance[:, k, k])
        assert np.std((found.fluxes.value - true)[:, k] / error) == pytest.approx(1.0, abs=0.05)
        before = np.sqrt(covariance[:, k, k])
        assert np.all(error <= before * (1 + 1e-9))
    assert np.median(np.sqrt(found.fluxes.covariance[:, 0, 0] / covariance[:, 0, 0])) < 0.5


def test_two_lines_keep_their_fluxes():
    _, flux, covariance = nebulae(50, 0.3, 0.01)
    names = ["HBETA4861", "OIII5007", "HALPHA6563"]
    pick = np.array([2, 3, 4])
    found = redden(flux[:, pick], covariance[:, pick[:, None], pick], names, "CCM89")
    np.testing.assert_allclose(found.fluxes.value, flux[:, pick], rtol=1e-5)
    np.testing.assert_allclose(found.fluxes.chi2, 0.0, atol=1e-6)
    wave = load_catalogue().select(["HBETA4861", "HALPHA6563"]).wavelength_vacuum
    slope = -2.5 * np.log10(transmission(wave, 1.0, "CCM89"))
    decrement = flux[:, 4] / flux[:, 2] / float(case_b_ratio("HALPHA6563"))
    expected = 2.5 * np.log10(decrement) / (slope[0] - slope[1])
    np.testing.assert_allclose(found.ebv, expected, atol=1e-4)


def test_lines_that_are_missing_or_negative():
    _, flux, covariance = nebulae(4, 0.3, 0.01)
    flux[0, [0, 1, 2]] = np.nan  # one line is left
    flux[1, 0] = np.nan
    flux[2, [0, 1, 2]] = -1e-16  # nothing blue: no finite E(B-V)
    found = redden(flux, covariance, NAMES, "CCM89")
    assert np.isnan(found.ebv[[0, 2]]).all()
    assert np.isfinite(found.ebv[[1, 3]]).all()
    assert np.isnan(found.fluxes.value[0, 2])
    assert found.fluxes.value[0, 4] == pytest.approx(flux[0, 4])
    assert redden(flux[:, 3:], covariance[:, 3:, 3:], NAMES[3:], "CCM89") is None


def test_fixed_ratios_hold_and_move_correlated_lines():
    flux = np.array([[2.0, 1.0, 5.0], [2.0, np.nan, 5.0]])
    covariance = np.tile(np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0], [0.5, 0.0, 1.0]]), (2, 1, 1))
    found = impose(flux, covariance, [Link(0, 1, 3.0)])
    assert found.value[0, 0] == pytest.approx(3.0 * found.value[0, 1])
    assert found.value[0, 2] > 5.0
    np.testing.assert_allclose(found.value[1], flux[1])
    assert found.chi2[1] == 0
    assert found.covariance[0, 0, 0] < 1.0


def test_links_between_bands():
    names = ["OIII4959", "HALPHA6563", "OIII5007", "HALPHA6563"]
    shown = (("OIII4959", "HALPHA6563"), ("OIII5007", "HALPHA6563"))
    free = JointPlan(FitConfig(lines=tuple(names[:3])), ("A", "B"), shown)
    assert links_of(names, free) == [Link(1, 3, 1.0)]
    config = FitConfig(lines=tuple(names[:3]), amplitudes="tied")
    tied = JointPlan(config, ("A", "B"), shown)
    assert links_of(names, tied) == [Link(1, 3, 1.0), Link(2, 0, 2.98)]
    together = JointPlan(config, ("A", "B"), (("OIII4959", "OIII5007"), ("HALPHA6563",)))
    assert links_of(["OIII4959", "OIII5007", "HALPHA6563"], together) == []
