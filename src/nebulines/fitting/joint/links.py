"""Lines bound to each other across bands, imposed on fluxes whose joint covariance is known.

At given kinematics the likelihood is exactly Gaussian in the fluxes, and the kinematics themselves
are as good as Gaussian, so that fluxes f with covariance C say all that the spectra say. A law
h(f) = 0 is imposed by the f' that minimises (f' - f)^T C^-1 (f' - f) under h(f') = 0 (minimum
distance, which has the variance of the restricted maximum-likelihood fit; Chamberlain 1984,
Handbook of Econometrics II, ch. 22, eq. 4.9).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nebulines.lines import load_catalogue
from nebulines.lines.recombination import balmer_lines, case_b_ratio

N_ITERATIONS = 12
EBV_RANGE = (-1.0, 6.0)
"""E(B-V) [mag] beyond which hydrogen lines do not tell it."""
SEEN = 2.0
"""S/N that two hydrogen lines need to tell E(B-V)."""


class Link(NamedTuple):
    """flux of line ``first`` = ratio times flux of line ``second`` (positions in a list)."""

    first: int
    second: int
    ratio: float


class Linked(NamedTuple):
    """Fluxes under a law.

    Attributes:
        value: (n, L), NaN where the line was not measured.
        covariance: (n, L, L).
        chi2: (n,) by which the law raises chi2.
    """

    value: np.ndarray
    covariance: np.ndarray
    chi2: np.ndarray


def impose(value: np.ndarray, covariance: np.ndarray, links: Sequence[Link]) -> Linked:
    """Fluxes under fixed ratios; a link of which one line is missing does nothing.

    Args:
        value: (n, L) fluxes, NaN where missing.
        covariance: (n, L, L).
        links: the fixed ratios.

    Example:
        >>> found = impose(np.array([[1.0, 3.0]]), np.eye(2)[None], [Link(0, 1, 1.0)])
        >>> found.value.round(6).tolist(), found.covariance[0, 0, 0].round(6), found.chi2.tolist()
        ([[2.0, 2.0]], np.float64(0.5), [2.0])
    """
    n, n_lines = value.shape
    if not links:
        return Linked(value, covariance, np.zeros(n))
    there, flux, matrix = _filled(value, covariance)
    law = np.zeros((n, len(links), n_lines))
    for row, link in enumerate(links):
        both = there[:, link.first] & there[:, link.second]
        law[:, row, link.first] = both
        law[:, row, link.second] = -link.ratio * both
    spread = law @ matrix @ law.swapaxes(1, 2)
    idle = np.einsum("nmm->nm", spread) <= 0
    spread = spread + idle[:, None, :] * np.eye(len(links))
    misfit = np.einsum("nml,nl->nm", law, flux)
    gain = np.linalg.solve(spread, law @ matrix).swapaxes(1, 2)
    chi2 = np.einsum("nm,nm->n", misfit, np.linalg.solve(spread, misfit[..., None])[..., 0])
    flux = flux - np.einsum("nlm,nm->nl", gain, misfit)
    return Linked(*_emptied(flux, matrix - gain @ law @ matrix, there), chi2)


def _filled(value: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, ...]:
    """Which fluxes are there, and fluxes and covariance with 0 for the others."""
    there = np.isfinite(value) & np.isfinite(np.einsum("nll->nl", covariance))
    both = there[:, :, None] & there[:, None, :]
    return there, np.where(there, value, 0.0), np.where(both, covariance, 0.0)


def _emptied(
    flux: np.ndarray, covariance: np.ndarray, there: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    both = there[:, :, None] & there[:, None, :]
    return np.where(there, flux, np.nan), np.where(both, covariance, np.nan)


class Reddened(NamedTuple):
    """Fluxes whose hydrogen lines have case-B ratios behind dust: `Linked`, E(B-V) [mag] and its
    1-sigma error (n,), NaN where fewer than two of the lines stand out of the noise."""

    fluxes: Linked
    ebv: np.ndarray
    ebv_err: np.ndarray


def redden(
    value: np.ndarray, covariance: np.ndarray, names: Sequence[str], law: str
) -> Reddened | None:
    """Fit F_i = A r_i 10^(-0.4 k_i E(B-V)) to the hydrogen lines, with their full covariance.

    Two lines determine A and E(B-V) and keep their fluxes; more bind each other, and through
    the covariance every other line.

    Args:
        value: (n, L) fluxes, NaN where missing.
        covariance: (n, L, L).
        names: of the lines.
        law: of extinction, at rest wavelength.

    Returns:
        `Reddened`, or None when fewer than two hydrogen lines are among the names.
    """
    known = [k for k, name in enumerate(names) if name in balmer_lines()]
    if len(known) < 2:
        return None
    there, flux, matrix = _filled(value, covariance)
    unit = np.sqrt(np.maximum(np.einsum("nll->nl", matrix)[:, known].max(axis=1), 1e-300))
    flux, matrix = flux / unit[:, None], matrix / unit[:, None, None] ** 2
    information = _information(matrix[:, known][:, :, known], there[:, known])
    ratio, slope = _case_b([names[k] for k in known], law)
    parameters = _minimum(flux[:, known], information, ratio, slope)
    model, jacobian = _model(parameters, ratio, slope)
    normal = jacobian.swapaxes(1, 2) @ information @ jacobian
    error = np.sqrt(np.einsum("nll->nl", matrix)[:, known])
    seen = there[:, known] & (flux[:, known] > SEEN * error)
    enough = (seen.sum(axis=1) >= 2) & (np.abs(np.linalg.det(_unit(normal))) > 1e-9)
    inside = (parameters[:, 1] > EBV_RANGE[0]) & (parameters[:, 1] < EBV_RANGE[1])
    enough &= inside & (parameters[:, 0] > 0)
    safe = np.where(enough[:, None, None], normal, np.eye(2))
    spread = np.linalg.inv(safe)
    moved = np.where(enough[:, None] & there[:, known], model - flux[:, known], 0.0)
    pull = matrix[:, :, known] @ information
    left = jacobian @ spread @ jacobian.swapaxes(1, 2) - matrix[:, known][:, :, known]
    change = pull @ left @ pull.swapaxes(1, 2)
    change = np.where(enough[:, None, None], change, 0.0)
    chi2 = np.einsum("nb,nbc,nc->n", moved, information, moved)
    new = flux + np.einsum("nlb,nb->nl", pull, moved)
    flux, matrix = new * unit[:, None], (matrix + change) * unit[:, None, None] ** 2
    fluxes = Linked(*_emptied(flux, matrix, there), chi2)
    error = np.sqrt(np.maximum(spread[:, 1, 1], 0.0))
    return Reddened(
        fluxes,
        np.where(enough, parameters[:, 1], np.nan),
        np.where(enough, error, np.nan),
    )


def _information(covariance: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Inverse covariance of the lines that are there, 0 for the others."""
    absent = (~there)[:, None, :] * np.eye(covariance.shape[1])
    scale = np.sqrt(np.einsum("nbb->nb", covariance) + ~there)
    normal = covariance / (scale[:, :, None] * scale[:, None, :]) + absent
    inverse = np.linalg.pinv(normal, hermitian=True) - absent
    return inverse / (scale[:, :, None] * scale[:, None, :])


