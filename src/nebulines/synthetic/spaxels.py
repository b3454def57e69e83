"""What a scene says of its spaxels, and round features that scenes are made of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Protocol

import numpy as np

from nebulines.spectra.cube import Block
from nebulines.synthetic.rendering import Kinematics


class Place(IntEnum):
    """What a spaxel shows most of."""

    UNKNOWN = 0
    DIFFUSE_GAS = 1
    HII_REGION = 2
    SHELL = 3


class Spaxels(NamedTuple):
    """What k spaxels show.

    Attributes:
        first, second: velocity components; where there is no second its velocity is NaN.
        snr: (k,) peak of the reference line over the noise, or None where the fluxes are in
            the unit of the data.
        level: (k,) continuum at the reference line, in units of the peak (of the noise where
            ``snr`` is None).
        ebv: (k,) colour excess, which the fluxes contain already.
        region: (k,) of `Place`.
        valid: (k,) False where there is nothing but noise.
    """

    first: Kinematics
    second: Kinematics | None
    snr: np.ndarray | None
    level: np.ndarray
    ebv: np.ndarray
    region: np.ndarray
    valid: np.ndarray


class Scene(Protocol):
    """Anything that a cube can be made of."""

    shape: tuple[int, int]

    def spaxels(self, block: Block) -> Spaxels:
        """What the spaxels of a block show, row by row."""


@dataclass(frozen=True)
class Spots:
    """Round features: places and sizes in spaxels, one value of each kind a spot."""

    y: np.ndarray
    x: np.ndarray
    radius: np.ndarray
    strength: np.ndarray

    def near(self, block: Block, reach: float) -> np.ndarray:
        """Numbers of the spots that reach into a block."""
        far = reach * self.radius
        inside = (self.y > block.y0 - far) & (self.y < block.y1 + far)
        inside &= (self.x > block.x0 - far) & (self.x < block.x1 + far)
        return np.flatnonzero(inside)

    def profile(self, k: int, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """A Gaussian of spot k's radius (1-sigma) and strength at some places."""
        away = ((y - self.y[k]) ** 2 + (x - self.x[k]) ** 2) / self.radius[k] ** 2
        return self.strength[k] * np.exp(-0.5 * away)
