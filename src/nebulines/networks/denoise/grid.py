"""The bins that spectra of galaxies are de-noised on: 825, logarithmic, 3700 to 7900 Angstrom.

Rest frame, wavelengths in air as everywhere in the package; a bin is 276 km/s wide.

Source: Scourfield et al. 2023, MNRAS 526, 3037, section 2 (who do not say air or vacuum).
"""

from __future__ import annotations

import numpy as np

N_BINS = 825
SHORTEST, LONGEST = 3700.0, 7900.0
"""Edges of the first and the last bin [Angstrom]."""
LOG_STEP = float(np.log(LONGEST / SHORTEST)) / N_BINS
"""Width of a bin in the logarithm of the wavelength."""


def bin_edges(beyond: int = 0) -> np.ndarray:
    """Edges (826,) of the bins [Angstrom, air], and of so many more beyond each end.

    Example:
        >>> bin_edges()[[0, -1]].round(6).tolist()
        [3700.0, 7900.0]
    """
    if not beyond:
        return np.geomspace(SHORTEST, LONGEST, N_BINS + 1)
    return np.asarray(SHORTEST * np.exp(LOG_STEP * np.arange(-beyond, N_BINS + beyond + 1)))


def bin_centres() -> np.ndarray:
    """Centres (825,) of the bins in the logarithm [Angstrom, air].

    Example:
        >>> len(bin_centres())
        825
    """
    edges = bin_edges()
    return np.sqrt(edges[:-1] * edges[1:])


def unit_norm(spectra: np.ndarray) -> np.ndarray:
    """Spectra (n, 825) divided by the root of the sum of their squares, as the paper does.

    Example:
        >>> unit_norm(np.array([[3.0, 4.0]])).tolist()
        [[0.6, 0.8]]
    """
    norm = np.sqrt(np.sum(np.square(spectra), axis=-1, keepdims=True))
    return spectra / np.where(norm > 0, norm, 1.0)
