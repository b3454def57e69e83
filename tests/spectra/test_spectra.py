"""Sets of spectra: subsets, and what cannot be one."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.errors import InputError
from nebulines.instruments.line_spread import LineSpread
from nebulines.spectra import Spectra
from nebulines.spectral_axis import SpectralAxis

AXIS = SpectralAxis(np.linspace(6500.0, 6600.0, 5), "wavelength", "air")
FLUX = np.arange(15.0).reshape(3, 5)


def test_a_set_is_gone_through_spectrum_by_spectrum():
    spectra = Spectra(FLUX, AXIS, redshift=[0.1, 0.2, 0.3])
    assert [one.flux[0, 0] for one in spectra] == [0.0, 5.0, 10.0]
    assert [float(one.redshift[0]) for one in spectra] == [0.1, 0.2, 0.3]
    assert spectra[-1].flux[0, 0] == 10.0
    for index in (3, -4):
        with pytest.raises(IndexError, match="the set has 3"):
            spectra[index]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"flux": FLUX[:, :4]}, "5 channels"),
        ({"flux": FLUX[None]}, "shape"),
        ({"flux": np.full((3, 5), "a")}, "real numbers"),
        ({"flux": FLUX + 1j}, "real numbers"),
        ({"variance": np.ones(2)}, "shape of flux"),
        ({"mask": np.ones((1, 5), bool)}, "shape of flux"),
        ({"redshift": [0.1, 0.2]}, "one for each of 3"),
        ({"line_spread": LineSpread("gaussian", resolution=[1e3, 2e3])}, "resolution must be one"),
        ({"line_spread": LineSpread("sinc", fwhm_cm1=np.ones(4))}, "fwhm_cm1 must be one"),
    ],
)
def test_what_does_not_fit_together_is_said(wrong, message):
    with pytest.raises(InputError, match=message):
        Spectra(**({"flux": FLUX, "axis": AXIS} | wrong))


def test_an_axis_of_text_is_said():
    with pytest.raises(InputError, match="must hold numbers"):
        SpectralAxis(["a", "b"], "wavelength", "air")
