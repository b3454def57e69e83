"""Extinction laws: published numbers, an independent package, and clear refusals."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy import units as u

from nebulines.errors import UsageError
from nebulines.models import extinction, extinction_laws, transmission

WAVE = np.array([3300.0, 3726.0, 4000.0, 4861.0, 5500.0, 6563.0, 8000.0, 9068.0, 9532.0, 20000.0])


@pytest.mark.parametrize(("x", "expected"), [(2.78, 1.569), (1.82, 1.0), (1.43, 0.751)])
def test_ccm89_table(x, expected):
    """A / A_V at U, V and R for R_V = 3.1 (Cardelli, Clayton & Mathis 1989, table 3)."""
    assert extinction(1e4 / x, "CCM89") == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("wavelength", "k"), [(6300.0, 3.49), (1500.0, 10.33), (22000.0, 0.37)])
def test_calzetti_equation(wavelength, k):
    assert 4.05 * extinction(wavelength, "Calzetti00") == pytest.approx(k, abs=0.02)


@pytest.mark.parametrize("rv", [2.3, 3.1, 5.0])
@pytest.mark.parametrize(
    ("law", "theirs"), [("CCM89", "CCM89"), ("ODonnell94", "O94"), ("Fitzpatrick99", "F99")]
)
def test_agrees_with_dust_extinction(law, theirs, rv):
    models = pytest.importorskip(
        "dust_extinction.parameter_averages", reason="dust_extinction is not installed"
    )
    wave = np.concatenate([[1300.0, 1700.0, 2175.0, 2650.0, 2800.0], WAVE])
    expected = getattr(models, theirs)(Rv=rv)(wave * u.AA)
    np.testing.assert_allclose(extinction(wave, law, rv=rv), expected, rtol=0, atol=1e-6)


def test_smc_agrees_with_dust_extinction():
    averages = pytest.importorskip(
        "dust_extinction.averages", reason="dust_extinction is not installed"
    )
    expected = averages.G03_SMCBar()(WAVE * u.AA)
    np.testing.assert_allclose(extinction(WAVE, "Gordon03SMC"), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("law", extinction_laws())
def test_every_law_reddens(law):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curve = extinction(WAVE, law)
    assert np.all(np.isfinite(curve))
    assert np.all(np.diff(curve) < 0)
    assert extinction(5500.0, law) == pytest.approx(1.0, abs=0.03)


def test_transmission_of_several_sources():
    left = transmission([6562.80, 4861.33], [0.0, 0.3])
    np.testing.assert_array_equal(left[0], 1.0)
    expected = 10 ** (-0.4 * 3.1 * 0.3 * extinction([6562.80, 4861.33]))
    np.testing.assert_allclose(left[1], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"law": "CCM98"}, "unknown extinction law"),
        ({"rv": 1.0}, "R_V"),
        ({"law": "Gordon03SMC", "rv": 3.1}, "leave it out"),
        ({"wavelength": [500.0]}, "Angstrom only"),
        ({"wavelength": [np.nan]}, "Angstrom only"),
    ],
)
def test_wrong_use(options, message):
    with pytest.raises(UsageError, match=message):
        extinction(**{"wavelength": WAVE, **options})
