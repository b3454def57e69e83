"""The network ``line_ratio_ann``: the dense network of Rhea et al. 2021, as published.

The spectra of SN1, SN2 and SN3, one after the other and divided by their maximum, go through
dense layers of 1024, 1024 and 512 with ReLU, 25 and 15 % dropout after the first two, and a
linear layer that gives arcsinh of line ratios. Ten such networks that differ in their initial
weights make a deep ensemble, whose mean is the answer and whose spread is the uncertainty. It
needs the axes, the resolutions and the kind of nebulae that it was trained on: a baseline.

Source: Rhea et al. 2021, ApJ 910, 129, section 2; Lakshminarayanan, Pritzel & Blundell 2017,
NeurIPS 30.
"""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

RATIOS = (
    "SII6731/SII6716", "SII/HALPHA6563", "NII6583/HALPHA6563", "NII6583/SII",
    "OIII5007/HBETA4861", "OII/HBETA4861", "OII/OIII5007", "HALPHA6563/HBETA4861",
    "NII6548/NII6583",
)  # fmt: skip
"""The targets, in the order of the paper's table 2; the last is its check."""
CHANNELS = (171, 219, 841)
"""Channels that are read of SN1, SN2 and SN3."""
HIDDEN = (1024, 1024, 512)
DROPOUT = (0.25, 0.15, 0.0)
MEMBERS = 10
LAST_GAIN = 100.0
"""What the last layer, weights and bias, is multiplied by, while those of the hidden layers begin
together so many times smaller than by He's rule. A ReLU network can say the same either way, but
the penalty, of the hidden layers alone, then costs that much less of what it has learned."""


class LineRatioAnn(eqx.Module):
    """Ensemble of dense networks, whose weights are stacked (member, out, in).

    Args (of the constructor):
        key: of the initial weights.
        channels: of the three spectra together.
        hidden: sizes of the layers.
        members: of the ensemble.

    Example:
        >>> network = LineRatioAnn(key=jax.random.key(0), channels=30, hidden=(8, 8), members=3)
        >>> mean, spread = network(jnp.ones((2, 30)))
        >>> mean.shape, spread.shape
        ((2, 9), (2, 9))
    """

    weight: list[Array]
    bias: list[Array]

    def __init__(
        self,
        *,
        key: Array,
        channels: int = sum(CHANNELS),
        hidden: tuple[int, ...] | list[int] = HIDDEN,
        members: int = MEMBERS,
    ):
        sizes = (channels, *hidden, len(RATIOS))
        keys = jax.random.split(key, len(sizes) - 1)
        gains = [LAST_GAIN ** (-1.0 / len(hidden))] * len(hidden) + [1.0]
        self.weight = [
            # normal, as in the paper; of the variance that keeps a ReLU layer's scale, but a gain
            jax.random.normal(k, (members, n_out, n_in)) * gain * jnp.sqrt(2.0 / n_in)
            for k, n_in, n_out, gain in zip(keys, sizes[:-1], sizes[1:], gains, strict=True)
        ]
        self.bias = [jnp.zeros((members, n_out)) for n_out in sizes[1:]]

    def last_hidden(self, spectra: Array, *, key: Array | None = None) -> Array:
        """What the last layer reads (member, n, unit) for spectra (n, channel); ``key`` turns
        dropout on."""
        hidden = spectra / jnp.maximum(jnp.max(spectra, axis=-1, keepdims=True), 1e-30)
        for number, (weight, bias) in enumerate(zip(self.weight[:-1], self.bias[:-1], strict=True)):
            hidden = jax.nn.relu(_times(hidden, weight) + bias[:, None])
            hidden = _dropped(hidden, number, key)
        return hidden

    def raw(self, spectra: Array, *, key: Array | None = None) -> Array:
        """arcsinh of the ratios (member, n, 9) for spectra (n, channel)."""
        hidden = self.last_hidden(spectra, key=key)
        return LAST_GAIN * (_times(hidden, self.weight[-1]) + self.bias[-1][:, None])

    def __call__(self, spectra: Array) -> tuple[Array, Array]:
        """Ratios (n, 9), mean of the members, and their standard deviation."""
        ratios = jnp.sinh(self.raw(spectra))
        return jnp.mean(ratios, axis=0), jnp.std(ratios, axis=0)


def together(networks: Sequence[LineRatioAnn]) -> LineRatioAnn:
    """One ensemble of all members of several, which were trained one after another.

    Example:
        >>> two = [LineRatioAnn(key=jax.random.key(k), channels=4, hidden=(3,), members=1)
        ...        for k in (0, 1)]
        >>> [weight.shape for weight in together(two).weight]
        [(2, 3, 4), (2, 9, 3)]
    """
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *networks)


def trimmed(network: LineRatioAnn, least: float) -> LineRatioAnn:
    """The ensemble without the hidden units that the penalty has silenced.

    A unit counts by the norm of what comes in times that of what goes out. Each member keeps its
    own units; all keep as many as the one that needs most.

    Args:
        network: trained.
        least: share of the largest unit of a layer that a unit must have to stay.

    Example:
        >>> whole = LineRatioAnn(key=jax.random.key(0), channels=4, hidden=(3,), members=1)
        >>> silent = eqx.tree_at(lambda n: n.weight[1], whole, whole.weight[1].at[:, :, 0].set(0))
        >>> [weight.shape for weight in trimmed(silent, 1e-3).weight]
        [(1, 2, 4), (1, 9, 2)]
    """
    weights, biases = list(network.weight), list(network.bias)
    for k in range(len(weights) - 1):
        inward = jnp.hypot(jnp.linalg.norm(weights[k], axis=2), biases[k])
        size = inward * jnp.linalg.norm(weights[k + 1], axis=1)
        loud = size > least * jnp.max(size, axis=1, keepdims=True)
        kept = jnp.argsort(-size, axis=1)[:, : int(jnp.max(jnp.sum(loud, axis=1)))]
        weights[k] = jnp.take_along_axis(weights[k], kept[:, :, None], axis=1)
        biases[k] = jnp.take_along_axis(biases[k], kept, axis=1)
        weights[k + 1] = jnp.take_along_axis(weights[k + 1], kept[:, None], axis=2)
    return eqx.tree_at(lambda one: (one.weight, one.bias), network, (weights, biases))


def _times(hidden: Array, weight: Array) -> Array:
    """Products (member, n, out) of values (n, in) or (member, n, in) and weights of each member."""
    values = "...ni" if hidden.ndim == 2 else "mni"
    return jnp.einsum(f"{values},moi->mno", hidden, weight)


def _dropped(hidden: Array, number: int, key: Array | None) -> Array:
    """Hidden values, some of which are left out in training."""
    share = DROPOUT[number] if number < len(DROPOUT) else 0.0
    if key is None or share == 0.0:
        return hidden
    kept = jax.random.bernoulli(jax.random.fold_in(key, number), 1.0 - share, hidden.shape)
    return jnp.where(kept, hidden / (1.0 - share), 0.0)
