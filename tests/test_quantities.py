"""Astropy quantities are taken at the door, in any unit that converts."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units

from nebulines.cubes.measure import as_config
from nebulines.errors import UsageError
from nebulines.quantities import unit_text
from nebulines.spectra import Spectra
from nebulines.spectral_axis import SpectralAxis
from nebulines.synthetic.config import SimulationConfig

JANSKY_PER_ANGSTROM = units.Unit("1e-20 erg / (s cm2 AA)")
KMS = units.km / units.s


def test_an_axis_in_any_unit():
    nanometres = SpectralAxis(np.array([500.0, 501.0]) * units.nm, "wavelength", "air")
    np.testing.assert_allclose(nanometres.values, [5000.0, 5010.0])
    assert type(nanometres.values) is np.ndarray
    per_metre = SpectralAxis(np.array([1.5e6, 1.6e6]) / units.m, "wavenumber", "air")
    np.testing.assert_allclose(per_metre.values, [15000.0, 16000.0])
    with pytest.raises(UsageError, match="must be in Angstrom"):
        SpectralAxis(np.array([1.0, 2.0]) * units.kg, "wavelength", "air")


def test_flux_and_variance_bring_their_unit():
    axis = SpectralAxis(np.array([5000.0, 5001.0]), "wavelength", "air")
    flux = np.array([[3.0, 4.0]]) * JANSKY_PER_ANGSTROM
    spectra = Spectra(flux, axis, (0.1 * flux) ** 2)
    assert units.Unit(spectra.unit, format="fits") == JANSKY_PER_ANGSTROM
    np.testing.assert_allclose(spectra.flux, [[3.0, 4.0]])
    np.testing.assert_allclose(spectra.variance, [[0.09, 0.16]])
    in_watts = (flux**2).to(units.Unit("W2 / (m4 um2)"))
    other = Spectra(flux, axis, 0.01 * in_watts, unit="erg s-1 cm-2 Angstrom-1")
    np.testing.assert_allclose(other.flux, [[3e-20, 4e-20]])
    np.testing.assert_allclose(other.variance, [[9e-42, 16e-42]])
    assert spectra[0].unit == spectra.unit
    with pytest.raises(UsageError, match="variance"):
        Spectra(flux, axis, flux)
    with pytest.raises(UsageError, match="no unit that FITS knows"):
        Spectra(flux, axis, unit="bananas")


def test_ranges_of_velocity():
    wanted = (-200.0, 300.0)
    fit = as_config(None, {"velocity_range": [-2e5, 3e5] * units.m / units.s})
    assert fit.velocity_range == pytest.approx(wanted)
    fit = as_config(None, {"broadening_range": (0 * KMS, 90 * KMS)})
    assert fit.broadening_range == (0.0, 90.0)
    mock = SimulationConfig(velocity=wanted * KMS, band=[0.65, 0.66] * units.um)
    assert mock.velocity == pytest.approx(wanted)
    assert mock.band == pytest.approx((6500.0, 6600.0))
    with pytest.raises(UsageError, match="velocity_range must be in km/s"):
        as_config(None, {"velocity_range": wanted * units.s})
    with pytest.raises(UsageError, match="wrong kind"):
        as_config(None, {"lines": 3})


def test_a_unit_that_fits_has_not():
    with pytest.raises(UsageError, match="cannot be written to FITS"):
        unit_text(units.imperial.inch)
