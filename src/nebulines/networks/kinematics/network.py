"""The network ``kinematics``: velocity and broadening of any set of lines, as a posterior.

A residual multi-layer perceptron reads the profile of `line_stack` and gives a `Mixture`. The
profile comes in units of the line spread and is centred by the network's own search, so that
one set of weights serves every resolution, filter, field angle, velocity range and choice of
lines.
"""

from __future__ import annotations

import equinox as eqx
import jax
from jax import Array

from nebulines.networks.kinematics.line_stack import feature_count
from nebulines.networks.kinematics.mixture import Mixture, mixture_from, outputs_per_component


class Kinematics(eqx.Module):
    """Residual MLP with a mixture head.

    Args (of the constructor):
        key: of the initial weights.
        width: of the hidden layers.
        depth: residual blocks of two layers each.
        components: Gaussians of the posterior.

    Example:
        >>> network = Kinematics(key=jax.random.key(0), width=8, depth=1)
        >>> network(jax.numpy.zeros((3, feature_count()))).shape
        (3, 37)
    """

    inward: eqx.nn.Linear
    blocks: list[tuple[eqx.nn.Linear, eqx.nn.Linear]]
    outward: eqx.nn.Linear

    def __init__(self, *, key: Array, width: int = 128, depth: int = 4, components: int = 6):
        keys = iter(jax.random.split(key, 2 + 2 * depth))
        n_out = 1 + outputs_per_component() * components
        self.inward = eqx.nn.Linear(feature_count(), width, key=next(keys))
        self.blocks = [
            (
                eqx.nn.Linear(width, width, key=next(keys)),
                eqx.nn.Linear(width, width, key=next(keys)),
            )
            for _ in range(depth)
        ]
        outward = eqx.nn.Linear(width, n_out, key=next(keys))
        self.outward = eqx.tree_at(lambda layer: layer.weight, outward, 0.1 * outward.weight)

    def __call__(self, features: Array) -> Array:
        """Raw outputs (..., 6 K + 1) for features (..., F)."""
        hidden = _apply(self.inward, features)
        for first, second in self.blocks:
            hidden = hidden + _apply(second, jax.nn.silu(_apply(first, hidden)))
        return _apply(self.outward, jax.nn.silu(hidden))

    def posterior(self, features: Array, snr: Array) -> Mixture:
        """Posterior of n spectra from features (n, F) and S/N (n,)."""
        return mixture_from(self(features), snr)


def _apply(layer: eqx.nn.Linear, values: Array) -> Array:
    bias = 0.0 if layer.bias is None else layer.bias
    return values @ layer.weight.T + bias
