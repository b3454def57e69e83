"""The noise that a fit leaves, and channels that stand out of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nebulines.constants import (
    FWHM_PER_SIGMA,
    SINC_FWHM_PER_WIDTH,
)
from nebulines.fitting.fitted import Fitted
from nebulines.fitting.problem import Geometry


class Noise(NamedTuple):
    """What the residuals say about the noise, per spectrum.

    Attributes:
        factor: (n,) multiplies the normalised noise (1 when the file's variance is used).
        reduced_chi2: (n,) of the whole fit.
        level: (n,) rms of line-free residuals in units of the noise used.
    """

    factor: np.ndarray
    reduced_chi2: np.ndarray
    level: np.ndarray


def measure_noise(fitted: Fitted, n_parameters: np.ndarray, estimated: bool) -> Noise:
    """Noise factor and reduced chi2.

    Unknown noise is estimated from line-free residuals (all residuals when fewer than 20
    channels are free of lines).
    """
    free_sum, free_count = fitted.line_free.T.astype(float)
    dof = np.maximum(fitted.n_used - n_parameters, 1)
    share = dof / np.maximum(fitted.n_used, 1)
    overall = fitted.chi2 / dof
    enough = free_count >= 20
    line_free = np.where(enough, free_sum / np.maximum(free_count * share, 1), overall)
    line_free = np.where(line_free > 0, line_free, 1.0)
    square = line_free if estimated else np.ones_like(line_free)
    return Noise(np.sqrt(square), overall / square, np.sqrt(line_free / square))


def lonely_channel(fitted: Fitted) -> np.ndarray:
    """(n,) bool: a residual of one or two channels that noise does not explain."""
    variance = fitted.profile[:, 3]
    return fitted.outlier > OUTLIER_SIGMA * np.sqrt(np.maximum(variance, 1.0))


def channels_tell(geometry: Geometry) -> bool:
    """Whether a hot channel looks different from a line: its spread spans enough channels."""
    fwhm = geometry.widths(np.zeros(1)) * (SINC_FWHM_PER_WIDTH if geometry.sinc else FWHM_PER_SIGMA)
    spacing = np.abs(np.diff(np.atleast_2d(geometry.axis.values)[0]))
    return len(spacing) > 0 and bool(np.nanmedian(fwhm) > SHARP_CHANNELS * np.median(spacing))


SHARP_CHANNELS = 1.8
"""A line-spread function of fewer channels (FWHM) cannot be told from a hot channel."""
OUTLIER_SIGMA = 6.5
