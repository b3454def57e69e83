"""A normal law bent into a skewed one with longer or shorter tails: the sinh-arcsinh transform.

w(u) = [sinh(tail asinh(u) + skew) - sinh(skew)] / [tail cosh(skew)], so that w(0) = 0 and
w'(0) = 1: the median stays where it is and the core keeps its width. tail above 1 lengthens both
tails, a positive skew the upper one.

Source: Jones & Pewsey 2009, Biometrika 96, 761, in the other direction.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array


def bend(u: Any, skew: Any, tail: Any) -> Array:
    """w(u).

    Args:
        u: standard normal variable, any shape.
        skew, tail: broadcast with it; tail is positive.

    Example:
        >>> bend(jnp.array([-1.0, 0.0, 1.0]), 0.0, 1.0).tolist()
        [-1.0, 0.0, 1.0]
    """
    top = jnp.sinh(tail * jnp.arcsinh(u) + skew) - jnp.sinh(skew)
    return top / (tail * jnp.cosh(skew))


def bend_slope(u: Any, skew: Any, tail: Any) -> Array:
    """dw / du.

    Example:
        >>> float(bend_slope(0.0, 0.3, 1.2))
        1.0
    """
    u = jnp.asarray(u)
    rise = jnp.cosh(tail * jnp.arcsinh(u) + skew) / jnp.cosh(skew)
    return rise / jnp.sqrt(1.0 + jnp.square(u))


def unbend(w: Any, skew: Any, tail: Any) -> Array:
    """The u of a w.

    Example:
        >>> round(float(unbend(bend(0.7, 0.3, 1.2), 0.3, 1.2)), 5)
        0.7
    """
    inside = jnp.arcsinh(tail * jnp.cosh(skew) * jnp.asarray(w) + jnp.sinh(skew))
    return jnp.sinh((inside - skew) / tail)
