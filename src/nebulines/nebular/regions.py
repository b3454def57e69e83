"""Classes of nebulae from line ratios: Bayes' rule over learned densities.

Each class (H II region, planetary nebula, shock, diffuse ionised gas, active nucleus) is a
mixture of Gaussians with diagonal covariances in log10 of line ratios (``data/regions.toml``).
The probability of the measured fluxes under one Gaussian is, ratio by ratio, the integral over
the true ratio r of

    N(F; B 10^r, sigma_F^2 - 2 10^r rho sigma_F sigma_B + 10^2r (sigma_B^2 + B^2 s^2)) N(r; mean,
    sigma),

F and B the two fluxes, rho the correlation of their errors and s the relative tolerance: noise is
Gaussian in flux, so a line that is not detected, or negative, counts for exactly what it says.
Ratios of missing lines drop out.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import UsageError
from nebulines.nebular.correlation import Correlations
from nebulines.nebular.diagnostics import BPT_LINES, Bpt, bpt_class
from nebulines.nebular.extinction import MILKY_WAY, Dust, balmer_ebv
from nebulines.nebular.propagation import Fluxes, Measured, propagate
from nebulines.nebular.ratios import has_line
from nebulines.nebular.region_densities import densities, features
from nebulines.nebular.region_ratios import Ratio, Rows

UNLIKELY = 1e-4
"""Probability of a distance from every class as large as this one, below which it is flagged."""
SURE = 0.75
"""Probability of the class chosen, three times that of all others together, below which it is
ambiguous: what Kass & Raftery 1995 (JASA 90, 773) call positive evidence begins at three to one."""


class Region(IntEnum):
    """Classes of nebulae."""

    UNKNOWN = 0
    HII = 1
    PN = 2
    SHOCK = 3
    DIG = 4
    AGN = 5


CLASSES = tuple(Region(k) for k in range(1, len(Region)))
DEFAULT_SHARES = {"hii": 0.5, "pn": 0.1, "shock": 0.15, "dig": 0.15, "agn": 0.1}
"""Shares of the classes before anything is measured: those of the simulator's ``mixed``."""


class Classified(NamedTuple):
    """Classes of n sources.

    Attributes:
        probability: (..., 5) of `CLASSES`, summing to 1; NaN where nothing can be said.
        region: (...) the most probable class, `Region`; 0 where nothing can be said.
        unlike: (...) bool, ratios far from every class: the probabilities mean little.
        ambiguous: (...) bool, the class chosen is less probable than `SURE`, or no stars ionise it
            by its class, but do by a BPT diagram of detected lines.
        n_ratios: (...) ratios that were used.
    """

    probability: np.ndarray
    region: np.ndarray
    unlike: np.ndarray
    ambiguous: np.ndarray
    n_ratios: np.ndarray


def classify(
    fluxes: Fluxes,
    errors: Fluxes,
    *,
    dust: Dust = MILKY_WAY,
    ebv: Any = None,
    shares: Mapping[str, float] | None = None,
    correlations: Correlations | None = None,
) -> Classified:
    """Probability of every class.

    Args:
        fluxes: {line: (...)} as observed; any subset of the lines of `features`, H-alpha among
            them. NaN = not measured; values below the noise, also negative ones, are welcome.
        errors: {line: (...)} 1-sigma of each, in the same unit.
        dust: law for the correction of ratios of distant lines.
        ebv: E(B-V) [mag] where it is known otherwise, () or (...), 0 for fluxes without dust;
            None = from H-alpha / H-beta. Where it is not known, ratios across more than a
            few hundred Angstrom are left out.
        shares: prior share of each class by name; None = `DEFAULT_SHARES`.
        correlations: {(line, line): (...)} of the errors, where they are known.

    Returns:
        `Classified`.

    Raises:
        UsageError: no H-alpha, a line without an error, wrong shares.

    Source: Bayes' rule; densities learned from 3MdB (Morisset et al. 2015), Byler et al. 2017
    and NebulaBayes (Thomas et al. 2018), see ``synthetic/data/line_priors.toml``.

    Example:
        >>> fluxes = {"HALPHA6563": [286.0], "HBETA4861": [100.0], "NII6583": [60.0],
        ...           "SII6716": [30.0], "SII6731": [22.0], "OIII5007": [100.0]}
        >>> errors = {name: [2.0] for name in fluxes}
        >>> found = classify(fluxes, errors, ebv=0.0)
        >>> Region(found.region[0]).name, bool(found.probability[0, 0] > 0.5)
        ('HII', True)
    """
    if "HALPHA6563" not in fluxes:
        raise UsageError(f"classes need HALPHA6563; these fluxes hold {', '.join(fluxes)}")
    if missing := [name for name in fluxes if name not in errors]:
        raise UsageError(f"no error for {', '.join(missing)}: classes need errors of all fluxes")
    given = _shares(shares)
    rows, shape = _flat(fluxes, errors, correlations or {})
    reddening = _reddening(rows, dust, ebv, shape)
    used = [Ratio.of(rows, name, reddening, dust) for name in features()]
    detected = rows.detected("HALPHA6563")
    n_ratios = np.sum([np.isfinite(ratio.top) for ratio in used], axis=0)
    known = detected & (n_ratios > 0)
    probability, unlike = _weighed([ratio.rows(known) for ratio in used], known, given)
    region = np.where(known, np.argmax(np.nan_to_num(probability), axis=1) + 1, Region.UNKNOWN)
    return Classified(
        probability.reshape(*shape, len(CLASSES)),
        region.astype(np.int32).reshape(shape),
        unlike.reshape(shape),
        (known & ((probability.max(axis=1) < SURE) | _contradicted(rows, region))).reshape(shape),
        np.where(known, n_ratios, 0).astype(np.int32).reshape(shape),
    )


