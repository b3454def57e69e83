"""The smooth shape of a galaxy's continuum: mean fluxes in twelve bins, and eleven colours.

Rest frame, vacuum wavelengths, as in Khederlarian et al. 2024, MNRAS 531, 1454: top-hat bins of
300 Angstrom from 3400 to 7000; a colour is log10(F[i+1] / F[i]) of neighbouring bins, F per
Angstrom, so that a redder continuum has larger colours.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nebulines.errors import InputError

BIN_EDGES = np.linspace(3400.0, 7000.0, 13)
"""Edges (13,) of the bins [Angstrom, vacuum, rest frame]."""
FINE_EDGES = np.linspace(3400.0, 7000.0, 121)
"""Edges (121,) of bins of 30 Angstrom, ten in each of the twelve."""
N_COLOURS = 11
"""Number of colours."""
LEAST_COVERAGE = 0.5
"""Share of a bin that usable channels must cover."""


class Binned(NamedTuple):
    """Mean fluxes of n continua.

    Attributes:
        flux: (n, 12) mean flux density in each bin, unit of the input; 0 where nothing is usable.
        coverage: (n, 12) share of the bin that usable channels cover, 0 to 1.
    """

    flux: jax.Array
    coverage: jax.Array


def bin_weights(wavelength: Any, edges: Any = BIN_EDGES) -> np.ndarray:
    """Share of each bin that each channel covers.

    A channel reaches half way to its neighbours; the share is its overlap with the bin over the
    width of the bin, so that flux @ weights is the integral over the bin divided by its width,
    on any grid.

    Args:
        wavelength: (channel,) or (n, channel), increasing [Angstrom].
        edges: (k + 1,) [Angstrom].

    Returns:
        (channel, k) or (n, channel, k) float64.

    Raises:
        InputError: fewer than two channels, or wavelengths that do not increase.

    Example:
        >>> weights = bin_weights(np.arange(3300.0, 7100.0, 2.0))
        >>> weights.shape, weights.sum(axis=0).round(6).tolist() == [1.0] * 12
        ((1900, 12), True)
    """
    wavelength, edges = np.asarray(wavelength, float), np.asarray(edges, float)
    if wavelength.shape[-1:] < (2,) or not np.all(np.diff(wavelength, axis=-1) > 0):
        raise InputError(
            "wavelengths must increase from channel to channel, two channels at least; got shape "
            f"{wavelength.shape}: sort the channels"
        )
    middle = 0.5 * (wavelength[..., 1:] + wavelength[..., :-1])
    first = 2.0 * wavelength[..., :1] - middle[..., :1]
    last = 2.0 * wavelength[..., -1:] - middle[..., -1:]
    low = np.concatenate([first, middle], axis=-1)[..., None]
    high = np.concatenate([middle, last], axis=-1)[..., None]
    overlap = np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1])
    return np.clip(overlap, 0.0, None) / np.diff(edges)


def bin_flux(flux: Any, weights: Any, usable: Any = None) -> Binned:
    """Mean flux in each bin; channels that are masked or not finite do not count.

    Args:
        flux: (n, channel), per Angstrom.
        weights: (channel, k) or (n, channel, k), from `bin_weights`.
        usable: (n, channel) bool; None = every finite channel.

    Returns:
        `Binned`, differentiable in ``flux``.

    Example:
        >>> weights = bin_weights(np.arange(3300.0, 7100.0, 2.0))
        >>> binned = bin_flux(np.full((1, 1900), 3.0, np.float32), weights)
        >>> [round(float(value), 5) for value in binned.flux[0, :2]]
        [3.0, 3.0]
    """
    flux = jnp.asarray(flux)
    weights = jnp.asarray(weights, flux.dtype)
    good = jnp.isfinite(flux) if usable is None else jnp.isfinite(flux) & usable
    clean = jnp.where(good, flux, 0.0)
    total = _sum_channels(clean, weights)
    coverage = _sum_channels(good.astype(flux.dtype), weights)
    return Binned(total / jnp.where(coverage > 0, coverage, 1.0), jnp.minimum(coverage, 1.0))


def _sum_channels(values: jax.Array, weights: jax.Array) -> jax.Array:
    axes = "nc,nck->nk" if weights.ndim == 3 else "nc,ck->nk"
    return jnp.einsum(axes, values, weights, precision=jax.lax.Precision.HIGHEST)


def bin_rows(flux: Any, wavelength: Any, usable: Any, edges: Any = BIN_EDGES) -> Binned:
    """As `bin_flux`, for one axis a spectrum: from running integrals, without weights.

    Args:
        flux: (n, channel), per Angstrom.
        wavelength: (n, channel) increasing [Angstrom].
        usable: (n, channel) bool.
        edges: (k + 1,) [Angstrom].

    Example:
        >>> wave = np.arange(3300.0, 7100.0, 2.0)[None]
        >>> binned = bin_rows(np.full(wave.shape, 3.0), wave, np.ones(wave.shape, bool))
        >>> [round(float(value), 5) for value in binned.flux[0, :2]]
        [3.0, 3.0]
    """
    wavelength, usable = np.asarray(wavelength, float), np.asarray(usable, bool)
    middle = 0.5 * (wavelength[:, 1:] + wavelength[:, :-1])
    first, last = (2.0 * wavelength[:, k] - middle[:, k] for k in (0, -1))
    ends = np.column_stack([first, middle, last])
    width = np.where(usable, np.diff(ends, axis=1), 0.0)
    clean = np.where(usable, np.asarray(flux, float), 0.0) * width
    total, covered = (_between(ends, part, edges) for part in (clean, width))
    mean = total / np.where(covered > 0, covered, 1.0)
    share = np.minimum(covered / np.diff(edges), 1.0)
    return Binned(jnp.asarray(mean, jnp.float32), jnp.asarray(share, jnp.float32))


def _between(ends: np.ndarray, parts: np.ndarray, edges: Any) -> np.ndarray:
    """Integrals (n, k) between edges, of parts (n, channel) that lie between ends."""
    running = np.concatenate([np.zeros((len(parts), 1)), np.cumsum(parts, axis=1)], axis=1)
    rows = zip(ends, running, strict=True)
    return np.diff([np.interp(edges, x, y) for x, y in rows], axis=1)


def colours(binned_flux: Any) -> jax.Array:
    """log10(F[i+1] / F[i]) of neighbouring bins.

    Args:
        binned_flux: (..., 12), per Angstrom.

    Returns:
        (..., 11) [dex]; NaN beside a bin that is not positive.

    Example:
        >>> [round(float(colour), 4) for colour in colours(10.0 ** jnp.arange(3.0))]
        [1.0, 1.0]
    """
    binned_flux = jnp.asarray(binned_flux)
    positive = binned_flux > 0
    logarithm = jnp.log10(jnp.where(positive, binned_flux, 1.0))
    both = positive[..., 1:] & positive[..., :-1]
    return jnp.where(both, logarithm[..., 1:] - logarithm[..., :-1], jnp.nan)


def twelve_of(binned: Binned) -> Binned:
    """The twelve bins of finer ones: fluxes averaged by what is covered.

    Args:
        binned: (n, 12 k).

    Example:
        >>> twelve_of(Binned(jnp.ones((1, 120)), jnp.ones((1, 120)))).flux.shape
        (1, 12)
    """
    groups = (len(binned.flux), N_COLOURS + 1, -1)
    flux, coverage = binned.flux.reshape(groups), binned.coverage.reshape(groups)
    total = jnp.sum(coverage, axis=-1)
    mean = jnp.sum(flux * coverage, axis=-1) / jnp.where(total > 0, total, 1.0)
    return Binned(mean, jnp.mean(coverage, axis=-1))


def filled(binned: Binned, twelve: Binned) -> jax.Array:
    """Fluxes (n, 12 k) of finer bins; where less than half is covered, or nothing is positive,
    the mean of the wide bin around it."""
    k = binned.flux.shape[1] // twelve.flux.shape[1]
    usable = (binned.coverage >= LEAST_COVERAGE) & (binned.flux > 0)
    return jnp.where(usable, binned.flux, jnp.repeat(twelve.flux, k, axis=1))


def log_shape(binned_flux: Any) -> jax.Array:
    """log10 of fluxes, less its mean over the bins.

    Args:
        binned_flux: (n, k), per Angstrom.

    Returns:
        (n, k) [dex]; a bin that is not positive counts as 1e-3 of the mean.

    Example:
        >>> log_shape(jnp.array([[10.0, 1000.0]])).round(3).tolist()
        [[-1.0, 1.0]]
    """
    flux = jnp.asarray(binned_flux)
    least = 1e-3 * jnp.abs(jnp.mean(flux, axis=-1, keepdims=True)) + 1e-30
    logarithm = jnp.log10(jnp.maximum(flux, least))
    return logarithm - jnp.mean(logarithm, axis=-1, keepdims=True)


def colours_of_fine(shape: Any) -> jax.Array:
    """Colours (n, 11) [dex] of finer bins given as `log_shape` (n, 12 k).

    Example:
        >>> colours_of_fine(jnp.zeros((2, 120))).shape
        (2, 11)
    """
    shape = jnp.asarray(shape)
    return colours(jnp.mean(10.0 ** shape.reshape(len(shape), N_COLOURS + 1, -1), axis=-1))


def require_coverage(wavelength: Any) -> None:
    """Refuse an axis on which no spectrum can fill every bin.

    Raises:
        InputError: the axis covers less than half of a bin.

    Example:
        >>> require_coverage(np.arange(3400.0, 7000.0))
    """
    covered = bin_weights(wavelength).sum(axis=-2)
    covered = covered.max(axis=0) if covered.ndim == 2 else covered
    if (covered < LEAST_COVERAGE).any():
        low, high = float(np.min(wavelength)), float(np.max(wavelength))
        raise InputError(
            f"continua must cover {BIN_EDGES[0]:.0f} to {BIN_EDGES[-1]:.0f} Angstrom (vacuum) in "
            f"the rest frame; these reach from {low:.6g} to {high:.6g}: check the unit of the "
            "wavelengths, and shift observed spectra to the rest frame"
        )
