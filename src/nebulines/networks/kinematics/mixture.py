"""A joint posterior of velocity and broadening: Gaussians that know that s and -s are the same.

In units of the line spread, u = (v - v_0) / w and r = s / w,

    p(u, r) = sum_k p_k [N_k(u, r) + N_k(u, -r)] + p_lost f(u) g(r),   r >= 0,

where N_k is a bivariate normal. The likelihood depends on s^2 alone, so that folding at r = 0
makes an unresolved line no special case. The last term is the share of sources whose lines the
search did not find: f is flat over the velocities searched, g the distribution of r trained on.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

_LOG_ROOT_TWO_PI = 0.5 * float(np.log(2.0 * np.pi))
BROADENING_LARGEST = 3.5
"""Largest r that is trained on."""


class Mixture(NamedTuple):
    """Posteriors of n spectra with K components.

    Attributes:
        log_weight: (n, K + 1), normalised; the last is that of a lost source.
        mean_u, mean_r: (n, K).
        log_sigma_u: (n, K) of u at given r.
        log_sigma_r: (n, K) of r.
        slope: (n, K) du/dr of the conditional mean of u.
    """

    log_weight: Array
    mean_u: Array
    mean_r: Array
    log_sigma_u: Array
    log_sigma_r: Array
    slope: Array


def outputs_per_component() -> int:
    """Numbers that a network gives for each component."""
    return 6


def mixture_from(raw: Array, snr: Array) -> Mixture:
    """A mixture from network outputs.

    Args:
        raw: (n, 6 K + 1).
        snr: (n,) S/N of the lines: errors are learned in units of 1 / (1 + S/N).

    Returns:
        `Mixture` of the n spectra.
    """
    n_components = (raw.shape[-1] - 1) // outputs_per_component()
    logits = raw[..., : n_components + 1]
    rest = raw[..., n_components + 1 :].reshape(*raw.shape[:-1], 5, n_components)
    mean_u, mean_r, sigma_u, sigma_r, slope = jnp.moveaxis(rest, -2, 0)
    natural = -jnp.log1p(snr)[..., None]
    spread = jnp.linspace(-1.0, 1.0, n_components)
    return Mixture(
        jax.nn.log_softmax(logits - 3.0 * (jnp.arange(n_components + 1) == n_components), axis=-1),
        mean_u,
        mean_r + 0.7 + 0.5 * spread,
        natural + 1.0 + jnp.clip(sigma_u, -6.0, 6.0),
        natural + 1.0 + jnp.clip(sigma_r, -6.0, 6.0),
        slope,
    )


def log_prior_r(r: Array) -> Array:
    """Log density of r trained on, 1 / (1 + r^2) up to the largest r.

    Example:
        >>> grid = np.linspace(0.0, BROADENING_LARGEST, 2001)
        >>> float(np.trapezoid(np.exp(log_prior_r(grid)), grid)).__round__(3)
        1.0
    """
    return -jnp.log1p(jnp.square(r)) - np.log(np.arctan(BROADENING_LARGEST))


def log_prob(mixture: Mixture, u: Array, r: Array, log_flat_u: Array) -> Array:
    """Log posterior density (n,) at u, r (n,); ``log_flat_u`` (n,) is log f of lost sources."""
    terms = [
        mixture.log_weight[..., :-1]
        + _log_normal(sign * r[..., None], mixture.mean_r, mixture.log_sigma_r)
        + _log_normal(
            u[..., None],
            mixture.mean_u + mixture.slope * (sign * r[..., None] - mixture.mean_r),
            mixture.log_sigma_u,
        )
        for sign in (1.0, -1.0)
    ]
    lost = mixture.log_weight[..., -1:] + (log_flat_u + log_prior_r(r))[..., None]
    return jax.nn.logsumexp(jnp.concatenate([*terms, lost], axis=-1), axis=-1)


def _log_normal(x: Array, mean: Array, log_sigma: Array) -> Array:
    return -0.5 * jnp.square((x - mean) * jnp.exp(-log_sigma)) - log_sigma - _LOG_ROOT_TWO_PI
