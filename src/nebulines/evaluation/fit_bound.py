"""The Cramer-Rao bound of what a fit leaves free: its lines, its continuum, its windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.evaluation.cramer_rao import Bound, cramer_rao
from nebulines.fitting.config import FitConfig
from nebulines.fitting.line_spread import line_spread_of
from nebulines.fitting.problem import build_line_model
from nebulines.spectra import Spectra

_WINDOW_KMS = 1400.0  # the fit's window ends 1200 km/s from the lines; serves every velocity drawn


def bound_of(
    spectra: Spectra, truth: Mapping[str, Any], config: FitConfig, lines: Sequence[str]
) -> Bound:
    """Cramer-Rao bound with the continuum that the fit leaves free: one polynomial, or one in
    each window of lines (the windows' information on velocity and broadening adds up).

    Args:
        spectra: with variance, line spread and redshift; the flux is not used.
        truth: columns ``velocity``, ``broadening`` and ``NAME_flux``, each (n,).
        config: options with explicit lines, the same ones as ``lines`` in any order.
        lines: names, in the order of the bound's fluxes.

    Returns:
        `Bound`.

    Example:
        >>> from nebulines.synthetic import simulate
        >>> truth, spectra = simulate("sitelle-sn3", 2, 1, lines=["HALPHA6563"], snr=(9.0, 9.0))
        >>> config = FitConfig(lines=("HALPHA6563",))
        >>> bound_of(spectra, truth, config, ["HALPHA6563"]).fluxes.shape
        (2, 1)
    """
    model = build_line_model(config, spectra.axis, line_spread_of(spectra, config)[0])
    names = list(model.catalogue.names)
    fluxes = np.stack([np.asarray(truth[f"{name}_flux"], float) for name in names], axis=1)
    parts = []
    for window in model.windows:
        inside = list(window)
        parts.append(
            cramer_rao(
                _only(spectra, model.rest[inside], alone=model.band),
                model.rest[inside],
                velocity_kms=truth["velocity"],
                broadening_kms=truth["broadening"],
                fluxes=fluxes[:, inside],
                continuum_order=model.continuum_order,
            )
        )
    bound = parts[0] if len(parts) == 1 else combine(parts, fluxes)
    return _in_order(bound, [names.index(name) for name in lines])


def _only(spectra: Spectra, rest: np.ndarray, *, alone: bool) -> Spectra:
    """Spectra with the channels far from the lines masked."""
    if alone:
        return spectra
    assert spectra.redshift is not None
    wave = spectra.axis.wavelength()
    low, high = (rest[k] * (1 + spectra.redshift[:, None]) for k in (0, -1))
    reach = _WINDOW_KMS / SPEED_OF_LIGHT_KMS
    return replace(spectra, mask=(wave < low * (1 - reach)) | (wave > high * (1 + reach)))


def combine(parts: list[Bound], fluxes: np.ndarray) -> Bound:
    """One bound from windows that share velocity and broadening and nothing else.

    The covariance C of a window gives its information on the two, (C_tt)^-1, which adds up; the
    fluxes of a window follow from C_ff - R (C_tt - T) R^T with R = C_ft C_tt^-1, T the combined
    covariance of the two.

    Args:
        parts: bound of each window.
        fluxes: (n, L) true fluxes, the windows' one after another.

    Returns:
        `Bound` without a continuum.

    Example:
        >>> one = Bound(np.ones(1), np.ones(1), np.ones((1, 1)), np.ones((1, 0)),
        ...             np.eye(3)[None], np.ones((1, 1)))
        >>> combine([one, one], np.ones((1, 2))).velocity_kms.round(3).tolist()
        [0.707]
    """
    n, n_lines = fluxes.shape
    kinematic = np.linalg.inv(sum(np.linalg.inv(part.covariance[:, :2, :2]) for part in parts))
    total = np.zeros((n, 2 + n_lines, 2 + n_lines))
    total[:, :2, :2] = kinematic
    response, first = [], 2
    for part in parts:
        count = part.truth.shape[1]
        inside = slice(2, 2 + count)
        slope = part.covariance[:, inside, :2] @ np.linalg.inv(part.covariance[:, :2, :2])
        own = part.covariance[:, inside, inside]
        own = own - slope @ part.covariance[:, :2, inside]
        here = slice(first, first + count)
        total[:, here, here] = own
        response.append(slope)
        first += count
    slopes = np.concatenate(response, axis=1)
    total[:, 2:, 2:] += slopes @ kinematic @ slopes.swapaxes(1, 2)
    total[:, 2:, :2] = slopes @ kinematic
    total[:, :2, 2:] = total[:, 2:, :2].swapaxes(1, 2)
    sigma = np.sqrt(np.einsum("npp->np", total))
    return Bound(sigma[:, 0], sigma[:, 1], sigma[:, 2:], sigma[:, :0], total, fluxes)


def _in_order(bound: Bound, order: list[int]) -> Bound:
    pick = np.array([0, 1, *(2 + i for i in order)])
    return Bound(
        bound.velocity_kms,
        bound.broadening_kms,
        bound.fluxes[:, order],
        bound.continuum,
        bound.covariance[:, pick[:, None], pick] if order else bound.covariance,
        bound.truth[:, order],
    )
