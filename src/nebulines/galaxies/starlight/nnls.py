"""Non-negative least squares of many small problems at once, by an interior-point method.

min 1/2 x' G x - b' x with x >= 0. The optimum has z = G x - b >= 0 and x z = 0; Newton steps on
x z = mu with mu falling to zero (Mehrotra's predictor and corrector) reach it in a fixed number
of steps, whichever templates take part, so that a batch needs no branch.

Source: Mehrotra 1992, SIAM J. Optim. 2, 575.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve

STEPS = 14
"""Newton steps; each one shrinks the duality gap by a factor of about five or more."""
RIDGE = 3e-6
"""Added to the diagonal, in units of it: float32 cannot tell templates apart below this."""


class NonNegative(NamedTuple):
    """The solution of n problems of k unknowns.

    Attributes:
        x: (n, k) coefficients, >= 0.
        barrier: (n, k) z / x: what to add to the diagonal of G so that coefficients at zero stay
            there; covariances of the others then come from the inverse of the sum.
    """

    x: jax.Array
    barrier: jax.Array


def solve_nonnegative(gram: jax.Array, moment: jax.Array, *, steps: int = STEPS) -> NonNegative:
    """Minimise 1/2 x' G x - b' x subject to x >= 0.

    Args:
        gram: (n, k, k) G, positive semi-definite.
        moment: (n, k) b.
        steps: Newton steps.

    Returns:
        `NonNegative`; where b <= 0 throughout, x is nearly 0.

    Example:
        >>> solved = solve_nonnegative(jnp.eye(2)[None], jnp.array([[2.0, -1.0]]))
        >>> [round(float(value), 3) for value in solved.x[0]]
        [2.0, 0.0]
    """
    size = jnp.sqrt(jnp.maximum(jnp.diagonal(gram, axis1=1, axis2=2), 1e-30))
    k = gram.shape[-1]
    unit = gram / (size[:, :, None] * size[:, None, :]) + RIDGE * jnp.eye(k, dtype=gram.dtype)
    moment = moment / size
    scale = jnp.maximum(jnp.max(jnp.abs(moment), axis=1, keepdims=True), 1e-30)
    moment = moment / scale
    x = jnp.full_like(moment, 1.0 / k)
    z = jnp.ones_like(moment)

    def step(_: int, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        x, z = state
        dual = jnp.einsum("nij,nj->ni", unit, x) - moment - z
        factor = cho_factor(unit + (z / x)[:, :, None] * jnp.eye(k, dtype=unit.dtype), lower=True)
        gap = jnp.mean(x * z, axis=1, keepdims=True)

        def newton(target: jax.Array) -> tuple[jax.Array, jax.Array]:
            dx = cho_solve(factor, (-dual + (target - x * z) / x)[..., None])[..., 0]
            return dx, (target - x * z - z * dx) / x

        dx, dz = newton(jnp.zeros_like(x))
        ahead = jnp.mean(
            (x + _length(x, dx) * dx) * (z + _length(z, dz) * dz), axis=1, keepdims=True
        )
        target = gap * jnp.clip(ahead / gap, 0.0, 1.0) ** 3 - dx * dz
        dx, dz = newton(target)
        along_x, along_z = 0.995 * _length(x, dx), 0.995 * _length(z, dz)
        x, z = x + along_x * dx, z + along_z * dz
        return jnp.maximum(x, _TINY), jnp.maximum(z, _TINY)

    x, z = jax.lax.fori_loop(0, steps, step, (x, z))
    return NonNegative(x * scale / size, z / x * size**2)


_TINY = 1e-12


def _length(value: jax.Array, step: jax.Array) -> jax.Array:
    """(n, 1) longest step, at most 1, that keeps every value positive."""
    ratio = jnp.where(step < 0, -value / jnp.where(step < 0, step, -1.0), jnp.inf)
    return jnp.minimum(jnp.min(ratio, axis=1, keepdims=True), 1.0)
