"""Where the fit of two components may begin, told from that of one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SPLITS = (0.5, 0.8, 1.1)
"""Half distances of a split profile in sigma of the fitted line."""
COMPANIONS = (1.5, 2.5, 4.0, 6.0, 8.0)
"""Distances of a companion in sigma of the fitted line."""
FEET = (-0.8, 0.0, 0.8)
"""Offsets of a broad foot in sigma of the fitted line."""


class Kinematics(NamedTuple):
    """Velocities and broadenings of two components, each (n,) [km/s]."""

    velocity: np.ndarray
    broadening: np.ndarray
    velocity_2: np.ndarray
    broadening_2: np.ndarray


def candidates(
    velocity: np.ndarray, broadening: np.ndarray, lsf: np.ndarray
) -> list[list[Kinematics]]:
    """Families of start values around the fit of one component.

    Args:
        velocity, broadening: (n,) of the fit [km/s].
        lsf: (n,) Gaussian sigma of the line spread [km/s].

    Returns:
        Families of `Kinematics`.
    """
    total = np.hypot(lsf, broadening)

    def split(d: float) -> Kinematics:
        own = np.sqrt(np.maximum(broadening**2 - (d * total) ** 2, (0.3 * lsf) ** 2))
        return Kinematics(velocity - d * total, own, velocity + d * total, own)

    def companion(d: float) -> Kinematics:
        return Kinematics(velocity, broadening, velocity + d * total, broadening)

    def foot(d: float) -> Kinematics:
        return Kinematics(velocity, 0.6 * broadening, velocity + d * total, 2.0 * total)

    return [
        [split(d) for d in SPLITS],
        [companion(-d) for d in COMPANIONS],
        [companion(d) for d in COMPANIONS],
        [foot(d) for d in FEET],
    ]
