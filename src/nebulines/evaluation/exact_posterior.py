"""The exact posterior of velocity and broadening, on a grid: what no method can do better than.

For one velocity v and broadening s a spectrum d is linear in the peaks of its lines and in its
continuum. With a flat prior on those, columns A(v, s) and inverse variances W, the integral over
them is

    p(d | v, s) ~ |A^T W A|^(-1/2) exp(b^T (A^T W A)^(-1) b / 2),   b = A^T W d,

and with the flat prior that a held-out set was drawn from the posterior is its share of the grid.
Its mean has the smallest mean square error of all estimates that know as much.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from nebulines.constants import ANGSTROM_PER_CM, SINC_FWHM_PER_WIDTH, SPEED_OF_LIGHT_KMS
from nebulines.errors import UsageError
from nebulines.evaluation.held_out import HeldOut
from nebulines.lines import load_catalogue

POINTS = 25
"""Points of the grid in each of the two."""
REACH = 6.0
"""The grid ends so many bounds from the truth, or at the end of the prior."""


class Exact(NamedTuple):
    """Posterior of n spectra: means and standard deviations [km/s], each (n,)."""

    velocity: np.ndarray
    velocity_err: np.ndarray
    broadening: np.ndarray
    broadening_err: np.ndarray


def exact_posterior(held_out: HeldOut) -> Exact:
    """The posterior of every spectrum of a set, given the ranges that it was drawn from.

    Args:
        held_out: of a sinc instrument with white noise; its source states the ranges.

    Returns:
        `Exact`. What lies more than 6 bounds from the truth is left out, to its favour.

    Raises:
        UsageError: the instrument has no sinc, or the noise is not known.

    Example:
        >>> from nebulines.evaluation.held_out import draw, sn3
        >>> found = exact_posterior(draw(sn3(1000.0, snr=(30.0, 30.0)), 2, seed=1))
        >>> bool((found.velocity_err < 20.0).all())
        True
    """
    spectra, source = held_out.spectra, held_out.source
    spread = spectra.line_spread
    if spread is None or spread.shape != "sinc" or spectra.variance is None:
        raise UsageError("the exact posterior is made for a sinc and known noise")
    wavelength = load_catalogue().select(source.lines).wavelength_air
    fwhm = np.broadcast_to(spread.fwhm_angstrom(wavelength), (len(spectra), len(wavelength)))
    width = fwhm * ANGSTROM_PER_CM / wavelength**2 / SINC_FWHM_PER_WIDTH
    bound, found = held_out.bound, []
    for k in range(len(spectra)):
        v = _grid(held_out.truth["velocity"][k], bound.velocity_kms[k], source.velocity)
        s = _grid(held_out.truth["broadening"][k], bound.broadening_kms[k], source.broadening)
        axis = spectra.axis.per_spectrum(len(spectra))[k]
        noise = np.sqrt(np.asarray(spectra.variance[k], float))
        data = np.asarray(spectra.flux[k], float) / noise
        found.append(_one()(data, 1.0 / noise, axis, wavelength, width[k], v, s))
    return Exact(*np.array([[float(x) for x in one] for one in found]).T)


def _grid(truth: float, bound: float, limits: tuple[float, float]) -> np.ndarray:
    """Midpoints of equal cells."""
    low, high = (np.clip(truth + side * REACH * bound, *limits) for side in (-1.0, 1.0))
    return low + (high - low) * (np.arange(POINTS) + 0.5) / POINTS


@cache
def _one() -> Any:
    """The posterior of one spectrum in units of its noise, compiled, in float64."""
    import jax
    import jax.numpy as jnp

    from nebulines.lineshapes import sincgauss_kernel, sincgauss_peak

    def evidence(v: Any, s: Any, data: Any, weight: Any, axis: Any, rest: Any, width: Any) -> Any:
        position = ANGSTROM_PER_CM / (rest * (1.0 + v / SPEED_OF_LIGHT_KMS))
        sigma = (position * s / SPEED_OF_LIGHT_KMS)[:, None]
        value = sincgauss_kernel(axis - position[:, None], width[:, None], sigma).value
        lines = value / sincgauss_peak(width[:, None], sigma)
        columns = jnp.concatenate([lines, jnp.ones_like(axis)[None]]) * weight
        factor = jnp.linalg.cholesky(columns @ columns.T)
        half = jax.scipy.linalg.solve_triangular(factor, columns @ data, lower=True)
        return 0.5 * half @ half - jnp.sum(jnp.log(jnp.diagonal(factor)))

    @jax.jit
    def posterior(data: Any, weight: Any, axis: Any, rest: Any, width: Any, v: Any, s: Any) -> Any:
        at = jax.vmap(
            lambda v: jax.vmap(lambda s: evidence(v, s, data, weight, axis, rest, width))(s)
        )
        share = jax.nn.softmax(at(v).ravel()).reshape(len(v), len(s))
        moments = []
        for values, each in ((v, share.sum(axis=1)), (s, share.sum(axis=0))):
            mean = each @ values
            moments += [mean, jnp.sqrt(each @ jnp.square(values - mean))]
        return moments

    def run(*arrays: np.ndarray) -> Any:
        with jax.enable_x64(True):
            return posterior(*(jnp.asarray(a, jnp.float64) for a in arrays))

    return run
