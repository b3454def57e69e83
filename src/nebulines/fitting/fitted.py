"""What either path of the fit hands over: parameters and covariances, before units."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Fitted(NamedTuple):
    """The fit of n spectra in normalised units (see `normalise.Normalised`).

    Attributes:
        velocity: (n, G) optical velocity [km/s] of each kinematic group.
        y: (n, G) shape variable, 1/sqrt(1 + (broadening/broadening_scale)^2).
        broadening_scale: (n,) [km/s].
        theta_covariance: (n, 2 G, 2 G) covariance of velocity [km/s] and y.
        area: (n, T) area of each template's strongest line [data x axis unit].
        area_covariance: (n, T, T).
        continuum: (n,) at the reference line.
        chi2, n_used: (n,) over the fitted channels.
        line_free: (n, 2) sum of squared residuals in sigma, and channels, away from lines.
        outlier: (n,) largest lonely residual in sigma.
        profile: (n, 4) what `profile.profile_score` says of another component.
        converged: (n,) bool.
        at_bound: (n, 2) bool, velocity and (upper) broadening.
        coverage: (n, L) share of the line's area seen by used channels.
        model: (n, m) best fit, NaN outside the fitted windows.
    """

    velocity: np.ndarray
    y: np.ndarray
    broadening_scale: np.ndarray
    theta_covariance: np.ndarray
    area: np.ndarray
    area_covariance: np.ndarray
    continuum: np.ndarray
    chi2: np.ndarray
    n_used: np.ndarray
    line_free: np.ndarray
    outlier: np.ndarray
    profile: np.ndarray
    converged: np.ndarray
    at_bound: np.ndarray
    coverage: np.ndarray
    model: np.ndarray


def template_weights(
    templates: np.ndarray, rest: np.ndarray, kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """Templates as areas in axis units, each with weight 1 on its strongest line.

    On a wavenumber axis an area of flux F at wavelength lambda is F 1e8 / lambda^2, so the
    lines of one template weigh differently there than in wavelength.

    Args:
        templates: (T, L) relative fluxes.
        rest: (L,) wavelengths [Angstrom].
        kind: ``wavelength`` or ``wavenumber``.

    Returns:
        Weights (T, L) and the index (T,) of each template's strongest line.

    Example:
        >>> weights, strongest = template_weights(np.array([[1.0, 0.5]]), np.array([1.0, 2.0]),
        ...                                       "wavenumber")
        >>> weights.tolist(), strongest.tolist()
        ([[1.0, 0.125]], [0])
    """
    strongest = np.argmax(templates, axis=1)
    weights = templates / np.max(templates, axis=1, keepdims=True)
    if kind == "wavenumber":
        weights = weights * (rest[strongest][:, None] / rest[None, :]) ** 2
    return weights, strongest


def broadening_and_error(
    fitted: Fitted, noise_factor: np.ndarray | float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Broadening and its 1-sigma error (n, G) [km/s], for noise ``noise_factor`` (n,) times
    the normalised one.

    The fit is regular in q = s^2, so sigma_q is exact everywhere; sigma_s = sigma_q / (2 s) where
    the line is resolved, and sqrt(sigma_q) (the broadening that one sigma allows) at zero.
    """
    scale = fitted.broadening_scale[:, None]
    n_groups = fitted.velocity.shape[1]
    y = fitted.y.astype(float)
    broadening = scale * np.sqrt(np.maximum(1.0 / y**2 - 1.0, 0.0))
    variance = np.diagonal(fitted.theta_covariance, axis1=1, axis2=2)[:, n_groups:]
    factor = np.reshape(noise_factor, (-1, 1))
    sigma_q = 2.0 * scale**2 / y**3 * np.sqrt(np.maximum(variance, 0.0)) * factor
    with np.errstate(divide="ignore", invalid="ignore"):
        resolved = np.where(broadening > 0, sigma_q / (2.0 * broadening), np.inf)
    return broadening, np.minimum(resolved, np.sqrt(sigma_q))
