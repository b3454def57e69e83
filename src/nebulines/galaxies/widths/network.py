"""The network ``equivalent_width``: ten lines from eleven colours, with their joint scatter.

One trunk for all lines: standardised colours through a few dense layers to a mixture of K joint
normal laws of asinh EW (`WidthMixture`): the logarithm of each share, medians m (10), covariance
F F^T + diag(d^2), F (10, rank). It learns from measured widths with errors, weak and negative ones
included (`nebulines.galaxies.widths.learning`). A smaller trunk beside it states the medians of the
mixture, which are asked for millions of times a second.
"""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.galaxies.widths.bins import BIN_EDGES, N_COLOURS, colours
from nebulines.galaxies.widths.equivalent_widths import (
    LINES,
    LineWidths,
    doublets,
    with_doublets,
)
from nebulines.galaxies.widths.support import LearnedRegion, everywhere, learned_region
from nebulines.galaxies.widths.width_mixture import WidthMixture

ARCHITECTURE = "equivalent_width"
"""What a card calls it."""
_LARGEST = 8.0  # of |m|: 1500 Angstrom
_START_SCATTER = 0.5
_LEAST_SCATTER = 0.02
_START_APART = 0.7  # of the medians of the parts
_WEAK = {weak: (strong, ratio) for weak, strong, ratio in doublets()}
_LINE_OF_MEDIAN = [_WEAK.get(k, (k, 1.0))[0] for k in range(len(LINES))]
_SHARE_OF_MEDIAN = np.array([1.0 / _WEAK.get(k, (k, 1.0))[1] for k in range(len(LINES))], "f4")


class EquivalentWidth(eqx.Module):
    """A dense trunk to the shares and parts of a mixture, and a smaller one to its medians.

    Args (of the constructor):
        key: of the initial weights.
        width: of the hidden layers.
        depth: number of hidden layers.
        rank: of the scatter that lines share.
        components: parts of the mixture.
        inputs: number of features, 11 colours or more.
        median_width: of the hidden layers of the trunk of medians, which has as many.

    Example:
        >>> network = EquivalentWidth(key=jax.random.key(0))
        >>> network.predict(jnp.zeros((3, 11))).factor.shape
        (3, 3, 10, 3)
    """

    edges: ClassVar[np.ndarray] = BIN_EDGES
    mean: Array
    spread: Array
    layers: list[eqx.nn.Linear]
    median_layers: list[eqx.nn.Linear]
    support: LearnedRegion
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
        median_width: int = 64,
    ):
        outputs = components * (1 + len(LINES) * (2 + rank))
        of_mixture, of_medians, apart = jax.random.split(key, 3)
        self.layers = _trunk((inputs, *(width,) * depth, outputs), of_mixture)
        self.layers[-1] = _apart(self.layers[-1], components, apart)
        self.median_layers = _trunk((inputs, *(median_width,) * depth, len(LINES)), of_medians)
        self.mean, self.spread = jnp.zeros(inputs), jnp.ones(inputs)
        self.support = everywhere()
        self.calibration = jnp.ones(len(LINES))
        self.rank, self.components = rank, components

    def __call__(self, inputs: Any) -> Array:
        """The raw outputs of inputs (n, 11): medians (10), and of the mixture."""
        return jnp.concatenate([self._raw_median(inputs), self._raw_mixture(inputs)], axis=1)

    def _raw_median(self, inputs: Any) -> Array:
        """Medians (n, 10) of asinh EW; a weak line of a doublet has that of the strong one."""
        *hidden, last = self._standardised(self.median_layers)
        assert last.bias is not None
        weight, bias = (
            jnp.stack([part[k] for k in _LINE_OF_MEDIAN]) for part in (last.weight, last.bias)
        )
        last = eqx.tree_at(lambda one: (one.weight, one.bias), last, (weight, bias))
        return _through([*hidden, last], inputs)

    def _raw_mixture(self, inputs: Any) -> Array:
        return _through(self._standardised(self.layers), inputs)

    def _standardised(self, layers: list[eqx.nn.Linear]) -> list[eqx.nn.Linear]:
        """Layers whose first one takes the inputs as they come."""
        first, *rest = layers
        mean, spread = jax.lax.stop_gradient((self.mean, self.spread))
        weight = first.weight / spread
        assert first.bias is not None
        bias = first.bias - weight @ mean
        return [eqx.tree_at(lambda one: (one.weight, one.bias), first, (weight, bias)), *rest]

    def features(self, binned_flux: Any) -> Array:
        """Inputs (n, 11) of mean fluxes (n, 12)."""
        return colours(binned_flux)

    def median(self, inputs: Any) -> Array:
        """Median equivalent widths (n, 10) [Angstrom] alone: faster than `predict`."""
        grown = jnp.exp(_LARGEST * jnp.tanh(self._raw_median(inputs) / _LARGEST))
        return 0.5 * (grown - 1.0 / grown) * _SHARE_OF_MEDIAN

    def predict(self, inputs: Any) -> WidthMixture:
        """`WidthMixture` of inputs (n, 11)."""
        raw, n, k = self._raw_mixture(inputs), len(LINES), self.components
        share, parts = raw[:, :k], raw[:, k:].reshape(len(raw), k, 2 + self.rank, n)
        own = _LEAST_SCATTER + _START_SCATTER * jnp.exp(jnp.clip(parts[:, :, 1], -5.0, 2.0))
        factor = 0.5 * parts[:, :, 2:].swapaxes(-1, -2)
        scale = jax.lax.stop_gradient(self.calibration)
        own, factor = own * scale, factor * scale[:, None]
        tied = jnp.ones((len(raw), k, 1), bool)
        widths = LineWidths(_within(parts[:, :, 0]), factor, own, tied)
        return WidthMixture(jnp.arcsinh(self.median(inputs)), jax.nn.log_softmax(share), widths)


