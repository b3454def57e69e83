"""How wide the posteriors of ``denoise`` have to be: set on examples that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.networks.denoise.network import NOISE_KNOTS, Denoise
from nebulines.networks.denoise.posterior import Posterior, draw_t, placed, warp
from nebulines.training.denoise.network import Noisy, found, has_scale

EXAMPLES = 12_000
"""At each of `NOISE_KNOTS`."""
_AT_ONCE = 2000
_DRAWS = 200
_FACTORS = np.geomspace(0.6, 4.0, 16)
_CENTRAL = (0.1587, 0.8413)
_COVERED = 0.6827
_LEAST_EXAMPLES = 100


def calibrated(network: Denoise, *, draw: Callable[..., Noisy], n: int = EXAMPLES) -> Denoise:
    """The network with posteriors as wide as a validation set shows that they have to be.

    For both priors, at each of `NOISE_KNOTS`: of the widths of a line, the factor with which
    68.27 % of the true fluxes lie within the central 68.27 % of the draws; of coefficients, the
    68.27 % percentile of their errors in units of the deviations.

    Args:
        network: trained.
        draw: (n, noise=) -> examples of one noise.
        n: examples at each noise.
    """
    widening, loosening = np.array(network.widening), np.array(network.loosening)
    for knot, noise in enumerate(NOISE_KNOTS):
        batch = draw(n, noise=noise)
        rank, pull, usable = _judged(network, batch, jax.random.key(knot))
        for prior in (0, 1):
            rows = usable & (batch.prior[:, 0] == prior)
            if rows.sum() < _LEAST_EXAMPLES:
                continue
            inside = (rank[:, rows] > _CENTRAL[0]) & (rank[:, rows] < _CENTRAL[1])
            share = np.maximum.accumulate(inside.mean(axis=1), axis=0)
            widening[prior, knot] *= [np.interp(_COVERED, line, _FACTORS) for line in share.T]
            loosening[prior, knot] *= np.percentile(pull[rows], 100.0 * _COVERED, axis=0)
    factors = tuple(jnp.asarray(part, jnp.float32) for part in (widening, loosening))
    return eqx.tree_at(lambda net: (net.widening, net.loosening), network, factors)


def _judged(
    network: Denoise, batch: Noisy, key: Array
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `_FACTORS` the share (F, n, L) of draws below the truth; errors (n, K) of the
    coefficients in units of their deviations; whether a spectrum counts (n,)."""
    batch = jax.tree.map(jnp.asarray, batch)
    seen = found(network.basis, batch)
    posterior, scale = network(seen, batch.prior), seen.scale[:, None]
    y = warp(network.basis, batch.flux / scale)
    pull = jnp.abs((batch.truth / scale - posterior.mean) / posterior.deviation)
    starts = range(0, len(y), _AT_ONCE)
    parts = [jax.tree.map(lambda x, s=s: x[s : s + _AT_ONCE], (posterior, y)) for s in starts]
    rank = [_ranks(*part, jax.random.fold_in(key, k)) for k, part in enumerate(parts)]
    return np.concatenate(rank, axis=1), np.asarray(pull), np.asarray(has_scale(seen))


@jax.jit
def _ranks(posterior: Posterior, y: Array, key: Array) -> Array:
    """Shares (F, n, L) of draws below y (n, L), for posteriors as many times as wide."""
    t = draw_t(posterior, key, _DRAWS)

    def below(factor: Array) -> Array:
        wider = posterior._replace(widening=factor * posterior.widening)
        return jnp.mean(placed(wider, t) < y, axis=0)

    return jax.lax.map(below, jnp.asarray(_FACTORS, jnp.float32))
