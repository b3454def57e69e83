"""The network ``equivalent_width``: ten lines from eleven colours, with their joint scatter.

One trunk for all lines: standardised colours through a few dense layers to the mean m (10) of
asinh EW and the covariance F F^T + diag(d^2) of what the colours do not decide, F (10, rank). It
learns from measured widths with errors, weak and negative ones included (`nebulines.galaxies.
learning`).
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.galaxies.bins import N_COLOURS
from nebulines.galaxies.equivalent_widths import LINES, LineWidths
from nebulines.galaxies.support import ColourSupport, published_support

ARCHITECTURE = "equivalent_width"
"""What a card calls it."""
_LARGEST = 8.0  # of |m|: 1500 Angstrom
_START_SCATTER = 0.5
_LEAST_SCATTER = 0.02


class EquivalentWidth(eqx.Module):
    """Dense trunk with one head for mean, shared and own scatter.

    Args (of the constructor):
        key: of the initial weights.
        width: of the hidden layers.
        depth: number of hidden layers.
        rank: of the shared scatter.
        inputs: number of features, 11 colours or more.

    Example:
        >>> network = EquivalentWidth(key=jax.random.key(0))
        >>> network.predict(jnp.zeros((3, 11))).factor.shape
        (3, 10, 3)
    """

    mean: Array
    spread: Array
    layers: list[eqx.nn.Linear]
    support: ColourSupport
    rank: int = eqx.field(static=True)

    def __init__(
        self,
        *,
        key: Array,
        width: int = 64,
        depth: int = 2,
        rank: int = 3,
        inputs: int = N_COLOURS,
    ):
        outputs = len(LINES) * (2 + rank)
        sizes = (inputs, *(width,) * depth, outputs)
        keys = jax.random.split(key, depth + 1)
        self.layers = [
            eqx.nn.Linear(a, b, key=k) for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=True)
        ]
        self.mean, self.spread = jnp.zeros(inputs), jnp.ones(inputs)
        self.support = published_support(np.zeros(N_COLOURS), np.ones(N_COLOURS))
        self.rank = rank

    def __call__(self, inputs: Any) -> Array:
        """The raw outputs (n, 10 (2 + rank)) of inputs (n, 11)."""
        fixed = jax.lax.stop_gradient((self.mean, self.spread))
        hidden = (jnp.asarray(inputs) - fixed[0]) / fixed[1]
        for layer in self.layers[:-1]:
            hidden = jax.nn.silu(_dense(layer, hidden))
        return _dense(self.layers[-1], hidden)

    def predict(self, inputs: Any) -> LineWidths:
        """`LineWidths` of inputs (n, 11)."""
        raw, n = self(inputs), len(LINES)
        mean = _LARGEST * jnp.tanh(raw[:, :n] / _LARGEST)
        own = _LEAST_SCATTER + _START_SCATTER * jnp.exp(jnp.clip(raw[:, n : 2 * n], -5.0, 2.0))
        factor = 0.5 * raw[:, 2 * n :].reshape(-1, n, self.rank)
        return LineWidths(mean, factor, own)


def _dense(layer: eqx.nn.Linear, hidden: Array) -> Array:
    """A layer on a batch (n, in)."""
    assert layer.bias is not None
    return hidden @ layer.weight.T + layer.bias


def fitted_to(network: EquivalentWidth, colours: Any) -> EquivalentWidth:
    """The network with standardisation and support of its training colours (n, 11)."""
    from nebulines.galaxies.support import support_of

    colours = np.asarray(colours, float)
    spread = np.maximum(colours.std(axis=0), 1e-4)
    region = support_of(colours[:, :N_COLOURS])
    return eqx.tree_at(
        lambda n: (n.mean, n.spread, n.support),
        network,
        (jnp.asarray(colours.mean(axis=0)), jnp.asarray(spread), region),
    )
