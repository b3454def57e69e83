"""The statistics of ``denoise`` for noise of any shape and missing bins.

Coefficients are taken in coordinates in which both priors are diagonal: a = W c with c ~ N(mu, 1)
under the usual prior, and precisions d in place of 1 in m free ways f under the loose one; the
other ways g are bound. With information B = s^2 W^T A W, in blocks of bound and free ways,

    P = (1 + B_gg)^-1,    T = P B_gf,    Y = (e + B_ff - B_fg T)^-1,    X = T Y,

the covariance of c is [[P + X T^T, -X], [-X^T, Y]] under the usual prior with e = 1, and under the
loose one with e = d, so that P and T serve both. Matrices have the spectra as last axis.

B holds hundreds of sums over the bins. They come from fewer: of all weights that bins may have,
products of two rows of W^T V hear but some two hundred patterns. Where a line is missing, of which
the loose prior says next to nothing, or where weights stray from the patterns, the sums are taken
bin by bin.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.networks.denoise.basis import Basis, Statistics, first_scale, in_units, positive
from nebulines.networks.denoise.inverse import inverse, product, transposed_product
from nebulines.networks.small_matrices import applied, total

MOST_FREE = 20
"""Ways at most in which the loose prior is looser than the usual one."""
AT_ONCE = 128
"""Spectra whose statistics are worked out together: what the processor keeps near."""
PATTERNS = 200
"""Of the weights, that the sums are made of."""
_LEAST_FREE = 1e-6  # of the largest: less is rounding
_LEAST_NOISE = 0.003
"""In a bin of spectra of unit norm: that at which the sums must be right."""
_TOLERANCE = 0.02
"""Of B, or of 1 where B is less: more may not be lost between the patterns."""
_LINE_POWER, _LEAST_SEEN = 0.03, 0.05
"""Bins are those of lines where a free way has this share of its highest power; all of them have at
least this share of the mean weight, or the sums are taken bin by bin."""


class Ways(NamedTuple):
    """Coordinates c of the coefficients, the bound ones first.

    Attributes:
        turn: (K, K) W.
        mean: (K,) of c.
        precision: (m,) d of the free ways.
        lines: (L, K) line fluxes of c.
        spread: (2 K, p) that covariances of c, in blocks, give the variances of the coefficients
            and of the coordinates R by; ``line_spread`` (L, (K - m)^2) those of lines, by P.
    """

    turn: Any
    mean: Any
    precision: Any
    lines: Any
    spread: Any
    line_spread: Any


def ways(basis: Basis, xp: Any = jnp) -> Ways:
    """The coordinates for a basis, in the arithmetic of ``jax.numpy`` or ``numpy``."""
    kind = float if xp is np else None
    root, turn = xp.sqrt(xp.asarray(basis.variance, kind)), xp.asarray(basis.loose_vectors, kind)
    looser = (turn.T * xp.asarray(basis.loose_variance, kind)) @ turn - xp.diag(xp.square(root))
    values, along = xp.linalg.eigh(looser)
    values = xp.where(values > _LEAST_FREE * values[-1], values, 0.0)
    free = (along * xp.sqrt(values))[:, -min(MOST_FREE, basis.size - 1) :] / root[:, None]
    turned, strength, _ = xp.linalg.svd(free, full_matrices=True)
    m = len(strength)
    turned = xp.concatenate([turned[:, m:], turned[:, :m]], axis=1)
    rows = root[:, None] * turned
    coordinates = xp.asarray(basis.coordinates, kind) @ rows
    lines = coordinates[: basis.n_lines]
    both = xp.concatenate([rows, coordinates])[:, :, None]
    bound, loose = both[:, :-m], both[:, -m:]
    blocks = (bound, bound, 1.0), (bound, loose, -2.0), (loose, loose, 1.0)
    spread = [k * (a * xp.swapaxes(c, 1, 2)).reshape(len(both), -1) for a, c, k in blocks]
    own = lines[:, :-m, None] * lines[:, None, :-m]
    mean = turned.T @ (xp.asarray(basis.mean, kind) / root)
    precision = 1.0 / (1.0 + xp.square(strength))
    return Ways(rows, mean, precision, lines, xp.concatenate(spread, axis=1),
                own.reshape(len(own), -1))  # fmt: skip


class Sums(NamedTuple):
    """What sums over bins are taken with.

    Attributes:
        ways: coordinates c.
        vectors: (K, channel) W^T V.
        patterns: (r, channel) orthonormal ones of the weights.
        pairs: (p, r) the blocks of B by the patterns; ``every`` (p, channel) bin by bin.
        lines: bins of lines.
        farthest: what of the weights is off the patterns, as a root of the sum of squares, over
            their mean, may be so much.
    """

    ways: Ways
    vectors: Any
    patterns: Any
    pairs: Any
    every: Any
    lines: Any
    farthest: Any


def sums_over_bins(basis: Basis) -> Sums:
    """The tables for a basis, worked out once."""
    parts = jax.tree.leaves(basis)
    return _sums(*((part.shape, np.asarray(part, float).tobytes()) for part in parts))


@functools.lru_cache(maxsize=4)
def _sums(*parts: tuple[tuple[int, ...], bytes]) -> Sums:
    arrays: list[Any] = [np.frombuffer(data).reshape(shape) for shape, data in parts]
    basis = Basis(*arrays)
    found = ways(basis, np)
    vectors = found.turn.T @ np.asarray(basis.vectors)
    m = len(found.precision)
    # how far each way is known where the noise is least, in units of what is known of it
    known = 1.0 / np.sqrt(_LEAST_NOISE**2 + np.sum(np.square(vectors), axis=1))
    every = _pairs(vectors, m)
    heard = every * _pairs(known[:, None], m)
    power, turn = np.linalg.eigh(heard.T @ heard)
    patterns = turn[:, ::-1][:, :PATTERNS].T
    lost = np.sqrt(max(power[::-1][min(PATTERNS, len(power) - 1)], 1e-12))
    power = np.square(vectors[-m:])
    lines = np.flatnonzero(np.any(power > _LINE_POWER * power.max(axis=1, keepdims=True), axis=0))
    single = functools.partial(jnp.asarray, dtype=jnp.float32)
    return Sums(
        jax.tree.map(single, found),
        single(vectors),
        single(patterns),
        single(every @ patterns.T),
        single(every),
        jnp.asarray(lines, jnp.int32),
        single(_TOLERANCE / lost),
    )


def _pairs(rows: np.ndarray, m: int) -> np.ndarray:
    """Products (p, channel) of rows (K, channel), in blocks: bound with bound, bound with free,
    free with free."""
    bound, free = rows[:-m], rows[-m:]
    blocks = ((bound, bound), (bound, free), (free, free))
    return np.concatenate([(a[:, None] * b).reshape(-1, rows.shape[1]) for a, b in blocks])


def project(basis: Basis, flux: Array, weight: Array) -> tuple[Array, Array]:
    """A (n, K, K) and b (n, K) of spectra (n, channel) with inverse variances (n, channel)."""
    size = basis.size
    low, high = np.tril_indices(size)
    pairs = basis.vectors[low] * basis.vectors[high]
    index = np.zeros((size, size), int)
    index[low, high] = index[high, low] = np.arange(len(low))
    packed = jnp.asarray(weight) @ pairs.T
    a = jnp.take(packed, index.ravel(), axis=1).reshape(-1, size, size)
    return a, (weight * flux) @ basis.vectors.T


def statistics(basis: Basis, a: Array, b: Array) -> Statistics:
    """Statistics for any noise and missing bins, from `project`.

    Args:
        basis: of clean spectra.
        a: (n, K, K).
        b: (n, K).

    Returns:
        `Statistics`; scales that are not positive mean that there is no signal.
    """
    found = ways(basis)
    m = len(found.precision)
    turned = jnp.einsum("ki,nkl,lj->ijn", found.turn, a, found.turn)
    blocks = turned[:-m, :-m], turned[:-m, -m:], turned[-m:, -m:]
    sums = jnp.concatenate([block.reshape(-1, len(b)) for block in blocks])
    information = a.reshape(len(a), -1) @ jnp.outer(basis.mean, basis.mean).ravel()
    first = first_scale(basis, information, b)
    weight = jnp.mean(jnp.diagonal(a, axis1=1, axis2=2), axis=1)
    return _in_units(basis, first, weight, _solved(found, sums, (b @ found.turn).T, first))


def statistics_of_bins(
    basis: Basis, sums: Sums, flux: Array, weight: Array, profiles: Array
) -> tuple[Statistics, Array]:
    """`statistics` of spectra, and their weighted products with profiles of lines.

    Args:
        basis: of clean spectra.
        sums: from `sums_over_bins`.
        flux, weight: (n, channel); n is a multiple of `AT_ONCE`, or less.
        profiles: (L, channel).

    Returns:
        `Statistics`, and (n, L) sums of weight times flux times profile.
    """
    size, along = basis.size, jnp.concatenate([sums.vectors, profiles])
    known = jnp.square(basis.mean @ basis.vectors), jnp.mean(jnp.square(basis.vectors), axis=0)
    patterns = jnp.concatenate([sums.patterns, jnp.stack(known)])

    def work(part: tuple[Array, Array]) -> tuple[Array, ...]:
        flux, weight = part
        seen, heard = along @ (weight * flux).T, patterns @ weight.T
        shares, (information, level) = heard[:-2], heard[-2:]
        first = sums.ways.mean @ seen[:size] / jnp.maximum(information, 1e-30)
        every = jax.lax.cond(
            _near(sums, weight, shares),
            lambda: sums.pairs @ shares,
            lambda: sums.every @ weight.T,
        )
        return *_solved(sums.ways, every, seen[:size], first), seen[size:], first, level

    tiles = tuple(x.reshape(-1, min(AT_ONCE, len(x)), x.shape[1]) for x in (flux, weight))
    *found, projected, first, level = jax.lax.map(work, tiles)
    *found, projected = (jnp.moveaxis(x, 1, 0).reshape(x.shape[1], -1) for x in (*found, projected))
    return _in_units(basis, first.ravel(), level.ravel(), tuple(found)), projected.T


def _near(sums: Sums, weight: Array, shares: Array) -> Array:
    """Whether the patterns say enough of all weights (n, channel), given their shares (r, n)."""
    off = jnp.sum(jnp.square(weight), axis=1) - jnp.sum(jnp.square(shares), axis=0)
    mean, seen = jnp.mean(weight, axis=1), jnp.min(weight[:, sums.lines], axis=1)
    near = off <= jnp.square(sums.farthest * mean)
    return jnp.all(near & (seen >= _LEAST_SEEN * mean))


def _solved(found: Ways, sums: Array, b: Array, first: Array) -> tuple[Array, ...]:
    """The posterior under both priors, in units of the first scale.

    Args:
        found: coordinates c.
        sums: (p, n) blocks of W^T A W; ``b`` (K, n) W^T b; ``first`` (n,) the scale.

    Returns:
        Coefficients (K, n), variances (2 K, n) of these and of u, and under the loose prior line
        fluxes (L, n) and their variances.
    """
    m, n = len(found.precision), b.shape[1]
    k, lines, scale = len(b) - m, found.lines, positive(first)
    sums = sums * jnp.square(scale)
    within, across, last = jnp.split(sums, [k * k, k * k + k * m])
    bound = inverse(within.reshape(k, k, n) + jnp.eye(k)[..., None])
    across = across.reshape(k, m, n)
    turned = product(bound, across)
    rest = last.reshape(m, m, n) - transposed_product(across, turned)
    usual = inverse(rest + jnp.eye(m)[..., None])
    loose = inverse(rest + jnp.diag(found.precision)[..., None])
    side = product(turned, usual)
    blocks = bound + product(side, jnp.swapaxes(turned, 0, 1)), side, usual
    cuts = np.cumsum([len(block) * block.shape[1] for block in blocks])[:-1]
    variance = total(
        share @ block.reshape(-1, n)
        for share, block in zip(jnp.split(found.spread, cuts, axis=1), blocks, strict=True)
    )
    seen = b * scale
    right = (seen + found.mean[:, None])[:k]
    known, passed = applied(bound, right), applied(jnp.swapaxes(turned, 0, 1), right)

    def best(covariance: Array, precision: Array | float) -> Array:
        free = applied(covariance, seen[k:] + (precision * found.mean[k:])[:, None] - passed)
        return jnp.concatenate([known - applied(turned, free), free])

    beside = lines[:, k:, None] - total(lines[:, j, None, None] * turned[j] for j in range(k))
    added = jnp.sum(product(beside, loose) * beside, axis=1)
    return (
        found.turn @ best(usual, 1.0),
        jnp.maximum(variance, 0.0),
        lines @ best(loose, found.precision),
        found.line_spread @ bound.reshape(-1, n) + jnp.maximum(added, 0.0),
    )


def _in_units(basis: Basis, first: Array, weight: Array, found: tuple[Array, ...]) -> Statistics:
    best, variance, flux, error = (part.T for part in found)
    spread = variance[:, : basis.size], variance[:, basis.size :]
    return in_units(basis, first, best, weight, spread, (flux, error))