def _weighed(
    ratios: list[Ratio], known: np.ndarray, shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, 5) of the ratios of the sources that are ``known`` (n,), and which of these
    are far from every class (n,)."""
    from nebulines.nebular.region_weighing import weigh

    probability, unlike = np.full((len(known), len(CLASSES)), np.nan), np.zeros(len(known), bool)
    if known.any():
        terms = np.stack([ratio.terms() for ratio in ratios], axis=1)
        seen = np.stack([ratio.seen() for ratio in ratios], axis=1)
        probability[known], distance = weigh(terms, seen, densities(), shares)
        unlike[known] = _tail(distance, seen.sum(axis=1)) < UNLIKELY
    return probability, unlike


def _contradicted(rows: Rows, region: np.ndarray) -> np.ndarray:
    """(n,) bool: a shock or an active nucleus that star formation ionises by one of the BPT
    diagrams whose lines are detected; sources whose diagrams disagree are ambiguous.

    Source: Kewley et al. 2006, MNRAS 372, 961, sect. 3.
    """
    formed = np.zeros(len(region), bool)
    for diagram, line in BPT_LINES.items():
        needed = (line, "OIII5007", "HALPHA6563", "HBETA4861")
        if all(has_line(rows.flux, name) for name in needed):
            seen = np.all([rows.detected(name) for name in needed], axis=0)
            formed |= seen & (bpt_class(rows.flux, diagram) == Bpt.STAR_FORMING)
    return formed & np.isin(region, (Region.SHOCK, Region.AGN))


def _tail(chi2: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Probability of a larger chi-squared."""
    from scipy.special import gammaincc

    return np.where(degrees > 0, gammaincc(np.maximum(degrees, 1.0) / 2.0, chi2 / 2.0), 1.0)


def _flat(
    fluxes: Fluxes, errors: Fluxes, correlations: Correlations
) -> tuple[Rows, tuple[int, ...]]:
    names = list(fluxes)
    arrays = np.broadcast_arrays(
        *(np.asarray(fluxes[name], float) for name in names),
        *(np.asarray(errors[name], float) for name in names),
    )
    flat = [array.ravel() for array in arrays]
    flux, error = (
        dict(zip(names, part, strict=True)) for part in (flat[: len(names)], flat[len(names) :])
    )
    shape = arrays[0].shape
    known = {pair: np.broadcast_to(rho, shape).ravel() for pair, rho in correlations.items()}
    return Rows(flux, error, known), shape


def _reddening(rows: Rows, dust: Dust, ebv: Any, shape: tuple[int, ...]) -> Measured:
    n = len(rows.flux["HALPHA6563"])
    if ebv is not None:
        given = np.broadcast_to(np.asarray(ebv, float), shape).ravel()
        return Measured(given, np.zeros(n))
    if not has_line(rows.flux, "HBETA4861"):
        return Measured(np.full(n, np.nan), np.full(n, np.nan))
    found = propagate(balmer_ebv, rows.flux, rows.error, correlations=rows.correlations, dust=dust)
    good = rows.detected("HBETA4861") & np.isfinite(found.error)
    return Measured(np.where(good, found.value, np.nan), np.where(good, found.error, np.nan))


def _shares(shares: Mapping[str, float] | None) -> np.ndarray:
    given = dict(DEFAULT_SHARES if shares is None else shares)
    names = [region.name.lower() for region in CLASSES]
    values = np.array([given.pop(name, 0.0) for name in names], float)
    if given or not np.all(values >= 0) or not values.sum() > 0:
        raise UsageError(f"shares must be numbers from 0 up for {', '.join(names)}; got {shares}")
    return values / values.sum()
