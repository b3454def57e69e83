"""``denoise``: the posterior of a clean galaxy spectrum for any noise and missing bins.

The noise enters through the statistics of `nebulines.networks.denoise_basis`, so that one network
serves every noise level, shape and mask. A residual network gives the posterior mean of the
coefficients and the mixture of `nebulines.networks.denoise_posterior`.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from nebulines.networks.denoise_basis import Basis, Statistics
from nebulines.networks.denoise_grid import N_BINS
from nebulines.networks.denoise_posterior import Posterior, draw, first_guess, warp

_OUTPUT_GAIN = 0.1
_SPREAD_LIMIT = 5.0


class Denoise(eqx.Module):
    """Posterior of clean spectra from `Statistics`.

    Attributes that are learned without gradients: the basis; centre and spread of the
    coordinates y; the ranges of u in the training set; profiles (L, channel) of lines of unit
    flux; the largest noise, relative to the norm of a spectrum; a factor (K,) on the width of
    the posterior, from validation.

    Args:
        key: of the initial weights.
        basis: K.
        lines: L, lines among the coordinates.
        width, depth: of the residual blocks.
        components: J of the mixture.
        channels: bins of a spectrum.
    """

    basis: Basis
    y_centre: Array
    y_spread: Array
    u_low: Array
    u_high: Array
    line_profile: Array
    most_noise: Array
    widening: Array
    inward: eqx.nn.Linear
    blocks: list[tuple[eqx.nn.Linear, eqx.nn.Linear]]
    to_mean: eqx.nn.Linear
    to_mixture: eqx.nn.Linear
    components: int = eqx.field(static=True)

    def __init__(
        self,
        *,
        key: Array,
        basis: int = 40,
        lines: int = 12,
        width: int = 256,
        depth: int = 3,
        components: int = 4,
        channels: int = N_BINS,
    ) -> None:
        keys = jax.random.split(key, 2 * depth + 3)
        outputs = components * (1 + 2 * basis) + basis * (basis - 1) // 2
        self.basis = Basis.empty(basis, lines, channels)
        self.y_centre, self.y_spread = jnp.zeros(basis), jnp.ones(basis)
        self.u_low, self.u_high = -jnp.ones(basis), jnp.ones(basis)
        self.line_profile, self.most_noise = jnp.zeros((lines, channels)), jnp.ones(())
        self.widening = jnp.ones(basis)
        self.inward = eqx.nn.Linear(2 * basis + 2, width, key=keys[0])
        self.blocks = [
            (
                eqx.nn.Linear(width, width, key=keys[2 * i + 1]),
                eqx.nn.Linear(width, width, key=keys[2 * i + 2]),
            )
            for i in range(depth)
        ]
        self.to_mean = eqx.nn.Linear(width, basis, key=keys[-2])
        self.to_mixture = eqx.nn.Linear(width, outputs, key=keys[-1])
        self.components = components

    def means(self, found: Statistics) -> Array:
        """Posterior means (n, K) of the coefficients, in units of the scale."""
        return self._mean(found, self._hidden(found, self._features(found)))

    def __call__(self, found: Statistics) -> Posterior:
        """The whole posterior."""
        hidden = self._hidden(found, self._features(found))
        size, n = self.basis.size, len(hidden)
        raw = _OUTPUT_GAIN * jax.vmap(self.to_mixture)(hidden)
        logits, raw = raw[:, : self.components], raw[:, self.components :]
        centre, raw = jnp.split(raw, [self.components * size], axis=-1)
        spread, lower = jnp.split(raw, [self.components * size], axis=-1)
        fan = jnp.linspace(-0.5, 0.5, self.components)[:, None]
        return Posterior(
            found.scale,
            self._mean(found, hidden),
            first_guess(self.basis, found, self.y_centre, self.y_spread),
            jax.nn.log_softmax(logits, axis=-1),
            centre.reshape(n, self.components, size),
            jnp.clip(spread.reshape(n, self.components, size) + fan, -_SPREAD_LIMIT, _SPREAD_LIMIT),
            lower,
            self.widening,
            found.variance,
        )

    def draws(self, posterior: Posterior, key: Array, n_draws: int) -> Array:
        """Coefficients (draw, n, K) of posterior draws, in units of the scale."""
        return draw(self.basis, self.line_profile, posterior, key, n_draws)

    def _mean(self, found: Statistics, hidden: Array) -> Array:
        shift = _OUTPUT_GAIN * jax.vmap(self.to_mean)(hidden)
        return found.coefficients + jnp.sqrt(found.variance) * shift

    def _features(self, found: Statistics) -> Array:
        """Inputs (n, 2 K + 2) of order one: coordinates, their errors, and the scales."""
        n_lines = self.basis.n_lines
        guess = first_guess(self.basis, found, self.y_centre, self.y_spread)
        signal = jnp.arcsinh(found.u[:, :n_lines] / found.sigma_u[:, :n_lines])
        rest = (found.u[:, n_lines:] - self.y_centre[n_lines:]) / self.y_spread[n_lines:]
        level = jnp.log(guess.width / self.y_spread)
        ratio = (found.first / found.scale - 1.0)[:, None]
        lines = (guess.y[:, :n_lines] - self.y_centre[:n_lines]) / self.y_spread[:n_lines]
        noise = jnp.mean(level, axis=-1, keepdims=True)
        extra = jnp.concatenate([ratio, noise], axis=-1)
        return jnp.clip(
            jnp.concatenate([lines + 0.3 * signal, rest, 0.5 * level, extra], axis=-1), -8.0, 8.0
        )

    def _hidden(self, found: Statistics, features: Array) -> Array:
        hidden = jax.nn.gelu(jax.vmap(self.inward)(features))
        for first, second in self.blocks:
            hidden = hidden + jax.vmap(second)(jax.nn.gelu(jax.vmap(first)(hidden)))
        return hidden

    def coordinates(self, coefficients: Array) -> Array:
        """Coordinates y (n, K) of coefficients (n, K)."""
        return warp(self.basis, coefficients @ self.basis.coordinates.T)
