"""Line ratios as the network ``line_ratios`` sees them: coordinates, and a first Gaussian guess.

The fluxes F_i of eight lines, with their covariance C, are brought to eight coordinates,

    log10 of [S II] 6731/6716, [S II]/Ha, [N II]/Ha, [O III]/Hb, [O II]/Hb, [O II] 3729/3726,
    Ha/Hb as observed, and Ha/Hb before dust,

[S II] and [O II] being sums of both lines. All other ratios, and the colour excess, follow from
them. A Gaussian in log10 F, of the measurement and of what nebulae are like together, gives a
centre and a covariance in these coordinates whatever the noise, the instrument or the missing
lines; the network states its posterior in units of that covariance.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.networks.small_matrices import cholesky, inverse

LINES = (
    "OII3726", "OII3729", "HBETA4861", "OIII5007", "NII6583", "HALPHA6563", "SII6716", "SII6731",
)  # fmt: skip
"""The lines, partners of fixed ratio counted in."""
COORDINATES = (
    "SII6731/SII6716", "SII/HALPHA6563", "NII6583/HALPHA6563", "OIII5007/HBETA4861",
    "OII/HBETA4861", "OII3729/OII3726", "HALPHA6563/HBETA4861", "decrement",
)  # fmt: skip
"""What the posterior is of: log10 of these; ``decrement`` is Ha/Hb before dust."""
MISSING_DEX = 100.0
"""Error of the logarithm of a line that was not observed."""
_FAINT_DEX = 0.8
_O26, _O29, _HB, _O3, _N2, _HA, _S16, _S31 = range(8)
_RIDGE = 1e-7


class Prior(NamedTuple):
    """A Gaussian in log10 of the line fluxes, relative to H-alpha.

    Attributes:
        middle: (..., 8).
        information: (..., 8, 8) inverse covariance, zero for a common factor of all fluxes.
        decrement, decrement_width: (...) mean and 1-sigma of log10 of Ha/Hb before dust.
    """

    middle: Any
    information: Any
    decrement: Any
    decrement_width: Any


class Centre(NamedTuple):
    """Where the posteriors of n sources lie, roughly.

    Attributes:
        middle: (n, 8) in the coordinates.
        lower: (n, 8, 8) lower Cholesky factor of the covariance.
        features: (n, F) what the network is shown.
    """

    middle: Array
    lower: Array
    features: Array


def feature_count() -> int:
    """Number of features F.

    Example:
        >>> feature_count()
        75
    """
    pairs = len(LINES) * (len(LINES) - 1) // 2
    return 4 * len(LINES) + 2 * (len(COORDINATES) - 1) + pairs + 1


def coordinates(log_flux: Any) -> Array:
    """The first seven coordinates (..., 7) of log10 fluxes (..., 8).

    Example:
        >>> round(float(coordinates(jnp.zeros((1, 8)))[0, 1]), 3)
        0.301
    """
    line = [log_flux[..., i] for i in range(len(LINES))]
    sulphur = _log_sum(line[_S16], line[_S31])
    oxygen = _log_sum(line[_O26], line[_O29])
    return jnp.stack(
        [
            line[_S31] - line[_S16],
            sulphur - line[_HA],
            line[_N2] - line[_HA],
            line[_O3] - line[_HB],
            oxygen - line[_HB],
            line[_O29] - line[_O26],
            line[_HA] - line[_HB],
        ],
        axis=-1,
    )


def centre(flux: Any, covariance: Any, present: Any, prior: Prior) -> Centre:
    """The Gaussian guess at the coordinates of n sources, and the network's features.

    With f+ = (f + sqrt(f^2 + 4 sigma^2)) / 2, which is positive, log10 f+ has about the error
    sigma / (f+ ln 10); combined with the prior by inverse covariances.

    Args:
        flux: (n, 8), in any unit.
        covariance: (n, 8, 8).
        present: (n, 8) bool, which lines were observed; of the others nothing is used.
        prior: arrays (n, ...) or without n.

    Returns:
        `Centre` of the n sources.
    """
    sigma = jnp.sqrt(jnp.diagonal(covariance, axis1=-2, axis2=-1))
    sigma = jnp.where(present, sigma, 1.0)
    snr = jnp.where(present, flux / sigma, 0.0)
    root = jnp.sqrt(snr**2 + 4.0)
    ratio = jnp.where(snr > 0, 0.5 * (snr + root), 2.0 / (root - jnp.minimum(snr, 0.0)))
    log_sigma = jnp.log10(sigma)
    measured = log_sigma + jnp.log10(ratio)
    # below the noise the logarithm may be far lower than f+ says
    faint = _FAINT_DEX / (1.0 + jnp.square(jnp.maximum(snr, 0.0)))
    error = jnp.where(present, jnp.hypot(1.0 / (np.log(10.0) * ratio), faint), MISSING_DEX)
    both = present[..., :, None] & present[..., None, :]
    correlation = jnp.where(both, covariance / (sigma[..., :, None] * sigma[..., None, :]), 0.0)
    unit = jnp.eye(len(LINES))
    correlation = jnp.where(unit > 0, 1.0 + _RIDGE, correlation)
    seen = inverse(correlation) / (error[..., :, None] * error[..., None, :])
    # a line that is missing starts at the prior, beside the brightest line that is not
    brightest = jnp.argmax(jnp.where(present, snr, -jnp.inf), axis=-1)[..., None]
    middle = jnp.broadcast_to(prior.middle, measured.shape)
    level = jnp.take_along_axis(measured - middle, brightest, axis=-1)
    measured = jnp.where(present, measured, middle + level)
    away = prior.middle + level - measured
    total = seen + prior.information
    spread = inverse(total)
    pull = jnp.einsum("...ij,...jk,...k->...i", spread, prior.information, away)
    log_flux = measured + pull
    slopes = _slopes(log_flux)
    small = jnp.einsum("...ai,...ij,...bj->...ab", slopes, spread, slopes)
    sigma_small = jnp.sqrt(jnp.diagonal(small, axis1=-2, axis2=-1))
    found = coordinates(log_flux)
    lower = cholesky(small + 1e-8 * jnp.eye(len(COORDINATES) - 1))
    shown = [
        jnp.arcsinh(snr) - 2.0,
        jnp.where(present, 1.0, -1.0),
        jnp.where(present, log_sigma - jnp.take_along_axis(log_sigma, brightest, axis=-1), 0.0),
        jnp.clip(pull / 0.3, -10.0, 10.0),
        2.0 * found,
        jnp.log10(sigma_small) + 1.0,
        correlation[..., *np.tril_indices(len(LINES), -1)],
        jnp.arcsinh(jnp.take_along_axis(snr, brightest, axis=-1)) - 3.0,
    ]
    features = jnp.concatenate(shown, axis=-1)
    features = jnp.where(jnp.isfinite(features), jnp.clip(features, -20.0, 20.0), 0.0)
    rest = jnp.broadcast_to(prior.decrement, found.shape[:-1])
    width = jnp.broadcast_to(prior.decrement_width, found.shape[:-1])
    return Centre(jnp.concatenate([found, rest[..., None]], axis=-1), _with(lower, width), features)


def _with(lower: Array, width: Array) -> Array:
    """A Cholesky factor with one more, independent coordinate."""
    padded = jnp.pad(lower, [(0, 0)] * (lower.ndim - 2) + [(0, 1), (0, 1)])
    return padded.at[..., -1, -1].set(width)


def _log_sum(a: Array, b: Array) -> Array:
    """log10(10^a + 10^b)."""
    return jnp.logaddexp(a * np.log(10.0), b * np.log(10.0)) / np.log(10.0)


def _slopes(log_flux: Array) -> Array:
    """Derivatives (..., 7, 8) of the coordinates by the logarithms of the fluxes."""
    line = [log_flux[..., i] for i in range(len(LINES))]
    sulphur = 10.0 ** (line[_S16] - _log_sum(line[_S16], line[_S31]))
    oxygen = 10.0 ** (line[_O26] - _log_sum(line[_O26], line[_O29]))
    slopes = jnp.broadcast_to(jnp.asarray(_FIXED), (*log_flux.shape[:-1], *_FIXED.shape))
    for row, first, second, share in ((1, _S16, _S31, sulphur), (4, _O26, _O29, oxygen)):
        slopes = slopes.at[..., row, first].set(share)
        slopes = slopes.at[..., row, second].set(1.0 - share)
    return slopes


def _fixed() -> np.ndarray:
    slopes = np.zeros((7, 8), np.float32)
    pairs = ((0, _S31, _S16), (2, _N2, _HA), (3, _O3, _HB), (5, _O29, _O26), (6, _HA, _HB))
    for row, top, bottom in pairs:
        slopes[row, top], slopes[row, bottom] = 1.0, -1.0
    slopes[1, _HA] = slopes[4, _HB] = -1.0
    return slopes


_FIXED = _fixed()
