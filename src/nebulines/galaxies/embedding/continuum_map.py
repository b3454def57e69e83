"""A plane on which galaxies of similar continua lie close together.

UMAP (McInnes, Healy & Melville 2018) makes the plane from the eleven colours of many galaxies;
the network ``continuum_map`` learned where UMAP puts them, so that new spectra are placed in
microseconds and every population lies on the same plane, as in the figure of Khederlarian et al.
2024, MNRAS 531, 1454.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.errors import InputError
from nebulines.galaxies.widths.bins import N_COLOURS
from nebulines.galaxies.widths.support import ColourSupport, published_support, support_of

CONTINUUM_MAP = "continuum_map"
"""Name of the shipped map of continua."""
_BLOCK = 4096


class EmbeddingMap(eqx.Module):
    """Dense network from standardised features to two coordinates.

    Args (of the constructor):
        key: of the initial weights.
        width: of the hidden layers.
        depth: number of hidden layers.
        inputs: number of features: 11 colours, or the size of a latent space.

    Example:
        >>> EmbeddingMap(key=jax.random.key(0))(jnp.zeros((3, 11))).shape
        (3, 2)
    """

    mean: Array
    spread: Array
    layers: list[eqx.nn.Linear]
    centre: Array
    scale: Array
    support: ColourSupport

    def __init__(self, *, key: Array, width: int = 64, depth: int = 3, inputs: int = N_COLOURS):
        sizes = (inputs, *(width,) * depth, 2)
        keys = jax.random.split(key, depth + 1)
        self.layers = [
            eqx.nn.Linear(a, b, key=k) for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=True)
        ]
        self.mean, self.spread = jnp.zeros(inputs), jnp.ones(inputs)
        self.centre, self.scale = jnp.zeros(2), jnp.ones(2)
        self.support = published_support(np.zeros(inputs), np.ones(inputs))

    def __call__(self, features: Any) -> Array:
        """Coordinates (n, 2) of features (n, inputs)."""
        fixed = jax.lax.stop_gradient((self.mean, self.spread, self.centre, self.scale))
        hidden = (jnp.asarray(features) - fixed[0]) / fixed[1]
        for layer in self.layers[:-1]:
            hidden = jax.nn.silu(_dense(layer, hidden))
        return fixed[2] + fixed[3] * _dense(self.layers[-1], hidden)


def _dense(layer: eqx.nn.Linear, hidden: Array) -> Array:
    assert layer.bias is not None
    return hidden @ layer.weight.T + layer.bias


def standardised_to(network: EmbeddingMap, features: Any, placed: Any) -> EmbeddingMap:
    """The network with the standardisation and the support of its training set.

    Args:
        network: to be trained.
        features: (n, inputs).
        placed: (n, 2) coordinates that it shall learn.
    """
    features, placed = np.asarray(features, float), np.asarray(placed, float)
    support = network.support
    if features.shape[1] == N_COLOURS:
        support = support_of(features)
    return eqx.tree_at(
        lambda n: (n.mean, n.spread, n.centre, n.scale, n.support),
        network,
        (
            jnp.asarray(features.mean(axis=0)),
            jnp.asarray(np.maximum(features.std(axis=0), 1e-6)),
            jnp.asarray(placed.mean(axis=0)),
            jnp.asarray(placed.std(axis=0)),
            support,
        ),
    )


def place(network: EmbeddingMap, features: Any) -> np.ndarray:
    """Coordinates of any number of galaxies.

    Args:
        network: of `continuum_map`, or one of your own.
        features: (n, inputs): colours [dex]; rows that are not finite are not placed.

    Returns:
        (n, 2) float32, NaN where a row is not finite.

    Raises:
        InputError: another number of columns.

    Example:
        >>> place(EmbeddingMap(key=jax.random.key(0)), np.zeros((5, 11))).shape
        (5, 2)
    """
    features = np.asarray(features, np.float32)
    inputs = len(network.mean)
    if features.ndim != 2 or features.shape[1] != inputs:
        raise InputError(f"the map takes features (n, {inputs}), not {features.shape}")
    n, block = len(features), min(_BLOCK, max(1, len(features)))
    placed = np.empty((n, 2), np.float32)
    for start in range(0, n, block):
        stop = min(start + block, n)
        first = max(0, stop - block)  # the last block overlaps, so that one program serves all
        placed[first:stop] = _placed(network, features[first:stop])
    return placed


@eqx.filter_jit
def _placed(network: EmbeddingMap, features: Any) -> Array:
    return network(features)


def continuum_map() -> EmbeddingMap:
    """The map of continua that comes with the package: eleven colours to two coordinates.

    Example:
        >>> float(continuum_map().support.limit) > 0
        True
    """
    from nebulines.networks.weights import load

    return load(CONTINUUM_MAP).network


def latent_features(network: Any, colours: Any) -> np.ndarray:
    """What the last hidden layer of an ``equivalent_width`` network says of colours.

    Args:
        network: with ``mean``, ``spread`` and ``layers``, as `EquivalentWidth`.
        colours: (n, 11) [dex].

    Returns:
        (n, width) float32.
    """
    hidden = (jnp.asarray(colours) - network.mean) / network.spread
    for layer in network.layers[:-1]:
        hidden = jax.nn.silu(_dense(layer, hidden))
    return np.asarray(hidden, np.float32)
