"""What every network of the package promises."""

from __future__ import annotations

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nebulines.errors import InputError, UsageError
from nebulines.networks.weights import load, save


def test_shape(member):
    assert member.network(member.inputs).shape == (6, member.n_out)


def test_gradients_are_finite_and_reach_every_layer(member):
    def loss(network):
        return jnp.sum(jnp.square(network(member.inputs)))

    gradient = eqx.filter_grad(loss)(member.network)
    for leaf in jax.tree.leaves(eqx.filter(gradient, eqx.is_inexact_array)):
        assert np.isfinite(leaf).all()
        assert np.abs(leaf).max() > 0


def test_compiled_equals_eager(member, close):
    assert close(eqx.filter_jit(member.network)(member.inputs), member.network(member.inputs))


def test_batch_equals_loop(member, close):
    one_by_one = jnp.concatenate([member.network(row[None]) for row in member.inputs])
    assert close(member.network(member.inputs), one_by_one)


def test_a_saved_network_gives_the_same_answer(member, tmp_path):
    path = tmp_path / "mine.safetensors"
    save(path, member.network, {"architecture": member.architecture, "size": member.size})
    loaded = load(str(path))
    assert loaded.card["size"] == member.size
    np.testing.assert_array_equal(loaded.network(member.inputs), member.network(member.inputs))


def test_weights_of_another_network_are_refused(member, tmp_path):
    path = tmp_path / "other.safetensors"
    wrong = {"channels": 60} if member.architecture == "starnet" else {"width": 8, "depth": 1}
    save(path, member.network, {"architecture": member.architecture, "size": wrong})
    with pytest.raises(InputError, match="do not fit"):
        load(str(path))


def test_damaged_files_are_refused(member, tmp_path):
    path = tmp_path / "broken.safetensors"
    save(path, member.network, {"architecture": member.architecture, "size": member.size})
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match="cannot read the weights"):
        load(str(path))
    path.with_suffix(".json").write_text(json.dumps({"size": {}}))
    load.cache_clear()
    with pytest.raises(InputError, match="card"):
        load(str(path))


def test_an_unknown_name_is_refused():
    with pytest.raises(UsageError, match="no pretrained network 'nonsense'"):
        load("nonsense")


def test_onnx_gives_the_same_answer(member, tmp_path, close):
    runtime = pytest.importorskip("onnxruntime")
    from nebulines.networks.onnx_file import write_onnx

    path = tmp_path / "network.onnx"
    write_onnx(member.network, path)
    session = runtime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    inward = session.get_inputs()[0]
    answer = session.run(None, {inward.name: np.asarray(member.inputs)})[0]
    assert close(answer, member.network(member.inputs), 1e-4)


def test_dropout_acts_in_training_alone(member):
    if member.architecture != "starnet":
        pytest.skip("no dropout")
    key = jax.random.key(0)
    dropped = member.network.raw(member.inputs, key=key)
    assert not np.allclose(dropped, member.network.raw(member.inputs))
