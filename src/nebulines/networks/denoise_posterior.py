"""The posterior of a clean spectrum: a mixture of normals in coordinates that keep lines positive.

Coordinates y: asinh(flux / softening) of the lines, and the linear rest of the basis. In units of
a first guess, t = (y - guess) / width,

    p(t) = sum_j p_j N(t; c_j, (U^T D_j^-2 U)^-1),

U unit lower triangular, shared, D_j diagonal; then every coordinate is stretched about the mean of
the mixture by a factor that makes the intervals of a validation set cover what they should.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.networks.denoise_basis import Basis, Statistics

_RANGE_SIGMAS = 4.0
_HALF_LOG_TWO_PI = 0.5 * float(np.log(2.0 * np.pi))


class Guess(NamedTuple):
    """Where the posterior is looked for: y (n, K), its width (n, K), and the range (n, K) that the
    data leave to draws: four errors about the linear answer."""

    y: Array
    width: Array
    low: Array
    high: Array


class Posterior(NamedTuple):
    """Posteriors of n clean spectra in units of their scale.

    Attributes:
        scale: (n,) unit of everything else, in the unit of the data.
        mean: (n, K) posterior mean of the coefficients.
        guess: origin and unit of t.
        log_weight: (n, J), normalised.
        centre: (n, J, K) c_j.
        log_spread: (n, J, K) log of the diagonal of D_j.
        lower: (n, K (K - 1) / 2) U below its diagonal.
        widening: (K,) the stretch.
        variance: (n, K) of the coefficients in the linear posterior.
    """

    scale: Array
    mean: Array
    guess: Guess
    log_weight: Array
    centre: Array
    log_spread: Array
    lower: Array
    widening: Array
    variance: Array

    @property
    def middle(self) -> Array:
        """Mean (n, K) of the mixture in units of t."""
        return jnp.sum(jnp.exp(self.log_weight)[..., None] * self.centre, axis=1)


def warp(basis: Basis, u: Array) -> Array:
    """Coordinates y (n, K) of coordinates u (n, K)."""
    lines = u[..., : basis.n_lines] / basis.softening
    return jnp.concatenate([jnp.arcsinh(lines), u[..., basis.n_lines :]], axis=-1)


def unwarp(basis: Basis, y: Array) -> Array:
    """The inverse of `warp`; a line is at most exp(20) softenings."""
    lines = basis.softening * jnp.sinh(jnp.clip(y[..., : basis.n_lines], -20.0, 20.0))
    return jnp.concatenate([lines, y[..., basis.n_lines :]], axis=-1)


def first_guess(basis: Basis, found: Statistics, centre: Array, spread: Array) -> Guess:
    """y and its width from the linear answer and the marginal prior N(centre, spread^2) of y."""
    n_lines = basis.n_lines
    slope = jnp.hypot(
        jnp.hypot(jnp.maximum(found.u[..., :n_lines], 0.0), found.sigma_u[..., :n_lines]),
        basis.softening,
    )
    line_width = found.sigma_u[..., :n_lines] / slope
    width = jnp.concatenate([line_width, found.sigma_u[..., n_lines:]], axis=-1)
    trust = jnp.square(spread) / (jnp.square(spread) + jnp.square(width))
    y = centre + trust * (warp(basis, found.u) - centre)
    ends = (warp(basis, found.u + side * _RANGE_SIGMAS * found.sigma_u) for side in (-1, 1))
    return Guess(y, jnp.sqrt(trust) * width, *ends)


def lower_matrix(packed: Array, size: int) -> Array:
    """Unit lower triangular matrices (..., K, K) from the numbers below the diagonal."""
    low, high = np.tril_indices(size, -1)
    index = np.zeros((size, size), int)
    index[low, high] = np.arange(len(low)) + 2
    index += np.eye(size, dtype=int)
    shape = packed.shape[:-1]
    padded = jnp.concatenate([jnp.zeros((*shape, 1)), jnp.ones((*shape, 1)), packed], axis=-1)
    return padded[..., index]


def unit_inverse(lower: Array) -> Array:
    """Inverses of unit lower triangular matrices (n, K, K): with N = L - 1 nilpotent,
    (1 + N)^-1 = (1 - N)(1 + N^2)(1 + N^4) ...

    Example:
        >>> unit_inverse(jnp.array([[[1.0, 0.0], [0.5, 1.0]]])).tolist()
        [[[1.0, 0.0], [-0.5, 1.0]]]
    """
    size = lower.shape[-1]
    power = lower - jnp.eye(size)
    found = jnp.eye(size) - power
    for _ in range(max(size - 1, 1).bit_length() - 1):
        power = power @ power
        found = found + found @ power
    return found


def log_prob(posterior: Posterior, y: Array) -> Array:
    """Log density (n,) of t at y (n, K)."""
    t = (y - posterior.guess.y) / posterior.guess.width
    upper = lower_matrix(posterior.lower, t.shape[-1])
    t = posterior.middle + (t - posterior.middle) / posterior.widening
    away = t[:, None, :] - posterior.centre
    white = jnp.einsum("nab,njb->nja", upper, away) * jnp.exp(-posterior.log_spread)
    terms = -0.5 * jnp.square(white) - posterior.log_spread - _HALF_LOG_TWO_PI
    density = jax.nn.logsumexp(posterior.log_weight + jnp.sum(terms, axis=-1), axis=-1)
    return density - jnp.sum(jnp.log(posterior.widening))


def draw(basis: Basis, profiles: Array, posterior: Posterior, key: Array, n_draws: int) -> Array:
    """Coefficients (draw, n, K) in units of the scale.

    Line fluxes u_l come from the mixture. The rest differs from the posterior mean as the linear
    posterior says, with what it would change of the lines taken out:

        a = mean + G (u_l - M mean) + (1 - G M) z,    z ~ N(0, variance),

    M the first rows of the coordinates, G the lines' profiles in the basis, scaled to M G = 1.

    Args:
        basis: K vectors, L lines.
        profiles: (L, channel) of lines of unit flux.
        posterior: of n spectra.
        key: of the random numbers.
        n_draws: how many.
    """
    lines, around = jax.random.split(key)
    rows = basis.coordinates[: basis.n_lines]
    shapes = basis.vectors @ profiles.T
    shapes = shapes @ jnp.linalg.inv(rows @ shapes)
    flux = unwarp(basis, draw_y(posterior, lines, n_draws))[..., : basis.n_lines]
    normal = jax.random.normal(around, (n_draws, *posterior.mean.shape))
    other = normal * jnp.sqrt(posterior.variance)
    change = flux - (posterior.mean + other) @ rows.T
    return posterior.mean + other + change @ shapes.T


def draw_y(posterior: Posterior, key: Array, n_draws: int) -> Array:
    """Coordinates y (draw, n, K)."""
    choose, spread = jax.random.split(key)
    n, size = posterior.guess.y.shape
    chosen = jax.random.categorical(choose, posterior.log_weight, shape=(n_draws, n))
    row = jnp.arange(n)
    normal = jax.random.normal(spread, (n_draws, n, size))
    scaled = normal * jnp.exp(posterior.log_spread[row, chosen])
    inverse = unit_inverse(lower_matrix(posterior.lower, size))
    around = jnp.einsum("nab,dnb->dna", inverse, scaled)
    t = posterior.centre[row, chosen] + around
    t = posterior.middle + posterior.widening * (t - posterior.middle)
    return _reflected(posterior.guess.y + posterior.guess.width * t, posterior.guess)


def _reflected(y: Array, guess: Guess) -> Array:
    """Draws y mirrored at the ends of the range: a normal tail of asinh flux would be fluxes that
    the data rule out."""
    inside = jnp.where(y > guess.high, 2.0 * guess.high - y, y)
    inside = jnp.where(inside < guess.low, 2.0 * guess.low - inside, inside)
    return jnp.clip(inside, guess.low, guess.high)
