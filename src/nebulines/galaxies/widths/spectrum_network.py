"""The network ``equivalent_width_spectrum``: widths of ten lines from a finely binned continuum.

The logarithm of the fluxes in 120 bins of 30 Angstrom, less its mean, is projected on the
principal components of the training continua; the projections feed the same trunk and heads as
the eleven colours do. Breaks, bands and absorption lines that a colour averages away are seen;
emission lines must not be, so that spectra with lines are masked first.
"""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.galaxies.widths.bins import FINE_EDGES, colours_of_fine, log_shape
from nebulines.galaxies.widths.network import EquivalentWidth, fitted_to
from nebulines.galaxies.widths.width_mixture import WidthMixture

ARCHITECTURE = "equivalent_width_spectrum"
"""What a card calls it."""
N_FINE = len(FINE_EDGES) - 1


class EquivalentWidthSpectrum(eqx.Module):
    """Principal components of the continuum, then the trunk of `EquivalentWidth`.

    Args (of the constructor):
        key: of the initial weights.
        features: principal components used.
        width, depth, rank, components: of `EquivalentWidth`.

    Example:
        >>> network = EquivalentWidthSpectrum(key=jax.random.key(0))
        >>> network.predict(jnp.zeros((3, 120))).mean.shape
        (3, 10)
    """

    edges: ClassVar[np.ndarray] = FINE_EDGES
    offset: Array
    basis: Array
    trunk: EquivalentWidth

    def __init__(self, *, key: Array, features: int = 20, **size: Any):
        self.offset = jnp.zeros(N_FINE)
        self.basis = jnp.eye(N_FINE)[:, :features]
        self.trunk = EquivalentWidth(key=key, inputs=features, **size)

    @property
    def support(self) -> Any:
        """Region of the training colours."""
        return self.trunk.support

    def features(self, binned_flux: Any) -> Array:
        """Inputs (n, 120) of mean fluxes (n, 120), all positive."""
        return log_shape(binned_flux)

    def components(self, inputs: Any) -> Array:
        """Projections (n, components) of inputs (n, 120)."""
        offset, basis = jax.lax.stop_gradient((self.offset, self.basis))
        return (jnp.asarray(inputs) - offset) @ basis

    def median(self, inputs: Any) -> Array:
        """Median equivalent widths (n, 10) [Angstrom]."""
        return self.trunk.median(self.components(inputs))

    def predict(self, inputs: Any) -> WidthMixture:
        """`WidthMixture` of inputs (n, 120)."""
        return self.trunk.predict(self.components(inputs))


def spectrum_network_fitted_to(
    network: EquivalentWidthSpectrum, inputs: Any
) -> EquivalentWidthSpectrum:
    """The network with the principal components, standardisation and support of its training
    inputs (n, 120)."""
    inputs = np.asarray(inputs, float)
    offset = inputs.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov(inputs, rowvar=False))
    basis = vectors[:, ::-1][:, : network.basis.shape[1]]
    trunk = fitted_to(
        network.trunk, (inputs - offset) @ basis, colours=np.asarray(colours_of_fine(inputs))
    )
    return eqx.tree_at(
        lambda n: (n.offset, n.basis, n.trunk),
        network,
        (jnp.asarray(offset, jnp.float32), jnp.asarray(basis, jnp.float32), trunk),
        is_leaf=lambda leaf: isinstance(leaf, EquivalentWidth),
    )
