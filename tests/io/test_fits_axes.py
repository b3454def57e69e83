"""The spectral axis that headers describe: units, laws, media, order (property tests)."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nebulines.errors import InputError
from nebulines.io import read
from nebulines.io.spectral_wcs import axis_from_header

FEW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SPEED_OF_LIGHT_KMS = 299792.458
LENGTHS = {"Angstrom": 1.0, "nm": 10.0, "um": 1e4, "m": 1e10, "AA": 1.0, "micron": 1e4}


def axis(n: int = 20, number: int = 1, **cards: object):
    header = {f"{key}{number}" if key.isalpha() else key: value for key, value in cards.items()}
    for key in ("AIRORVAC", "RESTWAV", "RESTFRQ", "VACUUM"):
        if f"{key}{number}" in header:
            header[key] = header.pop(f"{key}{number}")
    return axis_from_header(header, n, number, where="header")


@FEW
@given(
    unit=st.sampled_from(sorted(LENGTHS)),
    start=st.floats(3500.0, 9000.0),
    step=st.floats(0.05, 3.0),
    pixel=st.floats(-5.0, 10.0),
    descending=st.booleans(),
    ctype=st.sampled_from(["AWAV", "WAVE", "LINEAR", "LAMBDA", ""]),
    stated=st.sampled_from([None, "air", "vac"]),
)
def test_linear_wavelengths(unit, start, step, pixel, descending, ctype, stated):
    size, sign = LENGTHS[unit], -1.0 if descending else 1.0
    extra = {} if stated is None else {"AIRORVAC": stated}
    found = axis(
        CTYPE=ctype, CUNIT=unit, CRVAL=start / size, CDELT=sign * step / size, CRPIX=pixel, **extra
    )
    expected = start + sign * step * (np.arange(20) + 1 - pixel)
    np.testing.assert_allclose(found.axis.values, np.sort(expected), rtol=1e-10)
    assert found.flip == descending
    medium = {"air": "air", "vac": "vacuum"}.get(stated or "")
    assert found.axis.medium == (medium or ("vacuum" if ctype == "WAVE" else "air"))
    said = any("medium" in note for note in found.assumed)
    assert said == (stated is None and ctype not in ("AWAV", "WAVE"))


@FEW
@given(start=st.floats(3500.0, 9000.0), step=st.floats(0.1, 2.0), pixel=st.floats(0.0, 3.0))
def test_logarithmic_laws_agree_with_wcslib(start, step, pixel):
    cards = {"CTYPE": "WAVE-LOG", "CUNIT": "Angstrom", "CRVAL": start, "CDELT": step}
    found = axis(**cards, CRPIX=pixel)
    header = fits.Header({f"{key}1": value for key, value in cards.items()})
    header["CRPIX1"] = pixel
    expected = WCS(header).wcs_pix2world(np.arange(20.0), 0)[0] * 1e10
    np.testing.assert_allclose(found.axis.values, expected, rtol=1e-9)


@FEW
@given(start=st.floats(3.5, 3.95), step=st.floats(1e-5, 3e-4))
def test_three_ways_to_write_log10(start, step):
    expected = 10.0 ** (start + step * np.arange(20))
    sloan = axis_from_header({"COEFF0": start, "COEFF1": step}, 20, 1, where="header")
    iraf = axis_from_header(
        {"CRVAL1": start, "CD1_1": step, "DC-FLAG": 1, "CTYPE1": "LINEAR"}, 20, 1, where="header"
    )
    named = axis(CTYPE="LINEAR", CUNIT="log10(Angstrom)", CRVAL=start, CDELT=step)
    for found in (sloan, iraf, named):
        np.testing.assert_allclose(found.axis.values, expected, rtol=1e-12)


@FEW
@given(velocity=st.floats(-2000.0, 2000.0), unit=st.sampled_from(["km/s", "m/s"]))
def test_velocities_agree_with_their_definitions(velocity, unit):
    size = 1.0 if unit == "km/s" else 1e3
    v = velocity + 10.0 * np.arange(20)
    beta = v / SPEED_OF_LIGHT_KMS
    rest = 6562.80
    expected = {
        "VOPT": rest * (1 + beta),
        "VRAD": rest / (1 - beta),
        "VELO": rest * np.sqrt((1 + beta) / (1 - beta)),
    }
    for ctype, wavelength in expected.items():
        found = axis(
            CTYPE=ctype, CUNIT=unit, CRVAL=velocity * size, CDELT=10.0 * size, RESTWAV=rest * 1e-10
        )
        np.testing.assert_allclose(found.axis.values, wavelength, rtol=1e-10)


def test_wavenumber_and_frequency():
    found = axis(CTYPE="WAVN", CUNIT="cm-1", CRVAL=15000.0, CDELT=2.0, AIRORVAC="air")
    assert found.axis.kind == "wavenumber"
    assert found.axis.medium == "air"
    np.testing.assert_allclose(found.axis.values, 15000.0 + 2.0 * np.arange(20))
    found = axis(CTYPE="FREQ", CUNIT="THz", CRVAL=456.68, CDELT=0.01)
    assert found.flip
    assert found.axis.medium == "vacuum"
    np.testing.assert_allclose(found.axis.values[-1], 299792.458e13 / 456.68e12, rtol=1e-12)


def test_wcslib_computes_the_other_laws():
    cards = {"CTYPE": "FREQ-W2F", "CUNIT": "Hz", "CRVAL": 4.5e14, "CDELT": 1e10}
    header = fits.Header({f"{key}1": value for key, value in cards.items()})
    header["CRPIX1"] = 1.0
    found = axis_from_header(header, 20, 1, where="header")
    np.testing.assert_allclose(np.diff(found.axis.values, 2), 0.0, atol=1e-6)  # linear in lambda


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"CTYPE": "AWAV", "CUNIT": "Angstrom"}, "CRVAL1"),
        ({"CTYPE": "AWAV", "CUNIT": "Angstrom", "CRVAL": 5000.0, "CDELT": 0.0}, "step"),
        ({"CTYPE": "AWAV", "CUNIT": "parsec", "CRVAL": 5000.0, "CDELT": 1.0}, "parsec"),
        ({"CTYPE": "LINEAR", "CRVAL": 1.0, "CDELT": 1.0}, "add CUNIT"),
        ({"CTYPE": "VOPT", "CUNIT": "km/s", "CRVAL": 1.0, "CDELT": 1.0}, "RESTWAV"),
        ({"CTYPE": "RA---TAN", "CUNIT": "deg", "CRVAL": 1.0, "CDELT": 1.0}, "sky"),
        ({"CTYPE": "AWAV", "CUNIT": "nm", "CRVAL": 5.0, "CDELT": -1.0}, "positive"),
        (
            {"CTYPE": "AWAV", "CUNIT": "nm", "CRVAL": 5.0, "CDELT": 1.0, "AIRORVAC": "sea"},
            "AIRORVAC",
        ),
    ],
)
def test_headers_that_cannot_be_understood(cards, words):
    with pytest.raises(InputError, match=words):
        axis(**cards)


@FEW
@given(
    values=st.lists(st.floats(3000.0, 9000.0), min_size=2, max_size=8),
    bad=st.sampled_from([None, np.nan, 0.0, -1.0]),
)
def test_wavelength_lists_are_increasing_or_refused(tmp_path, values, bad):
    """Whatever stands in WAVE: an increasing axis with its own flux, or a clear refusal."""
    wave = np.array(values)
    if bad is not None:
        wave[0] = bad
    flux = np.arange(len(wave), dtype=np.float32)[None]
    path = tmp_path / "rows.fits"
    fits.HDUList(
        [fits.PrimaryHDU(), fits.ImageHDU(flux, name="FLUX"), fits.ImageHDU(wave, name="WAVE")]
    ).writeto(path, overwrite=True)
    steps = np.diff(wave)
    if bad is None and (np.all(steps > 0) or np.all(steps < 0)):
        spectra = read(path)
        order = np.argsort(wave)
        np.testing.assert_array_equal(spectra.axis.values, wave[order])
        np.testing.assert_array_equal(spectra.flux[0], order)
    else:
        with pytest.raises(InputError, match="channels"):
            read(path)
