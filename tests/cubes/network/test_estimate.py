"""The network on spectra that it never saw: as good as it says, and flagged where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nebulines.cubes.measure import estimate, fit
from nebulines.cubes.network.both import fit_from_network
from nebulines.cubes.network.estimate import estimate_block
from nebulines.errors import UsageError
from nebulines.evaluation.held_out import Source, draw, sn3
from nebulines.fitting.config import FitConfig
from nebulines.fitting.fit import fit_block, resolve
from nebulines.spectra import Flag
from nebulines.synthetic import simulate

PRIOR = {"velocity_range": (-200.0, 200.0), "broadening_range": (10.0, 50.0)}
LINES = ("NII6548", "HALPHA6563", "NII6583", "SII6716", "SII6731")
SERIOUS = ~int(Flag.UNRESOLVED)


def measured(spectra, **options):
    config = resolve(spectra, FitConfig(**{**PRIOR, **options}))
    return estimate_block(spectra, config, with_model=False).columns


@pytest.fixture(scope="module")
def sn3_set():
    return draw(sn3(), 1500, seed=11, stream=5)


@pytest.fixture(scope="module")
def sn3_columns(sn3_set):
    return measured(sn3_set.spectra, lines=LINES)


@pytest.mark.parametrize("quantity", ["velocity", "broadening"])
def test_it_reaches_the_bound(sn3_set, sn3_columns, quantity):
    miss = sn3_columns[quantity] - sn3_set.truth[quantity]
    bound = getattr(sn3_set.bound, f"{quantity}_kms")
    resolved = sn3_set.truth["broadening"] > 20.0
    ratio = np.sqrt(np.mean(miss[resolved] ** 2) / np.mean(bound[resolved] ** 2))
    assert ratio < 1.12


@pytest.mark.parametrize("quantity", ["velocity", "broadening"])
def test_its_errors_are_right(sn3_set, sn3_columns, quantity):
    miss = sn3_columns[quantity] - sn3_set.truth[quantity]
    inside = np.mean(np.abs(miss) < sn3_columns[f"{quantity}_err"])
    assert 0.64 < inside < 0.74


def test_few_false_flags(sn3_columns):
    assert np.mean((sn3_columns["flags"] & SERIOUS) != 0) < 0.03


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sitelle-sn2", {"broadening": (10.0, 50.0)}),
        ("muse", {"band": (6450.0, 6850.0), "broadening": (20.0, 90.0)}),
        ("manga", {"band": (4750.0, 6850.0), "broadening": (20.0, 90.0)}),
    ],
)
def test_one_network_serves_every_instrument(name, options):
    truth, spectra = simulate(name, n=400, seed=8, snr=(10.0, 30.0), **options)
    columns = measured(spectra, broadening_range=options["broadening"])
    for quantity in ("velocity", "broadening"):
        pull = (columns[quantity] - truth[quantity]) / columns[f"{quantity}_err"]
        assert np.std(pull) == pytest.approx(1.0, abs=0.15), quantity
        assert abs(np.mean(pull)) < 0.35


def test_a_blended_doublet_is_within_its_errors():
    """SN1 does not resolve [O II]: the broadening is biased by 0.7 sigma, and the error covers
    it."""
    truth, spectra = simulate("sitelle-sn1", n=400, seed=8, snr=(10.0, 30.0), broadening=(60, 200))
    columns = measured(spectra, broadening_range=(60.0, 200.0))
    for quantity in ("velocity", "broadening"):
        pull = (columns[quantity] - truth[quantity]) / columns[f"{quantity}_err"]
        assert np.mean(np.abs(pull) < 3.0) > 0.97
        assert np.sqrt(np.mean(pull**2)) < 1.3


def test_the_angle_in_the_field_changes_nothing():
    """The same sources through pixels whose channels are stretched by up to 3 %."""
    truth, spectra = simulate(
        "sitelle-sn3", n=300, seed=9, correction=np.linspace(1.0, 1.06, 300), snr=(20.0, 30.0)
    )
    columns = measured(spectra, lines=LINES)
    pull = (columns["velocity"] - truth["velocity"]) / columns["velocity_err"]
    assert np.std(pull) == pytest.approx(1.0, abs=0.15)


def outside(change, **options):
    truth, spectra = simulate("sitelle-sn3", n=300, seed=12, **options)
    columns = measured(change(spectra), lines=LINES)
    covered = np.ones(300, bool)
    for quantity in ("velocity", "broadening"):
        miss = np.abs(columns[quantity] - truth[quantity])
        covered &= miss < 3.0 * columns[f"{quantity}_err"]
    return ((columns["flags"] & SERIOUS) != 0) | covered


def as_it_is(spectra):
    return spectra


def with_spike(spectra):
    flux, sigma = spectra.flux.copy(), np.sqrt(spectra.variance[:, 0])
    rows = np.arange(len(flux))
    flux[rows, 300 + rows % 200] += 25.0 * sigma
    return replace(spectra, flux=flux)


def with_slope(spectra):
    sigma = np.sqrt(spectra.variance[:, :1])
    return replace(spectra, flux=spectra.flux + sigma * np.linspace(-5.0, 5.0, 842))


def noise_alone(spectra):
    noise = np.random.default_rng(1).standard_normal(spectra.flux.shape)
    return replace(spectra, flux=noise * np.sqrt(spectra.variance))


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (as_it_is, {"velocity": (250.0, 400.0)}),
        (as_it_is, {"velocity": (-400.0, -250.0)}),
        (as_it_is, {"ratios": {"NII6583": (2.0, 4.0)}}),
        (as_it_is, {"snr": (2.0, 4.0)}),
        (with_spike, {}),
        (with_slope, {}),
        (noise_alone, {}),
    ],
    ids=["too fast", "too slow", "strong nitrogen", "faint", "spike", "slope", "noise"],
)
def test_what_it_was_not_trained_for_is_flagged_or_right(change, options):
    assert np.mean(outside(change, **options)) >= 0.95


def test_the_prior_is_what_was_asked_for():
    """Where the data say little, the answer follows the range."""
    _, spectra = simulate("sitelle-sn1", n=50, seed=2, snr=(4.0, 6.0))
    low = measured(spectra, broadening_range=(0.0, 20.0))["broadening"]
    high = measured(spectra, broadening_range=(0.0, 400.0))["broadening"]
    assert low.max() < 20.0
    assert np.median(high) > np.median(low)


def test_without_stated_ranges_few_h_ii_regions_are_ambiguous():
    """A nebula of strong [N II] one line further on is rare: it does not rival them all."""
    truth, spectra = simulate(
        "sitelle-sn3", 400, 21, prior="hii", velocity=(-400.0, 400.0), snr=(5.0, 30.0), lines=LINES
    )
    columns = estimate_block(spectra, resolve(spectra, FitConfig(lines=LINES)), with_model=False)
    columns = columns.columns
    ambiguous = (columns["flags"] & Flag.AMBIGUOUS_VELOCITY) != 0
    wrong = np.abs(columns["velocity"] - truth["velocity"]) > 60.0
    assert ambiguous.mean() < 0.08
    faint = (columns["flags"] & Flag.LOW_SNR) != 0
    assert not (wrong & ~ambiguous & ~faint).any()


def test_fluxes_come_with_it(sn3_set, sn3_columns):
    miss = sn3_columns["HALPHA6563_flux"] - sn3_set.truth["HALPHA6563_flux"]
    assert np.std(miss / sn3_columns["HALPHA6563_flux_err"]) == pytest.approx(1.0, abs=0.12)


def test_a_fit_from_the_network_is_the_fit(sn3_set):
    config = resolve(sn3_set.spectra, FitConfig(lines=LINES))
    plain = fit_block(sn3_set.spectra, config, with_model=False).columns
    both = fit_from_network(sn3_set.spectra, config, with_model=False)
    assert both.notes["METHOD"] == "both"
    detected = (plain["flags"] & int(Flag.LOW_SNR)) == 0
    gap = np.abs(both.columns["velocity"] - plain["velocity"]) / plain["velocity_err"]
    assert np.mean(gap[detected] < 0.15) > 0.995


def test_several_components_are_not_for_the_network(sn3_set):
    few = sn3_set.spectra[:2]
    with pytest.raises(UsageError, match="one component"):
        estimate(few, components=2)
    assert np.isfinite(fit(few, components=2, method="both").columns["velocity"]).all()
    with pytest.raises(UsageError, match="leave method out"):
        estimate(few, method="fit")
    with pytest.raises(UsageError, match="method must be"):
        fit(few, method="guess")


def test_broken_rows_are_flagged_and_spoil_no_other(sn3_set):
    flux = sn3_set.spectra.flux[:8].copy()
    flux[2] = np.nan
    flux[5, 100:140] = np.nan
    columns = measured(replace(sn3_set.spectra[:8], flux=flux), lines=LINES)
    whole = measured(sn3_set.spectra[:8], lines=LINES)
    assert columns["flags"][2] & int(Flag.NO_DATA)
    assert np.isnan(columns["velocity"][2])
    good = [0, 1, 3, 4, 6, 7]
    np.testing.assert_allclose(columns["velocity"][good], whole["velocity"][good], rtol=1e-3)


def test_a_wide_set_of_lines_is_one_answer():
    source = Source("red", "muse", ("HBETA4861", "OIII4959", "OIII5007", *LINES))
    truth, spectra = simulate(
        source.instrument, n=100, seed=3, lines=source.lines, broadening=(20.0, 80.0)
    )
    columns = measured(spectra, lines=source.lines, broadening_range=(0.0, 200.0))
    miss = np.abs(columns["velocity"] - truth["velocity"])
    assert np.mean(miss < 3.0 * columns["velocity_err"]) > 0.95
