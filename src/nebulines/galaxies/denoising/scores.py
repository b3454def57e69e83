"""Scores of de-noising networks on galaxies that they never saw, for their cards."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nebulines.galaxies.denoising.training_sets import LINES, CleanSet
from nebulines.networks.denoise.basis import white_statistics
from nebulines.networks.denoise.grid import unit_norm
from nebulines.networks.denoise.network import POPULATION, Denoise
from nebulines.networks.denoise.posterior import Posterior, draw_lines

CENTRAL = (15.87, 84.13)
"""Percentiles between which 68.27 % should lie."""
_DRAWS = 300


def score_reconstruction(network: Any, test: Any) -> dict[str, Any]:
    """Mean square error of `Pairs` (noise 0.04, unit norm) that a network de-noises."""
    found = np.asarray(network(jnp.asarray(test.noisy)))
    return {"mse": float(np.mean(np.square(found - test.clean)))}


def score_denoise(network: Denoise, test: CleanSet) -> dict[str, Any]:
    """Mean square error of the posterior mean, and coverage of the central 68 % of the lines'
    fluxes, at several levels of white noise."""
    scores: dict[str, Any] = {}
    for sigma in (0.005, 0.02, 0.04, 0.08):
        posterior = white_posterior(network, noisy(test.spectra, sigma, 11), sigma)
        flux = line_draws(network, posterior, 3)
        scores[f"noise_{sigma:g}"] = {
            "mse": float(np.mean(np.square(mean_of(network, posterior) - test.spectra))),
            "coverage": {
                name: round(float(share), 3)
                for name, share in zip(LINES, covered(flux, test.line_flux), strict=True)
            },
        }
    return scores


def noisy(clean: np.ndarray, sigma: float, seed: Any) -> np.ndarray:
    """Spectra with white Gaussian noise, float32.

    Example:
        >>> noisy(np.zeros((1, 3)), 0.1, 0).shape
        (1, 3)
    """
    rng = np.random.default_rng([seed, round(sigma * 1e6)])
    return (clean + sigma * rng.normal(size=clean.shape)).astype(np.float32)


def white_posterior(
    network: Denoise, flux: np.ndarray, sigma: float, *, prior: float = POPULATION
) -> Posterior:
    """Posterior of spectra (n, 825) with the same noise in every bin."""
    weight = jnp.full(len(flux), sigma**-2, jnp.float32)
    b = weight[:, None] * (jnp.asarray(flux) @ network.basis.vectors.T)
    return network(white_statistics(network.basis, b, weight), prior)


def mean_of(network: Denoise, posterior: Posterior) -> np.ndarray:
    """Posterior means (n, 825), made of unit norm, as spectra of the paper are known to be."""
    return unit_norm(np.asarray(posterior.mean @ network.basis.vectors))


def line_draws(network: Denoise, posterior: Posterior, seed: int) -> np.ndarray:
    """Line fluxes (draw, n, L) of 300 posterior draws, in the unit of the data."""
    drawn = draw_lines(network.basis, posterior, jax.random.key(seed), _DRAWS)
    return np.asarray(posterior.scale[:, None] * drawn)


def covered(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Share of the truth (n, L) within the central 68.27 % of draws (draw, n, L), line by line.

    Example:
        >>> draws = np.linspace(-1.0, 1.0, 101)[:, None, None] * np.ones((1, 4, 1))
        >>> covered(draws, np.array([[0.0], [0.5], [0.9], [-0.9]])).tolist()
        [0.5]
    """
    low, high = np.percentile(draws, CENTRAL, axis=0)
    return np.mean((truth >= low) & (truth <= high), axis=0)
