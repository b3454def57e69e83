"""A mixture of joint distributions of equivalent widths: star-forming galaxies, nuclei, tails.

At given colours asinh(EW / Angstrom) is drawn from one of K joint normal laws (`LineWidths`), each
with a share, medians and a covariance of its own, so that draws hold both galaxies with a nucleus
and galaxies without one. The marginal law of a line is F(x) = sum_k w_k Phi((x - m_k) / s_k); its
quantiles are found by halving. A network states the medians beside the mixture, trained to agree
with it, since they are needed millions a second.

Source: Bishop 1994, Mixture Density Networks, Aston University NCRG/94/004.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nebulines.galaxies.widths.equivalent_widths import LineWidths, with_doublets

_HALVINGS = 10  # a Newton step follows
_REACH = 5.0  # scatters beside the outermost medians in which quantiles are sought
_ONE_SIGMA = 0.158655  # share of a normal law below one standard deviation


class WidthMixture(NamedTuple):
    """Predicted distribution of the equivalent widths of n galaxies.

    Attributes:
        mean: (n, 10) median of asinh(EW / Angstrom), all parts together.
        log_share: (n, K) logarithm of the share of each part.
        parts: `LineWidths` with a second dimension K: mean (n, K, 10), factor (n, K, 10, r) ...
    """

    mean: jax.Array
    log_share: jax.Array
    parts: LineWidths

    @property
    def factor(self) -> jax.Array | None:
        """Shared scatter (n, K, 10, r) of the parts."""
        return self.parts.factor

    def ew(self) -> jax.Array:
        """Median equivalent widths (n, 10) [Angstrom]."""
        return jnp.sinh(self.mean)

    def ew_err(self) -> jax.Array:
        """Half of the 16 to 84 % interval of the equivalent widths (n, 10) [Angstrom]."""
        low, high = (
            with_doublets(jnp.sinh(self.quantile(p))) for p in (_ONE_SIGMA, 1 - _ONE_SIGMA)
        )
        return 0.5 * (high - low)

    def scatter(self) -> jax.Array:
        """Standard deviation (n, 10) of asinh(EW / Angstrom)."""
        share = jnp.exp(self.log_share)[..., None]
        middle = jnp.sum(share * self.parts.mean, axis=-2, keepdims=True)
        square = jnp.square(self.parts.scatter()) + jnp.square(self.parts.mean - middle)
        return jnp.sqrt(jnp.sum(share * square, axis=-2))

    def quantile(self, p: float) -> jax.Array:
        """asinh(EW / Angstrom) (n, 10) below which a share p lies; differentiable.

        Args:
            p: 0 to 1.

        Example:
            >>> part = LineWidths(jnp.zeros((1, 2, 10)), jnp.zeros((1, 2, 10, 1)),
            ...     jnp.ones((1, 2, 10)))
            >>> mixture = WidthMixture(jnp.zeros((1, 10)), jnp.log(jnp.full((1, 2), 0.5)), part)
            >>> round(float(mixture.quantile(0.841345)[0, 0]), 3)
            1.0
        """
        share, mean = jnp.exp(self.log_share)[..., None], self.parts.mean
        scatter = self.parts.scatter()

        def below(x: jax.Array, share: Any, mean: Any, scatter: Any) -> jax.Array:
            place = (x[..., None, :] - mean) / scatter
            return jnp.sum(share * jax.scipy.special.ndtr(place), axis=-2)

        still = jax.lax.stop_gradient((share, mean, scatter))

        def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            low, high = ends
            middle = 0.5 * (low + high)
            under = below(middle, *still) < p
            return jnp.where(under, middle, low), jnp.where(under, high, middle)

        ends = (
            jnp.min(still[1] - _REACH * still[2], axis=-2),
            jnp.max(still[1] + _REACH * still[2], axis=-2),
        )
        low, high = jax.lax.fori_loop(0, _HALVINGS, halve, ends)
        x = 0.5 * (low + high)
        normal = jnp.exp(-0.5 * jnp.square((x[..., None, :] - still[1]) / still[2]))
        density = jnp.sum(still[0] * normal / still[2], axis=-2) / np.sqrt(2.0 * np.pi)
        # one Newton step: all of the gradient, and the last digits of the value
        return x - (below(x, share, mean, scatter) - p) / jnp.maximum(density, 1e-3)

    def draw(self, key: jax.Array) -> jax.Array:
        """One equivalent width of each line and galaxy (n, 10) [Angstrom], lines correlated, as
        `LineWidths.draw` of one of the parts.

        Args:
            key: one for all, or (n,) one for each galaxy.
        """
        if key.ndim:
            return jax.vmap(lambda one, row: row.draw(one))(key, self)
        which, within = jax.random.split(key)
        number = jax.random.categorical(which, self.log_share)
        rows = jnp.expand_dims(number, -1)

        def chosen(part: jax.Array) -> jax.Array:
            axis = self.log_share.ndim - 1
            index = rows.reshape(rows.shape + (1,) * (part.ndim - rows.ndim))
            return jnp.take_along_axis(part, index, axis=axis).squeeze(axis)

        return jax.tree.map(chosen, self.parts).draw(within)


Widths = LineWidths | WidthMixture
"""What networks predict."""


def widened(widths: Widths, scatter: float) -> Widths:
    """Widths with more scatter of asinh EW, which all lines of a galaxy share; medians stay.

    Args:
        widths: that state a scatter, else they come back as they are.
        scatter: standard deviation of asinh(EW / Angstrom).

    Example:
        >>> one = LineWidths(jnp.zeros((1, 10)), jnp.zeros((1, 10, 1)), jnp.full((1, 10), 0.3))
        >>> round(float(widened(one, 0.4).scatter()[0, 0]), 3)
        0.5
    """
    if isinstance(widths, WidthMixture):
        return widths._replace(parts=_widened(widths.parts, scatter))
    return _widened(widths, scatter)


def _widened(widths: LineWidths, scatter: float) -> LineWidths:
    if widths.factor is None:
        return widths
    shared = jnp.full((*widths.mean.shape, 1), scatter, widths.factor.dtype)
    return widths._replace(factor=jnp.concatenate([widths.factor, shared], axis=-1))