def _unit(matrix: np.ndarray) -> np.ndarray:
    """Matrices scaled to unit diagonal."""
    scale = np.sqrt(np.maximum(np.einsum("nbb->nb", matrix), 1e-300))
    return matrix / (scale[:, :, None] * scale[:, None, :])


def _case_b(names: Sequence[str], law: str) -> tuple[np.ndarray, np.ndarray]:
    """Case-B ratios to H-beta, and -d ln F / d E(B-V), of hydrogen lines."""
    from nebulines.models.dust import transmission

    wave = load_catalogue().select(names).wavelength_vacuum
    ratio = np.array([float(case_b_ratio(name)) for name in names])
    return ratio, -np.log(transmission(wave, 1.0, law))


def _model(
    parameters: np.ndarray, ratio: np.ndarray, slope: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fluxes (n, B) of amplitude and E(B-V) (n, 2), and their Jacobian (n, B, 2)."""
    shape = ratio * np.exp(-slope * parameters[:, 1:])
    flux = parameters[:, :1] * shape
    return flux, np.stack([shape, -slope * flux], axis=-1)


def _minimum(
    flux: np.ndarray, information: np.ndarray, ratio: np.ndarray, slope: np.ndarray
) -> np.ndarray:
    """Amplitude and E(B-V) (n, 2) by Gauss-Newton on E(B-V), the amplitude being linear."""
    ebv = np.zeros(len(flux))
    for _ in range(N_ITERATIONS):
        shape = ratio * np.exp(-slope * ebv[:, None])
        along = np.einsum("nbc,nc->nb", information, shape)
        amplitude = np.sum(along * flux, axis=1) / np.maximum(np.sum(along * shape, axis=1), 1e-300)
        model, jacobian = _model(np.stack([amplitude, ebv], axis=1), ratio, slope)
        normal = jacobian.swapaxes(1, 2) @ information @ jacobian
        gradient = np.einsum("nbp,nbc,nc->np", jacobian, information, flux - model)
        normal = normal + 1e-12 * np.einsum("npp->n", normal)[:, None, None] * np.eye(2)
        solvable = np.abs(np.linalg.det(_unit(normal))) > 1e-9
        normal = np.where(solvable[:, None, None], normal, np.eye(2))
        step = np.linalg.solve(normal, gradient[..., None])[:, 1, 0]
        step = np.where(solvable & (amplitude > 0), np.clip(step, -0.5, 0.5), 0.0)
        ebv = np.clip(ebv + step, *EBV_RANGE)
    return np.stack([amplitude, ebv], axis=1)
