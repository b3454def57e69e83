"""The last layer of ``line_ratio_ann`` by least squares, which ends its training.

Adam leaves the linear last layer near the best one for the hidden layers that it has; with those
given, and without the dropout that they learned under, the best is the solution of

    (sum_i h_i h_i^T + ridge) W = sum_i h_i t_i^T,

h the last hidden values and one, t the targets arcsinh(ratio). An output whose target is the same
for all spectra, [N II] 6548/6583, comes out as that constant: the weights of its row vanish.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from nebulines.networks.line_ratios.ann import LAST_GAIN, LineRatioAnn

PASSES = 2
"""Times that the training set is read, each time with noise of its own."""
RIDGE = 1e-6
"""What is added to the diagonal, as a share of its mean, to all but the constant."""
ROWS = 3500
LAST_LAYER = f"by least squares over the training set, read {PASSES} times, ridge {RIDGE:g}"
"""What the card says."""


def with_solved_last_layer(network: LineRatioAnn, data: Any, noisy: Any) -> LineRatioAnn:
    """The network with the last layer that fits a training set best.

    Args:
        network: trained.
        data: training set, with ``spectra`` and ``rows``.
        noisy: (rows of ``data``, key, n) -> the rows with noise, and their ``target``.

    Returns:
        The network; its hidden layers are as they were.

    Example:
        >>> from nebulines.training.line_ratios.ann import Labelled, with_noise
        >>> data = Labelled(np.eye(4, dtype=np.float32), np.full((4, 9), 0.3), np.zeros((4, 3)))
        >>> network = LineRatioAnn(key=jax.random.key(0), channels=4, hidden=(3,), members=2)
        >>> solved = with_solved_last_layer(network, data, with_noise)
        >>> solved.raw(data.spectra).round(3).min().item()
        0.30000001192092896
    """
    read = eqx.filter_jit(lambda own, spectra: own.last_hidden(spectra))
    square: Any = 0.0
    product: Any = 0.0
    for key, part in _parts(data):
        batch = noisy(part, key, len(part.spectra))
        hidden = np.asarray(read(network, batch.spectra), float)
        hidden = np.concatenate([hidden, np.ones_like(hidden[..., :1])], axis=-1)
        square = square + hidden.swapaxes(1, 2) @ hidden
        product = product + hidden.swapaxes(1, 2) @ np.asarray(batch.target, float)
    layer = _solution(square, product) / LAST_GAIN
    weight, bias = (jnp.asarray(part, jnp.float32) for part in (layer[:, :-1], layer[:, -1]))
    return eqx.tree_at(
        lambda own: (own.weight[-1], own.bias[-1]), network, (jnp.swapaxes(weight, 1, 2), bias)
    )


def _parts(data: Any) -> Any:
    """Keys of the noise, and parts of the training set, over all passes."""
    begins = range(0, len(data.spectra), ROWS)
    keys = jax.random.split(jax.random.key(0), PASSES * len(begins))
    for number, key in enumerate(keys):
        begin = begins[number % len(begins)]
        yield key, data.rows(slice(begin, begin + ROWS))


def _solution(square: np.ndarray, product: np.ndarray) -> np.ndarray:
    """Layers (member, unit + 1, 9) of sums (member, unit + 1, unit + 1) and (member, unit + 1, 9);
    the last unit is the constant."""
    units = square.shape[1] - 1
    level = RIDGE * np.trace(square[:, :-1, :-1], axis1=1, axis2=2) / units
    penalty = np.diag([1.0] * units + [0.0])
    return np.linalg.solve(square + level[:, None, None] * penalty, product)
