"""``ae`` and ``vae``: the autoencoders of Scourfield et al. 2023 (MNRAS 526, 3037, section 3.2).

Dense layers with leaky ReLU (0.3) and dropout; a latent layer without activation, or for the
variational one mean and log variance of normal distributions; the same layers in reverse order;
a last dense layer without activation.

Beside the paper, spectra come in and go out as departures from the mean of the training set in
units of their scatter (x = centre + unit z). The mean holds a hundred times the power of what
differs from galaxy to galaxy; a network that has to learn it first, through layers with dropout,
stays there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from nebulines.networks.denoise.grid import N_BINS

LEAK = 0.3
"""Slope of the leaky ReLU below zero."""


class Autoencoder(eqx.Module):
    """An autoencoder of spectra.

    Args:
        key: of the initial weights (Glorot uniform; biases zero).
        latent: number of latent dimensions.
        layers: units of the encoder's layers.
        dropout: probability that a unit is off in training.
        variational: latent normal distributions instead of values.
        channels: of a spectrum.
        unit: of the departures from ``centre``.

    Attributes:
        centre: (channel,) mean of the training set; not trained by gradients.
    """

    centre: Array
    encoder: list[eqx.nn.Linear]
    bottleneck: eqx.nn.Linear
    decoder: list[eqx.nn.Linear]
    outward: eqx.nn.Linear
    dropout: float = eqx.field(static=True)
    variational: bool = eqx.field(static=True)
    latent: int = eqx.field(static=True)
    unit: float = eqx.field(static=True)

    def __init__(
        self,
        *,
        key: Array,
        latent: int = 6,
        layers: Sequence[int] = (800, 800, 700, 600),
        dropout: float = 0.5,
        variational: bool = True,
        channels: int = N_BINS,
        unit: float = 1.0,
    ) -> None:
        keys = iter(jax.random.split(key, 2 * len(layers) + 2))
        up, down = [channels, *layers], [latent, *reversed(layers)]
        self.encoder = [_dense(a, b, next(keys)) for a, b in pairwise(up)]
        self.bottleneck = _dense(layers[-1], latent * (2 if variational else 1), next(keys))
        self.decoder = [_dense(a, b, next(keys)) for a, b in pairwise(down)]
        self.outward = _dense(layers[0], channels, next(keys))
        self.centre, self.unit = jnp.zeros(channels), unit
        self.dropout, self.variational, self.latent = dropout, variational, latent

    def __call__(self, spectra: Array) -> Array:
        """De-noised spectra (n, channel): decoded from the latent values, or from the means of
        their distributions."""
        return self.decode(self.encode(spectra)[0])

    def encode(self, spectra: Array, *, key: Array | None = None) -> tuple[Array, Array | None]:
        """Latent means (n, latent), and log variances (n, latent) where there are any; ``key``
        turns dropout on."""
        away = (spectra - jax.lax.stop_gradient(self.centre)) / self.unit
        hidden = self._through(self.encoder, away, key)
        raw = jax.vmap(self.bottleneck)(hidden)
        if not self.variational:
            return raw, None
        return raw[:, : self.latent], raw[:, self.latent :]

    def decode(self, latent: Array, *, key: Array | None = None) -> Array:
        """Spectra (n, channel) of latent values (n, latent)."""
        away = jax.vmap(self.outward)(self._through(self.decoder, latent, key))
        return jax.lax.stop_gradient(self.centre) + self.unit * away

    def _through(self, layers: list[eqx.nn.Linear], x: Array, key: Array | None) -> Array:
        for number, layer in enumerate(layers):
            x = jax.nn.leaky_relu(jax.vmap(layer)(x), LEAK)
            if key is not None and self.dropout > 0:
                kept = 1.0 - self.dropout
                on = jax.random.bernoulli(jax.random.fold_in(key, number), kept, x.shape)
                x = jnp.where(on, x / kept, 0.0)
        return x


def _dense(inward: int, outward: int, key: Array) -> eqx.nn.Linear:
    layer = eqx.nn.Linear(inward, outward, key=key)
    limit = (6.0 / (inward + outward)) ** 0.5
    weight = jax.random.uniform(key, layer.weight.shape, minval=-limit, maxval=limit)
    return eqx.tree_at(lambda x: (x.weight, x.bias), layer, (weight, jnp.zeros(outward)))
