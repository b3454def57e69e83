"""Independent fits to hold the engine against: SciPy, in float64, one spectrum at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares
from scipy.special import wofz

from benchmarks.mocks import FIVE_LINES, MockSet, rest_wavelengths
from nebulines.constants import ANGSTROM_PER_CM, SPEED_OF_LIGHT_KMS
from nebulines.models import line_positions, line_spread_width

LEAST_KMS = 3.0
"""The closed form of the sincgauss loses its digits below this broadening."""


class ReferenceFit(NamedTuple):
    """Fits of k spectra: velocity and broadening (k,) [km/s], fluxes (k, L), and the seconds that
    all of them took."""

    velocity: np.ndarray
    broadening: np.ndarray
    fluxes: np.ndarray
    seconds: float


def sincgauss_profile(
    offset: np.ndarray, width: np.ndarray, sigma: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit-area sincgauss in closed form, with its first two derivatives by the offset.

    With X = pi offset / w and b = pi sigma / w,
    K = sqrt(pi/2)/b [exp(-X^2/2b^2) - exp(-b^2/2) Re(e^{iX} w((X + i b^2)/(sqrt2 b)))],
    b^2 K' = exp(-b^2/2) sin X - X K and b^2 K'' = exp(-b^2/2) cos X - K - X K'.
    """
    unit = np.pi / width
    x, b = offset * unit, sigma * unit
    damping = np.exp(-0.5 * b**2)
    faddeeva = wofz((x + 1j * b**2) / (np.sqrt(2.0) * b))
    value = np.exp(-0.5 * (x / b) ** 2) - damping * np.real(np.exp(1j * x) * faddeeva)
    value = np.sqrt(0.5 * np.pi) / b * value
    first = (damping * np.sin(x) - x * value) / b**2
    second = (damping * np.cos(x) - value - x * first) / b**2
    return value / width, first * unit / width, second * unit**2 / width


def gaussian_profile(
    offset: np.ndarray, width: np.ndarray, sigma: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit-area Gaussian of variance width^2 + sigma^2, with its first two derivatives."""
    total = np.hypot(width, sigma)
    u = offset / total
    value = np.exp(-0.5 * u**2) / (np.sqrt(2.0 * np.pi) * total)
    return value, -u / total * value, (u**2 - 1.0) / total**2 * value


def fit_with_scipy(mocks: MockSet, count: int, fitted_model: np.ndarray) -> ReferenceFit:
    """Least squares with an analytic Jacobian, all parameters at once, started at the truth.

    Args:
        mocks: spectra and truth.
        count: of the first spectra to fit.
        fitted_model: (n, channel) of the fit to compare with: NaN channels are left out, and each
            run of channels between them has its own polynomial, so that both solve one problem.
    """
    spectra, truth = mocks.spectra[:count], mocks.truth
    rest = rest_wavelengths(spectra)
    axis = spectra.axis.per_spectrum(count)
    kind, spread = spectra.axis.kind, spectra.line_spread
    assert spread is not None
    assert spectra.variance is not None
    at = np.broadcast_to(line_positions(kind, rest, spectra.redshift), (count, len(rest)))
    width = np.broadcast_to(line_spread_width(kind, spread, at), at.shape)
    profile = sincgauss_profile if spread.shape == "sinc" else gaussian_profile
    solutions = []
    begin = time.perf_counter()
    for k in range(count):
        fluxes = np.array([truth[f"{name}_flux"][k] for name in FIVE_LINES])
        used = np.isfinite(fitted_model[k])
        basis = _continuum(used, mocks.config.continuum_order, kind)
        start = np.r_[truth["velocity"][k], truth["broadening"][k], fluxes, np.zeros(len(basis))]
        noise = float(np.sqrt(spectra.variance[k, 0]))
        model = _model(axis[k][used], at[k], width[k], kind, profile, basis)
        flux = np.asarray(spectra.flux[k], float)[used]
        solutions.append(_solve(model, flux, noise, start)[: 2 + len(rest)])
    seconds = time.perf_counter() - begin
    found = np.array(solutions)
    return ReferenceFit(found[:, 0], np.abs(found[:, 1]), found[:, 2:], seconds)


def _continuum(used: np.ndarray, order: int | None, kind: str) -> np.ndarray:
    """Polynomials (column, used channel), a set for each run of used channels."""
    order = (0 if kind == "wavenumber" else 1) if order is None else order
    place = np.flatnonzero(used)
    runs = np.split(np.arange(len(place)), np.flatnonzero(np.diff(place) > 1) + 1)
    basis = np.zeros((len(runs) * (order + 1), len(place)))
    for k, run in enumerate(runs):
        x = np.linspace(-1.0, 1.0, len(run))
        basis[k * (order + 1) : (k + 1) * (order + 1), run] = np.polynomial.legendre.legvander(
            x, order
        ).T
    return basis


def _model(
    axis: np.ndarray,
    at: np.ndarray,
    width: np.ndarray,
    kind: str,
    profile: Callable,
    basis: np.ndarray,
) -> Callable:
    """A function of the parameters giving the model (channel,) and its Jacobian."""

    last = 2 + len(at)

    def evaluate(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        stretch = 1.0 + theta[0] / SPEED_OF_LIGHT_KMS
        sign = 1.0 if kind == "wavelength" else -1.0
        position = at * stretch**sign
        area = np.ones_like(at) if kind == "wavelength" else position**2 / ANGSTROM_PER_CM
        broadening = max(abs(theta[1]), LEAST_KMS)
        sigma = position * broadening / SPEED_OF_LIGHT_KMS
        offset = axis[None, :] - position[:, None]
        value, first, second = profile(offset, width[:, None], sigma[:, None])
        scale = (theta[2:last] * area)[:, None]
        along = -first * (sign * position / stretch / SPEED_OF_LIGHT_KMS)[:, None]
        across = second * (sigma * position / SPEED_OF_LIGHT_KMS)[:, None]
        lines = value * area[:, None]
        columns = [
            (scale * along).sum(0),
            np.sign(theta[1]) * (scale * across).sum(0),
            *lines,
            *basis,
        ]
        return (scale * value).sum(0) + theta[last:] @ basis, np.stack(columns, axis=1)

    return evaluate


def _solve(model: Callable, flux: np.ndarray, noise: float, start: np.ndarray) -> np.ndarray:
    return least_squares(
        lambda theta: (model(theta)[0] - flux) / noise,
        start,
        jac=lambda theta: model(theta)[1] / noise,
        method="lm",
        x_scale="jac",
    ).x
