"""The network ``line_ratios``: line ratios, reddening and their joint posterior, from fluxes.

A residual multi-layer perceptron reads what `line_ratio_space.centre` says of measured fluxes
and their covariance, and which kind of nebula they come from, and gives a mixture of Gaussians
with full covariances in units of that first guess. The instrument enters through the covariance
alone, so that one set of weights serves any set of bands.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.networks.line_ratios.space import COORDINATES, Centre, Prior, centre, feature_count
from nebulines.networks.small_matrices import (
    applied,
    batch_last,
    from_rows,
    inverse_lower,
    inverse_rows,
    times_lower,
    total,
)

PRIORS = ("mixed", "hii", "pn", "shock", "dig", "agn", "rhea2021")
"""Kinds of nebulae that the network can be told of; ``rhea2021`` is the paper's training set."""
_D = len(COORDINATES)
_TRIANGLE = _D * (_D + 1) // 2
_PAIRS = [(i, j) for i in range(_D) for j in range(i + 1)]


class Posterior(NamedTuple):
    """Posteriors of n sources, K Gaussians in the coordinates of `line_ratio_space`.

    Attributes:
        log_weight: (n, K), normalised.
        mean: (n, K, 8).
        root: (n, K, 8, 8) R with covariance R R^T.
    """

    log_weight: Array
    mean: Array
    root: Array


class LineRatios(eqx.Module):
    """Residual MLP with a mixture head.

    Args (of the constructor):
        key: of the initial weights.
        width: of the hidden layers.
        depth: residual blocks of two layers each.
        components: Gaussians of the posterior.
        prior: `Prior` of each of `PRIORS`, arrays (7, ...); None = zeros, to be loaded.

    Example:
        >>> network = LineRatios(key=jax.random.key(0), width=8, depth=1, components=2)
        >>> network.raw(jnp.zeros((3, feature_count())), jnp.zeros(3, int)).shape
        (3, 90)
    """

    inward: eqx.nn.Linear
    blocks: list[tuple[eqx.nn.Linear, eqx.nn.Linear]]
    outward: eqx.nn.Linear
    prior: Prior

    def __init__(
        self,
        *,
        key: Array,
        width: int = 160,
        depth: int = 4,
        components: int = 6,
        prior: Prior | None = None,
    ):
        keys = iter(jax.random.split(key, 3 + 2 * depth))
        n_in, n_out = feature_count() + len(PRIORS), components * (1 + _D + _TRIANGLE)
        self.inward = eqx.nn.Linear(n_in, width, key=next(keys))
        self.blocks = [
            (
                eqx.nn.Linear(width, width, key=next(keys)),
                eqx.nn.Linear(width, width, key=next(keys)),
            )
            for _ in range(depth)
        ]
        outward = eqx.nn.Linear(width, n_out, key=next(keys))
        self.outward = eqx.tree_at(lambda layer: layer.weight, outward, 0.1 * outward.weight)
        p = len(PRIORS)
        blank = Prior(jnp.zeros((p, 8)), jnp.zeros((p, 8, 8)), jnp.zeros(p), jnp.ones(p))
        self.prior = blank if prior is None else prior

    def raw(self, features: Array, kind: Array) -> Array:
        """Outputs (n, 45 K) for features (n, F) and numbers (n,) of `PRIORS`, or one for all."""
        told = jnp.broadcast_to(jax.nn.one_hot(kind, len(PRIORS)), (len(features), len(PRIORS)))
        hidden = _apply(self.inward, jnp.concatenate([features, told], axis=-1))
        for first, second in self.blocks:
            hidden = hidden + _apply(second, jax.nn.silu(_apply(first, hidden)))
        return _apply(self.outward, jax.nn.silu(hidden))

    def centre(self, flux: Array, covariance: Array, present: Array, kind: Array) -> Centre:
        """The first guess at n sources; arguments as of `line_ratio_space.centre`."""
        prior = Prior(*(jax.lax.stop_gradient(part)[kind] for part in self.prior))
        return centre(flux, covariance, present, prior)

    def log_prob(self, guess: Centre, kind: Array, truth: Array) -> Array:
        """Log posterior density (n,) of coordinates (n, 8), in units of the first guess."""
        lower = batch_last(guess.lower)
        away = applied(inverse_lower(lower), batch_last(truth - guess.middle, axes=1))
        log_weight, shift, factor = self._parts(guess, kind)
        miss = applied(factor, away[:, None] - shift)
        log_size = total(jnp.log(factor[i, i]) for i in range(_D))
        terms = log_weight + log_size - 0.5 * jnp.sum(miss**2, axis=0)
        return jax.nn.logsumexp(terms, axis=0) - 0.5 * _D * np.log(2.0 * np.pi)

    def posterior(self, guess: Centre, kind: Array) -> Posterior:
        """Posterior of n sources."""
        log_weight, shift, factor = self._parts(guess, kind)
        lower = batch_last(guess.lower)[:, :, None]
        mean = batch_last(guess.middle, axes=1)[:, None] + applied(lower, shift)
        root = from_rows(times_lower(lower, inverse_rows(factor)))
        return Posterior(log_weight.T, mean.T, jnp.transpose(root, (3, 2, 0, 1)))

    def _parts(self, guess: Centre, kind: Array) -> tuple[Array, Array, Array]:
        """Log weights (K, n), means (8, K, n), and lower factors (8, 8, K, n) U of inverse
        covariances U^T U, in units of the first guess."""
        raw = self.raw(guess.features, kind).T
        k = len(raw) // (1 + _D + _TRIANGLE)
        logits, shift, triangle = jnp.split(raw, [k, k * (1 + _D)])
        shift = jnp.swapaxes(shift.reshape(k, _D, -1), 0, 1)
        triangle = jnp.swapaxes(triangle.reshape(k, _TRIANGLE, -1), 0, 1)
        zero = jnp.zeros_like(triangle[0])
        entries = {pair: triangle[at] for at, pair in enumerate(_PAIRS)}
        entries |= {(i, i): jnp.exp(jnp.clip(entries[i, i], -5.0, 5.0)) for i in range(_D)}
        rows = [jnp.stack([entries.get((i, j), zero) for j in range(_D)]) for i in range(_D)]
        return jax.nn.log_softmax(logits, axis=0), shift, jnp.stack(rows)


def _apply(layer: eqx.nn.Linear, values: Array) -> Array:
    bias: Any = 0.0 if layer.bias is None else layer.bias
    return values @ layer.weight.T + bias
