"""Libraries of sources that the line-ratio networks learn from: fluxes, dust, kinds of nebulae."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nebulines.lines import load_catalogue
from nebulines.models.dust import transmission
from nebulines.networks.line_ratios.network import PRIORS
from nebulines.networks.line_ratios.space import LINES, Prior
from nebulines.synthetic.line_priors import draw_lines

PAPER = "rhea2021"
PAPER_CLASS = "sitelle-2020"
LEAST_AMPLITUDE = 0.12
"""Every line of the paper's sources is at least so bright, relative to H-alpha, as seen through
the dust (and before [S II] is shared out by `DOUBLET`)."""
DECREMENT = (2.0, 6.0)
"""Range of the paper's Balmer decrement, for a source of 2.87 before dust; drawn anew with every
source until one passes `LEAST_AMPLITUDE`."""
CASE_B = 2.87
DOUBLET = (0.73, 0.79)
"""Range of [S II] 6731/6716 in the paper's table 1."""
EBV = (-0.3, 1.6)
"""Range of E(B-V) [mag] of all other sources. It reaches beyond A_V 0 to 3, below zero too, so that
a posterior in between does not lean on its ends: what is negative is noise, like a negative
flux."""
_HALPHA, _HBETA, _S16, _S31 = (
    LINES.index(name) for name in ("HALPHA6563", "HBETA4861", "SII6716", "SII6731")
)
_BLOCK = 400_000


class Sources(NamedTuple):
    """n sources: fluxes before dust relative to H-alpha, and colour excess.

    Attributes:
        flux: (n, 8) of `LINES`.
        ebv: (n,) [mag].
    """

    flux: np.ndarray
    ebv: np.ndarray


def draw_sources(kind: str, n: int, seed: int | tuple[int, ...]) -> Sources:
    """Sources of one of the kinds that the network can be told of.

    Args:
        kind: one of `nebulines.networks.line_ratios.network.PRIORS`.
        n: number of sources.
        seed: of the draw.

    Example:
        >>> sources = draw_sources("rhea2021", 5, 1)
        >>> bool((reddened(sources).min(axis=1) > 0.115).all())
        True
    """
    generator = np.random.default_rng(seed)
    if kind != PAPER:
        flux = draw_lines(generator, kind, LINES, n).fluxes
        return Sources(flux, generator.uniform(*EBV, n))
    parts: list[Sources] = []
    while sum(len(part.ebv) for part in parts) < n:
        parts.append(_bright_enough(generator, min(_BLOCK, 200 * n + 1000)))
    flux, ebv = (np.concatenate(part)[:n] for part in zip(*parts, strict=True))
    return Sources(_with_doublet(flux), ebv)


def _bright_enough(generator: np.random.Generator, n: int) -> Sources:
    """Those of n sources of the paper whose lines, dust before them, are bright enough."""
    flux = draw_lines(generator, PAPER_CLASS, LINES, n).fluxes
    decrement = generator.uniform(*DECREMENT, n)
    drawn = Sources(flux, np.log10(decrement / CASE_B) / reddening_of_decrement())
    good = (reddened(drawn) >= LEAST_AMPLITUDE).all(axis=1)
    return Sources(flux[good], drawn.ebv[good])


def reddening_of_decrement() -> float:
    """Change of log10 of Ha/Hb with E(B-V) [1/mag], of the law CCM89 with R_V 3.1.

    Example:
        >>> round(reddening_of_decrement(), 2)
        0.43
    """
    lines = load_catalogue().select(["HALPHA6563", "HBETA4861"]).wavelength_vacuum
    red, blue = transmission(lines, 1.0)
    return float(np.log10(red / blue))


def _with_doublet(flux: np.ndarray) -> np.ndarray:
    """Fluxes whose [S II] doublet follows the temperature: the paper's range, evenly filled, in
    the order of Ha/Hb before dust, which falls with temperature as the doublet does."""
    rank = np.interp(1.0 / flux[:, _HBETA], *_decrement_ranks())
    ratio = DOUBLET[0] + (DOUBLET[1] - DOUBLET[0]) * rank
    total = flux[:, _S16] + flux[:, _S31]
    flux = flux.copy()
    flux[:, _S31] = total * ratio / (1.0 + ratio)
    flux[:, _S16] = total - flux[:, _S31]
    return flux


def _decrement_ranks() -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of Ha/Hb before dust among the paper's sources, and their ranks."""
    flux = _bright_enough(np.random.default_rng(0), _BLOCK).flux
    chosen = 1.0 / flux[:, _HBETA]
    ranks = np.linspace(0.0, 1.0, 201)
    return np.quantile(chosen, ranks), ranks


def reddened(sources: Sources) -> np.ndarray:
    """Fluxes (n, 8) behind the dust, relative to the H-alpha that is left (CCM89, R_V 3.1)."""
    wavelength = load_catalogue().select(LINES).wavelength_vacuum
    left = transmission(wavelength, sources.ebv)
    return sources.flux * left / left[:, _HALPHA, None]


class Library(NamedTuple):
    """Sources of every kind of `PRIORS`.

    Attributes:
        log_flux: (7, n, 8) log10 of the fluxes behind the dust, relative to H-alpha.
        decrement: (7, n) log10 of Ha/Hb before dust.
    """

    log_flux: np.ndarray
    decrement: np.ndarray


def library(n: int, seed: int | tuple[int, ...]) -> Library:
    """n sources of every kind."""
    flux, decrement = [], []
    stream = seed if isinstance(seed, tuple) else (seed,)
    for number, kind in enumerate(PRIORS):
        sources = draw_sources(kind, n, (*stream, number))
        flux.append(np.log10(np.maximum(reddened(sources), 1e-8)))
        decrement.append(-np.log10(sources.flux[:, _HBETA]))
    return Library(np.array(flux, np.float32), np.array(decrement, np.float32))


def gaussians(sources: Library) -> Prior:
    """The Gaussian of each kind, arrays (7, ...)."""
    middle = sources.log_flux.mean(axis=1)
    information = []
    for flux in sources.log_flux.astype(float):
        covariance = np.cov(flux.T) + 1e4  # a common factor is free
        covariance += 1e-6 * np.eye(len(LINES))
        inner = np.linalg.inv(covariance)
        loose = inner.sum(axis=1)
        information.append(inner - np.outer(loose, loose) / loose.sum())
    return Prior(
        middle.astype(np.float32),
        np.array(information, np.float32),
        sources.decrement.mean(axis=1),
        np.maximum(sources.decrement.std(axis=1), 0.002),
    )
