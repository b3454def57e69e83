"""The sincgauss in reduced units: K(X, b) = int_0^1 cos(X t) exp(-b^2 t^2 / 2) dt.

K is the cosine transform of an interferogram cut at the maximum path difference (a sinc) and
damped by a Gaussian: X = pi offset / width, b = pi sigma / width. Its integral over X is pi
at every b, and dK/d(b^2) = K''/2 (heat equation).

Two regimes, chosen element by element, with errors below 2e-6 (float32; 1e-6 for K itself)
and 1e-12 (float64) of each function's own maximum:

- near (|X| < X_e and b < b_e): Chebyshev series in X^2 whose coefficients are Chebyshev
  series in b^2. They depend on b alone, so they cost nothing per channel as long as b is
  broadcast, not expanded, along the channels.
- far: the Gaussian of a complete interferogram minus the wings of the cut,
  K = sqrt(pi/2)/b exp(-X^2 / 2 b^2) + exp(-b^2/2) Im[e^{iX} r sum_k (2k-1)!! u^k],
  r = 1 / (X + i b^2), u = b^2 r^2: the asymptotic series of the complex error function
  w(z), z = (X + i b^2) / (sqrt(2) b) (Abramowitz & Stegun 7.1.23).

Along an axis only the channels around the line need the near field and more than two terms of the
far one: `reduced_kernel_along` cuts them out, and takes half the time or less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nebulines.lineshapes.trigonometry import sine_cosine


class Kernel(NamedTuple):
    """A function of the offset with its first and second derivative, same shapes."""

    value: jax.Array
    first: jax.Array
    second: jax.Array


@dataclass(frozen=True)
class Regime:
    """Where the near field ends and how many terms each expansion has."""

    edge_x: float
    edge_b: float
    terms_x: int
    terms_b: int
    terms_far: int


_REGIMES = {
    "float32": Regime(edge_x=14.0, edge_b=4.25, terms_x=18, terms_b=16, terms_far=6),
    "float64": Regime(edge_x=28.0, edge_b=8.0, terms_x=36, terms_b=56, terms_far=14),
}


@jax.jit
def reduced_kernel(x: jax.Array, b2: jax.Array) -> Kernel:
    """K(X, b), dK/dX and d2K/dX2.

    Args:
        x: X, any shape.
        b2: b^2 >= 0, broadcast against ``x``; keep it of size 1 along the channels.

    Returns:
        `Kernel` of the broadcast shape and of the type of ``x`` (float32 or float64).
    """
    regime = _REGIMES[jnp.result_type(x, b2).name]
    x, b2 = jnp.asarray(x), jnp.asarray(b2)
    near = (jnp.abs(x) < regime.edge_x) & (b2 < regime.edge_b**2)
    inside = _near(x, b2, regime)
    outside = _far(jnp.where(near, regime.edge_x, x), b2, regime)
    return Kernel(*(jnp.where(near, a, c) for a, c in zip(inside, outside, strict=True)))


DISTANT = 48.0
"""X beyond which two terms of the far series are exact in float32."""
_DISTANT_TERMS = 2
_NARROW_B2 = DISTANT**2 / 40.0
"""Up to this b^2 the Gaussian is below 2e-9 of its peak out there."""


def reduced_kernel_along(x: jax.Array, b2: jax.Array, near: int) -> Kernel:
    """`reduced_kernel` in float32 for lines on an axis, most of whose channels are far away.

    Args:
        x: X (..., K), ascending along the last axis.
        b2: b^2 (..., 1).
        near: channels around the line that get all terms; what is outside them lies beyond
            `DISTANT`, unless the axis ends before.

    Returns:
        `Kernel` (..., K).
    """
    n_channels = x.shape[-1]
    lines = x.reshape(-1, n_channels)
    first = jnp.clip(jnp.sum(lines < 0.0, axis=-1) - near // 2, 0, n_channels - near)
    around = jax.vmap(lambda line, at: jax.lax.dynamic_slice(line, (at,), (near,)))(lines, first)
    inside = reduced_kernel(around.reshape(*x.shape[:-1], near), b2)
    regime = replace(_REGIMES["float32"], terms_far=_DISTANT_TERMS)
    distant = jnp.where(jnp.abs(x) < regime.edge_x, regime.edge_x, x)
    outside = jax.lax.cond(
        jnp.any(b2 > _NARROW_B2),
        lambda: _far(distant, b2, regime),
        lambda: _wings(distant, b2, regime),
    )
    put = jax.vmap(lambda line, part, at: jax.lax.dynamic_update_slice(line, part, (at,)))

    def joined(all_: jax.Array, part: jax.Array) -> jax.Array:
        return put(all_.reshape(lines.shape), part.reshape(-1, near), first).reshape(x.shape)

    return Kernel(*(joined(a, c) for a, c in zip(outside, inside, strict=True)))


def _near(x: jax.Array, b2: jax.Array, regime: Regime) -> Kernel:
    table = jnp.asarray(_near_table(regime), x.dtype)
    y = 2.0 * jnp.minimum(b2, regime.edge_b**2) / regime.edge_b**2 - 1.0
    basis = jnp.stack(_chebyshev_basis(y, regime.terms_b))
    coefficients = jnp.tensordot(table, basis, axes=1, precision=jax.lax.Precision.HIGHEST)
    z = 2.0 * jnp.minimum(x * x, regime.edge_x**2) / regime.edge_x**2 - 1.0
    value, slope, second = (_clenshaw(c, z, regime.terms_x) for c in coefficients)
    return Kernel(value, jnp.clip(x, -regime.edge_x, regime.edge_x) * slope, second)


def _chebyshev_basis(y: jax.Array, terms: int) -> list[jax.Array]:
    basis = [jnp.ones_like(y), y]
    while len(basis) < terms:
        basis.append(2.0 * y * basis[-1] - basis[-2])
    return basis


def _clenshaw(coefficients: jax.Array, z: jax.Array, terms: int) -> jax.Array:
    one = jnp.zeros_like(z)
    two = jnp.zeros_like(z)
    for k in range(terms - 1, 0, -1):
        one, two = coefficients[k] + 2.0 * z * one - two, one
    return coefficients[0] + z * one - two


def _far(x: jax.Array, b2: jax.Array, regime: Regime) -> Kernel:
    # where the far field is used, b < 1 means a Gaussian below exp(-100), and b^2 > 300 means
    # wings below exp(-150): the limits keep every power finite
    gauss, wings = _complete_gaussian(x, jnp.maximum(b2, 1.0)), _wings(x, b2, regime)
    return Kernel(*(g + w for g, w in zip(gauss, wings, strict=True)))


def _complete_gaussian(x: jax.Array, b2: jax.Array) -> Kernel:
    inverse = 1.0 / b2
    value = jnp.sqrt(0.5 * np.pi * inverse) * jnp.exp(-0.5 * x * x * inverse)
    slope = -x * inverse
    return Kernel(value, slope * value, (slope * slope - inverse) * value)


def _wings(x: jax.Array, b2: jax.Array, regime: Regime) -> Kernel:
    """exp(-b^2/2) Im[e^{iX} f(X)], f = r A(u), f' = -r^2 B(u), f'' = 2 r^3 C(u)."""
    b2 = jnp.minimum(b2, 300.0)
    inverse = 1.0 / (x * x + b2 * b2)
    r = (x * inverse, -b2 * inverse)
    r2 = _multiply(r, r)
    powers = [(b2 * r2[0], b2 * r2[1])]
    while len(powers) < regime.terms_far - 1:
        powers.append(_multiply(powers[-1], powers[0]))
    series = [_real_series(c, powers) for c in _far_series(regime.terms_far)]
    f = _multiply(r, series[0])
    df = _multiply(r2, series[1])
    d2f = _multiply(_multiply(r, r2), series[2])
    damping = jnp.exp(-0.5 * b2)
    sine, cosine = (damping * wave for wave in sine_cosine(x))
    # i f - r^2 B and -f - 2 i r^2 B + 2 r^3 C
    first = (-f[1] - df[0], f[0] - df[1])
    second = (2.0 * (df[1] + d2f[0]) - f[0], 2.0 * (d2f[1] - df[0]) - f[1])
    return Kernel(*(sine * g[0] + cosine * g[1] for g in (f, first, second)))


