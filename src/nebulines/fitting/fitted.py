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
