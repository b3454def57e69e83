"""log p of measured equivalent widths under what is predicted.

A measured width o = EW + noise of known error e, EW = sinh(m + t), t ~ N(0, S) given the colours
(`LineWidths`). Linearised at a point t0 with h = sinh(m + t0) and slope h' = dEW/dt, o says
z = t0 + (o - h) / h' with error e / h', so that log p(o) = log N(z; 0, S + diag(e / h')^2) -
sum log h'. t0 is moved to the most probable t in a few steps: for strong lines it is what gives o,
for undetected ones near 0. Nothing is cut, so weak and negative widths teach as much as their
errors allow; widths that were not measured (error not finite) are left out line by line. S is of
low rank and a diagonal, so that only systems of that rank are solved (Woodbury). A mixture adds up
its parts.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.galaxies.widths.equivalent_widths import LineWidths
from nebulines.galaxies.widths.width_mixture import WidthMixture, Widths

_STEPS = 4
_UNMEASURED = 1e8  # variance of a width that was not measured
_RANGE = (-7.0, 8.5)  # of asinh EW


def log_likelihood(widths: Widths, ew: Any, ew_err: Any) -> Array:
    """log p (n,) of measured widths under a prediction, see the head of the module.

    Args:
        widths: with scatter.
        ew, ew_err: (n, 10) [Angstrom]; an error that is not finite marks what was not measured.

    Example:
        >>> sure = LineWidths(jnp.zeros((1, 10)), jnp.zeros((1, 10, 1)), jnp.full((1, 10), 0.01))
        >>> near = log_likelihood(sure, jnp.zeros((1, 10)), jnp.ones((1, 10)))
        >>> far = log_likelihood(sure, jnp.full((1, 10), 5.0), jnp.ones((1, 10)))
        >>> bool(near[0] > far[0])
        True
    """
    ew, ew_err = jnp.asarray(ew), jnp.asarray(ew_err)
    if isinstance(widths, WidthMixture):
        of_each = jax.vmap(_of_one, in_axes=(1, None, None), out_axes=1)
        return jax.nn.logsumexp(widths.log_share + of_each(widths.parts, ew, ew_err), axis=1)
    return _of_one(widths, ew, ew_err)


def _of_one(widths: LineWidths, ew: Array, ew_err: Array) -> Array:
    """The same of one joint normal law."""
    assert widths.factor is not None
    assert widths.own is not None
    at = _most_probable(widths, ew, ew_err)
    z, variance, slope, used = _linearised(widths, at, ew, ew_err)
    weighted, log_det = solved(widths.factor, jnp.square(widths.own) + variance, z)
    constant = jnp.where(used, jnp.log(slope), -0.5 * np.log(_UNMEASURED))
    terms = constant + 0.5 * np.log(2.0 * np.pi) * used
    return -0.5 * jnp.sum(z * weighted, axis=-1) - 0.5 * log_det - jnp.sum(terms, axis=-1)


def _most_probable(widths: LineWidths, ew: Array, ew_err: Array) -> Array:
    """t of the largest posterior density (n, 10); the width there is a constant for the gradient,
    so that a moving prediction does not move the point at which it is judged."""
    live = widths.mean
    widths = jax.lax.stop_gradient(widths)
    assert widths.factor is not None
    assert widths.own is not None
    own = jnp.square(widths.own)
    at = jnp.clip(jnp.arcsinh(ew), *_RANGE) - widths.mean
    for _ in range(_STEPS):
        z, variance, _, _ = _linearised(widths, at, ew, ew_err)
        weighted, _ = solved(widths.factor, own + variance, z)
        shared = jnp.einsum("...lr,...l->...r", widths.factor, weighted)
        at = jnp.einsum("...lr,...r->...l", widths.factor, shared) + own * weighted
        at = jnp.clip(at + widths.mean, *_RANGE) - widths.mean
    return jax.lax.stop_gradient(widths.mean + at) - live


def _linearised(
    widths: LineWidths, at: Array, ew: Array, ew_err: Array
) -> tuple[Array, Array, Array, Array]:
    """What widths say of t near ``at``: value, variance, dEW/dt, and whether there is one."""
    used, x = jnp.isfinite(ew_err), widths.mean + at
    slope = jnp.cosh(x)
    z = jnp.where(used, at + (ew - jnp.sinh(x)) / slope, at)
    return z, jnp.where(used, jnp.square(ew_err / slope), _UNMEASURED), slope, used


def solved(factor: Array, diagonal: Array, z: Array) -> tuple[Array, Array]:
    """S^-1 z and log |S| of S = F F^T + diag(d), by the identity of Woodbury.

    Args:
        factor: (..., l, r), r small.
        diagonal: (..., l) positive.
        z: (..., l).

    Example:
        >>> factor, diagonal = jnp.array([[1.0], [2.0]]), jnp.array([0.5, 0.25])
        >>> x, log_det = solved(factor, diagonal, jnp.array([1.0, -1.0]))
        >>> s = factor @ factor.T + jnp.diag(diagonal)
        >>> (s @ x).round(4).tolist(), bool(abs(log_det - jnp.linalg.slogdet(s)[1]) < 1e-5)
        ([1.0, -1.0], True)
    """
    light = factor / diagonal[..., None]
    small = jnp.einsum("...li,...lj->...ij", factor, light) + jnp.eye(factor.shape[-1])
    right = jnp.einsum("...lr,...l->...r", light, z)
    x, log_det = _eliminated(small, right)
    inside = z / diagonal - jnp.einsum("...lr,...r->...l", light, x)
    return inside, log_det + jnp.sum(jnp.log(diagonal), axis=-1)


def _eliminated(matrix: Array, right: Array) -> tuple[Array, Array]:
    """Solution and log determinant of a small positive system, by elimination without pivots;
    unrolled, because batches of tiny decompositions are slow."""
    rank = matrix.shape[-1]
    rows = [jnp.append(matrix[..., i, :], right[..., i, None], axis=-1) for i in range(rank)]
    for i in range(rank):
        for j in range(i + 1, rank):
            rows[j] = rows[j] - (rows[j][..., i] / rows[i][..., i])[..., None] * rows[i]
    found: list[Array] = []
    for i in reversed(range(rank)):
        known = sum(rows[i][..., i + 1 + k] * x for k, x in enumerate(found))
        found.insert(0, (rows[i][..., rank] - known) / rows[i][..., i])
    log_det = sum(jnp.log(rows[i][..., i]) for i in range(rank))
    return jnp.stack(found, axis=-1), jnp.asarray(log_det)