def _multiply(
    a: tuple[jax.Array, jax.Array], c: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    return a[0] * c[0] - a[1] * c[1], a[0] * c[1] + a[1] * c[0]


def _real_series(
    coefficients: np.ndarray, powers: list[tuple[jax.Array, jax.Array]]
) -> tuple[jax.Array, jax.Array]:
    real, imaginary = 1.0 + float(coefficients[1]) * powers[0][0], coefficients[1] * powers[0][1]
    for c, power in zip(coefficients[2:], powers[1:], strict=True):
        real, imaginary = real + float(c) * power[0], imaginary + float(c) * power[1]
    return real, imaginary


@lru_cache
def _far_series(terms: int) -> np.ndarray:
    """Coefficients of A, B and C in powers of u: (2k-1)!!, (2k+1)!!, (2k+1)!! (k + 1)."""
    k = np.arange(terms)
    odd = np.cumprod(np.r_[1.0, 2.0 * k[1:] + 1.0])
    return np.stack([odd / (2 * k + 1), odd, odd * (k + 1)])


@lru_cache
def _near_table(regime: Regime) -> np.ndarray:
    """Chebyshev coefficients (K, K'/X, K''; term in X^2, term in b^2), float64.

    The integral over t by Gauss-Legendre quadrature at Chebyshev nodes of X^2 and b^2, then
    the discrete cosine transform along both.
    """
    nodes, weights = np.polynomial.legendre.leggauss(64)
    t, weights = 0.5 * (nodes + 1.0), 0.5 * weights
    x2, to_x = _chebyshev_nodes(regime.terms_x, regime.edge_x**2)
    b2, to_b = _chebyshev_nodes(regime.terms_b, regime.edge_b**2)
    x = np.sqrt(x2)[:, None]
    waves = [np.cos(x * t), -np.sin(x * t) * t / x, -np.cos(x * t) * t * t]
    damping = weights * np.exp(-0.5 * b2[:, None] * t * t)
    return np.stack([to_x @ (wave @ damping.T) @ to_b.T for wave in waves])


def _chebyshev_nodes(terms: int, upper: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes on (0, upper) and the matrix from values there to Chebyshev coefficients."""
    angle = np.pi * (np.arange(terms) + 0.5) / terms
    matrix = 2.0 / terms * np.cos(np.arange(terms)[:, None] * angle)
    matrix[0] *= 0.5
    return 0.5 * upper * (np.cos(angle) + 1.0), matrix
