"""Posterior draws: the exact posterior, what they refuse, rows without lines."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units

import nebulines as nl
from nebulines.errors import UsageError
from nebulines.evaluation.exact_posterior import exact_posterior
from nebulines.evaluation.held_out import draw, sn3
from nebulines.spectra import Flag, Spectra

N_DRAWS = 2000


@pytest.fixture(scope="module")
def held_out():
    return draw(sn3(5000.0), 3, seed=3)


def options(held_out):
    source = held_out.source
    return {
        "lines": source.lines,
        "velocity_range": source.velocity,
        "broadening_range": source.broadening,
        "redshift": 0.0,
    }


@pytest.fixture(scope="module")
def drawn(held_out):
    """Draws of three spectra, and of one without lines."""
    spectra = held_out.spectra
    noise = np.sqrt(np.asarray(spectra.variance))
    empty = np.random.default_rng(1).normal(size=noise[:1].shape) * noise[:1]
    flux = np.concatenate([spectra.flux, empty])
    variance = np.concatenate([spectra.variance, spectra.variance[:1]])
    spread = spectra.line_spread.rows(np.array([0, 1, 2, 0]))
    four = Spectra(flux, spectra.axis, variance, line_spread=spread, unit=spectra.unit)
    return nl.sample(four, n_draws=N_DRAWS, **options(held_out))


def test_draws_follow_the_exact_posterior(held_out, drawn):
    exact = exact_posterior(held_out)
    for name in ("velocity", "broadening"):
        draws, mean = drawn[name][:, :3], getattr(exact, name)
        error = getattr(exact, f"{name}_err")
        assert np.abs(draws.mean(axis=0) - mean).max() < 0.15 * error.max()
        np.testing.assert_allclose(draws.std(axis=0), error, rtol=0.1)
    low, high = held_out.source.broadening
    assert drawn["broadening"][:, :3].min() >= low
    assert drawn["broadening"][:, :3].max() <= high


def test_fluxes_scatter_as_the_fit_says(held_out, drawn):
    flux = drawn.fluxes()["NII6583"][:, :3]
    np.testing.assert_allclose(flux.std(axis=0), drawn.fit["NII6583_flux_err"][:3], rtol=0.15)
    assert (np.abs(flux.mean(axis=0) - held_out.truth["NII6583_flux"]) < 5 * flux.std(axis=0)).all()


def test_a_row_without_lines_has_no_draws_and_a_flag(drawn):
    assert np.isnan(drawn["velocity"][:, 3]).all()
    assert drawn.flags[3] & Flag.LOW_SNR
    assert np.isfinite(drawn["velocity"][:, :3]).all()


def test_the_table_has_units(drawn):
    table = drawn.table()
    assert table["HALPHA6563_flux"].shape == (4, N_DRAWS)
    assert table["broadening"].unit == units.km / units.s
    assert "flags" in table.colnames
    with pytest.raises(UsageError, match="there are velocity"):
        drawn["colour"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"components": 2}, "components=1"),
        ({"ties": "HALPHA6563;NII6583"}, "ties='all'"),
        ({"amplitudes": "positive"}, "amplitudes='free' or 'tied'"),
        ({"n_draws": 0}, "1 or more"),
        ({"colour": "red"}, "unknown option"),
    ],
)
def test_what_has_no_posterior_is_refused(held_out, wrong, message):
    with pytest.raises(UsageError, match=message):
        nl.sample(held_out.spectra, **(options(held_out) | wrong))


def test_several_bands_are_refused(held_out):
    with pytest.raises(UsageError, match="one band"):
        nl.sample([held_out.spectra])
