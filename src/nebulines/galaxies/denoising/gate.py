"""Which de-noised spectra can be trusted: residuals of the whole spectrum and of each line, the
range of the training, and what of the bins was seen."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.galaxies.denoising.other_redshifts import (
    DOUBT,
    Modes,
    best_coarse,
    filled,
    whole_look,
)
from nebulines.galaxies.denoising.residuals import look_at_residuals
from nebulines.networks.denoise.basis import Statistics
from nebulines.networks.denoise.grid import N_BINS
from nebulines.networks.denoise.network import Denoise
from nebulines.networks.denoise.posterior import warp
from nebulines.spectra import Flag

RESIDUAL_SIGMAS, RESIDUAL_CHI2 = 6.0, 1.3
"""POOR_FIT: chi2 stands so many of its own deviations above the bins, and so far above 1."""
LINE_SIGMAS, LINE_SHARE = 4.0, 0.1
"""A line is refused where its residual is so many sigmas and this share of its flux."""
TOGETHER_SIGMAS = 3.0
"""So are all lines where a common factor on them is missing by so many sigmas: most of a spectrum
with lines too weak shows up in none of them alone."""
FEATURE_SIGMAS = 5.5
"""POOR_FIT: a line-like residual at any wavelength (wrong redshift, sky, cosmic ray)."""
AGREE_SIGMAS = 3.5
"""OUT_OF_RANGE: the posterior of a line lies so many sigmas from what the data alone say of it,
which galaxies as those of the prior do not do."""
RANGE_SIGMAS, STRONG_SIGMAS = 3.0, 3.5
"""OUT_OF_RANGE: a coordinate lies so many of its errors outside what was trained on; a line lies
above the strongest of the training, and so many of its errors above nothing."""


class Unusual(NamedTuple):
    """OUT_OF_RANGE, the answer stays: so many lines are stronger than usual by ``spreads`` of the
    training set, each seen by itself at ``sigmas``."""

    lines: int
    spreads: float
    sigmas: float


UNUSUAL = (Unusual(1, 2.5, 3.0), Unusual(3, 1.85, 2.0))
NEAR_SHARE = 0.1
"""Of a line's flux: unusual lines are flagged where the posterior of one that is seen differs by
more than this from what the data alone say."""
ELSEWHERE = 6.2
"""BAD_REDSHIFT, the answer stays: log odds of other redshifts against the one that was given; of
galaxies at their own about one in a hundred has more, at any noise (varied ones at .04: two)."""
LEAST_SIGNAL = 3.0
"""LOW_SNR: the whole continuum is fewer sigmas than this."""
LEAST_BINS, FEW_BINS = 0.3, 0.7
"""NO_DATA below the first share of the bins, OUT_OF_RANGE below the second."""
_NOISE_MARGIN = 1.05
_NEAR = 2


class Evidence(NamedTuple):
    """What n de-noised spectra are judged by.

    Attributes:
        share: (n,) of the bins that were seen.
        chi2: (n,) of the residuals for each bin.
        line_sigmas: (n, L) residual flux of each line by a matched filter, in its sigmas.
        line_noise: (n, L) these sigmas; infinite where nothing of a line was seen.
        line_flux: (n, L) in the posterior mean.
        data_flux: (n, L) what the data alone say, with free widths and continuum.
        data_error: (n, L) the standard deviations of these.
        disagreement: (n, L) posterior means less these, in these sigmas: of the mean spectrum or of
            the draws, whichever is farther.
        strength: (n, L) what the data alone say, in asinh coordinates, less the centre of the
            training set and over its spread.
        together: (n,) sigmas by which a common factor on all lines misses 1.
        feature: (n,) the largest line-like residual anywhere, in sigmas.
        outside: (n,) whether a coordinate lies outside what was trained on, its error considered.
        noise: (n,) relative to the norm of the spectrum.
        signal: (n,) S/N of the whole spectrum along the mean one; negative for negative continua.
        hidden: (n,) whether the bins under a line are missing.
        elsewhere: (n,) log odds of other redshifts against the one that was given, by the coarse
            look, and by the whole one where that left a doubt.
        moved: (n,) bins towards the red by which the best other redshift moves galaxies; 0 where
            there was no doubt.
    """

    share: Any
    chi2: Any
    line_sigmas: Any
    line_noise: Any
    line_flux: Any
    data_flux: Any
    data_error: Any
    disagreement: Any
    strength: Any
    together: Any
    feature: Any
    outside: Any
    noise: Any
    signal: Any
    hidden: Any
    elsewhere: Any
    moved: Any


class Gate(NamedTuple):
    """What is said of n spectra.

    Attributes:
        flags: (n,) bits of `Flag`.
        refused: (n,) the network's answer is replaced by the fit.
        lost: (n,) there is no answer at all.
        evidence: what that rests on.
    """

    flags: np.ndarray
    refused: np.ndarray
    lost: np.ndarray
    evidence: Evidence


def evidence(
    network: Denoise,
    flux: Array,
    weight: Array,
    mean: Array,
    lines: Array,
    found: Statistics,
    projected: Array,
    coarse: Modes,
) -> Evidence:
    """Look at the residuals of n de-noised spectra; compiled.

    Args:
        network: with the ranges of its training.
        flux: (n, 825) the data; ``weight`` (n, 825), or (n, 1) where it is the same in all bins.
        mean: (n, K) posterior means in the unit of the data.
        lines: (n, L) means of the draws of line fluxes.
        found: statistics of the spectra.
        projected: (n, L) sums of weight times data times profiles of the lines.
        coarse: galaxies at other redshifts.
    """
    basis, n_lines = network.basis, network.basis.n_lines
    fit, white = mean @ basis.vectors, weight.shape[1] == 1
    share = jnp.ones(len(flux)) if white else jnp.mean(weight > 0, axis=1)
    power, feature = look_at_residuals(flux, fit, weight)
    chi2 = power / jnp.maximum(share * flux.shape[1], 1.0)
    profiles = network.line_profile
    information = _projected(weight, jnp.square(profiles))
    line_noise = jnp.where(information > 0, jax.lax.rsqrt(jnp.maximum(information, 1e-30)), jnp.inf)
    information = jnp.maximum(information, 1e-30)
    explained = (
        weight * (mean @ (basis.vectors @ profiles.T)) if white else (weight * fit) @ profiles.T
    )
    left = projected - explained
    line_flux = mean @ basis.coordinates[:n_lines].T
    expected = jnp.sum(jnp.square(line_flux) * information, axis=1)
    together = jnp.sum(line_flux * left, axis=1) / jnp.sqrt(jnp.maximum(expected, 1e-30))
    scale = found.scale[:, None]
    data_flux, data_error = scale * found.line, scale * found.sigma_line
    away = jnp.stack([line_flux, lines]) - data_flux
    away = jnp.where(jnp.abs(away[0]) > jnp.abs(away[1]), away[0], away[1]) / data_error
    even, variance = filled(flux, fit, weight)
    known = basis.mean @ basis.vectors
    strength = jnp.maximum(_projected(weight, jnp.square(known)[None])[:, 0], 1e-30)
    return Evidence(
        share,
        chi2,
        left / jnp.sqrt(information),
        line_noise,
        line_flux,
        data_flux,
        data_error,
        away,
        (warp(basis, found.line) - network.y_centre[:n_lines]) / network.y_spread[:n_lines],
        together,
        feature,
        _outside(network, found),
        found.noise,
        found.first * jnp.sqrt(strength),
        jnp.zeros(len(flux), bool) if white else _hidden(network, weight > 0),
        best_coarse(coarse, even, found.scale, variance),
        jnp.zeros(len(flux), int),
    )


def looked_again(
    found: Evidence, whole: Modes, flux: np.ndarray, fit: np.ndarray, weight: np.ndarray
) -> Evidence:
    """The evidence with a whole look for other redshifts where the coarse one left a doubt.

    Args:
        found: arrays of numpy, straight from `evidence`.
        whole: galaxies at other redshifts.
        flux: (n, 825) the data; ``fit`` (n, 825) posterior means in their unit.
        weight: (n, 825), or (n, 1) where it is the same in all bins.
    """
    rows = np.flatnonzero(found.elsewhere > DOUBT)
    if not len(rows):
        return found
    even, variance = filled(flux[rows], fit[rows], weight[rows])
    scale = np.linalg.norm(fit[rows], axis=1)
    elsewhere, bins = found.elsewhere.copy(), found.moved.copy()
    elsewhere[rows], bins[rows] = whole_look(whole, even, scale, variance)
    return found._replace(elsewhere=elsewhere, moved=bins)


def judge(found: Evidence, most_noise: float) -> Gate:
    """Flags from the evidence.

    Args:
        found: arrays of numpy.
        most_noise: that the network was trained on.
    """
    why = reasons(found)
    poor, strange = (np.any([why[name] for name in names], axis=0) for names in (POOR, STRANGE))
    few, dark = found.share < LEAST_BINS, ~(found.signal > LEAST_SIGNAL)
    lost = few | dark | ~np.isfinite(found.chi2)
    noisy = found.noise > _NOISE_MARGIN * most_noise
    flags = np.zeros(len(found.share), np.int32)
    for condition, flag in (
        (few, Flag.NO_DATA),
        (~few & (dark | lost), Flag.LOW_SNR),
        (found.share < 1.0, Flag.MASKED_CHANNELS),
        (found.hidden, Flag.LINE_OUTSIDE_BAND),
        (poor, Flag.POOR_FIT),
        (why["another redshift"] & ~lost, Flag.BAD_REDSHIFT),
        (strange | why["unusual lines"] | noisy | (found.share < FEW_BINS), Flag.OUT_OF_RANGE),
    ):
        flags[condition] |= flag
    return Gate(flags, (poor | strange) & ~lost, lost, found)


POOR = ("residual of a line", "factor on all lines", "residual anywhere", "chi2")
STRANGE = ("range of the training", "posterior against data")
"""Reasons for which the fit takes the place of the posterior."""
MARKED = ("unusual lines", "another redshift")
"""Reasons for a flag beside the posterior."""


def reasons(found: Evidence) -> dict[str, np.ndarray]:
    """Why spectra are marked: whether (n,) each of the reasons holds.

    Args:
        found: arrays of numpy.
    """
    bins = np.maximum(found.share * N_BINS, 1.0)
    wrong = np.abs(found.line_sigmas) > LINE_SIGMAS
    left = np.abs(found.line_sigmas) * np.where(wrong, found.line_noise, 0.0)
    wrong &= left > LINE_SHARE * np.abs(found.line_flux)
    excess = (found.chi2 - 1.0) * np.sqrt(bins / 2.0)
    held = (
        wrong.any(axis=1),
        np.abs(found.together) > TOGETHER_SIGMAS,
        found.feature > FEATURE_SIGMAS,
        (excess > RESIDUAL_SIGMAS) & (found.chi2 > RESIDUAL_CHI2),
        found.outside,
        (np.abs(found.disagreement) > AGREE_SIGMAS).any(axis=1),
        np.any([_unusual(found, kind) for kind in UNUSUAL], axis=0),
        found.elsewhere > ELSEWHERE,
    )
    return dict(zip((*POOR, *STRANGE, *MARKED), held, strict=True))


def _unusual(found: Evidence, kind: Unusual) -> np.ndarray:
    """Whether n spectra have lines so strong that the posterior, which differs from what the data
    alone say, leans on weaker ones."""
    far = np.abs(found.disagreement) * found.data_error > NEAR_SHARE * found.data_flux
    seen = found.data_flux > kind.sigmas * found.data_error
    strong = seen & (found.strength > kind.spreads)
    return (strong.sum(axis=1) >= kind.lines) & (far & seen).any(axis=1)


def _projected(weight: Array, rows: Array) -> Array:
    """weight (n, 825) or (n, 1) times rows (m, 825)^T."""
    return weight * jnp.sum(rows, axis=1) if weight.shape[1] == 1 else weight @ rows.T


def _outside(network: Denoise, found: Statistics) -> Array:
    n_lines = network.basis.n_lines
    u = found.u.at[:, :n_lines].set(found.line)
    sigma = found.sigma_u.at[:, :n_lines].set(found.sigma_line)
    rest, lines = slice(n_lines, None), slice(None, n_lines)
    high = (u - RANGE_SIGMAS * sigma > network.u_high)[:, rest]
    low = u + RANGE_SIGMAS * sigma < network.u_low
    strong = (u > network.u_high) & (u > STRONG_SIGMAS * sigma)
    return jnp.any(low, axis=1) | jnp.any(high, axis=1) | jnp.any(strong[:, lines], axis=1)


def _hidden(network: Denoise, seen: Array) -> Array:
    middle = jnp.argmax(network.line_profile, axis=1)
    near = jnp.clip(middle[:, None] + jnp.arange(-_NEAR, _NEAR + 1), 0, seen.shape[1] - 1)
    return ~jnp.all(jnp.any(seen[:, near], axis=2), axis=1)
