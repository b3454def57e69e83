"""Clean spectra of galaxies to learn from and to be judged on, balanced in H-alpha as the paper's.

Galaxies of `nebulines.galaxies.population` on the bins of `nebulines.networks.denoise.grid`: the
continuum averaged over each bin, the lines as Gaussians of the gas and of a line spread between
DESI's and SDSS's. Seen through a fibre at a redshift of 0.024 to 0.05, their H-alpha fluxes fall
into ten bins, equally filled, as in Scourfield et al. 2023, section 2. Training, validation and
test sets come from seeds of their own.

Of a training set a part is varied: galaxies unlike those of the population (stronger and weaker
lines, other ratios, widths, errors of velocity and flux calibration), for real galaxies are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.galaxies.population.drawing import draw_population
from nebulines.galaxies.population.population import CLASSES, Population
from nebulines.lines import load_catalogue
from nebulines.networks.denoise.grid import N_BINS, bin_edges

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
_MARGIN = 50.0  # [Angstrom] of continua beyond the bins
_BLOCK = 4096
_WINDOW = 9
_SPECIES = ("OII", "OIII", "NEIII", "NII", "SII", "OI", "ARIII", "SIII", "HEI")
_COMMON_DEX, _SPECIES_DEX = 0.5, 0.45
_REDDENING_DEX = 0.24
_AMOUNT = (0.2, 1.2)
_WIDER_KMS, _OFFSET_KMS = 180.0, 50.0
_TILT = 0.12
"""Of varied galaxies: scatter of log10 of all fluxes, of each species, of H-alpha over H-gamma;
all this times an amount of each galaxy; added width and offset in velocity; first polynomial of
the continuum's logarithm."""


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
        varied: (n,) whether it is unlike the population.
    """

    spectra: np.ndarray
    line_flux: np.ndarray
    ew: np.ndarray
    kind: np.ndarray
    log_mass: np.ndarray
    log_sfr: np.ndarray
    log_halpha: np.ndarray
    varied: np.ndarray

    def __len__(self) -> int:
        return len(self.spectra)

    def rows(self, index: Any) -> CleanSet:
        """A part of the galaxies."""
        return CleanSet(*(part[index] for part in self))


def clean_set(
    n: int,
    seed: int,
    stream: int,
    *,
    star_forming: bool = False,
    varied: bool = False,
    beyond: int = 0,
) -> CleanSet:
    """Clean galaxies, a tenth in each bin of H-alpha flux.

    Args:
        n: number of galaxies.
        seed: any whole number.
        stream: `TRAINING`, `VALIDATION`, `TEST` or `LIBRARY`.
        star_forming: class ``emission`` alone, in the paper's narrower range of fluxes
            (10^1.4 to 10^3.2), as for its mass-metallicity relation.
        varied: galaxies unlike those of the population, made of its own.
        beyond: bins beyond each end that the spectra have too, on top of 825.

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
    for block in _blocks(seed, stream, n, varied, beyond):
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


def _blocks(seed: int, stream: int, n: int, varied: bool, beyond: int) -> Iterator[CleanSet]:
    block = max(min(_BLOCK, 2 * n), 256)
    ends = bin_edges(beyond)[[0, -1]] + [-_MARGIN, _MARGIN]
    k = 0
    while True:
        number = (seed, stream, k, 7) if varied else (seed, stream, k)
        rng = np.random.default_rng([*number, 1])
        galaxies = draw_population(block, number, wavelength=(ends[0], ends[1]))
        yield rendered(galaxies, rng, varied=varied, beyond=beyond)
        k += 1


def rendered(
    galaxies: Population, rng: np.random.Generator, *, varied: bool = False, beyond: int = 0
) -> CleanSet:
    """Spectra on the bins and so many beyond each end, of unit norm on the bins, with fluxes of the
    lines in the same unit."""
    edges = bin_edges(beyond)
    n = len(galaxies.kind)
    sigma = np.hypot(galaxies.gas_dispersion, rng.uniform(*LINE_SPREAD_KMS, n))
    spectra = rebinned(galaxies.wavelength_air, galaxies.continuum, edges)
    change, velocity = np.ones_like(galaxies.flux), np.zeros(n)
    if varied:
        change = varied_strengths(galaxies.lines, n, rng)
        sigma = np.hypot(sigma, rng.normal(0.0, _WIDER_KMS, n))
        velocity = rng.normal(0.0, _OFFSET_KMS, n)
        spectra *= _miscalibration(n, rng, beyond)
    flux = change * galaxies.flux
    spectra += line_light(galaxies.lines, flux, sigma, velocity, edges)
    inside = spectra[:, beyond : beyond + N_BINS]
    norm = np.sqrt(np.sum(np.square(inside), axis=1, keepdims=True))
    fluxes = dict(zip(galaxies.lines, flux.T, strict=True))
    fluxes["OII3727"] = fluxes["OII3726"] + fluxes["OII3729"]
    widths = dict(zip(galaxies.lines, (change * galaxies.ew).T, strict=True))
    widths["OII3727"] = widths["OII3726"] + widths["OII3729"]
    return CleanSet(
        (spectra / norm).astype(np.float32),
        (np.stack([fluxes[name] for name in LINES], axis=1) / norm).astype(np.float32),
        np.stack([widths[name] for name in LINES], axis=1).astype(np.float32),
        galaxies.kind,
        galaxies.log_mass,
        galaxies.log_sfr,
        _seen_halpha(galaxies.flux[:, galaxies.lines.index("HALPHA6563")], rng),
        np.full(n, varied),
    )


