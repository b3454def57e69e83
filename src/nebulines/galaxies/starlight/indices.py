"""Absorption-line indices of the Lick system, to compare starlight with."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.errors import UsageError


def index_names() -> tuple[str, ...]:
    """Names of the indices.

    Example:
        >>> "Hbeta" in index_names()
        True
    """
    return tuple(_bands())


def lick_index(wavelength: Any, flux: Any, name: str) -> np.ndarray:
    """Equivalent width of an absorption feature, positive in absorption.

    EW = integral of 1 - F / C over the index band, C the straight line between the mean fluxes
    of the two side bands at their centres. The spectra are taken as they are: no correction to
    the resolution of the Lick system.

    Args:
        wavelength: (m,) increasing, rest frame, air [Angstrom].
        flux: (n, m) per Angstrom.
        name: one of `index_names`.

    Returns:
        (n,) [Angstrom].

    Raises:
        UsageError: an unknown index, or a spectrum that does not cover it.

    Source: Worthey et al. 1994, ApJS 94, 687, eq. 1 and 2.

    Example:
        >>> wave = np.arange(4800.0, 4900.0, 0.5)
        >>> line = 1.0 - 0.5 * (abs(wave - 4861.3) < 2.0)
        >>> float(lick_index(wave, line[None], "Hbeta").round(1)[0])
        2.0
    """
    bands = _bands()
    if name not in bands:
        raise UsageError(f"unknown index {name!r}; known: {', '.join(bands)}")
    row = bands[name]
    wavelength, flux = np.asarray(wavelength, float), np.atleast_2d(np.asarray(flux, float))
    low, high = row["blue"][0], row["red"][1]
    if wavelength[0] > low or wavelength[-1] < high:
        raise UsageError(f"the index {name} needs wavelengths from {low} to {high} Angstrom")
    means, centres = [], []
    for side in ("blue", "red"):
        width = row[side][1] - row[side][0]
        means.append(_integral(wavelength, flux, *row[side]) / width)
        centres.append(np.mean(row[side]))
    slope = (means[1] - means[0]) / (centres[1] - centres[0])
    continuum = means[0][:, None] + slope[:, None] * (wavelength - centres[0])
    first, last = row["index"]
    ratio = np.divide(flux, continuum, out=np.ones_like(flux), where=continuum != 0)
    return np.asarray(_integral(wavelength, 1.0 - ratio, first, last))


def _integral(wavelength: np.ndarray, values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Integral (n,) between two wavelengths; channels count in part at the ends."""
    middle = 0.5 * (wavelength[1:] + wavelength[:-1])
    edges = np.concatenate(
        [[2 * wavelength[0] - middle[0]], middle, [2 * wavelength[-1] - middle[-1]]]
    )
    share = np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0.0, None)
    return np.asarray(values @ share)


@functools.cache
def _bands() -> dict[str, dict[str, list[float]]]:
    path = Path(__file__).parent / "data" / "indices.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))
