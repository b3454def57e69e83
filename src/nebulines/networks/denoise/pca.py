"""``pca``: principal components of noisy spectra, the baseline of Scourfield et al. 2023."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.errors import InputError
from nebulines.networks.denoise.grid import N_BINS


class PCA(eqx.Module):
    """A spectrum as the mean and the first principal components of a training set.

    Attributes:
        mean: (channel,).
        components: (k, channel), orthonormal.
        variance: (k,) of the training set along each.
        total: () variance of the training set in all directions.
    """

    mean: Array
    components: Array
    variance: Array
    total: Array

    def __init__(
        self, *, key: Array | None = None, latent: int = 4, channels: int = N_BINS
    ) -> None:
        self.mean = jnp.zeros(channels)
        self.components = jnp.eye(latent, channels)
        self.variance, self.total = jnp.ones(latent), jnp.ones(())

    def encode(self, spectra: Array) -> Array:
        """Amounts (n, k) of the components."""
        return (spectra - self.mean) @ self.components.T

    def decode(self, latent: Array) -> Array:
        """Spectra (n, channel) of amounts (n, k)."""
        return self.mean + latent @ self.components

    def __call__(self, spectra: Array) -> Array:
        """De-noised spectra (n, channel)."""
        return self.decode(self.encode(spectra))


def fit_pca(spectra: np.ndarray, latent: int) -> PCA:
    """Principal components of spectra (n, channel), by the eigenvectors of their covariance.

    Args:
        spectra: noisy ones for the paper's recipe.
        latent: number of components.

    Raises:
        InputError: fewer spectra or channels than components.

    Example:
        >>> spectra = np.random.default_rng(0).normal(size=(50, 6)) * [5, 1, 1, 1, 1, 1]
        >>> pca = fit_pca(spectra, 1)
        >>> bool(abs(pca.components[0, 0]) > 0.95)
        True
    """
    n, channels = spectra.shape
    if latent > min(n - 1, channels):
        raise InputError(
            f"{latent} components need more than {latent} spectra and channels, got {n} spectra of "
            f"{channels} channels"
        )
    mean = spectra.mean(axis=0, dtype=np.float64)
    away = np.asarray(spectra, np.float64) - mean
    values, vectors = np.linalg.eigh(away.T @ away / (n - 1))
    order = np.argsort(values)[::-1][:latent]
    empty = PCA(latent=latent, channels=channels)
    return eqx.tree_at(
        lambda pca: (pca.mean, pca.components, pca.variance, pca.total),
        empty,
        tuple(jnp.asarray(x, jnp.float32) for x in
              (mean, vectors[:, order].T, values[order], values.sum())),
    )  # fmt: skip