def varied_strengths(lines: Sequence[str], n: int, rng: np.random.Generator) -> np.ndarray:
    """Factors (n, line) on line fluxes: one for all lines, one for each species, and one that
    reddens.

    Example:
        >>> varied_strengths(["OII3726", "OII3729"], 3, np.random.default_rng(0)).shape
        (3, 2)
    """
    common, red = rng.normal(0.0, _COMMON_DEX, n), rng.normal(0.0, _REDDENING_DEX, n)
    own = {name: rng.normal(0.0, _SPECIES_DEX, n) for name in (*_SPECIES, "")}
    blue, red_end = load_catalogue().select(["HGAMMA4340", "HALPHA6563"]).wavelength_air
    wavelength = load_catalogue().select(lines).wavelength_air
    colour = np.log(wavelength / blue) / np.log(red_end / blue)
    amount = rng.uniform(*_AMOUNT, n)
    dex = [common + own[_species(name)] + red * c for name, c in zip(lines, colour, strict=True)]
    return np.asarray(10.0 ** (amount[:, None] * np.stack(dex, axis=1)))


def _species(name: str) -> str:
    """The ion of a line; "" for hydrogen."""
    return next((ion for ion in _SPECIES if name.rstrip("0123456789") == ion), "")


def _miscalibration(n: int, rng: np.random.Generator, beyond: int) -> np.ndarray:
    """Smooth factors (n, bin) about 1."""
    x = np.linspace(-1.0, 1.0, N_BINS + 2 * beyond)
    orders = np.polynomial.legendre.legvander(x, 4).T[1:]
    amount = rng.normal(size=(n, 4)) * _TILT / np.arange(1, 5)
    return np.asarray(np.exp(amount @ orders))


def rebinned(wavelength: np.ndarray, continuum: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Mean (n, bin) over each bin of continua (n, m) on a grid even in the logarithm.

    Example:
        >>> wave = np.geomspace(3600.0, 8000.0, 3500)
        >>> bool(np.allclose(rebinned(wave, np.ones((1, 3500)), bin_edges()), 1.0))
        True
    """
    step = np.log(wavelength[1] / wavelength[0])
    place = (np.log(edges / wavelength[0])) / step + 0.5
    whole = np.floor(place).astype(int)
    total = np.zeros((len(continuum), continuum.shape[1] + 1))
    np.cumsum(continuum, axis=1, out=total[:, 1:])
    at_edge = total[:, whole] + (place - whole) * continuum[:, whole]
    return np.diff(at_edge, axis=1) / np.diff(place)


def line_light(
    lines: Sequence[str],
    flux: np.ndarray,
    sigma_kms: np.ndarray,
    velocity_kms: np.ndarray,
    edges: np.ndarray,
) -> np.ndarray:
    """Lines (n, bin), means over the bins, of Gaussians.

    Args:
        lines: names in the catalogue.
        flux: (n, line).
        sigma_kms, velocity_kms: (n,) width and offset of all lines of a spectrum.
        edges: of the bins [Angstrom].
    """
    from scipy.special import ndtr

    light = np.zeros((len(flux), len(edges) - 1))
    centres = load_catalogue().select(lines).wavelength_air
    for centre, amount in zip(centres, flux.T, strict=True):
        middle = int(np.searchsorted(edges, centre))
        part = slice(max(middle - _WINDOW, 0), min(middle + _WINDOW, len(edges)))
        if part.stop - part.start < 2 or not edges[0] < centre < edges[-1]:
            continue
        away = SPEED_OF_LIGHT_KMS * (edges[part] / centre - 1.0) - velocity_kms[:, None]
        density = np.diff(ndtr(away / sigma_kms[:, None]), axis=1) / np.diff(edges[part])
        light[:, part.start : part.stop - 1] += amount[:, None] * density
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
