"""The network ``equivalent_width``: ten lines from eleven colours, with their joint scatter.

One trunk for all lines: standardised colours through a few dense layers to the medians (10) of
asinh EW, and to a mixture of K joint normal laws (`WidthMixture`) of what the colours do not
decide: the logarithm of each share, medians m (10), covariance F F^T + diag(d^2), F (10, rank). It
learns from measured widths with errors, weak and negative ones included
(`nebulines.galaxies.widths.learning`).
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
from nebulines.galaxies.widths.width_mixture import WidthMixture

ARCHITECTURE = "equivalent_width"
"""What a card calls it."""
_LARGEST = 8.0  # of |m|: 1500 Angstrom
_START_SCATTER = 0.5
_LEAST_SCATTER = 0.02
_START_APART = 0.7  # of the medians of the parts


class EquivalentWidth(eqx.Module):
    """Dense trunk with one head for medians, shares, and the parts of a mixture.

    Args (of the constructor):
        key: of the initial weights.
        width: of the hidden layers.
        depth: number of hidden layers.
        rank: of the scatter that lines share.
        components: parts of the mixture.
        inputs: number of features, 11 colours or more.

    Example:
        >>> network = EquivalentWidth(key=jax.random.key(0))
        >>> network.predict(jnp.zeros((3, 11))).factor.shape
        (3, 3, 10, 3)
    """

    edges: ClassVar[np.ndarray] = BIN_EDGES
    mean: Array
    spread: Array
    layers: list[eqx.nn.Linear]
    support: ColourSupport
    calibration: Array
    rank: int = eqx.field(static=True)
    components: int = eqx.field(static=True)

    def __init__(
        self,
        *,
        key: Array,
        width: int = 64,
        depth: int = 2,
        rank: int = 3,
        components: int = 3,
        inputs: int = N_COLOURS,
    ):
        outputs = len(LINES) + components * (1 + len(LINES) * (2 + rank))
        sizes = (inputs, *(width,) * depth, outputs)
        *keys, apart = jax.random.split(key, depth + 2)
        self.layers = [
            eqx.nn.Linear(a, b, key=k) for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=True)
        ]
        self.layers[-1] = _apart(self.layers[-1], components, apart)
        self.mean, self.spread = jnp.zeros(inputs), jnp.ones(inputs)
        self.support = published_support(np.zeros(N_COLOURS), np.ones(N_COLOURS))
        self.calibration = jnp.ones(len(LINES))
        self.rank, self.components = rank, components

    def __call__(self, inputs: Any) -> Array:
        """The raw outputs of inputs (n, 11)."""
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

    def predict(self, inputs: Any) -> WidthMixture:
        """`WidthMixture` of inputs (n, 11)."""
        raw, n, k = self(inputs), len(LINES), self.components
        share, parts = raw[:, n : n + k], raw[:, n + k :].reshape(len(raw), k, 2 + self.rank, n)
        own = _LEAST_SCATTER + _START_SCATTER * jnp.exp(jnp.clip(parts[:, :, 1], -5.0, 2.0))
        factor = 0.5 * parts[:, :, 2:].swapaxes(-1, -2)
        scale = jax.lax.stop_gradient(self.calibration)
        own, factor = own * scale, factor * scale[:, None]
        tied = jnp.ones((len(raw), k, 1), bool)
        widths = LineWidths(_within(parts[:, :, 0]), factor, own, tied)
        return WidthMixture(_within(raw[:, :n]), jax.nn.log_softmax(share), widths)


def _within(raw: Array) -> Array:
    """asinh EW of raw outputs, no larger than any galaxy's, doublets at their ratios."""
    mean = _LARGEST * jnp.tanh(raw / _LARGEST)
    return jnp.arcsinh(with_doublets(jnp.sinh(mean)))


def _apart(layer: eqx.nn.Linear, components: int, key: Array) -> eqx.nn.Linear:
    """The last layer with the medians of the parts set apart, so that they learn unlike things."""
    n, bias = len(LINES), layer.bias
    assert bias is not None
    parts = bias[n + components :].reshape(components, -1, n)
    steps = _START_APART * jax.random.normal(key, (components, n), bias.dtype)
    moved = parts.at[:, 0].add(steps).reshape(-1)
    return eqx.tree_at(lambda one: one.bias, layer, bias.at[n + components :].set(moved))


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
