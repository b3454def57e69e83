"""Several bands at once: the joint bound is reached, bands may be missing, wrong use is said.

Two narrow Gaussian bands, so that little is compiled."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

import nebulines as nl
from nebulines.errors import UsageError
from nebulines.evaluation import coverage
from nebulines.evaluation.joint_bound import joint_bound
from nebulines.fitting.config import FitConfig
from nebulines.fitting.fit import fit_block, resolve
from nebulines.fitting.joint.block import fit_joint_block
from nebulines.fitting.joint.direct import minimise, shared_scale
from nebulines.fitting.joint.problem import joint_problem, resolve_bands
from nebulines.fitting.joint.search import find_joint_start
from nebulines.instruments import get_instrument
from nebulines.spectra import Flag
from nebulines.synthetic import simulate

N = 768
BLUE = replace(get_instrument("muse"), name="blue", band=(4800.0, 5070.0))
RED = replace(get_instrument("muse"), name="red", band=(6480.0, 6650.0))
LINES = (("HBETA4861", "OIII4959", "OIII5007"), ("NII6548", "HALPHA6563", "NII6583"))
CONFIG = FitConfig(velocity_range=(-400.0, 400.0))


@pytest.fixture(scope="module")
def objects():
    return simulate(
        [BLUE, RED], n=N, seed=5, prior="hii", snr=(8, 40), broadening=(30.0, 120.0), ebv=(0, 0.4)
    )


@pytest.fixture(scope="module")
def fitted(objects):
    _, bands = objects
    return fit_joint_block(bands, resolve_bands(bands, CONFIG)).columns


def chance(n=N):
    return 3.0 / np.sqrt(2 * n)


def test_the_joint_bound_is_reached(objects, fitted):
    truth, bands = objects
    bound = joint_bound(bands, truth, CONFIG, LINES)
    names = [name for shown in LINES for name in shown]
    limits = {"velocity": bound.velocity_kms} | {
        f"{name}_flux": bound.fluxes[:, k] for k, name in enumerate(names)
    }
    for name, limit in limits.items():
        pull = (fitted[name] - np.asarray(truth[name])) / limit
        assert 0.93 - chance() < np.sqrt(np.mean(np.clip(pull, -5, 5) ** 2)) < 1.07 + chance(), name
    wide = np.asarray(truth["broadening"]) > 60
    pull = (fitted["broadening"] - truth["broadening"])[wide] / bound.broadening_kms[wide]
    assert np.sqrt(np.mean(np.clip(pull, -5, 5) ** 2)) == pytest.approx(1.0, abs=0.1 + chance(300))


@pytest.mark.parametrize("quantity", ["velocity", "HBETA4861_flux", "NII6583_flux"])
def test_errors_are_honest(objects, fitted, quantity):
    truth, _ = objects
    found = coverage(truth[quantity], fitted[quantity], fitted[f"{quantity}_err"])
    assert abs(found.fraction - 0.6827) < 0.02 + 3 * found.uncertainty


def test_ratios_across_bands_have_honest_errors(objects, fitted):
    truth, _ = objects
    true = np.asarray(truth["HALPHA6563_flux"]) / np.asarray(truth["HBETA4861_flux"])
    name = "ratio_HALPHA6563_HBETA4861"
    found = coverage(true, fitted[name], fitted[f"{name}_err"])
    assert abs(found.fraction - 0.6827) < 0.02 + 3 * found.uncertainty
    assert {"BLUE_chi2", "RED_chi2", "BLUE_continuum", "RED_noise"} <= set(fitted)
    assert np.median(fitted["BLUE_chi2"]) == pytest.approx(1.0, abs=0.05)


def test_dust_from_two_bands_has_honest_errors(objects):
    truth, bands = objects
    config = replace(CONFIG, reddening="CCM89")
    found = fit_joint_block(bands, resolve_bands(bands, config)).columns
    told = coverage(np.asarray(truth["ebv"]), found["ebv"], found["ebv_err"])
    assert np.isfinite(found["ebv"]).mean() > 0.9
    # the prior's decrement scatters a little about that of 10^4 K
    assert abs(told.fraction - 0.6827) < 0.05 + 3 * told.uncertainty


def test_one_band_is_the_plain_fit(objects):
    _, (_, red) = objects
    red = red[:48]
    joint = fit_joint_block([red], resolve_bands([red], CONFIG)).columns
    alone = fit_block(red, resolve(red, CONFIG), with_model=False).columns
    for name in ("velocity", "HALPHA6563_flux", "NII6548_flux", "broadening"):
        error = alone[f"{name}_err"]
        assert np.abs(joint[name] - alone[name]).max() < 0.1 * error.max()
        np.testing.assert_allclose(joint[f"{name}_err"], error, rtol=0.03)
    # windows follow the start, which differs a little
    np.testing.assert_allclose(joint["chi2"], alone["chi2"], atol=0.1)
    red = replace(red, instrument=None)
    plain, listed = (nl.fit(data, CONFIG, method="fit") for data in (red, [red]))
    np.testing.assert_array_equal(plain["velocity"], listed["velocity"])


def test_a_missing_band_is_flagged_and_the_other_is_fitted(objects):
    truth, (blue, red) = objects
    blue, red = blue[:48], red[:48]
    mask = np.zeros(blue.flux.shape, bool)
    mask[:10] = True
    gone = np.zeros(red.flux.shape, bool)
    gone[5:15] = True
    flux = np.array(red.flux)
    flux[20] = np.nan
    bands = [replace(blue, mask=mask), replace(red, flux=flux, mask=gone)]
    block = fit_joint_block(bands, resolve_bands(bands, CONFIG))
    found, flags = block.columns, block.columns["flags"]
    both = np.arange(5, 10)
    assert np.all(flags[both] & Flag.NO_DATA)
    one = np.concatenate([np.arange(5), np.arange(10, 15), [20]])
    assert np.all(flags[one] & Flag.MISSING_BAND)
    assert np.all(flags[one] & Flag.LINE_OUTSIDE_BAND)
    assert not np.any(flags[21:] & (Flag.MISSING_BAND | Flag.LINE_OUTSIDE_BAND))
    assert np.isnan(found["HBETA4861_flux"][:10]).all()
    assert np.isnan(found["ratio_HALPHA6563_HBETA4861"][one]).all()
    miss = np.abs(found["velocity"] - truth["velocity"][:48]) / found["velocity_err"]
    assert miss[one].max() < 6
    for name, values in found.items():
        assert not np.any(np.isnan(values.astype(float)) & (flags == 0)), name
    assert [model.shape for model in block.models] == [blue.flux.shape, red.flux.shape]
    near = np.isfinite(block.models[1][30])
    rest = (red.flux[30] - block.models[1][30])[near]
    assert rest.std() < 1.3 * np.sqrt(red.variance[30, 0])


@pytest.mark.parametrize("errors", [False, True])
def test_a_band_of_zeros_is_missing(objects, errors):
    truth, bands = objects
    blue, red = (band[:24] if errors else replace(band[:24], variance=None) for band in bands)
    flux = np.array(blue.flux)
    flux[:8], flux[8:12] = 0.0, (0.0 if errors else 3.0e5)
    dark = np.array(red.flux)
    dark[6:8] = 0.0
    bands = [replace(blue, flux=flux), replace(red, flux=dark)]
    found = fit_joint_block(bands, resolve_bands(bands, CONFIG)).columns
    flags = found["flags"]
    one, none = np.r_[0:6, 8:12], np.arange(6, 8)
    assert np.all(flags[one] & Flag.MISSING_BAND)
    assert not np.any(flags[one] & (Flag.LOW_SNR | Flag.NO_DATA))
    assert np.isnan(found["HBETA4861_flux"][:12]).all()
    miss = np.abs(found["velocity"] - truth["velocity"][:24]) / found["velocity_err"]
    assert miss[one].max() < 6
    assert np.all(flags[none] & Flag.NO_DATA)
    assert np.isnan(found["velocity"][none]).all()
    assert not np.any(flags[12:] & (Flag.MISSING_BAND | Flag.NO_DATA))


def test_a_line_in_two_bands_is_measured_once_and_better(objects):
    _, (_, red) = objects
    red = red[:48]
    rng = np.random.default_rng(3)
    sigma = np.sqrt(red.variance)
    clean = fit_block(red, resolve(red, CONFIG)).model
    seen = np.isfinite(clean)
    clean = np.where(seen, clean, red.flux)
    twice = [replace(red, flux=clean + sigma * rng.standard_normal(clean.shape)) for _ in range(2)]
    joint = fit_joint_block(twice, resolve_bands(twice, CONFIG)).columns
    alone = fit_block(twice[0], resolve(twice[0], CONFIG), with_model=False).columns
    gain = np.median(alone["HALPHA6563_flux_err"] / joint["HALPHA6563_flux_err"])
    assert gain == pytest.approx(np.sqrt(2), rel=0.05)
    assert sum(name == "HALPHA6563_flux" for name in joint) == 1


def test_compiled_and_eager_agree(objects):
    _, (_, red) = objects
    few = [red[:32], red[32:64]]  # one shape, so that eager operations are compiled once
    problem = joint_problem(few, resolve_bands(few, CONFIG), with_model=False)
    start = find_joint_start(problem.prepared)
    rows = np.arange(32)
    pieces = shared_scale([path.piece(rows, start.velocity) for path in problem.direct], problem)
    begin = pieces[0].theta(start.velocity[:, None], start.broadening[:, None])
    arguments = (
        begin,
        tuple(piece.tile for piece in pieces),
        tuple(path.options for path in problem.direct),
        2,
    )
    compiled = minimise(*arguments)
    with jax.disable_jit():
        eager = minimise(*arguments)
    for one, other in zip(compiled[:2], eager[:2], strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)
    np.testing.assert_array_equal(compiled[2], eager[2])


def test_noise_alone_detects_nothing(objects):
    _, bands = objects
    rng = np.random.default_rng(1)
    noise = [
        replace(s[:48], flux=np.sqrt(s.variance[:48]) * rng.standard_normal((48, s.flux.shape[1])))
        for s in bands
    ]
    found = fit_joint_block(noise, resolve_bands(noise, CONFIG)).columns
    assert np.mean((found["flags"] & (Flag.LOW_SNR | Flag.AMBIGUOUS_VELOCITY)) != 0) > 0.8


def test_wrong_use_is_said(objects):
    _, (blue, red) = objects
    few = [blue[:4], red[:4]]
    cases = [
        ([blue[:4], red[:5]], {}, "4, 5 rows"),
        (few, {"components": 2}, "one velocity component"),
        (few, {"resolution": 3000.0}, "replaces that of one band"),
        (few, {"lines": ("HALPHA6563",)}, "leave the band out"),
        ([replace(few[0], unit="Jy"), few[1]], {}, "cannot be compared"),
        (few, {"bin": 2}, "need cubes"),
        ([], {}, "no band"),
    ]
    for bands, options, message in cases:
        with pytest.raises(UsageError, match=message):
            nl.fit(bands, **options)
    frames = [
        replace(spectra, meta={"SPECSYS": frame})
        for spectra, frame in zip(few, ("HELIOCEN", "TOPOCENT"), strict=True)
    ]
    with pytest.raises(UsageError, match="velocity frames"):
        nl.fit(frames)
    other = [blue[:48], replace(red[:48], redshift=np.full(48, 0.01))]
    flags = fit_joint_block(other, resolve_bands(other, CONFIG)).columns["flags"]
    assert np.all(flags & Flag.BAD_REDSHIFT)
