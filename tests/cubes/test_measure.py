"""The verb `fit` in memory: same values as the run to files."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.cubes.measure import fit
from nebulines.cubes.run import fit_cube
from nebulines.errors import InputError, UsageError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.result import Result
from nebulines.spectra import Spectra
from nebulines.spectral_axis import SpectralAxis


@pytest.mark.parametrize("width", [1, 3])
def test_a_cube_in_memory_equals_the_cube_on_disk(fake, cube, tmp_path, width):
    mask = np.zeros((7, 5))
    mask[6, 0] = 1
    result = fit(cube, redshift=0.01, bin=width, mask=mask)
    fit_cube(cube, FitConfig(redshift=0.01), tmp_path / "out", bin=width, mask=mask)
    saved = Result.read(tmp_path / "out_MAPS.fits")
    assert set(saved) == set(result)
    for name in result:
        assert np.array_equal(saved[name], result[name], equal_nan=result[name].dtype.kind == "f")
    assert saved.meta["CONFIG"] == result.meta["CONFIG"]
    assert result.image("velocity").shape == (7, 5)


def test_spectra_keep_their_model_unless_told(fake, axis):
    spectra = Spectra(np.ones((4, 12)), axis)
    assert np.array_equal(fit(spectra).model, np.full((4, 12), 1.5))
    assert fit(spectra, keep_model=False).model is None


def test_a_cube_keeps_its_model_when_told(fake, cube, numbers):
    assert fit(cube).model is None
    model = fit(cube, keep_model=True).model
    assert np.array_equal(model, numbers.reshape(35, 12) + 0.5)


def test_wrong_use_is_said(fake, cube, axis):
    spectra = Spectra(np.ones((4, 12)), axis)
    with pytest.raises(UsageError, match="the options of a fit are lines, catalogue"):
        fit(spectra, velocity=3)
    with pytest.raises(UsageError, match="need a cube"):
        fit(spectra, bin=2)
    with pytest.raises(InputError, match="no spectrum"):
        fit(spectra[:0])


@pytest.mark.parametrize("data", [None, "cube.fits", np.ones((2, 12)), ["cube.fits"]])
def test_what_is_no_spectra_is_said(data):
    with pytest.raises(UsageError, match=r"as nebulines\.read gives them"):
        fit(data)


def test_a_redshift_may_be_of_any_kind_of_number(fake, axis):
    spectra = Spectra(np.ones((2, axis.n_channels)), axis)
    for redshift in (0.01, np.float32(0.01), np.array(0.01), np.array([0.01])):
        assert fit(spectra, redshift=redshift).meta["REDSHIFT"] == pytest.approx(0.01)
    with pytest.raises(UsageError, match="one number for all spectra"):
        fit(spectra, redshift=np.zeros(2))


def test_the_real_engine_recovers_a_line():
    """One bright Gaussian line on a flat continuum, through the verb a user calls."""
    axis = SpectralAxis(6500.0 + 1.25 * np.arange(120), "wavelength", "air")
    sigma = 3.0
    centre = 6562.80 * (1 + 100.0 / 299792.458)
    profile = np.exp(-0.5 * ((axis.values - centre) / sigma) ** 2)
    profile *= 500.0 / (sigma * np.sqrt(2 * np.pi))
    rng = np.random.default_rng(3)
    flux = 10.0 + profile + rng.normal(0, 0.5, (20, 120))
    spectra = Spectra(flux, axis, np.full(flux.shape, 0.25), unit="erg s-1 cm-2 Angstrom-1")
    result = fit(spectra, lines=("HALPHA6563",), resolution=3000.0)
    assert np.median(result["velocity"]) == pytest.approx(100.0, abs=1.0)
    assert np.median(result["HALPHA6563_flux"]) == pytest.approx(500.0, rel=0.01)
    assert str(result.table()["HALPHA6563_flux"].unit) == "erg / (s cm2)"
    assert np.nanstd(result.model - flux) == pytest.approx(0.5, rel=0.1)
