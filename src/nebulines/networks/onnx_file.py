"""Networks as ONNX files, for programs without JAX.

``kinematics``: input ``features`` (n, F) of `nebulines.networks.kinematics.line_stack`, output
``raw`` (n, 6 K + 1) that `nebulines.networks.kinematics.mixture.mixture_from` reads. ``starnet``:
input ``spectra`` (n, channel), output ``kinematics`` (n, 2) [km/s].
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.io.atomic import atomic_path
from nebulines.networks import starnet
from nebulines.networks.kinematics.network import Kinematics

_OPSET = 17


class _Graph:
    """Nodes and constants of a graph under construction."""

    def __init__(self) -> None:
        import onnx

        self.helper, self.numpy_helper = onnx.helper, onnx.numpy_helper
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Any, kind: Any = np.float32) -> str:
        """Name of a new constant."""
        name = f"c{len(self.constants)}"
        self.constants.append(self.numpy_helper.from_array(np.array(values, kind), name))
        return name

    def add(self, operation: str, *inputs: str, to: str | None = None, **attributes: Any) -> str:
        """Name of the output of a new node."""
        output = to or f"h{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(operation, inputs, [output], **attributes))
        return output

    def linear(self, layer: Any, values: str, *, to: str | None = None) -> str:
        """A dense layer."""
        weight, bias = self.constant(np.asarray(layer.weight).T), self.constant(layer.bias)
        return self.add("Gemm", values, weight, bias, to=to)


def write_onnx(network: Any, path: Path) -> None:
    """Write a network as ONNX.

    Args:
        network: `Kinematics` or `StarNet`.
        path: of the file.

    Raises:
        UsageError: ONNX is not installed (extra ``onnx``), or the network is of another kind.
    """
    try:
        import onnx
    except ImportError:
        raise UsageError("ONNX files need onnx: pip install 'nebulines[onnx]'") from None
    graph = _Graph()
    if isinstance(network, Kinematics):
        ends = _kinematics(graph, network)
    elif isinstance(network, starnet.StarNet):
        ends = _starnet(graph, network)
    else:
        raise UsageError(f"no ONNX form for a {type(network).__name__}")
    (source, width), (result, n_out) = ends
    number = onnx.TensorProto.FLOAT
    inward = onnx.helper.make_tensor_value_info(source, number, ["n", width])
    outward = onnx.helper.make_tensor_value_info(result, number, ["n", n_out])
    whole = onnx.helper.make_graph(
        graph.nodes, type(network).__name__, [inward], [outward], graph.constants
    )
    model = onnx.helper.make_model(
        whole, opset_imports=[onnx.helper.make_opsetid("", _OPSET)], ir_version=8
    )
    onnx.checker.check_model(model)
    with atomic_path(path) as partial:
        partial.write_bytes(model.SerializeToString())


_Ends = tuple[tuple[str, int], tuple[str, int]]


def _kinematics(graph: _Graph, network: Kinematics) -> _Ends:
    def silu(values: str) -> str:
        return graph.add("Mul", values, graph.add("Sigmoid", values))

    hidden = graph.linear(network.inward, "features")
    for first, second in network.blocks:
        step = graph.linear(second, silu(graph.linear(first, hidden)))
        hidden = graph.add("Add", hidden, step)
    graph.linear(network.outward, silu(hidden), to="raw")
    return ("features", network.inward.in_features), ("raw", network.outward.out_features)  # type: ignore[return-value]


def _starnet(graph: _Graph, network: starnet.StarNet) -> _Ends:
    top = graph.add("ReduceMax", "spectra", axes=[1], keepdims=1)
    one = graph.constant(1.0)
    positive = graph.add("Greater", top, graph.constant(0.0))
    safe = graph.add("Where", positive, top, one)
    hidden = graph.add("Div", "spectra", safe)
    hidden = graph.add("Unsqueeze", hidden, graph.constant([1], np.int64))
    for layer in (network.first, network.second):
        size = layer.kernel_size[0]
        weight = graph.constant(layer.weight)
        bias = graph.constant(np.asarray(layer.bias).reshape(-1))
        before = (size - 1) // 2
        pads = [before, size - 1 - before]
        hidden = graph.add("Conv", hidden, weight, bias, pads=pads)
        hidden = graph.add("Relu", hidden)
    hidden = graph.add("MaxPool", hidden, kernel_shape=[4], strides=[4])
    hidden = graph.add("Flatten", hidden)
    for dense in network.dense[:-1]:
        hidden = graph.add("Relu", graph.linear(dense, hidden))
    hidden = graph.linear(network.dense[-1], hidden)
    unit = graph.constant(starnet.UNIT_KMS)
    scaled = graph.add("Mul", hidden, unit)
    middle = graph.constant([0.0, starnet.BROADENING_MIDDLE_KMS])
    graph.add("Add", scaled, middle, to="kinematics")
    filters = network.second.out_channels
    channels = 4 * (network.dense[0].in_features // filters)  # type: ignore[operator]
    return ("spectra", channels), ("kinematics", 2)
