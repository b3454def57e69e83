"""The odds of other redshifts against their definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import nebulines as nl
from nebulines.galaxies.denoising.other_redshifts import (
    DOUBT,
    SHIFTS,
    best_coarse,
    filled,
    log_odds,
    moved_galaxies,
    whole_look,
)
from nebulines.galaxies.denoising.training_sets import TEST, clean_set
from nebulines.networks.denoise.galaxy_kinds import BEYOND
from nebulines.networks.denoise.grid import LOG_STEP, N_BINS, bin_centres
from nebulines.networks.weights import load
from nebulines.spectra import Flag, Spectra
from nebulines.spectral_axis import SpectralAxis

NOISE = 0.02


@pytest.fixture(scope="module")
def galaxies():
    """Clean spectra that go on beyond the bins."""
    return clean_set(300, 83, TEST, beyond=BEYOND).spectra


def moved_by(galaxies, bins, noise=NOISE):
    """What noisy galaxies have in the usual bins."""
    part = galaxies[:, BEYOND - bins : BEYOND - bins + N_BINS]
    return (part + noise * np.random.default_rng(4).normal(size=part.shape)).astype(np.float32)


def test_odds_are_those_of_normal_densities(galaxies):
    """of all shapes of the kinds; the modes that are kept say the same."""
    kinds = load("galaxy_kinds").network
    share, shapes = np.asarray(kinds.share, float), np.asarray(kinds.shapes, float)
    flux = 3.0 * moved_by(galaxies[:2], 0)
    found = log_odds(moved_galaxies().whole, flux, np.full(2, 3.0), np.full(2, (3 * NOISE) ** 2))

    def density(bins):
        parts = shapes[:, :, BEYOND - bins : BEYOND - bins + N_BINS]
        white = NOISE**2 * np.eye(N_BINS)
        each = [multivariate_normal(cov=9.0 * (p.T @ p + white)).logpdf(flux) for p in parts]
        return logsumexp(np.array(each) + np.log(share)[:, None], axis=0)

    given = density(0)
    for bins in (-30, 4):
        expected = density(bins) - given
        assert np.asarray(found)[bins == SHIFTS][0] == pytest.approx(expected, rel=0.12, abs=1.0)


@pytest.mark.parametrize("bins", [-16, 54])
def test_the_whole_look_finds_the_redshift(galaxies, bins):
    n = len(galaxies)
    rows = np.ones(n, np.float32), np.full(n, NOISE**2, np.float32)
    moved = moved_galaxies()
    odds, other = whole_look(moved.whole, moved_by(galaxies, bins), *rows)
    assert np.mean(odds > 6.0) > 0.85
    assert np.mean(np.abs(other[odds > 6.0] - bins) <= 2) > 0.85
    coarse = np.asarray(best_coarse(moved.coarse, moved_by(galaxies, bins), *rows))
    assert np.mean(coarse[odds > 6.0] > DOUBT) > 0.85
    right = np.asarray(best_coarse(moved.coarse, moved_by(galaxies, 0), *rows))
    assert np.mean(right > DOUBT) < 0.1


def test_the_better_redshift_stands_beside_the_flag(galaxies, tmp_path):
    """also in the file, and not where there is no flag."""
    from astropy.io import fits

    wave = bin_centres()
    flux = np.concatenate([moved_by(galaxies[:40], 30, 0.01), moved_by(galaxies[:40], 0, 0.01)])
    axis = SpectralAxis(wave, "wavelength", "air")
    clean = nl.denoise(Spectra(flux, axis, np.full_like(flux, 1e-4)), redshift=0.0)
    told = (clean.flags & Flag.BAD_REDSHIFT) != 0
    assert told[:40].mean() > 0.9
    assert told[40:].mean() < 0.1
    assert np.isfinite(clean.redshift_other).tolist() == told.tolist()
    right = np.expm1(30 * LOG_STEP)
    assert np.nanmedian(clean.redshift_other[:40]) == pytest.approx(right, abs=1e-3)
    clean.write(tmp_path / "clean.fits")
    with fits.open(tmp_path / "clean.fits") as file:
        kept = file["SPECTRA"].data["redshift_other"]
    np.testing.assert_array_equal(kept, clean.redshift_other)


def test_missing_bins_say_nothing():
    flux, fit, weight = np.full((1, 825), 9.0), np.ones((1, 825)), np.full((1, 825), 4.0)
    weight[0, 100:200] = 0.0
    even, variance = filled(flux, fit, weight)
    assert np.all(even[0, 100:200] == 1.0)
    assert np.all(even[0, 200:] == 9.0)
    assert float(variance[0]) == pytest.approx(0.25)
