"""A population of galaxies: stars, dust and lines that belong together.

A mass; a star-formation history (`star_formation`); metals after the mass-metallicity relation;
the light of the stellar basis (`starlight`); ionising photons of the same stars and the lines
they light (`ionised_gas`), with LINER-like gas and active nuclei; two components of dust
(Charlot & Fall 2000) and the velocity dispersion of the stars. The numbers stand in
``data/population.toml`` with their sources; docs/galaxies.md compares them with DESI.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.galaxies.population.ionised_gas import LINES
from nebulines.galaxies.population.light import (
    attenuation,
    broadened,
    continuum_level,
    d4000,
    light_age,
)
from nebulines.galaxies.population.numbers import table
from nebulines.galaxies.population.population import CLASSES, Population
from nebulines.galaxies.population.properties import Galaxies, draw_galaxies
from nebulines.galaxies.starlight.basis import load_starlight

_STILL_IN_CLOUDS = 7.1  # log10 of the age [yr] of stars behind the clouds' dust


def draw_population(
    n: int, seed: Any = 0, *, wavelength: tuple[float, float] = (3300.0, 9300.0)
) -> Population:
    """Draw galaxies.

    Args:
        n: number of galaxies. 18 kB each at the full range: take `population_blocks` for many.
        seed: anything that numpy takes; sets that train and sets that judge need different ones.
        wavelength: range of the continuum in air [Angstrom, rest frame], inside 3300 to 9300.

    Returns:
        `Population`.

    Raises:
        UsageError: no galaxies, or a range outside the stellar basis.

    Example:
        >>> galaxies = draw_population(4, seed=1)
        >>> galaxies.continuum.shape, bool((galaxies.continuum > 0).all())
        ((4, 4500), True)
    """
    if n < 1:
        raise UsageError(f"draw at least one galaxy, not {n}")
    rng = np.random.default_rng(seed)
    return _lit(draw_galaxies(n, rng), _part(wavelength))


def population_blocks(
    n: int, seed: int = 0, *, block: int = 4096, wavelength: tuple[float, float] = (3300.0, 9300.0)
) -> Iterator[Population]:
    """The same, block after block, for sets larger than memory.

    Block k has the seed (seed, k).

    Args:
        n, seed, wavelength: as in `draw_population`; the seed is a number.
        block: galaxies in a block.

    Yields:
        `Population` of each block.

    Example:
        >>> [len(part.kind) for part in population_blocks(5, block=3, wavelength=(4000, 4500))]
        [3, 2]
    """
    for k, start in enumerate(range(0, n, block)):
        yield draw_population(min(block, n - start), (seed, k), wavelength=wavelength)


def _part(limits: tuple[float, float]) -> slice:
    """Channels of the basis inside a range."""
    wave = load_starlight().wavelength_air
    low, high = limits
    if not (wave[0] - 1.0 <= low < high <= wave[-1] + 1.0):
        raise UsageError(
            f"the stellar basis reaches from {wave[0]:.0f} to {wave[-1]:.0f} Angstrom; "
            f"wavelength = ({low}, {high}) must lie inside, low before high"
        )
    return slice(int(np.searchsorted(wave, low - 0.5)), int(np.searchsorted(wave, high + 0.5)))


def _lit(drawn: Galaxies, part: slice) -> Population:
    """Light of galaxies whose properties are drawn."""
    stars = load_starlight()
    wave = stars.wavelength_air
    young = stars.log_age < _STILL_IN_CLOUDS
    weights = (drawn.weights * 10.0 ** drawn.log_mass[:, None]).astype(np.float32)
    light = (weights[:, young] @ stars.flux[young], weights[:, ~young] @ stars.flux[~young])
    continuum = broadened(light, drawn, wave)
    flux = drawn.line_flux * attenuation(drawn, LINES)
    ew = flux / continuum_level(wave, continuum, LINES)
    break_4000 = d4000(wave, continuum)
    return Population(
        wave[part],
        continuum[:, part],
        flux,
        ew,
        drawn.velocity_dispersion,
        drawn.gas_dispersion,
        _classes(drawn, ew[:, LINES.index("HALPHA6563")], break_4000),
        drawn.log_mass,
        drawn.log_sfr,
        drawn.gas.oxygen_abundance,
        drawn.gas.log_u,
        drawn.av,
        drawn.av_clouds,
        light_age(weights, stars.flux, stars.log_age, wave),
        break_4000,
    )


def _classes(drawn: Galaxies, halpha_ew: np.ndarray, break_4000: np.ndarray) -> np.ndarray:
    """Number of each galaxy's class; the last condition that holds counts."""
    row = table()["classes"]
    kind = np.zeros(len(halpha_ew), np.int8)
    weak = halpha_ew < row["weak_ew"]
    conditions = {
        "liner": drawn.old_gas > 0.5,
        "absorption": weak & (break_4000 < row["young_d4000"]),
        "quiescent": halpha_ew < row["quiescent_ew"],
        "post-starburst": drawn.post_starburst & weak,
        "agn": (drawn.nucleus > 0.4) & ~weak,
    }
    for name, condition in conditions.items():
        kind[condition] = CLASSES.index(name)
    return kind
