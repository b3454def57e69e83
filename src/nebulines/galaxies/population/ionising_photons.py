"""How many ionising photons stars emit as they age, and the H-alpha that these light."""

from __future__ import annotations

import functools

import numpy as np

from nebulines.galaxies.population.numbers import table
from nebulines.galaxies.population.star_formation import AGE_EDGES, AGES


def photon_rate(metallicity: float | np.ndarray = 0.0) -> np.ndarray:
    """Mean rate of hydrogen-ionising photons of the stars of each bin of age.

    Constant for 3.2 Myr, then falling as age^-4.5 down to the rate of old stars; the integral
    is that of Kennicutt's calibration of the star-formation rate, and falls by 0.2 dex per dex
    of metallicity.

    Args:
        metallicity: (...) log10 over the Sun's.

    Returns:
        (..., 46) photons a second and solar mass formed.

    Source: Kennicutt 1998; Schaerer 2003; Cid Fernandes et al. 2011 (``data/population.toml``).

    Example:
        >>> photon_rate()[[0, -1]].round(-40) > 0
        array([ True,  True])
    """
    young = 10.0 ** (table()["photons"]["with_metallicity"] * np.asarray(metallicity))
    return young[..., None] * _young_rate() + old_rate()


@functools.cache
def _young_rate() -> np.ndarray:
    """Rate (46,) of the young stars, averaged over the bins."""
    row = table()["photons"]
    power, knee = row["decline"], row["plateau"]
    fine = np.concatenate([[0.0], np.geomspace(1e5, AGE_EDGES[-1], 4000)])
    shape = np.minimum(1.0, (np.maximum(fine, 1.0) / knee) ** power)
    steps = 0.5 * (shape[1:] + shape[:-1]) * np.diff(fine)
    so_far = np.interp(AGE_EDGES, fine, np.concatenate([[0.0], np.cumsum(steps)]))
    scale = row["total"] / (so_far[-1] * table()["photons"]["year"])
    return scale * np.diff(so_far) / np.diff(AGE_EDGES)


def old_rate() -> np.ndarray:
    """Rate (46,) of old stars [1 / s and solar mass formed]; 0 while they are young.

    Example:
        >>> float(old_rate()[0])
        0.0
    """
    row = table()["photons"]
    return np.where(row["old_from"] <= AGES, 10.0 ** row["old"], 0.0)


def halpha_luminosity(photons: np.ndarray) -> np.ndarray:
    """H-alpha [solar luminosities] of ionising photons a second, case B at 10^4 K.

    Example:
        >>> float(halpha_luminosity(np.array(1e53)).round(-5))
        35800000.0
    """
    row = table()["photons"]
    return row["halpha_energy"] / row["solar_luminosity"] * np.asarray(photons)
