"""The Cramer-Rao bound: the smallest scatter that any unbiased measurement can reach.

For Gaussian noise of known variance the information on parameters theta of a model m is
F_ij = sum_channels (dm/dtheta_i)(dm/dtheta_j) / sigma^2 and the bound is sqrt((F^-1)_ii)
(Kay 1993, Fundamentals of Statistical Signal Processing I, eq. 3.31). The derivatives are
written out here in NumPy and float64, apart from the fitting engine that the bound judges.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from nebulines.constants import (
    ANGSTROM_PER_CM,
    FWHM_PER_SIGMA,
    SINC_FWHM_PER_WIDTH,
    SPEED_OF_LIGHT_KMS,
)
from nebulines.errors import InputError
from nebulines.spectra import Spectra
from nebulines.spectral_axis import VelocityConvention, doppler_factor

_ROWS = 128  # spectra at a time: bounds the memory of the Jacobian


class Bound(NamedTuple):
    """Cramer-Rao bounds, 1 sigma, all parameters free.

    Attributes:
        velocity_kms: (n,) [km/s].
        broadening_kms: (n,) [km/s]; infinite where the true broadening is zero, since the
            spectrum then changes only with its square.
        fluxes: (n, L), unit of the true fluxes.
        continuum: (n, order + 1), Legendre coefficients, unit of the flux density.
        covariance: (n, p, p) of velocity, broadening, fluxes, continuum.
        truth: (n, L) fluxes at which the bound holds.
    """

    velocity_kms: np.ndarray
    broadening_kms: np.ndarray
    fluxes: np.ndarray
    continuum: np.ndarray
    covariance: np.ndarray
    truth: np.ndarray

    def ratio(self, numerator: int, denominator: int) -> np.ndarray:
        """Bound (n,) of the ratio of two lines, given by their positions in the line list."""
        top, bottom = self.truth[:, numerator], self.truth[:, denominator]
        slope = np.stack([1.0 / bottom, -top / bottom**2], axis=1)
        pick = np.array([numerator, denominator]) + 2
        block = self.covariance[:, pick[:, None], pick]
        return np.sqrt(np.einsum("ni,nij,nj->n", slope, block, slope))


def cramer_rao(
    spectra: Spectra,
    wavelengths: Any,
    *,
    velocity_kms: Any,
    broadening_kms: Any,
    fluxes: Any,
    continuum_order: int = 0,
    convention: VelocityConvention = "optical",
) -> Bound:
    """Cramer-Rao bound of velocity, broadening, line fluxes and continuum of each spectrum.

    One velocity and one broadening are shared by the lines. The change of a line's
    instrumental width and of the wavenumber-to-wavelength factor with velocity (a part in
    1e4 of the information) is left out.

    Args:
        spectra: axis, variance, mask, line spread and redshift are used; the flux is not.
        wavelengths: (L,) rest [Angstrom], in the medium of the axis.
        velocity_kms: (n,) true velocity around the redshift.
        broadening_kms: (n,) true intrinsic 1-sigma.
        fluxes: (n, L) true fluxes, flux density times Angstrom.
        continuum_order: degree of the free polynomial continuum.
        convention: ``optical`` or ``relativistic``.

    Returns:
        `Bound`; infinite where a spectrum does not constrain a parameter.

    Raises:
        InputError: the spectra have no variance or no line spread, or shapes disagree.

    Example:
        >>> from nebulines.synthetic import simulate
        >>> truth, spectra = simulate("sitelle-sn3", n=2, seed=1, lines=["HALPHA6563"], snr=(9, 9))
        >>> bound = cramer_rao(
        ...     spectra, [6562.80], velocity_kms=truth["velocity"],
        ...     broadening_kms=truth["broadening"], fluxes=truth["HALPHA6563_flux"][:, None],
        ... )
        >>> bool((bound.velocity_kms > 1).all() and (bound.velocity_kms < 10).all())
        True
    """
    truth = (velocity_kms, broadening_kms, fluxes)
    fluxes = np.asarray(fluxes, float)
    systems = _systems(spectra, wavelengths, truth, continuum_order, convention)
    parts = [_invert(weighted @ jacobian.swapaxes(1, 2)) for jacobian, weighted in systems]
    covariance = np.concatenate(parts)
    sigma = np.sqrt(np.einsum("npp->np", covariance))
    lines = slice(2, 2 + fluxes.shape[1])
    return Bound(
        sigma[:, 0], sigma[:, 1], sigma[:, lines], sigma[:, lines.stop :], covariance, fluxes
    )


def influence(
    spectra: Spectra,
    wavelengths: Any,
    *,
    velocity_kms: Any,
    broadening_kms: Any,
    fluxes: Any,
    continuum_order: int = 0,
    convention: VelocityConvention = "optical",
) -> np.ndarray:
    """Change of the least-squares parameters with the flux of each channel, F^-1 J^T W.

    F is the information, J the Jacobian and W the inverse variance, all at the truth; the
    arguments are those of `cramer_rao`. The scatter that the noise makes through it is the bound.

    Returns:
        (n, 2 + L + order + 1, channel): velocity, broadening, fluxes, continuum, each per unit
        of the flux.

    Example:
        >>> from nebulines.synthetic import simulate
        >>> truth, spectra = simulate("sitelle-sn3", n=1, seed=1, lines=["HALPHA6563"])
        >>> slopes = influence(
        ...     spectra, [6562.80], velocity_kms=truth["velocity"],
        ...     broadening_kms=truth["broadening"], fluxes=truth["HALPHA6563_flux"][:, None],
        ... )
        >>> slopes.shape
        (1, 4, 842)
    """
    truth = (velocity_kms, broadening_kms, fluxes)
    systems = _systems(spectra, wavelengths, truth, continuum_order, convention)
    parts = [
        _invert(weighted @ jacobian.swapaxes(1, 2)) @ weighted for jacobian, weighted in systems
    ]
    return np.concatenate(parts)


def _systems(
    spectra: Spectra,
    wavelengths: Any,
    truth: tuple[Any, Any, Any],
    continuum_order: int,
    convention: VelocityConvention,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Jacobian (rows, p, channel), and the same over the variance, a few spectra at a time."""
    n, wavelengths = len(spectra), np.asarray(wavelengths, float)
    if spectra.variance is None or spectra.line_spread is None:
        raise InputError("a Cramer-Rao bound needs spectra with variance and line spread")
    velocity, broadening = (np.broadcast_to(np.asarray(a, float), (n,)) for a in truth[:2])
    fluxes = np.asarray(truth[2], float)
    if fluxes.shape != (n, len(wavelengths)):
        raise InputError(f"fluxes must have shape ({n}, {len(wavelengths)}), not {fluxes.shape}")
    for start in range(0, n, _ROWS):
        rows = slice(start, start + _ROWS)
        jacobian = _jacobian(
            spectra[rows], wavelengths, velocity[rows], broadening[rows], fluxes[rows], convention
        )
        basis = _continuum(spectra[rows], continuum_order)
        jacobian = np.concatenate([jacobian, basis], axis=1)
        yield jacobian, jacobian * _weights(spectra[rows])


