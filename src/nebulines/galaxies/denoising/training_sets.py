"""Clean spectra of galaxies to learn from and to be judged on, balanced in H-alpha as the paper's.

Galaxies of `nebulines.galaxies.population` on the bins of `nebulines.networks.denoise_grid`: the
continuum averaged over each bin, the lines as Gaussians of the gas and of a line spread between
DESI's and SDSS's. Seen through a fibre at a redshift of 0.024 to 0.05, their H-alpha fluxes fall
into ten bins, equally filled, as in Scourfield et al. 2023, section 2. Training, validation and
test sets come from seeds of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.galaxies.population.drawing import CLASSES, Population, draw_population
from nebulines.lines import load_catalogue
from nebulines.networks.denoise_grid import N_BINS, bin_edges

LINES = (
    "OII3727",
    "NEIII3869",
    "HDELTA4102",
    "HGAMMA4340",
    "HBETA4861",
    "OIII5007",
    "OI6300",
    "HALPHA6563",
    "NII6583",
    "SII6716",
    "SII6731",
)
"""Lines that de-noised spectra are measured in; ``OII3727`` is the doublet."""

TRAINING, VALIDATION, TEST, LIBRARY = range(4)
"""Streams of random numbers."""
REDSHIFTS = (0.024, 0.05)
FLUX_BINS = np.linspace(0.2, 3.4, 11)
"""Edges of the bins of log10 of the H-alpha flux [1e-17 erg / s / cm2]."""
LINE_SPREAD_KMS = (30.0, 90.0)
"""1-sigma of the line spread, drawn evenly."""
_FIBRE = (-0.6, 0.2)  # log10 of the share of the light that a fibre takes: mean and spread
_RANGE = (3650.0, 7950.0)
_BLOCK = 4096
_WINDOW = 9


class CleanSet(NamedTuple):
    """n noise-free galaxies of unit norm.

    Attributes:
        spectra: (n, 825) float32, the sum of squares of each is 1.
        line_flux: (n, L) of `LINES` [unit of the spectra times Angstrom].
        ew: (n, L) [Angstrom].
        kind: (n,) number of the class in `population.CLASSES`.
        log_mass: (n,) log10 of the stellar mass [solar].
        log_sfr: (n,) log10 of the star-formation rate [solar masses / yr].
        log_halpha: (n,) log10 of the H-alpha flux through the fibre [1e-17 erg / s / cm2].
    """

    spectra: np.ndarray
    line_flux: np.ndarray
    ew: np.ndarray
    kind: np.ndarray
    log_mass: np.ndarray
    log_sfr: np.ndarray
    log_halpha: np.ndarray

    def __len__(self) -> int:
        return len(self.spectra)

    def rows(self, index: Any) -> CleanSet:
        """A part of the galaxies."""
        return CleanSet(*(part[index] for part in self))


def clean_set(n: int, seed: int, stream: int, *, star_forming: bool = False) -> CleanSet:
    """Clean galaxies, a tenth in each bin of H-alpha flux.

    Args:
        n: number of galaxies.
        seed: any whole number.
        stream: `TRAINING`, `VALIDATION`, `TEST` or `LIBRARY`.
        star_forming: class ``emission`` alone, in the paper's narrower range of fluxes
            (10^1.4 to 10^3.2), as for its mass-metallicity relation.

    Returns:
        `CleanSet`, in random order.

    Example:
        >>> galaxies = clean_set(40, 0, TEST)
        >>> galaxies.spectra.shape, np.square(galaxies.spectra).sum(axis=1).round(3).max()
        ((40, 825), np.float32(1.0))
    """
    edges = np.linspace(1.4, 3.2, 11) if star_forming else FLUX_BINS
    wanted = np.diff(np.round(np.linspace(0, n, len(edges))).astype(int))
    parts: list[CleanSet] = []
    for block in _blocks(seed, stream, n):
        if star_forming:
            block = block.rows(block.kind == CLASSES.index("emission"))
        chosen = []
        for k in range(len(wanted)):
            inside = (block.log_halpha >= edges[k]) & (block.log_halpha < edges[k + 1])
            rows = np.flatnonzero(inside)[: wanted[k]]
            wanted[k] -= len(rows)
            chosen.append(rows)
        parts.append(block.rows(np.concatenate(chosen)))
        if not wanted.any():
            break
    whole = CleanSet(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    return whole.rows(np.random.default_rng([seed, stream, n]).permutation(len(whole)))


def _blocks(seed: int, stream: int, n: int) -> Iterator[CleanSet]:
    block = max(min(_BLOCK, 2 * n), 256)
    k = 0
    while True:
        rng = np.random.default_rng([seed, stream, k, 1])
        yield rendered(draw_population(block, (seed, stream, k), wavelength=_RANGE), rng)
        k += 1


def rendered(galaxies: Population, rng: np.random.Generator) -> CleanSet:
    """Spectra on the bins, of unit norm, with fluxes of the lines in the same unit."""
    spread = rng.uniform(*LINE_SPREAD_KMS, len(galaxies.kind))
    sigma = np.hypot(galaxies.gas_dispersion, spread)
    spectra = rebinned(galaxies.wavelength_air, galaxies.continuum)
    spectra += line_light(galaxies, sigma)
    norm = np.sqrt(np.sum(np.square(spectra), axis=1, keepdims=True))
    by_name = dict(zip(galaxies.lines, galaxies.flux.T, strict=True))
    by_name["OII3727"] = by_name["OII3726"] + by_name["OII3729"]
    flux = np.stack([by_name[name] for name in LINES], axis=1)
    ew = np.stack([galaxies.line_ew[name] for name in LINES], axis=1)
    return CleanSet(
        (spectra / norm).astype(np.float32),
        (flux / norm).astype(np.float32),
        ew.astype(np.float32),
        galaxies.kind,
        galaxies.log_mass,
        galaxies.log_sfr,
        _seen_halpha(by_name["HALPHA6563"], rng),
    )


def rebinned(wavelength: np.ndarray, continuum: np.ndarray) -> np.ndarray:
    """Mean (n, 825) over each bin of continua (n, m) on a grid even in the logarithm.

    Example:
        >>> wave = np.geomspace(3600.0, 8000.0, 3500)
        >>> bool(np.allclose(rebinned(wave, np.ones((1, 3500))), 1.0))
        True
    """
    step = np.log(wavelength[1] / wavelength[0])
    place = (np.log(bin_edges() / wavelength[0])) / step + 0.5
    whole = np.floor(place).astype(int)
    total = np.zeros((len(continuum), continuum.shape[1] + 1))
    np.cumsum(continuum, axis=1, out=total[:, 1:])
    at_edge = total[:, whole] + (place - whole) * continuum[:, whole]
    return np.diff(at_edge, axis=1) / np.diff(place)


def line_light(galaxies: Population, sigma_kms: np.ndarray) -> np.ndarray:
    """Lines (n, 825), means over the bins, of Gaussians of width ``sigma_kms`` (n,)."""
    from scipy.special import ndtr

    edges = bin_edges()
    light = np.zeros((len(sigma_kms), N_BINS))
    centres = load_catalogue().select(galaxies.lines).wavelength_air
    for centre, flux in zip(centres, galaxies.flux.T, strict=True):
        middle = int(np.searchsorted(edges, centre))
        part = slice(max(middle - _WINDOW, 0), min(middle + _WINDOW, N_BINS + 1))
        if part.stop - part.start < 2 or not edges[0] < centre < edges[-1]:
            continue
        steps = ndtr(SPEED_OF_LIGHT_KMS * (edges[part] / centre - 1.0) / sigma_kms[:, None])
        density = np.diff(steps, axis=1) / np.diff(edges[part])
        light[:, part.start : part.stop - 1] += flux[:, None] * density
    return light


def _seen_halpha(luminosity: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """log10 of the H-alpha flux through a fibre [1e-17 erg / s / cm2] at a random redshift, the
    same number of galaxies in the same volume."""
    low, high = np.power(REDSHIFTS, 3)
    redshift = np.cbrt(rng.uniform(low, high, len(luminosity)))
    distance_mpc = SPEED_OF_LIGHT_KMS * redshift * (1.0 + 0.75 * redshift) / 70.0
    per_area = 3.828e33 / (4.0 * np.pi * np.square(3.0857e24 * distance_mpc))
    share = 10.0 ** rng.normal(*_FIBRE, len(luminosity))
    return np.log10(np.maximum(luminosity * share * per_area, 1e-30)) + 17.0
