"""SITELLE's spectral axis and line width: what an imaging Fourier-transform scan implies.

n steps of s nm of optical path difference, folded in order m, seen at an angle theta
(correction = 1 / cos theta), give n channels spaced by correction 1e7 / (2 n s) [cm-1]. The
line width follows from the number of steps beyond zero path difference, at index z of the scan.

Source: Martin, Drissen & Prunet 2021, MNRAS 505, 5514; Martin, Prunet & Drissen 2016,
MNRAS 463, 4223.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from nebulines.constants import SINC_FWHM_PER_WIDTH
from nebulines.errors import InputError

NM_PER_CM = 1e7
"""Nanometres in a centimetre: step lengths are in nm, wavenumbers in cm-1."""


def _check_scan(step_nm: float, order: int = 0, correction: Any = 1.0) -> None:
    if not (np.isfinite(step_nm) and step_nm > 0):
        raise InputError(f"the step of a scan must be a positive length [nm], not {step_nm}")
    if operator.index(order) < 0:
        raise InputError(f"the folding order must be 0 or more, not {order}")
    if np.any(np.asarray(correction) <= 0):
        raise InputError("the axis correction 1 / cos(theta) must be positive")


def free_range_cm1(step_nm: float, correction: Any = 1.0) -> Any:
    """Width of one folding order: correction 1e7 / (2 step) [cm-1].

    Args:
        step_nm: step of the optical path difference [nm].
        correction: 1 / cos(theta), scalar or (n,).

    Returns:
        Free spectral range [cm-1], shape of ``correction``.

    Example:
        >>> round(float(free_range_cm1(2943.0)), 3)
        1698.947
    """
    _check_scan(step_nm, correction=correction)
    return np.asarray(correction, float) * NM_PER_CM / (2.0 * step_nm)


def wavenumber_axis(n_steps: int, step_nm: float, order: int, correction: Any = 1.0) -> np.ndarray:
    """Wavenumber of each channel of a SITELLE spectrum.

    sigma_k = sigma_min + k dsigma, k = 0 ... n - 1, with dsigma = correction 1e7 / (2 n s) and
    sigma_min = order correction 1e7 / (2 s), plus dsigma when the order is odd (the transform of
    an odd order comes out mirrored, so that its last bin is one channel above the fold).

    Args:
        n_steps: number of steps n of the scan, which is also the number of channels.
        step_nm: step s [nm].
        order: folding order.
        correction: 1 / cos(theta), scalar or (n,).

    Returns:
        [cm-1], increasing, shape ``correction.shape + (n_steps,)``.

    Raises:
        InputError: no step, a step, order or correction that is not positive.

    Example:
        >>> axis = wavenumber_axis(842, 2943.0, 8, correction=1.04)
        >>> axis.shape, round(float(axis[0]), 3), round(float(axis[1] - axis[0]), 5)
        ((842,), 14135.236, 2.09846)
    """
    if operator.index(n_steps) < 1:
        raise InputError(f"a scan has one step or more, not {n_steps}")
    _check_scan(step_nm, order, correction)
    fold = order + (np.arange(n_steps) + order % 2) / n_steps
    return free_range_cm1(step_nm, correction)[..., None] * fold


def sinc_fwhm_cm1(
    n_steps: int, zpd_index: int, step_nm: float, correction: Any = 1.0, apodization: float = 1.0
) -> Any:
    """FWHM of the sinc line shape.

    FWHM = 1.20671 apodization correction 1e7 / (2 (n - z) s).

    Args:
        n_steps: number of steps n of the scan.
        zpd_index: step z of zero path difference, 0 <= z < n.
        step_nm: step s [nm].
        correction: 1 / cos(theta), scalar or (n,).
        apodization: broadening by apodisation, 1 = none.

    Returns:
        [cm-1], shape of ``correction``.

    Raises:
        InputError: z outside the scan, or a number that is not positive.

    Example:
        >>> round(float(sinc_fwhm_cm1(842, 168, 2943.0, correction=1.04)), 4)
        3.1634
    """
    if not 0 <= zpd_index < n_steps:
        raise InputError(
            f"zero path difference must lie within the scan of {n_steps} steps, not at {zpd_index}"
        )
    if not apodization > 0:
        raise InputError(f"apodization must be positive (1 = none), not {apodization}")
    width = free_range_cm1(step_nm, correction) / (n_steps - zpd_index)
    return SINC_FWHM_PER_WIDTH * apodization * width


def resolution(
    n_steps: int,
    zpd_index: int,
    order: int,
    apodization: float = 1.0,
    *,
    reference_cm1: float | None = None,
    step_nm: float | None = None,
    correction: Any = 1.0,
) -> Any:
    """Resolving power R = wavenumber / FWHM of a scan.

    Without ``reference_cm1`` the wavenumber is the middle of the folding order,
    (order + 1/2) correction 1e7 / (2 s), where step and correction cancel:
    R = (order + 1/2) (n - z) / (1.20671 apodization).

    Args:
        n_steps, zpd_index, apodization, correction, step_nm: as for `sinc_fwhm_cm1`;
            step and correction only matter with ``reference_cm1``.
        order: folding order.
        reference_cm1: wavenumber at which R is wanted [cm-1].

    Returns:
        R, scalar or the shape of ``correction``.

    Example:
        >>> round(float(resolution(842, 168, 8)))
        4748
    """
    if reference_cm1 is None:
        step, wavenumber = 1.0, free_range_cm1(1.0) * (operator.index(order) + 0.5)
        return wavenumber / sinc_fwhm_cm1(n_steps, zpd_index, step, 1.0, apodization)
    if step_nm is None:
        raise InputError("the resolution at a wavenumber needs the step [nm] of the scan")
    return reference_cm1 / sinc_fwhm_cm1(n_steps, zpd_index, step_nm, correction, apodization)
