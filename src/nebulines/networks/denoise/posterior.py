"""The posterior of the lines of a clean spectrum: a mixture of normals in coordinates that keep
fluxes positive.

Coordinates y = asinh(flux / softening) of the L lines. In units of a first guess,
t = (y - guess) / width,

    p(t) = sum_j p_j N(t; c_j, (U^T D_j^-2 U)^-1),

U unit lower triangular, shared, D_j diagonal; then every coordinate is stretched about the mean of
the mixture by a factor that makes the intervals of a validation set cover what they should. The
rest of a spectrum is normal about the posterior mean.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.networks.denoise.basis import Basis, Statistics

_RANGE_SIGMAS = 4.0
_HALF_LOG_TWO_PI = 0.5 * float(np.log(2.0 * np.pi))
_LARGEST = 20.0
_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_NODE_WEIGHTS /= _NODE_WEIGHTS.sum()


class Guess(NamedTuple):
    """Where the posterior is looked for: y (n, L), its width (n, L), and the range (n, L) that the
    data leave to draws: four errors about what they say alone, and no negative flux."""

    y: Array
    width: Array
    low: Array
    high: Array


class Posterior(NamedTuple):
    """Posteriors of n clean spectra in units of their scale.

    Attributes:
        scale: (n,) unit of everything else, in the unit of the data.
        mean: (n, K) posterior mean of the coefficients.
        deviation: (n, K) standard deviations of the coefficients about it.
        guess: origin and unit of t.
        log_weight: (n, J), normalised.
        centre: (n, J, L) c_j.
        log_spread: (n, J, L) log of the diagonal of D_j.
        lower: (n, L (L - 1) / 2) U below its diagonal.
        widening: (n, L) the stretch.
    """

    scale: Array
    mean: Array
    deviation: Array
    guess: Guess
    log_weight: Array
    centre: Array
    log_spread: Array
    lower: Array
    widening: Array

    @property
    def middle(self) -> Array:
        """Mean (n, L) of the mixture in units of t."""
        return jnp.sum(jnp.exp(self.log_weight)[..., None] * self.centre, axis=1)


def warp(basis: Basis, flux: Array) -> Array:
    """Coordinates y (..., L) of line fluxes (..., L)."""
    return jnp.arcsinh(flux / basis.softening)


def unwarp(basis: Basis, y: Array) -> Array:
    """The inverse of `warp`; a line is at most exp(20) softenings."""
    return basis.softening * jnp.sinh(jnp.clip(y, -_LARGEST, _LARGEST))


def first_guess(basis: Basis, found: Statistics, centre: Array, spread: Array) -> Guess:
    """y and its width from the linear answer and the marginal prior N(centre, spread^2) of y; the
    range from what the data alone say, for the linear answer rules out lines that are much stronger
    than usual."""
    flux, error = found.u[..., : basis.n_lines], found.sigma_u[..., : basis.n_lines]
    slope = jnp.hypot(jnp.hypot(jnp.maximum(flux, 0.0), error), basis.softening)
    width = error / slope
    trust = jnp.square(spread) / (jnp.square(spread) + jnp.square(width))
    trusted = jnp.sqrt(trust) * width
    y = centre + trust * (warp(basis, flux) - centre)
    flux, error = found.line, found.sigma_line
    low = warp(basis, jnp.maximum(flux - _RANGE_SIGMAS * error, 0.0))
    top = jnp.maximum(flux, -(_RANGE_SIGMAS - 1.0) * error) + _RANGE_SIGMAS * error
    high = warp(basis, top)
    return Guess(y, trusted, low, high)


def lower_matrix(packed: Array, size: int) -> Array:
    """Unit lower triangular matrices (..., L, L) from the numbers below the diagonal."""
    low, high = np.tril_indices(size, -1)
    index = np.zeros((size, size), int)
    index[low, high] = np.arange(len(low)) + 2
    index += np.eye(size, dtype=int)
    shape = packed.shape[:-1]
    padded = jnp.concatenate([jnp.zeros((*shape, 1)), jnp.ones((*shape, 1)), packed], axis=-1)
    return padded[..., index]


def unit_inverse(lower: Array) -> Array:
    """Inverses of unit lower triangular matrices (n, L, L), by substitution.

    Example:
        >>> unit_inverse(jnp.array([[[1.0, 0.0], [0.5, 1.0]]])).tolist()
        [[[1.0, 0.0], [-0.5, 1.0]]]
    """
    return jnp.moveaxis(_substituted(jnp.moveaxis(lower, 0, -1)), -1, 0)


def _substituted(lower: Array) -> Array:
    """`unit_inverse` of matrices (L, L, n), with the batch as vector axis."""
    size = len(lower)
    eye = jnp.eye(size, dtype=lower.dtype)[:, :, None]
    below = lower - eye

    def row(k: Array, found: Array) -> Array:
        return found - below[:, k][:, None, :] * found[k]

    return jax.lax.fori_loop(0, size - 1, row, jnp.broadcast_to(eye, lower.shape))


def log_prob(posterior: Posterior, y: Array) -> Array:
    """Log density (n,) of t at y (n, L)."""
    t = (y - posterior.guess.y) / posterior.guess.width
    upper = lower_matrix(posterior.lower, t.shape[-1])
    t = posterior.middle + (t - posterior.middle) / posterior.widening
    away = t[:, None, :] - posterior.centre
    white = jnp.einsum("nab,njb->nja", upper, away) * jnp.exp(-posterior.log_spread)
    terms = -0.5 * jnp.square(white) - posterior.log_spread - _HALF_LOG_TWO_PI
    density = jax.nn.logsumexp(posterior.log_weight + jnp.sum(terms, axis=-1), axis=-1)
    return density - jnp.sum(jnp.log(posterior.widening), axis=-1)


def line_moments(basis: Basis, posterior: Posterior) -> tuple[Array, Array]:
    """Mean and variance (n, L) of the line fluxes, by Gauss-Hermite quadrature of every component
    of the mixture."""
    size = posterior.guess.y.shape[1]
    last = [jnp.moveaxis(part, 0, -1) for part in (posterior.centre, posterior.log_spread)]
    inverse = _substituted(jnp.moveaxis(lower_matrix(posterior.lower, size), 0, -1))
    variance = jnp.sum(jnp.square(inverse) * jnp.exp(2.0 * last[1])[:, None], axis=2)
    rows = (posterior.middle, posterior.widening, *posterior.guess)
    middle, widening, y, width, low, high = (part.T for part in rows)
    softening = basis.softening[:, None]

    def flux(t: Array) -> Array:
        inside = _reflected(y + width * (middle + widening * (t - middle)), low, high)
        return softening * _sinh(inside)

    node, share = (jnp.asarray(part, jnp.float32) for part in (_NODES, _NODE_WEIGHTS))
    weight = jnp.exp(posterior.log_weight).T
    deviation, central = jnp.sqrt(variance), flux(middle)

    def add(step: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
        part, q = step // len(_NODES), step % len(_NODES)
        away = flux(last[0][part] + deviation[part] * node[q]) - central
        weighted = share[q] * weight[part] * away
        return sums[0] + weighted, sums[1] + weighted * away

    none = jnp.zeros_like(central)
    mean, square = jax.lax.fori_loop(0, len(_NODES) * len(weight), add, (none, none))
    return (central + mean).T, jnp.maximum(square - jnp.square(mean), 0.0).T


def _sinh(y: Array) -> Array:
    """By one exponential; errors are 1e-7 of the larger of the value and 1."""
    grown = jnp.exp(jnp.clip(y, -_LARGEST, _LARGEST))
    return 0.5 * (grown - 1.0 / grown)


class Directions(NamedTuple):
    """How lines and the rest move a spectrum.

    Attributes:
        shapes: (K, L) coefficients of lines of unit flux.
        rest: (K, K) what the lines leave of a change of the coefficients.
    """

    shapes: Array
    rest: Array


def directions(basis: Basis, profiles: Array) -> Directions:
    """G and 1 - G M: M the rows of the coordinates that give line fluxes, G the profiles
    (L, channel) of lines of unit flux in the basis, scaled to M G = 1."""
    rows = basis.coordinates[: basis.n_lines]
    shapes = basis.vectors @ profiles.T
    shapes = shapes @ jnp.linalg.inv(rows @ shapes)
    return Directions(shapes, jnp.eye(basis.size) - shapes @ rows)


def errors(basis: Basis, profiles: Array, posterior: Posterior, line_variance: Array) -> Array:
    """Standard deviations (n, channel) of the spectra that `draw` gives, in units of the scale,
    with what the basis leaves of clean spectra; lines, whose variances (n, L) are those of
    `line_moments`, are taken to be independent."""
    ways = directions(basis, profiles)
    line = jnp.square(ways.shapes.T @ basis.vectors)
    rest = jnp.square(ways.rest.T @ basis.vectors)
    known = jnp.concatenate([line, rest])
    amount = [line_variance, jnp.square(posterior.deviation)]
    return jnp.sqrt(jnp.concatenate(amount, axis=-1) @ known + basis.residual)


def draw(basis: Basis, profiles: Array, posterior: Posterior, key: Array, n_draws: int) -> Array:
    """Coefficients (draw, n, K) in units of the scale.

    Line fluxes u_l come from the mixture. The rest differs from the posterior mean as its
    deviations say, with what that would change of the lines taken out:

        a = mean + G (u_l - M mean) + (1 - G M) z,    z ~ N(0, deviation^2).

    Args:
        basis: K vectors, L lines.
        profiles: (L, channel) of lines of unit flux.
        posterior: of n spectra.
        key: of the random numbers.
        n_draws: how many.
    """
    lines, around = jax.random.split(key)
    ways = directions(basis, profiles)
    flux = draw_lines(basis, posterior, lines, n_draws)
    normal = jax.random.normal(around, (n_draws, *posterior.mean.shape))
    away = (normal * posterior.deviation) @ ways.rest.T
    shift = flux - posterior.mean @ basis.coordinates[: basis.n_lines].T
    return posterior.mean + away + shift @ ways.shapes.T


def draw_lines(basis: Basis, posterior: Posterior, key: Array, n_draws: int) -> Array:
    """Line fluxes (draw, n, L) in units of the scale."""
    return unwarp(basis, draw_y(posterior, key, n_draws))


def draw_y(posterior: Posterior, key: Array, n_draws: int) -> Array:
    """Coordinates y (draw, n, L)."""
    return placed(posterior, draw_t(posterior, key, n_draws))


def draw_t(posterior: Posterior, key: Array, n_draws: int) -> Array:
    """Draws t (draw, n, L) of the mixture, before they are stretched."""
    choose, spread = jax.random.split(key)
    n, size = posterior.guess.y.shape
    chosen = jax.random.categorical(choose, posterior.log_weight, shape=(n_draws, n))
    row = jnp.arange(n)
    normal = jax.random.normal(spread, (n_draws, n, size))
    scaled = normal * jnp.exp(posterior.log_spread[row, chosen])
    inverse = unit_inverse(lower_matrix(posterior.lower, size))
    return posterior.centre[row, chosen] + jnp.einsum("nab,dnb->dna", inverse, scaled)


def placed(posterior: Posterior, t: Array) -> Array:
    """Coordinates y of draws t (draw, n, L): stretched, and within the range of the data."""
    t = posterior.middle + posterior.widening * (t - posterior.middle)
    guess = posterior.guess
    return _reflected(guess.y + guess.width * t, guess.low, guess.high)


def _reflected(y: Array, low: Array, high: Array) -> Array:
    """Draws y mirrored at the ends of the range: a normal tail of asinh flux would be fluxes that
    the data rule out."""
    inside = jnp.where(y > high, 2.0 * high - y, y)
    inside = jnp.where(inside < low, 2.0 * low - inside, inside)
    return jnp.clip(inside, low, high)
