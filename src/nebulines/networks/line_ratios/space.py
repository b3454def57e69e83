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

from nebulines.networks.small_matrices import (
    applied,
    batch_first,
    batch_last,
    cholesky,
    diagonal,
    inverse,
    symmetric,
    total,
)

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
    return jnp.stack(_coordinates(batch_last(jnp.asarray(log_flux), axes=1)), axis=-1)


def _coordinates(line: Array) -> list[Array]:
    """The first seven coordinates, each (...), of log10 fluxes (8, ...)."""
    sulphur = _log_sum(line[_S16], line[_S31])
    oxygen = _log_sum(line[_O26], line[_O29])
    return [
        line[_S31] - line[_S16],
        sulphur - line[_HA],
        line[_N2] - line[_HA],
        line[_O3] - line[_HB],
        oxygen - line[_HB],
        line[_O29] - line[_O26],
        line[_HA] - line[_HB],
    ]


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
    n = len(flux)
    measured = _measured(*_lines_first(flux, covariance, present))
    size = len(LINES)
    middle = batch_last(jnp.broadcast_to(prior.middle, (n, size)), axes=1)
    information = batch_last(jnp.broadcast_to(prior.information, (n, size, size)))
    decrement, width = (jnp.broadcast_to(part, (n,)) for part in prior[2:])
    # a line that is missing starts at the prior, beside the brightest line that is not
    level = _picked(measured.log_flux - middle, measured.brightest)
    log_flux = jnp.where(measured.present, measured.log_flux, middle + level)
    spread = inverse(measured.information + information)
    pull = applied(spread, applied(information, middle + level - log_flux))
    log_flux = log_flux + pull
    small = _carried(_slopes(log_flux), spread)
    found = jnp.stack(_coordinates(log_flux))
    sigma_small = jnp.sqrt(diagonal(small))
    lower = cholesky(small + 1e-8 * jnp.eye(len(small))[..., None])
    shown = [*measured.shown[:3], jnp.clip(pull / 0.3, -10.0, 10.0), 2.0 * found,
             jnp.log10(sigma_small) + 1.0, *measured.shown[3:]]  # fmt: skip
    features = jnp.concatenate(shown)
    features = jnp.where(jnp.isfinite(features), jnp.clip(features, -20.0, 20.0), 0.0)
    return Centre(
        batch_first(jnp.concatenate([found, decrement[None]]), axes=1),
        batch_first(_with(lower, width)),
        batch_first(features, axes=1),
    )


class _Measured(NamedTuple):
    """What was measured of n sources, before the prior; all with the sources last.

    Attributes:
        log_flux: (8, n) log10 of f+.
        information: (8, 8, n) inverse covariance of it.
        present: (8, n).
        brightest: (n,) line of the highest S/N.
        shown: features, each (F, n).
    """

    log_flux: Array
    information: Array
    present: Array
    brightest: Array
    shown: list[Array]


def _lines_first(flux: Any, covariance: Any, present: Any) -> tuple[Array, Array, Array]:
    """The measurement with the sources as the last axis."""
    return (
        batch_last(jnp.asarray(flux), axes=1),
        batch_last(jnp.asarray(covariance)),
        batch_last(jnp.asarray(present), axes=1),
    )


def _measured(flux: Array, covariance: Array, present: Array) -> _Measured:
    """Logarithms of fluxes (8, n), and features of them."""
    lines = range(len(LINES))
    sigma = jnp.sqrt(jnp.stack([covariance[i, i] for i in lines]))
    sigma = jnp.where(present, sigma, 1.0)
    snr = jnp.where(present, flux / sigma, 0.0)
    root = jnp.sqrt(snr**2 + 4.0)
    ratio = jnp.where(snr > 0, 0.5 * (snr + root), 2.0 / (root - jnp.minimum(snr, 0.0)))
    log_sigma = jnp.log10(sigma)
    # below the noise the logarithm may be far lower than f+ says
    faint = _FAINT_DEX / (1.0 + jnp.square(jnp.maximum(snr, 0.0)))
    error = jnp.where(present, jnp.hypot(1.0 / (np.log(10.0) * ratio), faint), MISSING_DEX)
    both = present[:, None] & present
    correlation = jnp.where(both, covariance / (sigma[:, None] * sigma), 0.0)
    unit = jnp.eye(len(LINES))[..., None]
    correlation = jnp.where(unit > 0, 1.0 + _RIDGE, correlation)
    brightest = jnp.argmax(jnp.where(present, snr, -jnp.inf), axis=0)
    rows, columns = np.tril_indices(len(LINES), -1)
    shown = [
        jnp.arcsinh(snr) - 2.0,
        jnp.where(present, 1.0, -1.0),
        jnp.where(present, log_sigma - _picked(log_sigma, brightest), 0.0),
        jnp.stack([correlation[i, j] for i, j in zip(rows, columns, strict=True)]),
        jnp.arcsinh(_picked(snr, brightest))[None] - 3.0,
    ]
    information = inverse(correlation) / (error[:, None] * error)
    return _Measured(log_sigma + jnp.log10(ratio), information, present, brightest, shown)


def _picked(values: Array, line: Array) -> Array:
    """One line (n,) of values (8, n)."""
    chosen = jnp.arange(len(LINES))[:, None] == line
    return jnp.sum(jnp.where(chosen, values, 0.0), axis=0)


def _with(lower: Array, width: Array) -> Array:
    """A Cholesky factor (8, 8, n) with one more, independent coordinate than one of (7, 7, n)."""
    padded = jnp.pad(lower, [(0, 1), (0, 1), (0, 0)])
    last = np.zeros((len(padded), len(padded), 1), np.float32)
    last[-1, -1] = 1.0
    return padded + last * width


def _log_sum(a: Array, b: Array) -> Array:
    """log10(10^a + 10^b)."""
    return jnp.logaddexp(a * np.log(10.0), b * np.log(10.0)) / np.log(10.0)


def _slopes(log_flux: Array) -> list[dict[int, Any]]:
    """Derivatives of the seven coordinates by the logarithms (8, n) of the fluxes they depend
    on."""
    sulphur = 10.0 ** (log_flux[_S16] - _log_sum(log_flux[_S16], log_flux[_S31]))
    oxygen = 10.0 ** (log_flux[_O26] - _log_sum(log_flux[_O26], log_flux[_O29]))
    return [
        {_S31: 1.0, _S16: -1.0},
        {_S16: sulphur, _S31: 1.0 - sulphur, _HA: -1.0},
        {_N2: 1.0, _HA: -1.0},
        {_O3: 1.0, _HB: -1.0},
        {_O26: oxygen, _O29: 1.0 - oxygen, _HB: -1.0},
        {_O29: 1.0, _O26: -1.0},
        {_HA: 1.0, _HB: -1.0},
    ]


def _carried(slopes: list[dict[int, Any]], covariance: Array) -> Array:
    """Covariance (7, 7, n) of quantities with these slopes, of that (8, 8, n) of what they depend
    on."""
    half = [total(part * covariance[line] for line, part in own.items()) for own in slopes]
    rows = [
        [total(part * along[line] for line, part in own.items()) for own in slopes[: i + 1]]
        for i, along in enumerate(half)
    ]
    return symmetric([jnp.stack(row) for row in rows])
