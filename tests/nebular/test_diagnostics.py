"""Diagrams and abundances against published numbers."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.errors import UsageError
from nebulines.nebular import (
    Bpt,
    Whan,
    bpt_class,
    calibrations,
    ionisation_parameter,
    kewley06_class,
    oxygen_abundance,
    propagate,
    r23,
    star_formation_rate,
    whan_class,
)
from nebulines.nebular.diagnostics import bpt_axes, demarcation
from nebulines.nebular.metallicity import abundance_index


def fluxes(n2, o3, s2=-0.5, o1=-1.5):
    n2, o3, s2, o1 = np.broadcast_arrays(n2, o3, s2, o1)
    sulphur = 2.86 * 10.0**s2 / 2
    return {
        "HALPHA6563": np.full(n2.shape, 2.86),
        "HBETA4861": np.ones(n2.shape),
        "NII6583": 2.86 * 10.0**n2,
        "OIII5007": 10.0**o3,
        "SII6716": sulphur,
        "SII6731": sulphur,
        "OI6300": 2.86 * 10.0**o1,
    }


@pytest.mark.parametrize(
    ("name", "diagram", "x", "y"),
    [
        ("Kewley01", "NII", 0.0, 0.61 / -0.47 + 1.19),
        ("Kauffmann03", "NII", -0.3, 0.61 / -0.35 + 1.3),
        ("Kewley01", "SII", 0.0, -0.95),
        ("Kewley01", "OI", -1.5, 0.73 / -0.91 + 1.33),
        ("Schawinski07", "NII", 0.0, 0.45),
        ("Kewley06", "SII", -0.4, 0.004),
        ("Kewley06", "OI", -1.0, 0.12),
    ],
)
def test_demarcations(name, diagram, x, y):
    assert demarcation(x, name, diagram) == pytest.approx(y, abs=1e-9)


@pytest.mark.parametrize(
    ("n2", "o3", "expected"),
    [
        (-0.5, -0.3, Bpt.STAR_FORMING),
        (-1.2, 0.5, Bpt.STAR_FORMING),
        (-0.2, 0.0, Bpt.COMPOSITE),
        (0.0, 1.0, Bpt.SEYFERT),
        (0.2, 0.2, Bpt.LINER),
        (0.6, -0.5, Bpt.LINER),  # right of both asymptotes
    ],
)
def test_bpt_classes(n2, o3, expected):
    assert bpt_class(fluxes(n2, o3)) == expected


def test_three_diagrams_together():
    found = kewley06_class(
        fluxes(
            [-0.5, 0.0, 0.1, -0.5, -0.2],
            [-0.3, 1.0, 0.2, -0.3, 0.0],
            s2=[-0.6, 0.0, 0.1, -0.6, -0.6],
            o1=[-2.0, -0.9, -0.6, -0.5, -2.0],
        )
    )
    names = ["STAR_FORMING", "SEYFERT", "LINER", "AMBIGUOUS", "COMPOSITE"]
    assert [Bpt(k).name for k in found] == names


def test_no_class_without_its_lines():
    bad = fluxes([-0.5, -0.5, -0.5], [-0.3, -0.3, -0.3])
    bad["NII6583"] = np.array([1.0, -1.0, np.nan])
    assert bpt_class(bad).tolist()[1:] == [Bpt.UNKNOWN, Bpt.UNKNOWN]
    assert kewley06_class(bad).tolist()[1:] == [Bpt.UNKNOWN, Bpt.UNKNOWN]
    assert whan_class(bad, 10.0).tolist()[1:] == [Whan.UNKNOWN, Whan.UNKNOWN]
    assert whan_class(bad, np.nan).tolist() == [Whan.UNKNOWN] * 3
    with pytest.raises(UsageError, match="HBETA4861 is needed"):
        bpt_class({"NII6583": [1.0], "HALPHA6563": [1.0], "OIII5007": [1.0]})
    with pytest.raises(UsageError, match="diagrams are"):
        bpt_axes(bad, "OII")
    with pytest.raises(UsageError, match="no line 'Kauffmann03'"):
        demarcation(0.0, "Kauffmann03", "SII")


@pytest.mark.parametrize(
    ("n2", "width", "expected"),
    [
        (-0.6, 10.0, Whan.STAR_FORMING),
        (0.0, 10.0, Whan.STRONG_AGN),
        (0.0, 4.0, Whan.WEAK_AGN),
        (0.0, 1.0, Whan.RETIRED),
        (-0.1, 0.3, Whan.PASSIVE),
    ],
)
def test_whan(n2, width, expected):
    assert whan_class(fluxes(n2, 0.0), width) == expected


@pytest.mark.parametrize(
    ("name", "index", "expected"),
    [
        ("O3N2_PP04", 1.0, 8.41),
        ("N2_PP04", -1.0, 8.33),
        ("N2cubic_PP04", -1.0, 8.28),
        ("O3N2_M13", 1.0, 8.319),
        ("N2_M13", -1.0, 8.281),
    ],
)
def test_abundances(name, index, expected):
    """Equations of Pettini & Pagel 2004 and Marino et al. 2013 at one point."""
    n2 = index if name.startswith("N2") else -0.5
    o3 = 0.0 if name.startswith("N2") else index + n2
    assert oxygen_abundance(fluxes(n2, o3), name) == pytest.approx(expected, abs=1e-9)


def test_sulphur_and_oxygen_calibrations():
    """Dopita et al. 2016, eq. 1-2 and Kewley & Dopita 2002, eq. 5, written out."""
    lines = fluxes(-0.5, 0.0, s2=-0.6)
    y = 0.1 + 0.264 * -0.5
    assert oxygen_abundance(lines, "N2S2_D16") == pytest.approx(8.77 + y + 0.45 * (y + 0.3) ** 5)
    lines["OII"] = lines["NII6583"] / 10**-0.5
    expected = 8.93 + np.log10(1.5402 - 0.5 * 1.26602 + 0.25 * 0.167977)
    assert oxygen_abundance(lines, "N2O2_KD02") == pytest.approx(expected)


def test_outside_the_calibration_there_is_no_answer():
    assert np.isnan(oxygen_abundance(fluxes([0.0, -2.9], 0.0), "N2_M13")).all()
    with pytest.raises(UsageError, match="unknown calibration"):
        oxygen_abundance({}, "O3N2")
    for name, row in calibrations().items():
        assert row.range[0] < row.range[1]
        assert "20" in row.source, name


def test_r23_solves_both_equations_together():
    """Kobulnicky & Kewley 2004: the abundance that is found gives the q that gave it."""
    lines = fluxes([-0.3, -1.8], [0.0, 0.6])
    lines["OII"] = np.array([2.0, 1.5])
    found = r23(lines)
    assert found.abundance[0] > 8.6 > found.abundance[1]
    again = r23(lines, iterations=30)
    np.testing.assert_allclose(found.abundance, again.abundance, atol=2e-3)
    np.testing.assert_allclose(found.log_u, again.log_u, atol=5e-3)
    assert np.all((found.log_u > -4) & (found.log_u < -2))
    lines["OII"] = np.array([20.0, -1.0])
    assert np.isnan(r23(lines).abundance).all()


def test_ionisation_parameter_and_star_formation():
    assert ionisation_parameter({"OIII": 1.0, "OII": 10.0}) == pytest.approx(-3.82)
    sulphur = {"SIII9069": 1.0, "SIII9531": 2.47, "SII6716": 1.0, "SII6731": 2.47}
    assert ionisation_parameter(sulphur, "SIII/SII") == pytest.approx(-2.986)
    with pytest.raises(UsageError, match="log U comes from"):
        ionisation_parameter({}, "NII/SII")
    luminosity = 10**41.27
    flux = luminosity / (4 * np.pi * (10 * 3.0856775814913673e24) ** 2)
    assert star_formation_rate([flux, -1.0], 10.0)[0] == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(star_formation_rate([flux, -1.0], 10.0)[1])


def test_errors_of_abundance():
    lines = {name: np.atleast_1d(flux) for name, flux in fluxes(-0.5, 0.2).items()}
    errors = {name: 0.1 * flux for name, flux in lines.items()}
    found = propagate(oxygen_abundance, lines, errors, "O3N2_PP04")
    assert found.error[0] == pytest.approx(0.32 * 0.2 / np.log(10), rel=2e-3)
    assert abundance_index(lines, "O3N2_PP04")[0] == pytest.approx(0.7)
