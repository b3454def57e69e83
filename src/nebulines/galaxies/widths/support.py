"""Where in the space of colours a network was trained: outside it, a prediction is a guess."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from nebulines.errors import InputError
from nebulines.galaxies.widths.bins import N_COLOURS

PUBLISHED_LIMIT = 5.0
"""Largest distance from the mean in units of the scaler's standard deviations, per colour, for
weights of which only these are known."""
_RIDGE = 1e-6


class ColourSupport(eqx.Module):
    """The region |(colours - centre) @ whitening| <= limit, in every whitened direction.

    Attributes:
        centre: (11,) mean colours.
        whitening: (11, 11); diagonal where only the spread of each colour is known, else with
            the correlations of the training colours taken out.
        limit: () in standard deviations.
    """

    centre: jax.Array
    whitening: jax.Array
    limit: jax.Array

    def distance(self, colours: Any) -> jax.Array:
        """Largest whitened distance (n,), in units of the limit: above 1 is outside."""
        offset = jnp.asarray(colours) - jax.lax.stop_gradient(self.centre)
        white = jnp.abs(offset @ jax.lax.stop_gradient(self.whitening))
        return jnp.max(white, axis=-1) / jax.lax.stop_gradient(self.limit)


def support_of(colours: Any, *, share: float = 0.999) -> ColourSupport:
    """The region that holds a share of the training colours.

    The colours are rotated to their principal directions and scaled to unit variance, so that a
    colour that fits each histogram but no galaxy (red and blue at once) is outside.

    Args:
        colours: (n, 11) of the training set.
        share: that is inside.

    Raises:
        InputError: fewer than 100 finite rows, or another number of colours.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> region = support_of(rng.normal(size=(5000, 1)) * np.ones(11))
        >>> bool(region.distance(np.ones(11)) < 1), bool(region.distance(np.arange(11.0)) > 1)
        (True, True)
    """
    colours = np.asarray(colours, float)
    if colours.ndim != 2 or colours.shape[1] != N_COLOURS:
        raise InputError(f"training colours must be (n, {N_COLOURS}), not {colours.shape}")
    colours = colours[np.isfinite(colours).all(axis=1)]
    if len(colours) < 100:
        raise InputError(f"a colour support needs 100 galaxies or more, got {len(colours)}")
    centre = colours.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(colours, rowvar=False) + _RIDGE * np.eye(N_COLOURS))
    whitening = vectors / np.sqrt(np.maximum(values, _RIDGE))
    reach = np.abs((colours - centre) @ whitening).max(axis=1)
    return ColourSupport(*map(jnp.asarray, (centre, whitening, np.quantile(reach, share))))


def published_support(mean: Any, spread: Any) -> ColourSupport:
    """The region of weights of which only mean and spread of each colour are known.

    Args:
        mean, spread: (11,).

    Example:
        >>> float(published_support(np.zeros(11), np.ones(11)).distance(np.full(11, 5.0)))
        1.0
    """
    whitening = np.diag(1.0 / np.asarray(spread, float))
    return ColourSupport(*map(jnp.asarray, (np.asarray(mean), whitening, PUBLISHED_LIMIT)))
