"""What the network ``line_ratios`` says: medians, intervals and probabilities of named ratios.

Every ratio is a function of the coordinates of `line_ratio_space`: a difference of two of them
for most, so that its posterior is a mixture of normal laws without approximation. The share of
one line of a doublet, log10(1 + 10^x), is taken to first order around the mean of each Gaussian.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.kept_programs import keep_programs
from nebulines.networks.line_ratios.levels import LEVELS
from nebulines.networks.line_ratios.network import LineRatios, Posterior
from nebulines.networks.line_ratios.space import Centre
from nebulines.networks.small_matrices import batch_last, total
from nebulines.small_tiles import map_small_tiles

EBV = "ebv"
"""Name of the colour excess E(B-V) among the ratios."""
# ratio -> weights of the coordinates, and the doublet (its coordinate) whose share is taken
_FORMS: dict[str, tuple[dict[int, float], int | None]] = {
    "SII6731/SII6716": ({0: 1.0}, None),
    "SII6716/SII6731": ({0: -1.0}, None),
    "SII/HALPHA6563": ({1: 1.0}, None),
    "SII6716/HALPHA6563": ({1: 1.0}, 0),
    "SII6731/HALPHA6563": ({1: 1.0, 0: 1.0}, 0),
    "NII6583/HALPHA6563": ({2: 1.0}, None),
    "NII6583/SII": ({2: 1.0, 1: -1.0}, None),
    "OIII5007/HBETA4861": ({3: 1.0}, None),
    "OII/HBETA4861": ({4: 1.0}, None),
    "OII3726/HBETA4861": ({4: 1.0}, 5),
    "OII3729/HBETA4861": ({4: 1.0, 5: 1.0}, 5),
    "OII/OIII5007": ({4: 1.0, 3: -1.0}, None),
    "OII3729/OII3726": ({5: 1.0}, None),
    "HALPHA6563/HBETA4861": ({6: 1.0}, None),
}
RATIOS = tuple(_FORMS)
"""Ratios that have a posterior."""
TILE_ROWS = 128
"""Sources read at once: what they need on the way stays in the processor's fast memory."""
_HALVES, _NEWTON = 6, 2
_LN10 = float(np.log(10.0))


class Marginals(NamedTuple):
    """Mixtures of normal laws of m quantities of n sources, each (n, K, m) or (n, K).

    Attributes:
        log_weight: (n, K).
        mean, sigma: (n, K, m): log10 of a ratio, or E(B-V) [mag].
    """

    log_weight: Array
    mean: Array
    sigma: Array


class Spread(NamedTuple):
    """Posterior of m quantities of n sources, each (n, m): quantiles of 16, 50 and 84 %, mean
    and standard deviation."""

    low: Array
    middle: Array
    high: Array
    mean: Array
    sigma: Array


def marginals(posterior: Posterior, names: Sequence[str], per_ebv: float) -> Marginals:
    """Posteriors of named ratios.

    Args:
        posterior: of n sources.
        names: m of `RATIOS`, or `EBV`.
        per_ebv: log10 of Ha/Hb for E(B-V) = 1 mag of the extinction law.
    """
    at, root = batch_last(posterior.mean, axes=1), batch_last(posterior.root)
    means, sigmas = [], []
    for name in names:
        mean, slope = _linear(at, name, per_ebv)
        along = total(part * root[i] for i, part in slope.items())
        means.append(mean)
        sigmas.append(jnp.sqrt(total(part**2 for part in along)))
    return Marginals(posterior.log_weight, jnp.stack(means, -1), jnp.stack(sigmas, -1))


def value_of(coordinates: Any, name: str, per_ebv: float) -> Array:
    """A ratio's log10 (or E(B-V)) at coordinates (..., 8).

    Example:
        >>> float(value_of(jnp.arange(8.0), "NII6583/SII", 0.43))
        1.0
    """
    return _linear(batch_last(jnp.asarray(coordinates), axes=1), name, per_ebv)[0]


def _linear(at: Array, name: str, per_ebv: float) -> tuple[Array, dict[int, Any]]:
    """Value (...) of a quantity at coordinates (8, ...), and its slopes, number or (...), along
    those it depends on."""
    slopes: dict[int, Any]
    slopes, doublet = ({6: 1.0 / per_ebv, 7: -1.0 / per_ebv}, None)
    if name != EBV:
        slopes, doublet = _FORMS[name]
    value = total(slope * at[k] for k, slope in slopes.items())
    if doublet is not None:
        value = value - jnp.logaddexp(0.0, _LN10 * at[doublet]) / _LN10
        share = jax.nn.sigmoid(_LN10 * at[doublet])
        slopes = slopes | {doublet: slopes.get(doublet, 0.0) - share}
    return value, slopes


def cumulative(found: Marginals, at: Array) -> Array:
    """Probability (n, m) that each quantity is below ``at`` (n, m)."""
    return _cumulative(_Mixture.of(found), jnp.asarray(at).T)[0].T


class _Mixture(NamedTuple):
    """`Marginals` with the sources last: weight (K, n), mean and 1 / sigma (K, m, n)."""

    weight: Array
    mean: Array
    inverse: Array

    @classmethod
    def of(cls, found: Marginals) -> _Mixture:
        mean, sigma = (jnp.transpose(part, (1, 2, 0)) for part in (found.mean, found.sigma))
        return cls(jnp.exp(found.log_weight).T, mean, 1.0 / sigma)


