"""``denoise``: the posterior of a clean galaxy spectrum for any noise and missing bins.

The noise enters through the statistics of `nebulines.networks.denoise.basis`, so that one network
serves every noise level, shape and mask. A residual network gives the posterior mean of the
coefficients and the mixture of `nebulines.networks.denoise.posterior`.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.networks.denoise.basis import Basis, Statistics
from nebulines.networks.denoise.grid import N_BINS
from nebulines.networks.denoise.posterior import (
    Guess,
    Posterior,
    draw,
    errors,
    first_guess,
    line_moments,
)

NOISE_KNOTS = (0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15)
"""Noise in a bin of spectra of unit norm between which what was calibrated is interpolated."""
POPULATION, WIDE = 0.0, 1.0
_OUTPUT_GAIN = 0.1
_SPREAD_LIMIT = 5.0
_LARGEST_FEATURE = 8.0


class Denoise(eqx.Module):
    """Posterior of clean spectra from `Statistics`.

    Attributes that are learned without gradients: the basis; centre and spread of the line
    coordinates y and of the coordinates u of the rest; the ranges of u in the training set;
    profiles (L, channel) of lines of unit flux; the largest noise, relative to the norm of a
    spectrum; and from validation, for both priors and at each of `NOISE_KNOTS`, factors on the
    widths of the posterior of lines (2, M, L) and of coefficients (2, M, K).

    It knows two priors: ``POPULATION``, the galaxies of the package, and ``WIDE``, the same with
    lines of other strengths and ratios, for galaxies of which nobody knows that they are such.

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
    loosening: Array
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
        lines: int = 11,
        width: int = 192,
        depth: int = 3,
        components: int = 4,
        channels: int = N_BINS,
    ) -> None:
        keys = jax.random.split(key, 2 * depth + 3)
        outputs = components * (1 + 2 * lines) + lines * (lines - 1) // 2
        self.basis = Basis.empty(basis, lines, channels)
        self.y_centre, self.y_spread = jnp.zeros(basis), jnp.ones(basis)
        self.u_low, self.u_high = -jnp.ones(basis), jnp.ones(basis)
        self.line_profile, self.most_noise = jnp.zeros((lines, channels)), jnp.ones(())
        self.widening = jnp.ones((2, len(NOISE_KNOTS), lines))
        self.loosening = jnp.ones((2, len(NOISE_KNOTS), basis))
        self.inward = eqx.nn.Linear(2 * basis + 3, width, key=keys[0])
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

    def means(self, found: Statistics, prior: Array | float) -> Array:
        """Posterior means (n, K) of the coefficients, in units of the scale."""
        guess = self._guess(found)
        return self._mean(found, self._hidden(self._features(found, guess, prior)))

    def __call__(self, found: Statistics, prior: Array | float) -> Posterior:
        """The whole posterior.

        Args:
            found: of n spectra.
            prior: `POPULATION` or `WIDE`, a number or (n, 1).
        """
        guess = self._guess(found)
        hidden = self._hidden(self._features(found, guess, prior))
        size, n = self.basis.n_lines, len(hidden)
        raw = _OUTPUT_GAIN * jax.vmap(self.to_mixture)(hidden)
        logits, raw = raw[:, : self.components], raw[:, self.components :]
        centre, raw = jnp.split(raw, [self.components * size], axis=-1)
        spread, lower = jnp.split(raw, [self.components * size], axis=-1)
        fan = jnp.linspace(-0.5, 0.5, self.components)[:, None]
        share = noise_shares(found.noise)
        return Posterior(
            found.scale,
            self._mean(found, hidden),
            jnp.sqrt(found.variance) * _between(share, self.loosening, prior),
            guess,
            jax.nn.log_softmax(logits, axis=-1),
            centre.reshape(n, self.components, size),
            jnp.clip(spread.reshape(n, self.components, size) + fan, -_SPREAD_LIMIT, _SPREAD_LIMIT),
            lower,
            _between(share, self.widening, prior),
        )

    def draws(self, posterior: Posterior, key: Array, n_draws: int) -> Array:
        """Coefficients (draw, n, K) of posterior draws, in units of the scale."""
        return draw(self.basis, self.line_profile, posterior, key, n_draws)

    def line_moments(self, posterior: Posterior) -> tuple[Array, Array]:
        """Means and variances (n, L) of the draws of line fluxes, in units of the scale."""
        return line_moments(self.basis, posterior)

    def errors(self, posterior: Posterior, line_variance: Array | None = None) -> Array:
        """Standard deviations (n, channel) of the spectra, in units of the scale; variances of the
        lines where these are known already."""
        if line_variance is None:
            line_variance = self.line_moments(posterior)[1]
        return errors(self.basis, self.line_profile, posterior, line_variance)

    def _guess(self, found: Statistics) -> Guess:
        n_lines = self.basis.n_lines
        return first_guess(self.basis, found, self.y_centre[:n_lines], self.y_spread[:n_lines])

    def _mean(self, found: Statistics, hidden: Array) -> Array:
        shift = _OUTPUT_GAIN * jax.vmap(self.to_mean)(hidden)
        return found.coefficients + jnp.sqrt(found.variance) * shift

    def _features(self, found: Statistics, guess: Guess, prior: Array | float) -> Array:
        """Inputs (n, 2 K + 3) of order one: coordinates, their errors, the scales, the prior."""
        n_lines = self.basis.n_lines
        centre, spread = self.y_centre, self.y_spread
        signal = jnp.arcsinh(found.u[:, :n_lines] / found.sigma_u[:, :n_lines])
        lines = (guess.y - centre[:n_lines]) / spread[:n_lines] + 0.3 * signal
        rest = (found.u[:, n_lines:] - centre[n_lines:]) / spread[n_lines:]
        width = jnp.concatenate([guess.width, found.sigma_u[:, n_lines:]], axis=-1)
        level = 0.5 * jnp.log(width / spread)
        ratio = (found.first / found.scale - 1.0)[:, None]
        noise = jnp.log(jnp.maximum(found.noise, 1e-6) / NOISE_KNOTS[3])[:, None]
        prior = jnp.broadcast_to(jnp.asarray(prior, noise.dtype), noise.shape)
        every = jnp.concatenate([lines, rest, level, ratio, noise, prior], axis=-1)
        return jnp.clip(every, -_LARGEST_FEATURE, _LARGEST_FEATURE)

    def _hidden(self, features: Array) -> Array:
        hidden = jax.nn.gelu(jax.vmap(self.inward)(features))
        for first, second in self.blocks:
            hidden = hidden + jax.vmap(second)(jax.nn.gelu(jax.vmap(first)(hidden)))
        return hidden


def _between(share: Array, factors: Array, prior: Array | float) -> Array:
    """Factors (n, m) from a table (2, M, m) at the noise's shares (n, M) of the knots."""
    return (1.0 - prior) * (share @ factors[0]) + prior * (share @ factors[1])


def noise_shares(noise: Array) -> Array:
    """Shares (n, M) of the knots at each noise (n,), linear in its logarithm.

    Example:
        >>> noise_shares(jnp.array([0.002, 1.0]))[:, [0, -1]].tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    knots = np.log(NOISE_KNOTS)
    level = jnp.log(jnp.maximum(noise, 1e-9))[:, None]
    risen = jnp.clip((level - knots[:-1]) / np.diff(knots), 0.0, 1.0)
    return jnp.pad(risen, ((0, 0), (1, 0)), constant_values=1.0) - jnp.pad(risen, ((0, 0), (0, 1)))
