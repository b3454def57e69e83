"""What the line-ratio networks learn from: sources, mock measurements, spectra."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nebulines.networks.line_ratios.network import PRIORS
from nebulines.networks.line_ratios.space import LINES
from nebulines.training.config import TrainConfig
from nebulines.training.line_ratios import network as line_ratios
from nebulines.training.line_ratios.ann import (
    labelled,
    line_ratio_ann_task,
    split,
    true_ratios,
    with_noise,
)
from nebulines.training.line_ratios.priors import (
    EBV,
    Library,
    draw_sources,
    gaussians,
    library,
    reddened,
    reddening_of_decrement,
)
from nebulines.training.line_ratios.spectra import BANDS, paper_objects
from nebulines.training.loop import train


@pytest.fixture(scope="module")
def sources():
    return jax.tree.map(jnp.asarray, library(500, 3))


@pytest.fixture(scope="module")
def objects():
    return paper_objects(300, 2)


def test_sources_of_the_paper_obey_its_rules():
    found = draw_sources("rhea2021", 400, 1)
    seen = reddened(found)
    weakest = seen.min(axis=1)
    assert weakest.min() > 0.115  # [S II] is shared out anew after the choice
    assert (weakest >= 0.12).mean() > 0.9
    sulphur = found.flux[:, LINES.index("SII6731")] / found.flux[:, LINES.index("SII6716")]
    assert 0.73 <= sulphur.min() < 0.735 < 0.785 < sulphur.max() <= 0.79
    decrement = 1.0 / seen[:, LINES.index("HBETA4861")]
    own = decrement * found.flux[:, LINES.index("HBETA4861")] * 2.87
    assert 2.0 <= own.min() < 2.2 < 5.5 < own.max() <= 6.0
    dust = np.log10(decrement * found.flux[:, LINES.index("HBETA4861")])
    np.testing.assert_allclose(dust, found.ebv * reddening_of_decrement(), atol=1e-9)


def test_mock_measurements_scatter_as_they_say(sources):
    batch = line_ratios.sample(sources, jax.random.key(1), 4000)
    flux = np.asarray(sources.log_flux)
    assert set(np.asarray(batch.kind)) == set(range(len(PRIORS)))
    assert batch.present.any(axis=1).all()
    assert not batch.present.all()
    known = {tuple(np.round(row, 4)) for row in flux.reshape(-1, 8)[:, 2:4]}
    assert len(known) > 1000
    line = LINES.index("HALPHA6563")
    pull = (batch.flux[:, line] - 1.0) / np.sqrt(batch.covariance[:, line, line])
    assert float(np.std(pull)) == pytest.approx(1.0, abs=0.06)


def test_spectra_have_the_noise_and_the_fluxes_of_the_truth(objects):
    truth, bands = objects.truth, objects.bands
    assert [str(b.instrument) for b in bands] == list(BANDS)
    assert 5.0 <= truth["snr"].min() < truth["snr"].max() <= 30.0
    ratios = true_ratios(truth)
    assert np.ptp(ratios[:, -1]) < 1e-6
    assert ratios[:, 0].min() >= 0.72
    assert ratios[:, 0].max() <= 0.80
    red = bands[2]
    free = red.flux[:, -120:] / np.sqrt(red.variance[:, -120:])
    assert float(np.std(free)) == pytest.approx(1.0, abs=0.03)
    # an unresolved line of one flux, whose peak goes with 1 / FWHM, has one S/N in all bands
    middle = (3728.82, 4958.91, 6583.45)
    level = [
        np.sqrt(band.variance[:, 0]) * band.line_spread.fwhm_angstrom(np.array([wave]))[:, 0]
        for band, wave in zip(bands, middle, strict=True)
    ]
    assert np.all(np.std(np.log(level), axis=0) < 0.01)


def test_one_value_of_dust_can_be_asked_for():
    objects = paper_objects(300, 1, kind="hii", ebv=0.5)
    assert set(objects.truth["ebv"]) == {0.5}
    seen = objects.truth["HALPHA6563_flux"] / objects.truth["HBETA4861_flux"]
    np.testing.assert_allclose(
        np.log10(seen / objects.truth["decrement"]), 0.5 * reddening_of_decrement(), rtol=1e-6
    )


def test_sets_of_the_paper_are_apart(objects):
    data = labelled(objects)
    assert data.spectra.shape == (300, 171 + 219 + 841)
    sets = split(data, 1)
    assert [len(s.spectra) for s in sets] == [210, 60, 30]
    rows = [{row.tobytes() for row in one.spectra} for one in sets]
    assert len(set.union(*rows)) == 300


def test_every_batch_has_noise_of_its_own():
    quiet = labelled(paper_objects(60, 2, noise=False), noisy=False)
    first, second = (with_noise(quiet, jax.random.key(k), 60) for k in (1, 2))
    again = with_noise(quiet, jax.random.key(1), 60)
    np.testing.assert_array_equal(first.spectra, again.spectra)
    difference = (first.spectra - second.spectra) / np.repeat(quiet.noise, (171, 219, 841), axis=1)
    assert float(difference.std()) == pytest.approx(np.sqrt(2.0), abs=0.02)
    assert not first.noise.any()
    noisy = labelled(paper_objects(60, 2))
    np.testing.assert_array_equal(with_noise(noisy, jax.random.key(1), 60).spectra, noisy.spectra)
    sigma = np.repeat(quiet.noise, (171, 219, 841), axis=1)
    assert float(((noisy.spectra - quiet.spectra) / sigma).std()) == pytest.approx(1.0, abs=0.02)


def test_the_dense_network_learns(objects):
    training, validation, _ = split(labelled(objects), 1)
    task = line_ratio_ann_task(training, validation, epochs=1)
    size = {"hidden": (32, 16), "members": 2}
    config = TrainConfig(
        **{**task.learning, "steps": 60, "batch": 32, "validate_every": 20, "warmup": 5}
    )
    trained = train(task, config, size=size)
    assert trained.best < 0.5 * np.mean(validation.target**2)
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]


def test_ours_learns_from_a_library(sources):
    batch = line_ratios.sample(sources, jax.random.key(1), 4000)
    prior = line_ratios.Gaussians(*(jnp.asarray(p) for p in gaussians(Library(*sources))))
    size = {"width": 16, "depth": 1, "components": 2}
    network = line_ratios.LineRatios(key=jax.random.key(0), prior=prior, **size)
    slope = eqx.filter_jit(eqx.filter_value_and_grad(line_ratios.loss))
    losses = []
    for _ in range(12):
        loss, gradient = slope(network, batch)
        losses.append(float(loss))
        step = jax.tree.map(lambda g: -0.02 * jnp.clip(g, -1.0, 1.0), gradient)
        network = eqx.apply_updates(network, step)
    assert losses[-1] < losses[0] - 0.1
    for part in jax.tree.leaves(gradient.prior):
        assert not np.any(part)  # what nebulae are like is not learned
    ranges = line_ratios._trained_ranges(sources)["log_ratio"]["hii"]
    lowest = np.log10(2.6) + EBV[0] * reddening_of_decrement()
    assert lowest < ranges["HALPHA6563/HBETA4861"][0] < np.log10(2.6)
    other = line_ratios.sample(sources, jax.random.key(2), 4000)
    assert not np.allclose(batch.flux, other.flux)


def test_a_training_can_begin_with_weights(tmp_path):
    from nebulines.errors import UsageError
    from nebulines.networks.weights import save
    from nebulines.training.task import Task
    from nebulines.training.tasks import starting_from

    size = {"width": 16, "depth": 1, "components": 2}
    old = line_ratios.LineRatios(key=jax.random.key(7), **size)
    card = {"name": "line_ratios", "architecture": "line_ratios", "size": size,
            "trained_with": {"command": "nebulines train line_ratios"}}  # fmt: skip
    save(tmp_path / "old.safetensors", old, card)
    own = eqx.tree_at(lambda p: p.middle, old.prior, 1.0 + old.prior.middle)
    task = Task(
        "line_ratios",
        lambda key, **size: line_ratios.LineRatios(key=key, prior=own, **size),
        lambda key, n: None,
        lambda network, batch, key: 0.0,
    )
    begun = starting_from(task, tmp_path / "old.safetensors")
    network = begun.build(jax.random.key(1), **begun.size)
    np.testing.assert_array_equal(network.inward.weight, old.inward.weight)
    np.testing.assert_array_equal(network.prior.middle, own.middle)
    assert begun.about["options"] == ["--start", "old.safetensors"]
    assert begun.about["begun_with"]["command"] == "nebulines train line_ratios"
    with pytest.raises(UsageError, match="holds weights of"):
        starting_from(task._replace(name="kinematics"), tmp_path / "old.safetensors")
