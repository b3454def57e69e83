"""Emission lines of galaxies: H II regions lit by young stars, gas lit by old stars, nuclei.

H-alpha follows from the ionising photons of the stars (`ionising_photons`); the other lines from
photoionisation models (``data/hii_lines.toml``, learned from the grid of Perez-Montero 2014), from
the ratios of LINER-like gas (``data/population.toml``), and from the package's prior of
narrow-line regions.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

import numpy as np

from nebulines.galaxies.population.numbers import hii_table, table
from nebulines.lines import load_ties
from nebulines.nebular import case_b_ratio
from nebulines.nebular.atoms import emissivity

LINES = (
    "OII3726",
    "OII3729",
    "NEIII3869",
    "H3889",
    "NEIII3967",
    "HEPSILON3970",
    "HDELTA4102",
    "HGAMMA4340",
    "HBETA4861",
    "OIII4959",
    "OIII5007",
    "HEI5876",
    "OI6300",
    "OI6364",
    "NII6548",
    "HALPHA6563",
    "NII6583",
    "SII6716",
    "SII6731",
    "ARIII7136",
    "SIII9069",
)
"""Lines of every galaxy of the population, names of the catalogue, in the order of wavelength."""

HYDROGEN = ("HALPHA6563", "HGAMMA4340", "HDELTA4102", "HEPSILON3970", "HBETA4861")
_DOUBLETS = (("OII", "OII3729", "OII3726"), ("SII", "SII6716", "SII6731"))
_KNOTS = np.linspace(0.0, 4.0, 41)  # log10 of densities
_TRIES = 4
_DENSE_OII = 2.1  # [O II] 3726 + 3729 over 3726 at 400 cm-3


class Gas(NamedTuple):
    """State of the gas of n galaxies.

    Attributes:
        oxygen_abundance: (n,) 12 + log10(O/H).
        log_no: (n,) log10(N/O).
        log_u: (n,) log10 of the ionisation parameter.
        log_density: (n,) log10 of the electron density [cm-3].
    """

    oxygen_abundance: np.ndarray
    log_no: np.ndarray
    log_u: np.ndarray
    log_density: np.ndarray


def hii_regions(gas: Gas, rng: np.random.Generator) -> np.ndarray:
    """Lines of H II regions relative to H-alpha, (n, 21) in the order of `LINES`.

    Args:
        gas: beyond the range of the models their edge holds.
        rng: for the scatter of [Ne III], whose ratio to [O III] is nearly constant.

    Example:
        >>> one = np.ones(1)
        >>> gas = Gas(8.7 * one, -1.0 * one, -3.1 * one, 2.0 * one)
        >>> hii_regions(gas, np.random.default_rng(0)).shape
        (1, 21)
    """
    rows = hii_table()
    x = np.stack([_inside(gas, name) for name in ("oxygen_abundance", "log_no", "log_u")], axis=1)
    x = (x - rows["centre"]) / rows["scale"]
    design, shift = _terms(x, rows["order"]), table()["shift"]
    ratios = {
        f"{name}/HBETA4861": design @ np.asarray(row["coefficients"]) + shift.get(name, 0.0)
        for name, row in rows["hbeta"].items()
    }
    plane = _terms(x[:, [0, 2]], 1)
    for name, row in rows["relative"].items():
        ratios[f"{name}/{row['to']}"] = plane @ np.asarray(row["coefficients"])
    agn = table()["agn"]
    ratios["NEIII3869/OIII5007"] = rng.normal(agn["neon"], agn["neon_scatter"], len(x))
    return lines_of_ratios(ratios, gas.log_density)


def liner_gas(n: int, rng: np.random.Generator) -> np.ndarray:
    """Lines of gas that old stars light relative to H-alpha, (n, 21).

    Example:
        >>> liner_gas(2, np.random.default_rng(0)).shape
        (2, 21)
    """
    rows = table()["liner"]
    ratios = {name: rng.normal(row[0], row[1], n) for name, row in rows.items()}
    agn = table()["agn"]
    ratios["NEIII3869/OIII5007"] = rng.normal(agn["neon"] + 0.15, agn["neon_scatter"], n)
    return lines_of_ratios(ratios, rng.normal(2.0, 0.3, n))


def nuclear_gas(n: int, rng: np.random.Generator) -> np.ndarray:
    """Lines of narrow-line regions relative to H-alpha, (n, 21).

    Drawn from the prior ``agn``, of which the galaxies that harbour nuclei show the metal-rich
    side: rows are kept in proportion to a normal of log10 [N II] / H-alpha. [O I] follows [S II] as
    in observed Seyferts; the prior's grid makes it several times too strong there.

    Example:
        >>> nuclear_gas(2, np.random.default_rng(0)).shape
        (2, 21)
    """
    from nebulines.synthetic.line_priors import draw_ratios

    drawn = draw_ratios(rng, "agn", _TRIES * n + _TRIES)
    middle, width = table()["agn"]["nitrogen"]
    weight = np.exp(-0.5 * np.square((drawn["NII6583/HALPHA6563"] - middle) / width))
    rows = rng.choice(len(weight), n, p=weight / weight.sum())
    ratios = {name: values[rows] for name, values in drawn.items()}
    doublet = 10.0 ** ratios.pop("OII3726/HBETA4861")
    ratios["OII/HBETA4861"] = np.log10(_DENSE_OII * doublet)
    strong = next(tie.ratio for tie in load_ties() if tie.strong == "SIII9531")
    ratios["SIII9069/HBETA4861"] = ratios.pop("SIII9531/HBETA4861") - np.log10(strong)
    neutral = table()["agn"]["neutral"]
    ratios["OI6300/HALPHA6563"] = ratios["SII/HALPHA6563"] + rng.normal(neutral[0], neutral[1], n)
    keep = {name: value for name, value in ratios.items() if not name.startswith("HALPHA")}
    return lines_of_ratios(keep, rng.normal(2.6, 0.3, n))


def lines_of_ratios(ratios: Mapping[str, np.ndarray], log_density: np.ndarray) -> np.ndarray:
    """Every line relative to H-alpha from log10 of ratios, doublets split by the density.

    Args:
        ratios: {"LINE/REFERENCE": (n,)}; OII and SII are sums of their doublets; a reference
            that is no Balmer line stands before the lines relative to it.
        log_density: (n,) [cm-3].

    Returns:
        (n, 21) in the order of `LINES`; 0 for lines that nothing is known of.
    """
    n = len(log_density)
    flux = {name: np.full(n, case_b_ratio(name)) for name in HYDROGEN}
    flux["H3889"] = np.full(n, table()["balmer"]["H3889"])
    for name, value in ratios.items():
        line, reference = name.split("/")
        flux[line] = flux[reference] * 10.0**value
    for total, first, second in _DOUBLETS:
        if total in flux:
            share = _first_share(total, log_density)
            flux[first], flux[second] = flux[total] * share, flux[total] * (1.0 - share)
    for tie in load_ties():
        if tie.strong in flux and tie.weak in LINES:
            flux[tie.weak] = flux[tie.strong] / tie.ratio
        elif tie.weak in flux and tie.strong in LINES:
            flux[tie.strong] = flux[tie.weak] * tie.ratio
    lines = np.stack([flux.get(name, np.zeros(n)) for name in LINES], axis=1)
    return lines / flux["HALPHA6563"][:, None]


def _first_share(total: str, log_density: np.ndarray) -> np.ndarray:
    """Share of the first line of a density doublet."""
    return np.interp(log_density, _KNOTS, _share_table(total))


@functools.cache
def _share_table(total: str) -> np.ndarray:
    first, second = next(row[1:] for row in _DOUBLETS if row[0] == total)
    one, other = (emissivity(total, (line,), 1e4, 10.0**_KNOTS) for line in (first, second))
    return one / (one + other)


def _inside(gas: Gas, name: str) -> np.ndarray:
    return np.clip(getattr(gas, name), *hii_table()[name])


def _terms(x: np.ndarray, order: int) -> np.ndarray:
    every = product(range(order + 1), repeat=x.shape[1])
    powers = [term for term in every if sum(term) <= order]
    return np.stack([np.prod(x**term, axis=1) for term in powers], axis=1)
