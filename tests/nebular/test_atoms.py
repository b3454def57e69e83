"""Recombination ratios, five-level atoms, density and temperature against published values."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from nebulines.errors import UsageError
from nebulines.nebular import case_b_ratio, electron_density, electron_temperature
from nebulines.nebular.atoms import emissivity, ions, load_atom, populations

PYNEB = {"SII": ("S", 2), "OII": ("O", 2), "OIII": ("O", 3), "NII": ("N", 2), "SIII": ("S", 3)}


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [(5e3, (3.04, 0.458, 0.251)), (1e4, (2.863, 0.468, 0.259)), (2e4, (2.75, 0.475, 0.264))],
)
def test_case_b(temperature, expected):
    """Osterbrock & Ferland 2006, table 4.4 (10^2 cm-3; 2.863 of Storey & Hummer 1995)."""
    lines = ("HALPHA6563", "HGAMMA4340", "HDELTA4102")
    found = [float(case_b_ratio(line, temperature, 1e2)) for line in lines]
    assert found == pytest.approx(expected, rel=3e-3)


def test_case_b_takes_arrays_and_refuses_other_lines():
    found = case_b_ratio("HALPHA6563", [[5e3], [2e4]], [1e2, 1e4, 1e9])
    assert found.shape == (2, 3)
    assert np.all(np.diff(found, axis=0) < 0)
    assert np.all(case_b_ratio("HBETA4861", [5e3, 1e4]) == 1.0)
    with pytest.raises(UsageError, match="no case-B ratio"):
        case_b_ratio("NII6583")


@pytest.mark.parametrize("ion", ions())
def test_emissivities_agree_with_pyneb(ion):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pyneb = pytest.importorskip("pyneb", reason="pyneb is not installed")
        theirs = pyneb.Atom(*PYNEB[ion])
        temperature, density = np.array([5e3, 1e4, 2e4]), np.array([10.0, 1e2, 1e3, 1e4, 1e5])
        names, levels = zip(*load_atom(ion).lines.items(), strict=True)
        expected = [
            theirs.getEmissivity(temperature, density, lev_i=up + 1, lev_j=low + 1)
            for up, low in levels
        ]
    found = [emissivity(ion, (name,), temperature[:, None], density) for name in names]
    ratio = np.asarray(found) / np.asarray(expected)
    np.testing.assert_allclose(ratio / ratio[0], 1.0, atol=0.01)


def test_thin_gas_shines_with_every_collision_and_dense_gas_by_weight():
    thin, dense = (
        float(emissivity("SII", ("SII6716",), 1e4, n) / emissivity("SII", ("SII6731",), 1e4, n))
        for n in (1e-3, 1e8)
    )
    assert thin == pytest.approx(1.5, abs=0.1)  # Osterbrock & Ferland 2006, fig. 5.8: 1.44
    assert dense == pytest.approx(0.44, abs=0.02)
    atom = load_atom("OIII")
    share = populations(atom, 1e4, 1e12)
    boltzmann = atom.weight * np.exp(-1.438776877 * atom.energy / 1e4)
    np.testing.assert_allclose(share, boltzmann / boltzmann.sum(), rtol=1e-3)


@pytest.mark.parametrize(
    ("ion", "a", "b", "c", "line"),
    [
        ("OIII", 7.90, 3.29e4, 4.5e-4, "OIII4363"),
        ("NII", 8.23, 2.50e4, 4.4e-3, "NII5755"),
        ("SIII", 5.44, 2.28e4, 3.5e-4, "SIII6312"),
    ],
)
def test_temperature_follows_the_textbook(ion, a, b, c, line):
    """Osterbrock & Ferland 2006, eq. 5.4-5.7, older atomic data: within 7 per cent."""
    temperature, density = np.array([8e3, 1e4, 1.5e4]), 100.0
    ratio = a * np.exp(b / temperature) / (1 + c * density / np.sqrt(temperature))
    found = electron_temperature({ion: ratio, line: np.ones(3)}, ion, density=density)
    np.testing.assert_allclose(found, temperature, rtol=0.07)


def test_density_of_oxygen_follows_sanders():
    """Sanders et al. 2016, ApJ 816, 23, eq. 7."""
    density = np.array([200.0, 500.0, 1000.0, 3000.0])
    ratio = 0.3771 * (2468.0 + density) / (638.4 + density)
    found = electron_density({"OII3729": ratio, "OII3726": np.ones(4)}, "OII")
    np.testing.assert_allclose(found, density, rtol=0.2)


@pytest.mark.parametrize("doublet", ["SII", "OII"])
def test_density_comes_back_at_any_temperature(doublet):
    first, second = {"SII": ("SII6716", "SII6731"), "OII": ("OII3729", "OII3726")}[doublet]
    temperature = np.array([6e3, 1e4, 1.7e4])[:, None]
    density = np.array([30.0, 100.0, 1e3, 1e4])
    fluxes = {name: emissivity(doublet, (name,), temperature, density) for name in (first, second)}
    found = electron_density(fluxes, doublet, temperature=temperature)
    np.testing.assert_allclose(found, np.broadcast_to(density, (3, 4)), rtol=0.02)


def test_impossible_ratios_are_limits_and_bad_fluxes_nan():
    found = electron_density({"SII6716": [2.0, 0.1, -1.0, np.nan], "SII6731": np.ones(4)})
    np.testing.assert_allclose(found[:2], [1.0, 1e5])
    assert np.isnan(found[2:]).all()
    with pytest.raises(UsageError, match="SII or OII"):
        electron_density({}, "OIII")
    with pytest.raises(UsageError, match="SII6731 is needed"):
        electron_density({"SII6716": [1.0]})
    with pytest.raises(UsageError, match="temperature comes from"):
        electron_temperature({}, "OII")
    with pytest.raises(UsageError, match="no data for HALPHA6563"):
        emissivity("OIII", ("HALPHA6563",), 1e4, 1e2)
