"""Where in the space of colours a network was trained: outside it, a prediction is a guess."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from nebulines.errors import InputError
from nebulines.galaxies.widths.bins import N_COLOURS
from nebulines.galaxies.widths.equivalent_widths import LINES

PUBLISHED_LIMIT = 5.0
"""Largest distance from the mean in units of the scaler's standard deviations, per colour, for
weights of which only these are known."""
_RIDGE = 1e-6
LEARNED_SHARE = 0.987
"""Share of the training galaxies within the region of `LearnedRegion`, by colours; and share of
them whose predicted H-alpha is below its strongest: fewer than 3 % of them are outside."""
_NO_LIMIT = 1e30
_HALPHA = LINES.index("HALPHA6563")


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

    def outside(self, colours: Any, ew: Any) -> jax.Array:
        """Which galaxies (n,) are outside; the predicted widths ``ew`` (n, 10) do not matter."""
        return self.distance(colours) > 1.0


class LearnedRegion(eqx.Module):
    """Where enough galaxies were learned from: |(colours - centre) @ whitening| <= limit, the
    distance of Mahalanobis, and a predicted H-alpha that is no stronger than nearly all of them.

    The region by colours follows the density of the training galaxies as far as one normal law
    does; the widths see the blue end, where few galaxies are but the density is smooth.

    Attributes:
        centre: (11,) mean colours.
        whitening: (11, 11), with the correlations of the training colours taken out.
        limit: () in standard deviations.
        strongest: () largest predicted median width of H-alpha [Angstrom].
    """

    centre: jax.Array
    whitening: jax.Array
    limit: jax.Array
    strongest: jax.Array

    def distance(self, colours: Any) -> jax.Array:
        """Whitened distance (n,), in units of the limit: above 1 is outside."""
        offset = jnp.asarray(colours) - jax.lax.stop_gradient(self.centre)
        white = offset @ jax.lax.stop_gradient(self.whitening)
        # the root of zero has no slope
        square = jnp.maximum(jnp.sum(jnp.square(white), axis=-1), 1e-12)
        return jnp.sqrt(square) / jax.lax.stop_gradient(self.limit)

    def outside(self, colours: Any, ew: Any) -> jax.Array:
        """Which galaxies (n,) are outside, by colours (n, 11) or by the widths (n, 10) [Angstrom]
        predicted of them."""
        strong = jnp.asarray(ew)[..., _HALPHA] > self.strongest
        return (self.distance(colours) > 1.0) | strong


def everywhere() -> LearnedRegion:
    """The region of a network that has learned nothing yet: any colours, any width."""
    still, far = jnp.zeros(N_COLOURS), jnp.asarray(_NO_LIMIT)
    return LearnedRegion(still, jnp.eye(N_COLOURS), far, far)


def learned_region(colours: Any, *, share: float = LEARNED_SHARE) -> LearnedRegion:
    """The region that holds a share of the training colours; any width is inside of it.

    Args:
        colours: (n, 11) of the training set.
        share: that is inside.

    Raises:
        InputError: as `support_of`.

    Example:
        >>> region = learned_region(np.random.default_rng(0).normal(size=(5000, 11)))
        >>> region.outside(np.stack([np.zeros(11), np.full(11, 5.0)]), np.ones((2, 10))).tolist()
        [False, True]
    """
    box = support_of(colours)
    white = (np.asarray(colours, float) - np.asarray(box.centre)) @ np.asarray(box.whitening)
    reach = np.linalg.norm(white[np.isfinite(white).all(axis=1)], axis=1)
    limit = jnp.asarray(np.quantile(reach, share))
    return LearnedRegion(box.centre, box.whitening, limit, jnp.asarray(_NO_LIMIT))


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
