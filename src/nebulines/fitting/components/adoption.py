"""Whether two components are adopted, or one was enough."""

from __future__ import annotations

import numpy as np

from nebulines.fitting.columns import PROFILE_AMPLITUDE, count_parameters
from nebulines.fitting.components.pairs import Pairs, significance
from nebulines.fitting.fitted import Fitted
from nebulines.fitting.noise import lonely_channel, measure_noise
from nebulines.fitting.problem import LineModel


def adopt(
    single: Fitted, pairs: Pairs, doubled: LineModel, estimated: bool, channels_tell: bool
) -> np.ndarray:
    """(n,) bool: the gain exceeds the Bayesian information criterion's penalty for the second
    component's velocity, broadening and detected lines, and both components are detected; where
    ``channels_tell`` a hot channel from a line, also: in two lines where a channel was hot, and
    none is left.

    Args:
        single, pairs: the fits of one component and of two.
        doubled: the line model of two.
        estimated: the noise is not known but estimated.
        channels_tell: lines are wider than one channel.

    Source: Schwarz 1978, Annals of Statistics 6, 461.
    """
    n_parameters = np.full(len(single.chi2), count_parameters(doubled))
    noise = measure_noise(pairs.fitted, n_parameters, estimated)
    level = noise.factor * noise.level
    variance = np.diagonal(single.area_covariance, axis1=1, axis2=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        detected = (single.area / np.sqrt(variance) > 3.0 * level[:, None]).sum(axis=1)
    n_kinematic = doubled.n_groups // 2 * (1 if doubled.frozen_width else 2)
    penalty = (n_kinematic + detected) * np.log(np.maximum(single.n_used, 2))
    faint = np.minimum(*significance(pairs.fitted)) / level
    hot = np.zeros(len(faint), bool)
    if channels_tell:
        unconfirmed = _lines_seen(pairs.fitted, level) < 2
        hot = lonely_channel(pairs.fitted) | (lonely_channel(single) & unconfirmed)
    first, second = (part.max(axis=1) for part in np.split(pairs.fitted.area, 2, axis=1))
    return (
        (pairs.gain > penalty * level**2)
        & (faint > 5.0)
        & (second > PROFILE_AMPLITUDE * first)
        & pairs.fitted.converged
        & ~hot
    )


def _lines_seen(fitted: Fitted, level: np.ndarray) -> np.ndarray:
    """(n,) number of lines above 3 sigma in the component that has fewer of them."""
    variance = np.diagonal(fitted.area_covariance, axis1=1, axis2=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = fitted.area / np.sqrt(variance) > 3.0 * level[:, None]
    return np.minimum(*(part.sum(axis=1) for part in np.split(seen, 2, axis=1)))
