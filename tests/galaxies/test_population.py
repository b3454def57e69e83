"""The population of galaxies: physics that must hold, seeds, classes, blocks."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.errors import UsageError
from nebulines.galaxies.population.drawing import draw_population, population_blocks
from nebulines.galaxies.population.ionised_gas import LINES, Gas, hii_regions
from nebulines.galaxies.population.ionising_photons import halpha_luminosity, photon_rate
from nebulines.galaxies.population.population import CLASSES
from nebulines.galaxies.population.star_formation import (
    AGE_EDGES,
    AGES,
    History,
    mass_formed,
    metallicities,
    population_weights,
)
from nebulines.galaxies.starlight.basis import load_starlight
from nebulines.lines import tied_groups
from nebulines.nebular.density import electron_density
from nebulines.nebular.extinction import balmer_ebv


@pytest.fixture(scope="module")
def galaxies():
    return draw_population(2000, [5, 1])


def column(galaxies, name):
    return galaxies.flux[:, LINES.index(name)]


def history(n=1, **changes):
    usual = {
        "oldest": 1.2e10,
        "tau": 5e9,
        "quenched": 0.0,
        "quenching_time": 3e8,
        "burst": 0.0,
        "burst_age": 1e8,
        "slow": 0.0,
        "fast": 0.0,
    }
    return History(*(np.full(n, value) for value in {**usual, **changes}.values()))


def test_basis_fills_a_grid_of_ages_and_metallicities():
    stars = load_starlight()
    ages, metals = np.unique(stars.log_age), np.unique(stars.metallicity)
    assert stars.flux.shape == (len(ages) * len(metals), len(stars.wavelength_air))
    assert len(set(zip(stars.log_age, stars.metallicity, strict=True))) == len(stars.flux)
    assert stars.wavelength_air[0] <= 3301
    assert stars.wavelength_air[-1] >= 9300
    assert np.isfinite(stars.flux).all()
    assert (stars.flux > 0).all()
    steps = np.diff(np.log(stars.wavelength_air))
    np.testing.assert_allclose(steps, steps[0], rtol=1e-6)


def test_young_stars_are_bluer_and_brighter():
    stars = load_starlight()
    solar = stars.metallicity == 0.0
    order = np.argsort(stars.log_age[solar])
    blue, red = (np.abs(stars.wavelength_air - x) < 50 for x in (3500.0, 5500.0))
    flux = stars.flux[solar][order]
    assert np.all(np.diff(flux[:, red].mean(axis=1)) < 0)
    colour = flux[:, blue].mean(axis=1) / flux[:, red].mean(axis=1)
    assert colour[0] > 3.0 * colour[5] > 3.0 * colour[-1]


def test_mass_of_a_delayed_exponential():
    mass = mass_formed(history(oldest=AGE_EDGES[-1], tau=3e9))[0]
    start, tau = AGE_EDGES[-1], 3e9
    since = (start - AGE_EDGES) / tau
    grown = 1.0 - (1.0 + since) * np.exp(-since)
    np.testing.assert_allclose(mass, (grown[:-1] - grown[1:]) / grown[0], rtol=1e-9)


def test_quenching_bursts_and_recent_excess():
    recent = AGES < 1e7
    steady, quenched = (mass_formed(history(quenched=q))[0] for q in (0.0, 3e9))
    assert quenched[recent].sum() < 1e-3 * steady[recent].sum()
    burst = mass_formed(history(burst=0.2, burst_age=3e8))[0]
    near = np.abs(np.log10(AGES) - np.log10(3e8)) < 0.4
    assert burst[near].sum() == pytest.approx(0.2 + 0.8 * steady[near].sum(), abs=1e-3)
    fast = mass_formed(history(fast=0.3))[0]
    assert fast[recent].sum() / steady[recent].sum() == pytest.approx(10**0.3, rel=0.01)


def test_weights_keep_the_mass_and_its_mean_age():
    mass = mass_formed(history(4, tau=4e9))
    metals = metallicities(mass, np.array([-0.5, 0.0, 0.2, 1.0]), 0.4)
    weights = population_weights(mass, metals, load_starlight())
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-9)
    inside = np.clip(np.log10(AGES), 6.5, 10.146)
    expected = mass @ inside
    np.testing.assert_allclose(weights @ load_starlight().log_age, expected, atol=2e-3)


def test_steady_star_formation_gives_kennicutts_halpha():
    """1 solar mass a year for long: L(Ha) = 1 / 7.9e-42 erg/s (Kennicutt 1998, eq. 2)."""
    rate = photon_rate(0.0) - np.where(AGES >= 1e8, 10**40.95, 0.0)
    photons = np.sum(rate * np.diff(AGE_EDGES))
    luminosity = float(halpha_luminosity(np.array(photons))) * 3.828e33
    assert luminosity == pytest.approx(1.0 / 7.9e-42, rel=0.02)


def test_rate_of_photons_never_rises_with_age():
    young = photon_rate(0.0)[AGES < 1e8]
    assert np.all(np.diff(young) <= 1e-9 * young[0])
    assert photon_rate(-1.0)[0] > photon_rate(0.0)[0]


def test_ratios_of_hii_regions_follow_metals_and_ionisation():
    one = np.ones(3)
    rng = np.random.default_rng(0)
    by_metal = hii_regions(Gas(np.array([8.2, 8.6, 8.9]), -1.0 * one, -3.0 * one, 2 * one), rng)
    oxygen = by_metal[:, LINES.index("OIII5007")] / by_metal[:, LINES.index("HBETA4861")]
    assert np.all(np.diff(oxygen) < 0)
    by_u = hii_regions(Gas(8.5 * one, -1.0 * one, np.array([-3.5, -3.0, -2.5]), 2 * one), rng)
    ratio = by_u[:, LINES.index("OIII5007")] / by_u[:, LINES.index("OII3729")]
    assert np.all(np.diff(ratio) > 0)
    by_n = hii_regions(Gas(8.5 * one, np.array([-1.4, -1.0, -0.6]), -3.0 * one, 2 * one), rng)
    np.testing.assert_allclose(np.diff(np.log10(by_n[:, LINES.index("NII6583")])), 0.4, atol=0.05)


def test_doublets_are_physical(galaxies):
    for tie in tied_groups(LINES):
        ratio = column(galaxies, tie.strong) / column(galaxies, tie.weak)
        np.testing.assert_allclose(ratio, tie.ratio, rtol=0.3)  # dust between the two lines
    density = electron_density({n: column(galaxies, n) for n in ("SII6716", "SII6731")})
    assert 10 < np.median(density) < 200


def test_the_balmer_decrement_knows_the_dust(galaxies):
    dust = galaxies.av + galaxies.av_clouds
    lines = {n: column(galaxies, n) for n in ("HALPHA6563", "HBETA4861")}
    found = balmer_ebv(lines)
    assert np.corrcoef(found, dust)[0, 1] > 0.97
    assert found.min() > -0.05


def test_metals_grow_with_mass(galaxies):
    low, high = (np.abs(galaxies.log_mass - m) < 0.3 for m in (9.5, 10.8))
    gap = np.mean(galaxies.oxygen_abundance[high]) - np.mean(galaxies.oxygen_abundance[low])
    assert 0.05 < gap < 0.5
    assert np.std(galaxies.oxygen_abundance[high]) > 0.05


def test_lines_go_with_young_stars(galaxies):
    halpha = galaxies.line_ew["HALPHA6563"]
    forming = galaxies.kind == CLASSES.index("emission")
    rank = np.corrcoef(np.argsort(np.argsort(halpha)), np.argsort(np.argsort(-galaxies.d4000)))
    assert rank[0, 1] > 0.75
    assert np.median(halpha[forming]) > 8.0
    assert np.median(galaxies.d4000[forming]) < 1.5


def test_classes_are_what_they_say(galaxies):
    halpha = galaxies.line_ew["HALPHA6563"]
    by_name = {name: galaxies.kind == number for number, name in enumerate(CLASSES)}
    assert all(rows.sum() >= 3 for rows in by_name.values())
    assert halpha[by_name["quiescent"]].max() < 1.0
    assert halpha[by_name["absorption"]].max() < 3.0
    oxygen = np.log10(column(galaxies, "OIII5007") / column(galaxies, "HBETA4861"))
    assert np.median(oxygen[by_name["agn"]]) > np.median(oxygen[by_name["emission"]]) + 0.3
    nitrogen = np.log10(column(galaxies, "NII6583") / column(galaxies, "HALPHA6563"))
    assert np.median(nitrogen[by_name["liner"]]) > -0.25
    assert np.median(galaxies.d4000[by_name["liner"]]) > 1.5


def test_halpha_widths_are_near_those_of_desi(galaxies):
    """DESI BGS, widths above zero: 16, 50, 84 % at 0.9, 12.5, 33 A; here before the noise."""
    low, middle, high = np.percentile(galaxies.line_ew["HALPHA6563"], [16, 50, 84])
    assert 0.1 < low < 2.0
    assert 8.0 < middle < 16.0
    assert 25.0 < high < 42.0


def test_seeds_and_blocks():
    kind = draw_population(50, 3, wavelength=(4000, 5000))
    again = draw_population(50, 3, wavelength=(4000, 5000))
    np.testing.assert_array_equal(kind.continuum, again.continuum)
    other = draw_population(50, 4, wavelength=(4000, 5000))
    assert not np.any(kind.log_mass == other.log_mass)
    blocks = list(population_blocks(70, 3, block=50, wavelength=(4000, 5000)))
    assert [len(block.kind) for block in blocks] == [50, 20]
    assert not set(blocks[0].log_mass) & set(blocks[1].log_mass)


def test_a_part_of_the_continuum_is_the_same_light():
    whole, part = draw_population(5, 9), draw_population(5, 9, wavelength=(5000, 6000))
    inside = np.isin(whole.wavelength_air, part.wavelength_air)
    np.testing.assert_array_equal(whole.continuum[:, inside], part.continuum)
    np.testing.assert_array_equal(whole.ew, part.ew)


@pytest.mark.parametrize("limits", [(2000, 5000), (5000, 4000), (5000, 20000)])
def test_ranges_outside_the_basis_are_refused(limits):
    with pytest.raises(UsageError, match="basis"):
        draw_population(2, wavelength=limits)


def test_no_galaxies_are_refused():
    with pytest.raises(UsageError, match="at least one"):
        draw_population(0)
