"""The simulated windows are those that are cut from the spectra of the instruments."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nebulines.cubes.network.line_windows import WindowPlan, cut_windows
from nebulines.fitting.config import FitConfig
from nebulines.fitting.fit import resolve
from nebulines.fitting.prepared import prepare
from nebulines.networks.kinematics.line_search import TRIAL_STEP_KMS, trial_offsets
from nebulines.networks.kinematics.line_windows import line_response, neighbours
from nebulines.synthetic import simulate
from nebulines.training.kinematics.line_windows import line_sets, mock_windows, settings
from nebulines.training.kinematics.network import KINEMATICS

CASES = {
    "sitelle-sn3": {},
    "sitelle-sn2": {},
    "sitelle-sn1": {},
    "muse": {"band": (6450.0, 6850.0)},
    "manga": {"band": (6450.0, 6850.0)},
}


@pytest.mark.parametrize("instrument", CASES)
def test_windows_of_an_instrument_are_what_training_simulates(instrument):
    """Cut from bright spectra, the windows equal the formula that training draws from."""
    truth, spectra = simulate(instrument, n=3, seed=3, snr=(300.0, 300.0), **CASES[instrument])
    names = tuple(name[:-5] for name in truth.colnames if name.endswith("_flux"))
    config = resolve(spectra, FitConfig(lines=names, continuum_order=0, continuum="band"))
    prepared = prepare(spectra, config)
    plan = WindowPlan(prepared.geometry, prepared.model, (-500.0, 500.0))
    windows = cut_windows(prepared.data, prepared.geometry, plan, np.arange(3))
    shape = "sinc" if prepared.geometry.sinc else "gaussian"
    velocity = np.asarray(truth["velocity"])
    if prepared.geometry.axis.kind == "wavenumber":
        velocity = velocity / (1.0 + velocity / 299792.0)
    seen_by = neighbours(windows.separation, velocity, shape=shape)
    separation, stretch = (np.asarray(part)[..., None] for part in seen_by)
    away = windows.offset[:, :, None, :] - velocity[:, None, None, None] - separation
    broadening = np.asarray(truth["broadening"])[:, None, None, None] * stretch
    width = windows.width[:, None, :, None] * stretch
    profile = line_response(away, width, broadening, shape=shape)
    profile = np.asarray(profile, float)
    for row in range(3):
        basis = np.moveaxis(profile[row], 1, -1).reshape(-1, len(names))
        weight = np.broadcast_to(windows.weight[row], windows.data[row].shape)
        seen = (weight > 0).reshape(-1)
        data = np.asarray(windows.data[row], float).reshape(-1)
        basis = np.column_stack([basis, np.ones(len(basis))])[seen]
        heights = np.linalg.lstsq(basis, data[seen], rcond=None)[0]
        residual = data[seen] - basis @ heights
        # what is left of 300 sigma is noise and 1 % (side lobes of lines far away)
        assert np.abs(residual).max() < 4.5 + 0.01 * 300.0
        assert np.std(residual) < 1.5
        assert heights[:-1].max() == pytest.approx(300.0, rel=0.05)


def test_any_number_and_choice_of_spectra_is_cut():
    _, spectra = simulate("sitelle-sn3", n=70, seed=4)
    prepared = prepare(spectra, resolve(spectra, FitConfig()))
    plan = WindowPlan(prepared.geometry, prepared.model, (-500.0, 500.0))
    every = cut_windows(prepared.data, prepared.geometry, plan, np.arange(70))
    chosen = np.array([69, 3, 3, 41])
    some = cut_windows(prepared.data, prepared.geometry, plan, chosen)
    for one, other in zip(every[:4], some[:4], strict=True):
        np.testing.assert_allclose(np.asarray(one)[chosen], other, atol=1e-4)


def test_spectra_of_one_source_differ_in_noise():
    windows, truth = mock_windows(jax.random.key(2), 8, shape="sinc", repeats=4)
    for values in truth:
        assert len(np.unique(np.asarray(values).reshape(2, 4), axis=1).T) == 1
    data = np.asarray(windows.data)
    seen = np.asarray(windows.weight[0]) > 0
    assert np.std((data[1] - data[0])[seen]) == pytest.approx(np.sqrt(2.0), rel=0.2)
    np.testing.assert_array_equal(windows.offset[1], windows.offset[0])


@pytest.mark.parametrize("shape", ["sinc", "gaussian"])
def test_the_stated_signal_to_noise_is_there(shape):
    windows, truth = mock_windows(jax.random.key(1), 256, shape=shape)
    bright = np.asarray(truth.snr) > 30.0
    top = np.asarray(windows.data).max(axis=(1, 2))
    ratio = top[bright] / np.asarray(truth.snr)[bright]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.12)
    noise = np.asarray(windows.data)[np.asarray(truth.snr) < 4.0]
    weight = np.asarray(windows.weight)[np.asarray(truth.snr) < 4.0]
    spread = np.percentile(noise[weight > 0], [15.87, 50.0])  # lines only add
    assert spread[1] - spread[0] == pytest.approx(1.0, abs=0.1)


def test_overlapping_windows_share_their_noise():
    """Two lines closer than a window see the same channels."""
    windows, _ = mock_windows(jax.random.key(2), 400, shape="sinc")
    offset, data = np.asarray(windows.offset), np.asarray(windows.data)
    separation = np.asarray(windows.separation)
    close = np.flatnonzero(np.abs(separation[:, 0, 1]) < 300.0)  # the [O II] doublet
    close = close[np.asarray(windows.weight)[close, 1].max(axis=1) > 0]
    assert len(close) > 5
    for row in close:
        where = offset[row, 0] - separation[row, 0, 1]
        nearest = np.argmin(np.abs(where[:, None] - offset[row, 1]), axis=1)
        gap = np.abs(where - offset[row, 1][nearest])
        same = gap < 0.02 * abs(offset[row, 0, 1] - offset[row, 0, 0])
        if same.sum() > 30:
            difference = data[row, 0][same] - data[row, 1][nearest[same]]
            assert np.std(difference) < 0.5  # continuum errors apart
            return
    pytest.fail("no overlapping windows with common channels were drawn")


def test_examples_are_reproducible_and_new():
    one, same, other = (KINEMATICS.sample(jax.random.key(k), 32) for k in (1, 1, 2))
    np.testing.assert_array_equal(one.features, same.features)
    assert not np.array_equal(one.features, other.features)
    assert np.isfinite(np.asarray(one.features)).all()


def test_line_sets_are_tied_by_theory():
    sets = line_sets()
    assert sets.wavelength.shape[0] == len(settings()["lines"]["sets"])
    weak, factor = sets.tied_to[0], sets.tied_factor[0]
    assert weak[0] == 2  # [N II] 6548 follows 6583
    assert factor[0] == pytest.approx(1.0 / 3.05, rel=0.03)


def test_bright_sources_are_found():
    batch = KINEMATICS.sample(jax.random.key(7), 1024)
    bright = np.asarray(batch.snr) > 20.0
    assert np.mean(np.abs(np.asarray(batch.u))[bright] < 1.0) > 0.98
    assert jnp.all(batch.r >= 0)


def test_trials_cover_the_range():
    trials = trial_offsets(-310.0, 200.0)
    assert trials[0] == -310.0
    assert trials[-1] == 200.0
    assert np.ptp(np.diff(trials)) < 1e-4
    assert np.diff(trials)[0] <= TRIAL_STEP_KMS