def _cumulative(mixture: _Mixture, at: Array) -> tuple[Array, Array]:
    """Probability (..., m, n) of less than ``at`` (..., m, n), and its density there."""
    below, density = [], []
    for weight, mean, inverse in zip(*mixture, strict=True):
        z = (at - mean) * inverse
        below.append(weight * jax.lax.erf(z * np.float32(np.sqrt(0.5))))
        density.append(weight * inverse * jnp.exp(-0.5 * z**2))
    scale = np.float32(1.0 / np.sqrt(2.0 * np.pi))
    return 0.5 * (1.0 + total(below)), scale * total(density)


def spread(found: Marginals, levels: Any = None) -> Spread:
    """Quantiles, mean and standard deviation of each quantity.

    Args:
        found: posteriors of m quantities.
        levels: (n, 3, m) at which the quantiles are read; None = `LEVELS`.
    """
    plain = jnp.asarray(LEVELS)[:, None, None]
    read_at = plain if levels is None else jnp.transpose(jnp.asarray(levels), (1, 2, 0))
    mixture = _Mixture.of(found)
    mean = total(w * m for w, m in zip(mixture.weight, mixture.mean, strict=True))
    parts = zip(*mixture, strict=True)
    sigma = jnp.sqrt(total(w * (i**-2 + (m - mean) ** 2) for w, m, i in parts))
    at = _quantiles(mixture, mean, sigma, jnp.broadcast_to(read_at, (3, *mean.shape)))
    return Spread(*(part.T for part in (*at, mean, sigma)))


def _quantiles(mixture: _Mixture, mean: Array, sigma: Array, level: Array) -> Array:
    """Quantiles (q, m, n) at levels (q, m, n): the ends between which any law of this mean and
    sigma has them (Cantelli) are halved, and Newton's steps follow."""
    odds = jnp.sqrt(level / (1.0 - level))

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        below = _cumulative(mixture, middle)[0] < level
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    def newton(_: int, at: Array) -> Array:
        below, density = _cumulative(mixture, at)
        return jnp.clip(at - (below - level) / jnp.maximum(density, 1e-30), low, high)

    low, high = jax.lax.fori_loop(0, _HALVES, halve, (mean - sigma / odds, mean + sigma * odds))
    return jax.lax.fori_loop(0, _NEWTON, newton, 0.5 * (low + high))


def draw(posterior: Posterior, key: Array, n_draws: int) -> Array:
    """Draws (n, m, 8) of the coordinates from the joint posterior.

    Example:
        >>> one = Posterior(jnp.zeros((2, 1)), jnp.ones((2, 1, 8)), jnp.zeros((2, 1, 8, 8)))
        >>> draw(one, jax.random.key(0), 3).shape
        (2, 3, 8)
    """
    pick, place = jax.random.split(key)
    n = len(posterior.log_weight)
    which = jax.random.categorical(pick, posterior.log_weight, shape=(n_draws, n)).T
    mean = jnp.take_along_axis(posterior.mean, which[..., None], axis=1)
    root = jnp.take_along_axis(posterior.root, which[..., None, None], axis=1)
    away = jax.random.normal(place, mean.shape)
    return mean + jnp.einsum("nmab,nmb->nma", root, away)


@keep_programs()
def _guess(network: LineRatios, flux: Any, covariance: Any, present: Any, kind: Any) -> Centre:
    return network.centre(flux, covariance, present, kind)


@keep_programs()
def _posterior(network: LineRatios, guess: Centre, kind: Any) -> Posterior:
    return network.posterior(guess, kind)


def read(network: LineRatios, flux: Any, covariance: Any, present: Any, kind: Any) -> Posterior:
    """The posterior of n sources, compiled; arguments as of `LineRatios.centre`."""
    return _posterior(network, _guess(network, flux, covariance, present, kind), kind)


@keep_programs(static_argnames=("names", "per_ebv"))
def answer(
    network: LineRatios,
    flux: Any,
    covariance: Any,
    present: Any,
    kind: Any,
    names: tuple[str, ...],
    per_ebv: float,
    levels: Any = None,
    n_tiles: Any = None,
) -> Spread:
    """`Spread` of named ratios of n sources, compiled.

    Args:
        network, flux, covariance, present: as of `read`.
        kind: number of `PRIORS`, one for all.
        names, per_ebv: as of `marginals`.
        levels: as of `spread`.
        n_tiles: times `TILE_ROWS` sources are read, what is behind them is zero; None = all.
    """
    n = len(flux)
    if levels is None:
        levels = jnp.broadcast_to(jnp.asarray(LEVELS)[:, None], (n, 3, len(names)))

    def read_tile(part: tuple[Array, ...]) -> Spread:
        measured, errors, there, at = part
        # barriers: XLA would compute much of one step over and over inside the next
        guess = jax.lax.optimization_barrier(network.centre(measured, errors, there, kind))
        posterior = jax.lax.optimization_barrier(network.posterior(guess, kind))
        return spread(marginals(posterior, names, per_ebv), at)

    arrays = tuple(jnp.asarray(part) for part in (flux, covariance, present, levels))
    return map_small_tiles(read_tile, arrays, n if n % TILE_ROWS else TILE_ROWS, n_tiles)
