"""The network ``equivalent_width``: ten lines from eleven colours, with their joint scatter.

One trunk for all lines: standardised colours through a few dense layers to the mean m (10) of
asinh EW, the covariance F F^T + diag(d^2) of what the colours do not decide, F (10, rank), and the
skewness and the tails of that scatter, line by line. It
learns from measured widths with errors, weak and negative ones included (`nebulines.galaxies.
learning`).
"""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.galaxies.widths.bins import BIN_EDGES, N_COLOURS, colours
from nebulines.galaxies.widths.equivalent_widths import LINES, LineWidths, with_doublets
from nebulines.galaxies.widths.support import ColourSupport, published_support

ARCHITECTURE = "equivalent_width"
"""What a card calls it."""
_LARGEST = 8.0  # of |m|: 1500 Angstrom
_START_SCATTER = 0.5
_LEAST_SCATTER = 0.02
_MOST_SKEW, _MOST_TAIL = 1.0, 0.5


class EquivalentWidth(eqx.Module):
    """Dense trunk with one head for mean, shared and own scatter.

    Args (of the constructor):
        key: of the initial weights.
        width: of the hidden layers.
        depth: number of hidden layers.
        rank: of the shared scatter.
        skewed: whether the scatter may be skewed and have tails of its own.
        inputs: number of features, 11 colours or more.

    Example:
        >>> network = EquivalentWidth(key=jax.random.key(0))
        >>> network.predict(jnp.zeros((3, 11))).factor.shape
        (3, 10, 3)
    """

    edges: ClassVar[np.ndarray] = BIN_EDGES
    mean: Array
    spread: Array
    layers: list[eqx.nn.Linear]
    support: ColourSupport
    calibration: Array
    rank: int = eqx.field(static=True)
    skewed: bool = eqx.field(static=True)

    def __init__(
        self,
        *,
        key: Array,
        width: int = 64,
        depth: int = 2,
        rank: int = 3,
        skewed: bool = False,
        inputs: int = N_COLOURS,
    ):
        outputs = len(LINES) * (2 + rank + 2 * skewed)
        sizes = (inputs, *(width,) * depth, outputs)
        keys = jax.random.split(key, depth + 1)
        self.layers = [
            eqx.nn.Linear(a, b, key=k) for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=True)
        ]
        self.mean, self.spread = jnp.zeros(inputs), jnp.ones(inputs)
        self.support = published_support(np.zeros(N_COLOURS), np.ones(N_COLOURS))
        self.calibration = jnp.ones(len(LINES))
        self.rank, self.skewed = rank, skewed

    def __call__(self, inputs: Any) -> Array:
        """The raw outputs (n, 10 (4 + rank)) of inputs (n, 11)."""
        return _dense(self.layers[-1], self._hidden(inputs))

    def _hidden(self, inputs: Any) -> Array:
        fixed = jax.lax.stop_gradient((self.mean, self.spread))
        hidden = (jnp.asarray(inputs) - fixed[0]) / fixed[1]
        for layer in self.layers[:-1]:
            hidden = jax.nn.silu(_dense(layer, hidden))
        return hidden

    def features(self, binned_flux: Any) -> Array:
        """Inputs (n, 11) of mean fluxes (n, 12)."""
        return colours(binned_flux)

    def median(self, inputs: Any) -> Array:
        """Median equivalent widths (n, 10) [Angstrom] alone: faster than `predict`."""
        last = self.layers[-1]
        assert last.bias is not None
        n = len(LINES)
        raw = self._hidden(inputs) @ last.weight[:n].T + last.bias[:n]
        return with_doublets(jnp.sinh(_LARGEST * jnp.tanh(raw / _LARGEST)))

    def predict(self, inputs: Any) -> LineWidths:
        """`LineWidths` of inputs (n, 11)."""
        raw, n = self(inputs), len(LINES)
        mean = _LARGEST * jnp.tanh(raw[:, :n] / _LARGEST)
        mean = jnp.arcsinh(with_doublets(jnp.sinh(mean)))
        own = _LEAST_SCATTER + _START_SCATTER * jnp.exp(jnp.clip(raw[:, n : 2 * n], -5.0, 2.0))
        factor = 0.5 * raw[:, 2 * n : (2 + self.rank) * n].reshape(-1, n, self.rank)
        scale = jax.lax.stop_gradient(self.calibration)
        own, factor = own * scale, factor * scale[:, None]
        tied = jnp.ones((len(mean), 1), bool)
        if not self.skewed:
            return LineWidths(mean, factor, own, tied=tied)
        skew, tail = jnp.split(raw[:, (2 + self.rank) * n :], 2, axis=1)
        tail = jnp.exp(_MOST_TAIL * jnp.tanh(tail))
        return LineWidths(mean, factor, own, _MOST_SKEW * jnp.tanh(skew), tail, tied)


def _dense(layer: eqx.nn.Linear, hidden: Array) -> Array:
    """A layer on a batch (n, in)."""
    assert layer.bias is not None
    return hidden @ layer.weight.T + layer.bias


def fitted_to(network: EquivalentWidth, inputs: Any, *, colours: Any = None) -> EquivalentWidth:
    """The network with standardisation and support of what it trains on.

    Args:
        network: with initial weights.
        inputs: (n, k) of the training set.
        colours: (n, 11) of the training set; None = the inputs are the colours.
    """
    from nebulines.galaxies.widths.support import support_of

    inputs = np.asarray(inputs, float)
    spread = np.maximum(inputs.std(axis=0), 1e-4)
    region = support_of(inputs if colours is None else colours)
    return eqx.tree_at(
        lambda n: (n.mean, n.spread, n.support),
        network,
        (jnp.asarray(inputs.mean(axis=0)), jnp.asarray(spread), region),
    )
