"""The published network: against plain numpy, and as files."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nebulines.errors import InputError, UsageError
from nebulines.evaluation.equivalent_width import published_agreement
from nebulines.galaxies import convert_published, load_predictor
from nebulines.galaxies.widths.equivalent_widths import LINES, published_names
from nebulines.galaxies.widths.published import published_network
from nebulines.galaxies.widths.samples import TEST, draw_sample


def by_hand(arrays, colours: np.ndarray) -> np.ndarray:
    """asinh EW (n, 10) line by line and layer by layer, float64."""
    columns = []
    for line in published_names():
        hidden = (colours - arrays[f"{line}_mu"]) / arrays[f"{line}_sc"]
        for layer in range(4):
            weight = np.asarray(arrays[f"{line}_{layer}_0"], float)
            hidden = hidden @ weight.T + np.asarray(arrays[f"{line}_{layer}_1"], float)
            if layer < 3:
                negative = 1.6732632423543772 * np.expm1(np.minimum(hidden, 0.0))
                hidden = 1.0507009873554805 * np.where(hidden > 0, hidden, negative)
        columns.append(hidden[:, 0])
    return np.stack(columns, axis=1)


def typical_colours(arrays, n: int, seed: int = 0) -> np.ndarray:
    z = np.random.default_rng(seed).normal(size=(n, 11))
    return arrays["HALPHA_mu"] + z * arrays["HALPHA_sc"]


def test_random_weights_agree_with_numpy(random_arrays, double):
    colours = typical_colours(random_arrays, 200)
    got = published_network(random_arrays)(colours)
    np.testing.assert_allclose(got, by_hand(random_arrays, colours), atol=1e-12)


def test_published_weights_agree_with_numpy(published_file, double):
    with np.load(published_file) as stored:
        arrays = dict(stored)
    colours = typical_colours(arrays, 2000)
    widths = load_predictor(published_file).network.predict(colours)
    expected = by_hand(arrays, colours)
    np.testing.assert_allclose(widths.mean, expected, atol=1e-12)
    np.testing.assert_allclose(widths.ew(), np.sinh(expected), rtol=1e-10, atol=1e-10)


def test_single_precision_is_near(published_file):
    with np.load(published_file) as stored:
        arrays = dict(stored)
    colours = typical_colours(arrays, 2000)
    error = np.abs(load_predictor(published_file).network(colours) - by_hand(arrays, colours))
    assert np.median(error) < 5e-7
    assert error.max() < 1e-5


def test_blue_galaxies_have_stronger_lines(published_file):
    """The published network on the mean DESI galaxy, made bluer and redder than it."""
    with np.load(published_file) as stored:
        mean, spread = stored["HALPHA_mu"], stored["HALPHA_sc"]
    network = load_predictor(published_file).network
    ew = network.predict(np.stack([mean - 0.7 * spread, mean, mean + 0.7 * spread])).ew()
    k = LINES.index("HALPHA6563")
    assert ew[0, k] > ew[1, k] > ew[2, k]


@pytest.mark.parametrize("transform", ["jit", "vmap", "grad"])
def test_transforms(random_arrays, transform, double):
    network = published_network(random_arrays)
    colours = jnp.asarray(typical_colours(random_arrays, 5))
    if transform == "jit":
        np.testing.assert_allclose(
            jax.jit(lambda c: network(c))(colours), network(colours), atol=1e-12
        )
    elif transform == "vmap":
        rows = jax.vmap(lambda row: network(row[None])[0])(colours)
        np.testing.assert_allclose(rows, network(colours), atol=1e-12)
    else:
        gradient = jax.grad(lambda c: network(c)[0, 6])(colours)[0]
        step = 1e-6 * np.eye(11)
        difference = (network(colours[0] + step) - network(colours[0] - step))[:, 6] / 2e-6
        np.testing.assert_allclose(gradient, difference, rtol=1e-6, atol=1e-8)


def test_converted_weights_give_the_same(random_file, tmp_path, double):
    path = convert_published(random_file, tmp_path / "converted.safetensors")
    first, second = load_predictor(random_file), load_predictor(path)
    colours = np.random.default_rng(0).normal(size=(20, 11)) * 0.1
    np.testing.assert_array_equal(first.network(colours), second.network(colours))
    assert second.card["licence"] == "MIT"
    distances = [p.network.support.distance(colours) for p in (first, second)]
    np.testing.assert_array_equal(*distances)


def test_luminosity_is_a_twelfth_input(random_arrays):
    arrays = dict(random_arrays)
    for line in published_names():
        arrays[f"{line}_mu"] = np.append(arrays[f"{line}_mu"], 6.5)
        arrays[f"{line}_sc"] = np.append(arrays[f"{line}_sc"], 0.5)
        arrays[f"{line}_0_0"] = np.pad(arrays[f"{line}_0_0"], ((0, 0), (0, 1)), constant_values=0.3)
    network = published_network(arrays)
    inputs = np.concatenate([np.zeros((2, 11)), [[6.0], [7.0]]], axis=1)
    assert network(inputs).shape == (2, 10)
    assert not np.allclose(network(inputs)[0], network(inputs)[1])


def test_colours_far_from_the_scaler_are_outside(random_arrays):
    network = published_network(random_arrays)
    mean = np.mean([random_arrays[f"{n}_mu"] for n in published_names()], axis=0)
    spread = np.mean([random_arrays[f"{n}_sc"] for n in published_names()], axis=0)
    distance = network.support.distance(np.stack([mean, mean + 6.0 * spread]))
    assert distance[0] < 1e-3
    assert distance[1] > 1


def test_scatter_is_stated_for_every_line(random_arrays):
    widths = published_network(random_arrays).predict(np.zeros((4000, 11)))
    draws = np.arcsinh(widths.draw(jax.random.key(0)))
    np.testing.assert_allclose(draws.std(axis=0), widths.scatter()[0], rtol=0.06)
    assert 0.6 < np.corrcoef(draws[:, 6], draws[:, 7])[0, 1] < 0.8


def broken(arrays, change):
    arrays = dict(arrays)
    change(arrays)
    return arrays


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("HALPHA_2_0"), "no published weights"),
        (lambda a: a.update(HALPHA_mu=np.full(11, np.nan)), "not finite"),
        (lambda a: a.update(HALPHA_1_0=np.zeros((3, 3))), "differ in shape"),
    ],
)
def test_broken_weights_are_refused(random_arrays, change, message):
    with pytest.raises(InputError, match=message):
        published_network(broken(random_arrays, change))


def test_broken_files_are_refused(tmp_path, random_file):
    (tmp_path / "text.npz").write_text("no weights")
    with pytest.raises(InputError, match="cannot read"):
        load_predictor(tmp_path / "text.npz")
    with pytest.raises(UsageError, match="no weights"):
        load_predictor(tmp_path / "absent.npz")
    with pytest.raises(UsageError, match=r"\.npz or a \.safetensors"):
        load_predictor(tmp_path / "weights.pkl")
    path = convert_published(random_file, tmp_path / "w.safetensors")
    path.with_suffix(".json").write_text(json.dumps({"architecture": "kinematics", "size": {}}))
    with pytest.raises(InputError, match="card"):
        load_predictor(path)


def test_the_report_measures_the_agreement_with_plain_numpy(random_file):
    test = draw_sample(50, 0, TEST)
    found = published_agreement(random_file, test)
    assert found["double"] < 1e-10
    assert found["double"] < found["single"] < 1e-4
