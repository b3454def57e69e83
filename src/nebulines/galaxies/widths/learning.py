"""How `EquivalentWidth` learns from measured widths with errors.

A measured width o = EW + noise of known error e, EW = sinh(x(t)), t ~ N(0, S) given the colours
(`LineWidths`). Linearised at a point t0 with h = sinh(x(t0)) and slope h' = dEW/dt, o says
z = t0 + (o - h) / h' with error e / h', so that
log p(o) = log N(z; 0, S + diag(e / h')^2) - sum log h'. t0 is moved to the most probable t in a
few steps: for strong lines it is what gives o, for undetected ones near 0. Draws t_k of the
posterior that belongs to the straight line can mend it where it bends within the noise: log p gains
log mean_k exp(sum [(z - t_k)^2 h'^2 - (o - sinh(x(t_k)))^2] / 2 e^2). Nothing is cut, so weak
and negative widths teach as much as their errors allow; widths that were not measured (error not
finite) are left out line by line.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.errors import InputError
from nebulines.galaxies.population.skewed_scatter import bend_slope, unbend
from nebulines.galaxies.widths.bins import N_COLOURS
from nebulines.galaxies.widths.equivalent_widths import LINES, LineWidths
from nebulines.galaxies.widths.network import EquivalentWidth, fitted_to
from nebulines.galaxies.widths.spectrum_network import (
    N_FINE,
    EquivalentWidthSpectrum,
    spectrum_network_fitted_to,
)
from nebulines.training.task import Task, pick

_STEPS = 4
_UNMEASURED = 1e8  # variance of a width that was not measured
_MOST_EXCESS = 30.0  # of a draw; beyond it teaches nothing
_LARGEST = 12.0  # of |asinh EW| of a draw
_RANGE = (-7.0, 8.5)  # of asinh EW


class Measured(NamedTuple):
    """Galaxies to learn from.

    Attributes:
        colours: (n, 11) [dex]; or, for the network of spectra, `log_shape` (n, 120) [dex].
        ew, ew_err: (n, 10) measured widths and their errors [Angstrom]; an error that is not
            finite or not positive marks a width that was not measured.
    """

    colours: Any
    ew: Any
    ew_err: Any

    def rows(self, index: Any) -> Measured:
        """A subset of the galaxies."""
        return Measured(*(part[index] for part in self))


def measured(colours: Any, ew: Any, ew_err: Any) -> Measured:
    """Checked galaxies; widths that are not finite count as not measured.

    Raises:
        InputError: shapes that do not fit, or colours that are not finite.

    Example:
        >>> galaxies = measured(np.zeros((2, 11)), np.ones((2, 10)), np.full((2, 10), 0.5))
        >>> galaxies.ew.dtype
        dtype('float32')
    """
    colours, ew, ew_err = (np.asarray(part, np.float32) for part in (colours, ew, ew_err))
    n = len(colours)
    inputs_fit = colours.shape in ((n, N_COLOURS), (n, N_FINE))
    if not inputs_fit or ew.shape != (n, len(LINES)) or ew_err.shape != ew.shape:
        raise InputError(
            f"expected colours (n, {N_COLOURS}) or shapes (n, {N_FINE}) and widths with errors "
            f"(n, {len(LINES)}), got {colours.shape}, {ew.shape}, {ew_err.shape}"
        )
    if not np.isfinite(colours).all():
        bad = int((~np.isfinite(colours).all(axis=1)).sum())
        raise InputError(f"{bad} galaxies have colours that are not finite: leave them out")
    usable = np.isfinite(ew) & np.isfinite(ew_err) & (ew_err > 0)
    return Measured(colours, np.where(usable, ew, 0.0), np.where(usable, ew_err, np.inf))


def log_likelihood(
    widths: LineWidths, ew: Any, ew_err: Any, *, key: Array | None = None, pairs: int = 0
) -> Array:
    """log p (n,) of measured widths under a prediction, see the head of the module.

    Args:
        widths: with scatter.
        ew, ew_err: (n, 10) [Angstrom].
        key: of the draws; None = always the same.
        pairs: of draws that mend the linearisation; 0 = none, as in training.

    Example:
        >>> sure = LineWidths(jnp.zeros((1, 10)), jnp.zeros((1, 10, 1)), jnp.full((1, 10), 0.01))
        >>> near = log_likelihood(sure, jnp.zeros((1, 10)), jnp.ones((1, 10)))
        >>> far = log_likelihood(sure, jnp.full((1, 10), 5.0), jnp.ones((1, 10)))
        >>> bool(near[0] > far[0])
        True
    """
    assert widths.factor is not None
    assert widths.own is not None
    ew, ew_err = jnp.asarray(ew), jnp.asarray(ew_err)
    own = jnp.square(widths.own)[..., None] * jnp.eye(len(LINES), dtype=widths.mean.dtype)
    covariance = jnp.einsum("nir,njr->nij", widths.factor, widths.factor) + own
    at = _most_probable(widths, covariance, ew, ew_err)
    z, variance, slope, used = _linearised(widths, at, ew, ew_err)
    total = covariance + variance[..., None] * jnp.eye(len(LINES), dtype=variance.dtype)
    lower = jnp.linalg.cholesky(total)
    white = jax.scipy.linalg.solve_triangular(lower, z[..., None], lower=True)
    diagonal = jnp.diagonal(lower, axis1=-2, axis2=-1)
    constant = jnp.where(used, jnp.log(slope), -0.5 * np.log(_UNMEASURED))
    terms = jnp.log(diagonal) + constant + 0.5 * np.log(2.0 * np.pi) * used
    linear = -0.5 * jnp.sum(jnp.square(white[..., 0]), axis=-1) - jnp.sum(terms, axis=-1)
    if not pairs:
        return linear
    key = jax.random.key(0) if key is None else key
    moved = _posterior_draws(key, widths, variance, pairs)
    gain = jax.scipy.linalg.cho_solve((lower, True), (z - moved.sum(axis=0)).swapaxes(0, 1).mT).mT
    drawn = moved[0] + (gain @ covariance).swapaxes(0, 1)
    x = jnp.clip(widths.at(drawn), -_LARGEST, _LARGEST)
    seen = jnp.square((ew - jnp.sinh(x)) / ew_err)
    expected = jnp.square((z - drawn) * slope / ew_err)
    excess = 0.5 * jnp.sum(jnp.where(used, expected - seen, 0.0), axis=-1)
    mended = jax.nn.logsumexp(jnp.clip(excess, -_MOST_EXCESS, _MOST_EXCESS), axis=0)
    return linear + mended - np.log(2 * pairs)


def _posterior_draws(key: Array, widths: LineWidths, variance: Array, pairs: int) -> Array:
    """Draws of t and of the noise of z (2, 2 pairs, n, 10), each with its mirror image."""
    assert widths.factor is not None
    assert widths.own is not None
    keys, shape = jax.random.split(key, 3), (pairs, *widths.mean.shape)
    dtype = widths.mean.dtype
    normal = jax.random.normal(keys[0], (*shape[:-1], widths.factor.shape[-1]), dtype)
    t = jnp.einsum("nlr,knr->knl", widths.factor, normal)
    t = t + widths.own * jax.random.normal(keys[1], shape, dtype)
    noise = jnp.sqrt(variance) * jax.random.normal(keys[2], shape, dtype)
    both = jnp.stack([t, noise])
    return jnp.concatenate([both, -both], axis=1)


def _most_probable(widths: LineWidths, covariance: Array, ew: Array, ew_err: Array) -> Array:
    """t of the largest posterior density (n, 10); the width there is a constant for the gradient,
    so that a moving prediction does not move the point at which it is judged."""
    live = widths
    widths, covariance = jax.lax.stop_gradient((widths, covariance))
    low, high = (_scatter_of(widths, jnp.full_like(ew, x)) for x in _RANGE)
    at = jnp.clip(_scatter_of(widths, jnp.arcsinh(ew)), low, high)
    for _ in range(_STEPS):
        z, variance, _, _ = _linearised(widths, at, ew, ew_err)
        total = covariance + variance[..., None] * jnp.eye(len(LINES), dtype=variance.dtype)
        lower = jnp.linalg.cholesky(total)
        weighted = jax.scipy.linalg.cho_solve((lower, True), z[..., None])
        at = jnp.clip((covariance @ weighted)[..., 0], low, high)
    return _scatter_of(live, jax.lax.stop_gradient(widths.at(at)))


def _scatter_of(widths: LineWidths, x: Array) -> Array:
    """The t at which asinh EW is x."""
    t = x - widths.mean
    if widths.skew is None or widths.tail is None:
        return t
    scatter = widths.scatter()
    return scatter * unbend(t / scatter, widths.skew, widths.tail)


def _linearised(
    widths: LineWidths, at: Array, ew: Array, ew_err: Array
) -> tuple[Array, Array, Array, Array]:
    """What widths say of t near ``at``: value, variance, dEW/dt, and whether there is one."""
    used, x = jnp.isfinite(ew_err), widths.at(at)
    slope = jnp.cosh(x)
    if widths.skew is not None and widths.tail is not None:
        slope = slope * bend_slope(at / widths.scatter(), widths.skew, widths.tail)
    z = jnp.where(used, at + (ew - jnp.sinh(x)) / slope, at)
    return z, jnp.where(used, jnp.square(ew_err / slope), _UNMEASURED), slope, used


def loss(network: Any, batch: Measured, key: Array | None = None) -> Array:
    """Mean of -log p over a batch and its lines."""
    widths = network.predict(batch.colours)
    return -jnp.mean(log_likelihood(widths, batch.ew, batch.ew_err)) / len(LINES)


def equivalent_width_task(
    training: Measured, validation: Measured, *, name: str = "equivalent_width", **parts: Any
) -> Task:
    """The task of learning from measured galaxies.

    Args:
        training, validation: disjoint sets; colours (n, 11) train the network of colours, shapes
            (n, 120) the one of spectra.
        name: of the network.
        **parts: further fields of `Task`, such as ``about`` and ``score``.
    """

    def build(key: Array, **size: Any) -> Any:
        if training.colours.shape[1] == N_COLOURS:
            return fitted_to(EquivalentWidth(key=key, **size), training.colours)
        network = EquivalentWidthSpectrum(key=key, **size)
        return spectrum_network_fitted_to(network, training.colours)

    learning = {
        "steps": 3000,
        "batch": 1024,
        "learning_rate": 3e-3,
        "validation": len(validation.colours),
        "validate_every": 250,
        "weight_decay": 0.0,
    }
    return Task(
        name,
        build,
        partial(pick, training),
        loss,
        learning,
        partial(pick, validation),
        **parts,
    )
