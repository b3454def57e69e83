"""The network ``starnet``: the convolutional network of Rhea et al. 2020, as published.

Two convolutions, a max pooling over four channels, 20 % dropout, dense layers of 256 and 128
and two outputs, velocity and broadening; the spectrum is divided by its maximum. The text has 8
filters in the second convolution (variant ``paper``), the published notebooks 16
(``notebook``). It needs the axis, the resolution and the line set that it was trained on, and
gives points without errors: a baseline, not the network to use.

Source: Rhea et al. 2020, ApJ 901, 152, section 2.1; after StarNet (Fabbro et al. 2018, MNRAS
475, 2978).
"""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

Variant = Literal["paper", "notebook"]

SECOND_FILTERS: dict[str, int] = {"paper": 8, "notebook": 16}
"""Filters of the second convolution."""
BAND = (6510.0, 6850.0)
"""Wavelengths [Angstrom] of the SN3 spectra that the paper feeds."""
UNIT_KMS = 20.0
"""Unit of both outputs: a square error in velocity weighs as much as one in broadening."""
BROADENING_MIDDLE_KMS = 30.0
"""What the second output counts from."""
_POOL = 4


class StarNet(eqx.Module):
    """CNN of two convolutions, pooling and three dense layers.

    Args (of the constructor):
        key: of the initial weights.
        channels: of the spectra.
        variant: ``paper`` or ``notebook``.
        dropout: share of the pooled values left out in training.

    Example:
        >>> network = StarNet(key=jax.random.key(0), channels=64)
        >>> network(jnp.ones((3, 64))).shape
        (3, 2)
    """

    first: eqx.nn.Conv1d
    second: eqx.nn.Conv1d
    dense: list[eqx.nn.Linear]
    dropout: float = eqx.field(static=True)

    def __init__(
        self, *, key: Array, channels: int, variant: Variant = "paper", dropout: float = 0.2
    ):
        keys = jax.random.split(key, 5)
        filters = SECOND_FILTERS[variant]
        self.first = eqx.nn.Conv1d(1, 4, 8, padding="SAME", key=keys[0])
        self.second = eqx.nn.Conv1d(4, filters, 4, padding="SAME", key=keys[1])
        sizes = (filters * (channels // _POOL), 256, 128, 2)
        self.dense = [
            eqx.nn.Linear(a, b, key=k)
            for a, b, k in zip(sizes[:-1], sizes[1:], keys[2:], strict=True)
        ]
        self.dropout = dropout

    def __call__(self, spectra: Array, *, key: Array | None = None) -> Array:
        """Velocity and broadening (n, 2) [km/s] of spectra (n, channel); ``key`` turns dropout
        on."""
        outputs = self.raw(spectra, key=key)
        velocity = UNIT_KMS * outputs[:, 0]
        broadening = BROADENING_MIDDLE_KMS + UNIT_KMS * outputs[:, 1]
        return jnp.stack([velocity, broadening], axis=1)

    def raw(self, spectra: Array, *, key: Array | None = None) -> Array:
        """The two outputs (n, 2) in their own units."""
        hidden = jax.vmap(self._convolve)(unit_maximum(spectra))
        if key is not None and self.dropout > 0:
            kept = jax.random.bernoulli(key, 1.0 - self.dropout, hidden.shape)
            hidden = jnp.where(kept, hidden / (1.0 - self.dropout), 0.0)
        for layer in self.dense[:-1]:
            hidden = jax.nn.relu(jax.vmap(layer)(hidden))
        return jax.vmap(self.dense[-1])(hidden)

    def _convolve(self, spectrum: Array) -> Array:
        hidden = jax.nn.relu(self.first(spectrum[None, :]))
        hidden = jax.nn.relu(self.second(hidden))
        pooled = hidden.shape[1] // _POOL
        hidden = hidden[:, : pooled * _POOL].reshape(len(hidden), pooled, _POOL)
        return jnp.max(hidden, axis=-1).reshape(-1)


def unit_maximum(spectra: Array) -> Array:
    """Spectra (n, channel) divided by their maximum.

    Example:
        >>> unit_maximum(jnp.array([[1.0, 4.0]])).tolist()
        [[0.25, 1.0]]
    """
    top = jnp.max(spectra, axis=-1, keepdims=True)
    return spectra / jnp.where(top > 0, top, 1.0)


def targets(velocity_kms: Array, broadening_kms: Array) -> Array:
    """What the outputs should be (n, 2) for true values (n,) [km/s]."""
    return jnp.stack(
        [
            velocity_kms / UNIT_KMS,
            (broadening_kms - BROADENING_MIDDLE_KMS) / UNIT_KMS,
        ],
        axis=1,
    )