def _within(raw: Array) -> Array:
    """asinh EW of raw outputs, no larger than any galaxy's, doublets at their ratios."""
    mean = _LARGEST * jnp.tanh(raw / _LARGEST)
    return jnp.arcsinh(with_doublets(jnp.sinh(mean)))


def _apart(layer: eqx.nn.Linear, components: int, key: Array) -> eqx.nn.Linear:
    """The last layer with the medians of the parts set apart, so that they learn unlike things."""
    n, bias = len(LINES), layer.bias
    assert bias is not None
    parts = bias[components:].reshape(components, -1, n)
    steps = _START_APART * jax.random.normal(key, (components, n), bias.dtype)
    moved = parts.at[:, 0].add(steps).reshape(-1)
    return eqx.tree_at(lambda one: one.bias, layer, bias.at[components:].set(moved))


def _trunk(sizes: tuple[int, ...], key: Array) -> list[eqx.nn.Linear]:
    """Dense layers between so many values each."""
    keys = jax.random.split(key, len(sizes) - 1)
    pairs = zip(keys, sizes[:-1], sizes[1:], strict=True)
    return [eqx.nn.Linear(a, b, key=k) for k, a, b in pairs]


def _through(layers: list[eqx.nn.Linear], inputs: Any) -> Array:
    """A batch (n, in) through layers, x sigmoid(x) between them."""
    hidden = jnp.asarray(inputs)
    for place, layer in enumerate(layers):
        assert layer.bias is not None
        hidden = hidden if place == 0 else hidden * (0.5 + 0.5 * jnp.tanh(0.5 * hidden))
        hidden = hidden @ layer.weight.T + layer.bias
    return hidden


def fitted_to(network: EquivalentWidth, inputs: Any, *, colours: Any = None) -> EquivalentWidth:
    """The network with standardisation and support of what it trains on.

    Args:
        network: with initial weights.
        inputs: (n, k) of the training set.
        colours: (n, 11) of the training set; None = the inputs are the colours.
    """
    inputs = np.asarray(inputs, float)
    spread = np.maximum(inputs.std(axis=0), 1e-4)
    region = learned_region(inputs if colours is None else colours)
    return eqx.tree_at(
        lambda n: (n.mean, n.spread, n.support),
        network,
        (jnp.asarray(inputs.mean(axis=0)), jnp.asarray(spread), region),
    )
