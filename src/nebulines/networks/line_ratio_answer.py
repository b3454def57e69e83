"""What the network ``line_ratios`` says: medians, intervals and probabilities of named ratios.

Every ratio is a function of the coordinates of `line_ratio_space`: a difference of two of them
for most, so that its posterior is a mixture of normal laws without approximation. The share of
one line of a doublet, log10(1 + 10^x), is taken to first order around the mean of each Gaussian.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.networks.line_ratio_levels import LEVELS
from nebulines.networks.line_ratios import LineRatios, Posterior

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
_STEPS = 16
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
    means, sigmas = [], []
    for name in names:
        mean, slope = _linear(posterior.mean, name, per_ebv)
        means.append(mean)
        along = jnp.einsum("nka,nkab->nkb", slope, posterior.root)
        sigmas.append(jnp.sqrt(jnp.sum(along**2, axis=-1)))
    return Marginals(posterior.log_weight, jnp.stack(means, -1), jnp.stack(sigmas, -1))


def value_of(coordinates: Any, name: str, per_ebv: float) -> Array:
    """A ratio's log10 (or E(B-V)) at coordinates (..., 8).

    Example:
        >>> float(value_of(jnp.arange(8.0), "NII6583/SII", 0.43))
        1.0
    """
    return _linear(jnp.asarray(coordinates), name, per_ebv)[0]


def _linear(at: Array, name: str, per_ebv: float) -> tuple[Array, Array]:
    """Value (...) and slope (..., 8) of a quantity at coordinates (..., 8)."""
    weights, doublet = ({6: 1.0 / per_ebv, 7: -1.0 / per_ebv}, None)
    if name != EBV:
        weights, doublet = _FORMS[name]
    slope = np.zeros(at.shape[-1], np.float32)
    for k, weight in weights.items():
        slope[k] = weight
    value, slopes = at @ slope, jnp.broadcast_to(jnp.asarray(slope), at.shape)
    if doublet is not None:
        value = value - jnp.logaddexp(0.0, _LN10 * at[..., doublet]) / _LN10
        share = jax.nn.sigmoid(_LN10 * at[..., doublet])
        slopes = slopes.at[..., doublet].add(-share)
    return value, slopes


def cumulative(found: Marginals, at: Array) -> Array:
    """Probability (n, m) that each quantity is below ``at`` (n, m)."""
    z = (at[:, None, :] - found.mean) / found.sigma
    return jnp.sum(jnp.exp(found.log_weight)[..., None] * jax.scipy.special.ndtr(z), axis=1)


def spread(found: Marginals, levels: Any = None) -> Spread:
    """Quantiles, mean and standard deviation of each quantity.

    Args:
        found: posteriors of m quantities.
        levels: (3, m) at which the quantiles are read; None = those of `LEVELS`.
    """
    read_at = jnp.asarray(LEVELS)[:, None] if levels is None else jnp.asarray(levels)
    weight = jnp.exp(found.log_weight)[..., None]
    mean = jnp.sum(weight * found.mean, axis=1)
    inner = found.sigma**2 + (found.mean - mean[:, None]) ** 2
    sigma = jnp.sqrt(jnp.sum(weight * inner, axis=1))
    low, middle, high = (_quantile(found, mean, sigma, p) for p in read_at)
    return Spread(low, middle, high, mean, sigma)


def _quantile(found: Marginals, mean: Array, sigma: Array, level: Array) -> Array:
    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        below = cumulative(found, middle) < level
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    low, high = jax.lax.fori_loop(0, _STEPS, halve, (mean - 5.0 * sigma, mean + 5.0 * sigma))
    return 0.5 * (low + high)


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


@eqx.filter_jit
def read(network: LineRatios, flux: Any, covariance: Any, present: Any, kind: Any) -> Posterior:
    """The posterior of n sources; arguments as of `LineRatios.centre`."""
    return network.posterior(network.centre(flux, covariance, present, kind), kind)


@eqx.filter_jit
def answer(
    network: LineRatios,
    flux: Any,
    covariance: Any,
    present: Any,
    kind: Any,
    names: tuple[str, ...],
    per_ebv: float,
    levels: Any = None,
) -> Spread:
    """`Spread` of named ratios of n sources, in one compiled function."""
    posterior = network.posterior(network.centre(flux, covariance, present, kind), kind)
    return spread(marginals(posterior, names, per_ebv), levels)
