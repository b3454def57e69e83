"""Gas lines on the rest-frame grid: which channels they may reach, their profiles, and where the
continuum beside them is."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.galaxies.denoising.rest_grid import CHANNEL_KMS, RestGrid
from nebulines.galaxies.widths.equivalent_widths import masked_lines
from nebulines.galaxies.widths.line_masks import HALF_WIDTH_KMS
from nebulines.kept_programs import keep_programs
from nebulines.lines import load_catalogue
from nebulines.spectral_axis import Medium

SIDES_NEAR = 25.0
SIDES_FAR = 90.0
"""The continuum of an equivalent width is the mean this far from the line [Angstrom]."""


def reached_by(
    grid: RestGrid, rest: np.ndarray, *, half_width_kms: float = HALF_WIDTH_KMS
) -> np.ndarray:
    """(p,) bool: channels within ``half_width_kms`` of lines at rest wavelengths (L,) [Angstrom].

    Example:
        >>> grid = RestGrid.covering(6400.0, 6700.0)
        >>> reached = reached_by(grid, np.array([6562.8]))
        >>> bool(reached[0]), bool(reached[int(grid.channel(6562.8))])
        (False, True)
    """
    speed = SPEED_OF_LIGHT_KMS * np.log(grid.wavelength[:, None] / np.asarray(rest))
    return np.asarray((np.abs(speed) < half_width_kms).any(axis=1))


def known_lines(medium: Medium) -> np.ndarray:
    """Rest wavelengths [Angstrom] of the lines that galaxies show: the default ones of the
    catalogue and those masked for equivalent widths.

    Example:
        >>> len(known_lines("air")) > 15
        True
    """
    catalogue = load_catalogue()
    names = [*catalogue.defaults().names, *masked_lines()]
    return catalogue.select(names).wavelength(medium)


class LinePlaces(NamedTuple):
    """Where n spectra have L lines on the grid: centre and Gaussian sigma (n, L) [channels]."""

    centre: np.ndarray
    sigma: np.ndarray


def line_places(
    grid: RestGrid,
    rest: np.ndarray,
    *,
    velocity_kms: np.ndarray,
    broadening_kms: np.ndarray,
    spread: np.ndarray,
    offset: np.ndarray,
) -> LinePlaces:
    """Centres and widths of lines.

    Args:
        grid: the channels.
        rest: (L,) rest wavelengths [Angstrom] in the medium of the grid.
        velocity_kms, broadening_kms: (n,) of the gas.
        spread: (n, L) sigma of the line spread [channels].
        offset: (n,) of the spectra on the grid (`OnGrid.offset`).
    """
    doppler = grid.channel(rest * (1.0 + velocity_kms[:, None] / SPEED_OF_LIGHT_KMS))
    sigma = np.hypot(spread, broadening_kms[:, None] / CHANNEL_KMS)
    return LinePlaces(doppler - offset[:, None], np.maximum(sigma, 0.2))


@keep_programs()
def line_profiles(
    centre: jax.Array, sigma: jax.Array, channel: jax.Array, width: jax.Array
) -> jax.Array:
    """Mean of a Gaussian of unit flux over channels, (n, L, m) per Angstrom.

    Args:
        centre, sigma: (n, L) [channels].
        channel: (m,) numbers of the channels.
        width: (m,) of the channels [Angstrom].
    """
    offset = channel - centre[..., None]
    above, below = (
        jax.scipy.special.ndtr((offset + half) / sigma[..., None]) for half in (0.5, -0.5)
    )
    return (above - below) / width


def sides(grid: RestGrid, rest: np.ndarray) -> np.ndarray:
    """Weights (L, p) of the channels beside each line; rows of zeros where there are none.

    Example:
        >>> weights = sides(RestGrid.covering(6400.0, 6700.0), np.array([6562.8, 9000.0]))
        >>> weights.sum(axis=1).round(6).tolist()
        [1.0, 0.0]
    """
    offset = grid.wavelength - rest[:, None]
    parts = []
    for side in (-offset, offset):
        inside = (side > SIDES_NEAR) & (side < SIDES_FAR)
        parts.append(inside / np.maximum(inside.sum(axis=1, keepdims=True), 1))
    both = parts[0] + parts[1]
    total = both.sum(axis=1, keepdims=True)
    return np.asarray(both / np.where(total > 0, total, 1.0))


def sums_beside(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``values @ weights.T`` for values (n, p) and weights (L, p) that are 0 nearly everywhere.

    Example:
        >>> sums_beside(np.array([[1.0, 2.0, 4.0]]), np.array([[0.0, 1.0, 0.5]])).tolist()
        [[4.0]]
    """
    sums = np.zeros((len(values), len(weights)))
    for i, row in enumerate(weights):
        some = np.flatnonzero(row)
        if len(some):
            here = slice(some[0], some[-1] + 1)
            sums[:, i] = np.einsum("np,p->n", values[:, here], row[here])
    return sums