def _jacobian(
    spectra: Spectra,
    wavelengths: np.ndarray,
    velocity: np.ndarray,
    broadening: np.ndarray,
    fluxes: np.ndarray,
    convention: VelocityConvention,
) -> np.ndarray:
    """Derivatives (n, 2 + L, channel) by velocity, broadening and each flux."""
    kind, n = spectra.axis.kind, len(spectra)
    redshift = 0.0 if spectra.redshift is None else spectra.redshift[:, None]
    rest = wavelengths * (1.0 + np.broadcast_to(redshift, (n, 1)))
    step = 1e-3  # km/s: the Doppler factor is smooth and known to sixteen digits
    stretch, above, below = (
        doppler_factor(velocity + d, convention)[:, None] for d in (0.0, step, -step)
    )
    observed = rest * stretch
    position, height = observed, fluxes
    if kind == "wavenumber":
        position, height = ANGSTROM_PER_CM / observed, observed**-2 * ANGSTROM_PER_CM * fluxes
    moved = np.log(above / below) / (2.0 * step) * (1.0 if kind == "wavelength" else -1.0)
    sigma = position * broadening[:, None] / SPEED_OF_LIGHT_KMS
    offsets = spectra.axis.per_spectrum(n)[:, None, :] - position[:, :, None]
    value, first, second = _shape(spectra, offsets, rest, position, sigma)
    columns = height[:, :, None] * np.stack(
        [
            -first * (position * moved)[:, :, None],
            second * (sigma * position / SPEED_OF_LIGHT_KMS)[:, :, None],
        ]
    )
    kinematic = columns.sum(axis=2).swapaxes(0, 1)
    scale = 1.0 if kind == "wavelength" else ANGSTROM_PER_CM / observed[:, :, None] ** 2
    return np.concatenate([kinematic, value * scale], axis=1)


def _shape(
    spectra: Spectra,
    offsets: np.ndarray,
    rest: np.ndarray,
    position: np.ndarray,
    sigma: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """Unit-area line shape with two derivatives, float64."""
    import jax

    from nebulines.lineshapes import gaussian_kernel, sincgauss_kernel

    assert spectra.line_spread is not None
    fwhm = np.broadcast_to(spectra.line_spread.fwhm_angstrom(rest), rest.shape)
    if spectra.axis.kind == "wavenumber":
        fwhm = fwhm * ANGSTROM_PER_CM / rest**2
    with jax.enable_x64(True):
        if spectra.line_spread.shape == "sinc":
            width = fwhm / SINC_FWHM_PER_WIDTH
            kernel = jax.jit(sincgauss_kernel)(offsets, width[:, :, None], sigma[:, :, None])
        else:
            total = np.hypot(fwhm / FWHM_PER_SIGMA, sigma)
            kernel = jax.jit(gaussian_kernel)(offsets, total[:, :, None])
    return tuple(np.asarray(part) for part in kernel)


def _continuum(spectra: Spectra, order: int) -> np.ndarray:
    from nebulines.models import legendre_basis

    n = len(spectra)
    return legendre_basis(spectra.axis.per_spectrum(n), order)


def _weights(spectra: Spectra) -> np.ndarray:
    """1 / variance (n, 1, channel), zero for channels that cannot be used."""
    variance = np.asarray(spectra.variance, float)
    good = np.isfinite(variance) & (variance > 0)
    if spectra.mask is not None:
        good &= ~np.asarray(spectra.mask, bool)
    return np.where(good, 1.0 / np.where(good, variance, 1.0), 0.0)[:, None, :]


def _invert(information: np.ndarray) -> np.ndarray:
    """Inverse of each Fisher matrix (n, p, p); infinite variance where it has no information."""
    diagonal = np.einsum("npp->np", information)
    blind = ~(diagonal > 0)
    scale = np.sqrt(np.where(blind, 1.0, diagonal))
    normal = information / (scale[:, :, None] * scale[:, None, :])
    normal = normal + np.eye(information.shape[1]) * blind[:, None, :]
    inverse = np.linalg.pinv(normal, rcond=1e-15, hermitian=True)
    inverse /= scale[:, :, None] * scale[:, None, :]
    rows, columns = np.nonzero(blind)
    inverse[rows, columns, columns] = np.inf
    return inverse
