"""The line catalogue against published wavelengths and its own contract."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.errors import UsageError
from nebulines.lines import load_catalogue
from nebulines.spectral_axis import air_to_vacuum

# the package's stated conventions: air, Angstrom
CORE = {
    "NII6548": 6548.05,
    "HALPHA6563": 6562.80,
    "NII6583": 6583.45,
    "SII6716": 6716.44,
    "SII6731": 6730.82,
    "HBETA4861": 4861.33,
    "OIII4959": 4958.91,
    "OIII5007": 5006.84,
    "OII3726": 3726.03,
    "OII3729": 3728.82,
    "HGAMMA4340": 4340.47,
    "HDELTA4102": 4101.74,
    "NEIII3869": 3868.76,
    "OI6300": 6300.30,
}

# vacuum wavelengths printed elsewhere: SDSS spectro line list (Bolton et al. 2012, AJ 144, 144)
# and the DESI line list of FastSpecFit 2.5 [Angstrom]
PUBLISHED_VACUUM = {
    "OII3726": 3727.092,
    "OII3729": 3729.875,
    "NEIII3869": 3869.86,
    "HDELTA4102": 4102.892,
    "HGAMMA4340": 4341.684,
    "HBETA4861": 4862.683,
    "OIII4959": 4960.295,
    "OIII5007": 5008.240,
    "NII6548": 6549.852,
    "HALPHA6563": 6564.613,
    "NII6583": 6585.277,
    "SII6716": 6718.294,
    "SII6731": 6732.673,
}

RYDBERG_H_CM1 = 109677.583  # reduced-mass Rydberg constant of hydrogen (CODATA 2018)
RYDBERG_HE_CM1 = 109722.277  # and of helium-4
ALPHA = 7.2973525693e-3  # fine-structure constant (CODATA 2018)


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue()


def test_core_wavelengths_are_the_stated_ones(catalogue):
    for name, wavelength in CORE.items():
        assert catalogue.wavelength_air[catalogue.index(name)] == wavelength


def test_size_and_range(catalogue):
    assert len(catalogue) >= 60
    assert catalogue.wavelength_air.min() > 3400
    assert catalogue.wavelength_air.max() < 10000
    assert np.all(np.diff(catalogue.wavelength_air) > 0)


def test_vacuum_column_is_the_converted_air_column(catalogue):
    expected = air_to_vacuum(catalogue.wavelength_air)
    np.testing.assert_allclose(catalogue.wavelength_vacuum, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("name", "wavelength"), PUBLISHED_VACUUM.items())
def test_vacuum_values_agree_with_survey_line_lists(catalogue, name, wavelength):
    ours = catalogue.wavelength_vacuum[catalogue.index(name)]
    assert ours == pytest.approx(wavelength, abs=0.02)


def _term_cm1(n: int, charge: int) -> float:
    """Mean binding energy of a hydrogen-like shell, relativistic to order alpha^2:
    R Z^2 / n^2 [1 + (alpha Z / n)^2 (2 - 1/n - 3/4)], averaged over its states."""
    constant = RYDBERG_H_CM1 if charge == 1 else RYDBERG_HE_CM1
    relativistic = (ALPHA * charge / n) ** 2 * (1.25 - 1.0 / n)
    return constant * (charge / n) ** 2 * (1.0 + relativistic)


def _hydrogenic(lower: int, upper: int, charge: int) -> float:
    return 1e8 / (_term_cm1(lower, charge) - _term_cm1(upper, charge))


@pytest.mark.parametrize(
    ("group", "lower", "uppers"),
    [("balmer", 2, range(16, 2, -1)), ("paschen", 3, range(17, 7, -1))],
)
def test_hydrogen_series_follow_theory(catalogue, group, lower, uppers):
    series = [
        w for w, g in zip(catalogue.wavelength_vacuum, catalogue.groups, strict=True) if g == group
    ]
    expected = [_hydrogenic(lower, upper, 1) for upper in uppers]
    np.testing.assert_allclose(series, expected, rtol=5e-6)


@pytest.mark.parametrize(
    ("name", "lower", "upper"),
    [("HEII4200", 4, 11), ("HEII4542", 4, 9), ("HEII4686", 3, 4), ("HEII5412", 4, 7)],
)
def test_ionised_helium_follows_theory(catalogue, name, lower, upper):
    ours = catalogue.wavelength_vacuum[catalogue.index(name)]
    assert ours == pytest.approx(_hydrogenic(lower, upper, 2), rel=8e-6)


def test_names_say_where_the_line_lies_and_suit_columns(catalogue):
    assert len({name.casefold() for name in catalogue.names}) == len(catalogue)
    for name, wavelength in zip(catalogue.names, catalogue.wavelength_air, strict=True):
        assert re.fullmatch(r"[A-Z]+[0-9]{4}", name)
        assert abs(int(name[-4:]) - wavelength) < 1.0, name


def test_groups_follow_species(catalogue):
    for species, group in zip(catalogue.species, catalogue.groups, strict=True):
        assert species.startswith("[") == group.startswith("forbidden")
        assert (species == "H I") == (group in ("balmer", "paschen"))


def test_labels_are_mathtext(catalogue):
    from matplotlib.mathtext import MathTextParser

    parser = MathTextParser("path")
    for name in catalogue.names:
        assert parser.parse(catalogue.label(name)).width > 0


def test_arrays_cannot_be_changed(catalogue):
    with pytest.raises(ValueError, match="read-only"):
        catalogue.wavelength_air[0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        catalogue.names = ()


def test_select_keeps_order_and_ignores_case_and_repeats(catalogue):
    lines = catalogue.select(["nii6583", "HALPHA6563", "NII6583"])
    assert lines.names == ("NII6583", "HALPHA6563")
    np.testing.assert_array_equal(lines.wavelength("air"), [6583.45, 6562.80])
    assert len(catalogue.select([])) == 0


def test_unknown_line_names_its_neighbours(catalogue):
    with pytest.raises(UsageError, match=r"unknown line 'NII6584'.*NII6583"):
        catalogue.select(["NII6584"])
    with pytest.raises(UsageError, match="sequence of names"):
        catalogue.select("NII6583")


def test_unknown_medium_is_refused(catalogue):
    with pytest.raises(UsageError, match="air or vacuum"):
        catalogue.wavelength("water")


def test_defaults_are_strong_lines(catalogue):
    names = catalogue.defaults().names
    assert set(CORE) <= set(names)
    assert "OIII4363" not in names
    assert len(names) < 25


def test_muse_sees_what_it_should_at_the_redshift_of_abell_478(catalogue):
    seen = catalogue.defaults().observed_in(4750.0, 9350.0, redshift=0.0881)
    assert seen.names[0] == "HBETA4861"
    assert {"HALPHA6563", "NII6583", "SII6731", "OI6300"} <= set(seen.names)
    assert "SIII9069" not in seen.names


@given(
    low=st.floats(3000.0, 9000.0),
    width=st.floats(1.0, 3000.0),
    redshift=st.floats(-0.01, 1.0),
    margin=st.floats(0.0, 2000.0),
    medium=st.sampled_from(["air", "vacuum"]),
)
def test_observed_in_keeps_exactly_the_lines_inside(low, width, redshift, margin, medium):
    catalogue = load_catalogue()
    high = low + width
    kept = catalogue.observed_in(low, high, redshift=redshift, medium=medium, margin_kms=margin)
    for name, rest in zip(catalogue.names, catalogue.wavelength(medium), strict=True):
        near, far = (rest * (1 + redshift) * (1 + s * margin / SPEED_OF_LIGHT_KMS) for s in (-1, 1))
        assert (name in kept.names) == (low <= near and far <= high)


def test_reversed_band_is_refused(catalogue):
    with pytest.raises(UsageError, match="low to high"):
        catalogue.observed_in(7000.0, 6000.0)
