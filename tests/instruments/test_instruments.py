"""The table of instruments: every row, published widths, and a user's own file."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u

from nebulines.errors import UsageError
from nebulines.instruments import get_instrument, instrument_names
from nebulines.instruments.line_spread import LineSpread

NAMES = instrument_names()


@pytest.mark.parametrize("name", NAMES)
def test_every_row_makes_an_axis_and_a_width(name):
    instrument = get_instrument(name)
    axis = instrument.axis_for()
    low, high = axis.wavelength_range()
    assert axis.kind == instrument.axis
    assert axis.medium == instrument.medium
    assert low <= instrument.band[0]
    assert high >= instrument.band[1] - 20.0
    width = instrument.line_spread.fwhm_angstrom(np.linspace(*instrument.band, 50))
    wavelength = np.sort(axis.wavelength())
    channel = np.gradient(wavelength)
    sampled = width / np.interp(np.linspace(*instrument.band, 50), wavelength, channel)
    assert np.all(sampled > 1.15)  # a sinc is sampled at 1.2 channels FWHM or better
    assert np.all(sampled < 12)
    assert instrument.title
    assert instrument.source
    u.Unit(instrument.unit, format="fits")


@pytest.mark.parametrize(
    "family", ["sitelle-", "muse", "manga", "sdss", "desi", "gmos", "kmos-", "nirspec-", "megara-"]
)
def test_families_are_there(family):
    assert any(name.startswith(family) for name in NAMES)


@pytest.mark.parametrize(
    ("name", "wavelength", "fwhm"),
    [
        ("muse", 4800.0, 2.98),  # Bacon et al. 2017, equation 8, worked by hand
        ("muse", 7831.0, 2.44),  # its minimum, c0 - c1^2 / (4 c2)
        ("muse", 9300.0, 2.57),  # the user manual gives R 3590 there
        ("desi", 3600.0, 1.80),  # R 2000 at 3600 A
        ("nirspec-g140h", 14300.0, 5.3),  # R 2700
        ("kmos-k", 22000.0, 5.24),  # R 4200
    ],
)
def test_published_widths(name, wavelength, fwhm):
    ours = get_instrument(name).line_spread.fwhm_angstrom(np.array([wavelength]))[0]
    assert ours == pytest.approx(fwhm, rel=0.03)


@pytest.mark.parametrize(
    ("name", "channels", "first"),
    [("muse", 3681, 4750.0), ("manga", 4563, 3621.596), ("desi", 7781, 3600.0)],
)
def test_published_channel_counts(name, channels, first):
    axis = get_instrument(name).axis_for()
    assert axis.n_channels == channels
    assert axis.values[0] == pytest.approx(first, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "reference", "resolution"),
    [
        ("sitelle-sn1", 3726.03, 1000),
        ("sitelle-sn2", 5006.84, 1000),
        ("sitelle-sn3", 6562.80, 5000),
        ("sitelle-c1", 4353.0, 1000),
    ],
)
def test_reference_lines_of_sitelle(name, reference, resolution):
    instrument = get_instrument(name)
    assert instrument.reference_wavelength == reference
    assert instrument.resolution == pytest.approx(resolution)


def test_axis_of_a_scan_carries_one_scale_a_spectrum():
    axis = get_instrument("sitelle-sn3").axis_for(n_steps=100, correction=np.array([1.03, 1.05]))
    assert axis.values.shape == (100,)
    np.testing.assert_array_equal(axis.scale, [1.03, 1.05])
    one = get_instrument("sitelle-sn3").axis_for(n_steps=100, correction=1.05)
    np.testing.assert_allclose(axis.per_spectrum(2)[1], one.values)


def test_resolution_can_be_replaced():
    for name, wavelength in [("sitelle-sn3", 6562.80), ("muse", 7050.0)]:
        spread = get_instrument(name).line_spread_at(np.array([1500.0, 3000.0]))
        width = spread.fwhm_angstrom(np.array([wavelength]))
        np.testing.assert_allclose(wavelength / width[:, 0], [1500.0, 3000.0])


def test_wrong_arguments_are_refused():
    with pytest.raises(UsageError, match="n_steps"):
        get_instrument("sitelle-sn3").axis_for(low=6500.0)
    with pytest.raises(UsageError, match="no scan"):
        get_instrument("muse").axis_for(n_steps=10)
    with pytest.raises(UsageError, match="no scan"):
        get_instrument("muse").scan_line_spread()
    with pytest.raises(UsageError, match="low to high"):
        get_instrument("muse").axis_for(low=9000.0, high=8000.0)


def test_names_in_any_case_and_unknown_ones():
    assert get_instrument(" MUSE ") is get_instrument("muse")
    with pytest.raises(UsageError, match=r"unknown instrument 'kmos'.*kmos-iz.*Known: sitelle-sn1"):
        get_instrument("kmos")
    with pytest.raises(UsageError, match=r"did you mean sitelle-sn3"):
        get_instrument("sitele-sn3")


GOOD = """
[mine]
title = "A spectrograph of my own"
source = "its manual"
axis = "wavelength"
medium = "vacuum"
unit = "Jy"
band = [5000, 6000]
shape = "gaussian"
resolution = 3000
channel_angstrom = 0.5
"""


def write(folder, text):
    path = folder / "instruments.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_users_row_is_added_and_one_replaced(tmp_path):
    path = write(tmp_path, GOOD + GOOD.replace("[mine]", "[MUSE]"))
    assert get_instrument("mine", path).resolution == pytest.approx(3000.0)
    assert get_instrument("mine", path).axis_for().n_channels == 2001
    assert get_instrument("muse", path).band == (5000.0, 6000.0)
    assert get_instrument("muse").band == (4750.0, 9350.0)
    assert set(instrument_names(path)) == {*NAMES, "mine"}


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        ("fwhm_angstrom = 2.5", 2.5),
        ("fwhm_polynomial = [1.0, 2e-4]", 2.1),
        ("fwhm_table = [[5000, 6000], [2.0, 3.0]]", 2.5),
    ],
)
def test_every_law_of_the_width(tmp_path, law, expected):
    path = write(tmp_path, GOOD.replace("resolution = 3000", law))
    width = get_instrument("mine", path).line_spread.fwhm_angstrom(np.array([5500.0]))
    np.testing.assert_allclose(width, [expected])


def test_a_table_for_each_spectrum_is_interpolated_row_by_row():
    rng = np.random.default_rng(5)
    grid, widths = np.sort(rng.uniform(4000.0, 7000.0, 40)), rng.uniform(2.0, 3.0, (3, 40))
    at = rng.uniform(3900.0, 7100.0, (3, 20))
    at[1, 4] = grid[9]
    spread = LineSpread("gaussian", fwhm_table=(grid, widths))
    expected = [np.interp(places, grid, row) for places, row in zip(at, widths, strict=True)]
    np.testing.assert_allclose(spread.fwhm_angstrom(at), expected)
    np.testing.assert_allclose(spread.fwhm_angstrom(at[0])[0], expected[0])


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("resolution", "rezolution", r"\[mine\]: unknown key\(s\) rezolution"),
        ('title = "A spectrograph of my own"\n', "", r"missing key\(s\) title"),
        ('"wavelength"', '"frequency"', "axis must be wavelength or wavenumber"),
        ('"vacuum"', '"water"', "medium must be air or vacuum"),
        ("[5000, 6000]", "[6000, 5000]", "low to high"),
        ("[5000, 6000]", "5000", "band must be"),
        ("[5000, 6000]", "[5000, nan]", "band must be"),
        ("resolution = 3000", "", "exactly one of"),
        ("resolution = 3000", "resolution = 3000\nfwhm_angstrom = 2", "exactly one of"),
        ("resolution = 3000", "resolution = -3", "cannot be used"),
        ("resolution = 3000", 'resolution = "high"', "cannot be used"),
        ("resolution = 3000", "fwhm_polynomial = [1.0, -1e-3]", "FWHM"),
        ("resolution = 3000", "fwhm_table = [[6000, 5000], [2, 3]]", "must increase"),
        ("resolution = 3000", "fwhm_cm1 = 3", "cannot have fwhm_cm1"),
        ('"gaussian"', '"voigt"', "cannot be used|cannot have"),
        ('"gaussian"', '"sinc"', "needs fwhm_cm1"),
        ("channel_angstrom = 0.5", "", "channel_angstrom or log10_step"),
        ("channel_angstrom = 0.5", "channel_angstrom = 0.5\nlog10_step = 1e-4", "one of them"),
        ("channel_angstrom = 0.5", "channel_angstrom = 0.5\norder = 2", "no step of a scan"),
        ("channel_angstrom = 0.5", "channel_angstrom = 0", "positive number"),
        ("channel_angstrom = 0.5", "channel_angstrom = true", "positive number"),
        ('axis = "wavelength"', 'axis = "wavenumber"', "a wavenumber axis needs"),
        ('unit = "Jy"', "unit = 3", "unit must be text"),
        ("[mine]", "[mine", "cannot read"),
        ("[mine]", "stray = 1\n[mine]", "stands outside a row"),
        ("resolution = 3000", "resolution = 3000\nlsf_from_file = 1", "true or false"),
    ],
)
def test_bad_rows_are_refused_with_the_reason(tmp_path, old, new, complaint):
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(UsageError, match=complaint) as caught:
        get_instrument("mine", path)
    assert str(path) in str(caught.value)


def test_absent_file(tmp_path):
    with pytest.raises(UsageError, match="cannot read the instruments"):
        instrument_names(tmp_path / "absent.toml")
