"""``galaxy_kinds``: clean spectra of galaxies, also beyond the bins that are de-noised, as a
mixture of normal distributions about zero.

A kind k of galaxies has spectra a W_k, a ~ N(0, 1), of unit norm on the usual bins; that the norm
scatters costs little, that no mean has to be scaled makes it simple. The bins go on beyond both
ends, so that galaxies moved by other redshifts fill the usual bins.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from nebulines.networks.denoise.grid import N_BINS

BEYOND = 60
"""Bins beyond each end: 0.055 in the logarithm of the wavelength."""


class GalaxyKinds(eqx.Module):
    """Kinds of galaxies; nothing of it is learned by gradients.

    Args:
        key: not used.
        kinds: C.
        ways: m.

    Attributes:
        share: (C,) of all galaxies.
        shapes: (C, m, 825 + 120) W, the first of each kind holding most of the light.
    """

    share: Array
    shapes: Array

    def __init__(self, *, key: Array | None = None, kinds: int = 2, ways: int = 12) -> None:
        self.share = jnp.full(kinds, 1.0 / kinds)
        self.shapes = jnp.zeros((kinds, ways, N_BINS + 2 * BEYOND))
