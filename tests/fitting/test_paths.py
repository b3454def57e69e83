"""One answer, whichever way: alone or in a batch, filter bank or direct."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import nebulines as nl
from nebulines.fitting import fit as fit_module
from nebulines.fitting.bank.path import measure_with_bank
from nebulines.fitting.config import FitConfig
from nebulines.fitting.direct import point
from nebulines.fitting.prepared import prepare
from nebulines.fitting.start import Start, find_start, plan_search
from nebulines.spectra import Flag

SN3_LINES = ("NII6548", "HALPHA6563", "NII6583", "SII6716", "SII6731")


@pytest.fixture(scope="module")
def both_paths(sn3):
    """The same spectra by the bank and directly, and which have masked channels."""
    _, spectra, bank = sn3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_module, "bank_applies", lambda *args: False)
        direct = nl.fit(spectra, lines=SN3_LINES)
    return bank, direct, spectra.mask.any(axis=1)


def test_the_paths_are_those_meant(both_paths):
    bank, direct, masked = both_paths
    assert bank.meta["FITPATH"].startswith("filter bank")
    assert direct.meta["FITPATH"] == "direct"
    fitted = int(bank.meta["FITPATH"].split("(")[1].split(")")[0])
    assert 0.5 * len(masked) < fitted <= np.sum(~masked)


@pytest.mark.parametrize(
    "name", ["velocity", "broadening", "HALPHA6563_flux", "NII6548_flux", "SII6731_flux"]
)
def test_the_bank_gives_what_the_direct_path_gives(both_paths, name):
    bank, direct, _ = both_paths
    resolved = (direct["flags"] & (Flag.UNRESOLVED | Flag.AT_BOUND)) == 0
    resolved &= (bank["flags"] & (Flag.UNRESOLVED | Flag.AT_BOUND)) == 0
    assert resolved.mean() > 0.5
    error = direct[f"{name}_err"]
    miss = np.abs(bank[name] - direct[name])[resolved] / error[resolved]
    assert np.median(miss) < 0.02
    assert np.percentile(miss, 99) < 0.15
    ratio = (bank[f"{name}_err"] / error)[resolved]
    np.testing.assert_allclose(np.percentile(ratio, [1, 99]), 1.0, atol=0.03)


def test_flags_and_models_agree(both_paths):
    bank, direct, _ = both_paths
    same = bank["flags"] == direct["flags"]
    assert same.mean() > 0.98
    noise = np.nanstd(direct.model - bank.model)
    assert noise < 0.02 * np.nanstd(direct.model)
    np.testing.assert_allclose(bank["chi2"][same], direct["chi2"][same], rtol=0.01)


def test_masked_rows_go_the_direct_path(both_paths):
    bank, direct, masked = both_paths
    np.testing.assert_array_equal(bank["flags"][masked], direct["flags"][masked])
    for name in [column for column in bank if f"{column}_err" in bank]:
        mine, other, error = (r[name][masked] for r in (bank, direct, _errors(direct)))
        np.testing.assert_array_equal(np.isnan(mine), np.isnan(other))
        # they took other steps, and agree as far as both have converged
        miss = (np.abs(mine - other) / error)[np.isfinite(mine)]
        assert np.all(miss < 0.1), name
        assert np.median(miss) < 1e-3, name


def test_measuring_at_a_place_is_the_same_on_both_paths(sn3):
    truth, spectra, _ = sn3
    prepared = prepare(spectra, fit_module.resolve(spectra, FitConfig(lines=SN3_LINES)))
    nothing = np.zeros(len(spectra))
    velocity, broadening = (np.array(truth[name], float) for name in ("velocity", "broadening"))
    velocity[0] = np.nan  # a place that is none
    at = Start(velocity, broadening, nothing, nothing)
    own = prepared.data, prepared.geometry, prepared.model, prepared.config
    _, left = measure_with_bank(*own, at)
    assert left[0]
    assert left.mean() < 0.5
    either = point.measure_at(prepared, at)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(point, "bank_applies", lambda *args: False)
        direct = point.measure_at(prepared, at)
    error = np.sqrt(np.einsum("nll->nl", direct.area_covariance))
    miss = np.abs(either.area - direct.area)[1:] / error[1:]
    assert np.nanmedian(miss) < 0.02
    assert np.nanpercentile(miss, 99) < 0.15


def _errors(result):
    return {name.removesuffix("_err"): result[name] for name in result if name.endswith("_err")}


def test_a_masked_line_is_not_measured(sn3):
    truth, spectra, _ = sn3
    few = spectra[:8]
    place = 1e8 / (6716.44 * (1 + truth["velocity"][:8] / 299792.458))
    mask = np.abs(few.axis.values[None, :] - np.asarray(place)[:, None]) < 8.0
    hidden = replace(few, flux=np.where(mask, 1e6, few.flux), mask=mask)
    result = nl.fit(hidden, lines=tuple(truth.meta["LINES"]))
    assert np.all(np.isnan(result["SII6716_flux"]))
    assert np.all(result["flags"] & Flag.LINE_OUTSIDE_BAND)
    np.testing.assert_allclose(result["velocity"], truth["velocity"][:8], atol=40.0)


def test_a_batch_is_a_loop(sn3):
    truth, spectra, _ = sn3
    lines = tuple(truth.meta["LINES"])
    whole = nl.fit(spectra[:12], lines=lines)
    for row in (0, 5, 11):
        alone = nl.fit(spectra[row], lines=lines)
        for name in whole:
            np.testing.assert_allclose(
                alone[name][0], whole[name][row], rtol=1e-4, atol=1e-5, err_msg=name
            )


@pytest.mark.parametrize("redshift", [0.0, np.linspace(0.0, 0.002, 20)], ids=["common", "own"])
def test_a_search_of_some_rows_is_a_loop(pair_of_lines, redshift):
    spectra = pair_of_lines(n=20, redshift=redshift).spectra
    data, geometry, model, config, *_ = prepare(spectra, FitConfig(lines=("HALPHA6563", "NII6583")))
    plan = plan_search(geometry, model, config)
    together = find_start(data, geometry, plan)
    for row in (0, 15, 19):
        here = slice(row, row + 1)
        alone = find_start(data.rows(here), geometry.rows(here), plan)
        for many, one in zip(together, alone, strict=True):
            np.testing.assert_allclose(many[row], one[0], rtol=1e-4, atol=1e-3)


def test_order_and_neighbours_do_not_matter(pair_of_lines, fit_pair):
    known = pair_of_lines(n=14, seed=8)
    order = np.random.default_rng(0).permutation(14)
    straight, shuffled = fit_pair(known.spectra), fit_pair(known.spectra[order])
    for name in straight:
        np.testing.assert_allclose(
            shuffled[name], straight[name][order], rtol=1e-4, atol=1e-5, err_msg=name
        )
