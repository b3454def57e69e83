"""Where the line ratios of simulated sources come from, by name.

Classes of nebulae are mixtures of Gaussians over normal scores of line ratios, learned from
published model grids (``data/line_priors.toml`` says which, and how); ``mixed`` draws the
class of each source too; ``uniform`` draws every ratio from its own range; and a path names a
user's table, whose rows are drawn with replacement and a small jitter.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import UsageError
from nebulines.synthetic.prior_table import draw_rows, with_ties
from nebulines.synthetic.priors import Range, draw_fluxes

_UNIFORM, _MIXED = "uniform", "mixed"
_DEFAULT_BROADENING = (10.0, 50.0)


class Draw(NamedTuple):
    """Line fluxes drawn from a prior.

    Attributes:
        fluxes: (n, L) relative to H-alpha.
        region: (n,) number of each source's class in ``regions``; None but for ``mixed``.
        regions: names of the classes.
    """

    fluxes: np.ndarray
    region: np.ndarray | None = None
    regions: tuple[str, ...] = ()


def prior_names() -> tuple[str, ...]:
    """Names of the priors.

    Example:
        >>> prior_names()
        ('uniform', 'mixed', 'hii', 'pn', 'shock', 'dig', 'agn', 'sitelle-2020')
    """
    return (_UNIFORM, _MIXED, *_tables()["classes"])


def prior_broadening(prior: str) -> Range:
    """Range of the broadening [km/s] that belongs to a prior.

    Example:
        >>> prior_broadening("sitelle-2020"), prior_broadening("hii")
        ((0.0, 50.0), (10.0, 50.0))
    """
    low, high = _tables()["broadening"].get(prior, _DEFAULT_BROADENING)
    return float(low), float(high)


def draw_lines(
    generator: np.random.Generator,
    prior: str,
    names: Sequence[str],
    n: int,
    ratios: Mapping[str, Range] | None = None,
) -> Draw:
    """Line fluxes of n sources before dust, relative to H-alpha.

    Args:
        generator: of random numbers.
        prior: one of `prior_names`, or the path of a table (ECSV, CSV, FITS) with a column a
            line; lines bound to another by atomic physics may be missing.
        names: L lines. One that the prior does not hold is drawn from its own range, see
            `priors.draw_fluxes`.
        n: number of sources.
        ratios: ranges that replace the prior's.

    Returns:
        `Draw`.

    Raises:
        UsageError: no such prior or table, a table without one of the lines.

    Example:
        >>> draw = draw_lines(np.random.default_rng(0), "hii", ["HALPHA6563", "HBETA4861"], 4)
        >>> bool(np.all(draw.fluxes[:, 0] / draw.fluxes[:, 1] >= 2.7))
        True
    """
    known: dict[str, np.ndarray] = {}
    region: np.ndarray | None = None
    regions: tuple[str, ...] = ()
    if prior == _MIXED:
        region, regions, known = _draw_mixed(generator, n)
    elif prior in _tables()["classes"]:
        known = _draw_class(generator, prior, n)
    elif prior != _UNIFORM:
        if not Path(prior).is_file():
            raise UsageError(
                f"unknown prior {prior!r}: expected one of {', '.join(prior_names())}, or the path "
                "of a table with a column a line"
            )
        known = draw_rows(generator, prior, names, n)
    known = {name: flux for name, flux in known.items() if name in names}
    return Draw(draw_fluxes(generator, names, n, ratios, known=known), region, regions)


def draw_ratios(generator: np.random.Generator, name: str, n: int) -> dict[str, np.ndarray]:
    """log10 of the ratios that a class was learned from, {ratio: (n,)}.

    Normal scores are drawn from the mixture and turned into ratios by the quantiles of each;
    scores beyond the outermost knots give the outermost values.

    Example:
        >>> ratios = draw_ratios(np.random.default_rng(0), "sitelle-2020", 2)
        >>> list(ratios)[:2]
        ['OIII5007/HBETA4861', 'NII6583/HALPHA6563']
    """
    mixture, row = _mixture(name), _tables()["classes"][name]
    scores = mixture.draw(generator, n)
    knots = _tables()["scores"]["knots"]
    columns = zip(row["ratios"], scores.T, row["quantiles"], strict=True)
    return {ratio: np.interp(score, knots, values) for ratio, score, values in columns}


class _Mixture(NamedTuple):
    weights: np.ndarray
    means: np.ndarray
    cholesky: np.ndarray

    def draw(self, generator: np.random.Generator, n: int) -> np.ndarray:
        which = generator.choice(len(self.weights), n, p=self.weights)
        away = generator.standard_normal((n, self.means.shape[1]))
        return self.means[which] + np.einsum("nij,nj->ni", self.cholesky[which], away)


def _draw_mixed(
    generator: np.random.Generator, n: int
) -> tuple[np.ndarray, tuple[str, ...], dict[str, np.ndarray]]:
    shares = _tables()["mixed"]
    regions = tuple(shares)
    weights = np.array([shares[name] for name in regions], float)
    region = generator.choice(len(regions), n, p=weights / weights.sum())
    known: dict[str, np.ndarray] = {}
    for number, name in enumerate(regions):
        here = region == number
        for line, flux in _draw_class(generator, name, int(here.sum())).items():
            known.setdefault(line, np.zeros(n))[here] = flux
    return region, regions, known


def _draw_class(generator: np.random.Generator, name: str, n: int) -> dict[str, np.ndarray]:
    """Flux of every line that a class knows, relative to H-alpha."""
    row = _tables()["classes"][name]
    ratios = {key: 10.0**value for key, value in draw_ratios(generator, name, n).items()}
    flux = {"HALPHA6563": np.ones(n), "HBETA4861": 1.0 / ratios.pop("HALPHA6563/HBETA4861")}
    flux |= {line: share * flux["HBETA4861"] for line, share in _tables()["balmer"].items()}
    for key, ratio in ratios.items():
        top, bottom = key.split("/")
        flux[top] = ratio * flux[bottom]
    mean, width = row["log_density"]
    density = 10.0 ** generator.normal(mean, width, n)
    sulphur, oxygen = (_doublet(pair, density) for pair in _tables()["doublets"].values())
    total = flux.pop("SII")
    flux["SII6731"] = total / (1.0 + sulphur)
    flux["SII6716"] = total - flux["SII6731"]
    flux["OII3729"] = oxygen * flux["OII3726"]
    return with_ties(flux)


def _doublet(coefficients: Sequence[float], density: np.ndarray) -> np.ndarray:
    """Ratio of a density doublet, a (b + n) / (c + n)."""
    a, b, c = coefficients
    return a * (b + density) / (c + density)


@functools.cache
def _mixture(name: str) -> _Mixture:
    row = _tables()["classes"][name]
    means = np.array(row["means"])
    cholesky = np.zeros((*means.shape, means.shape[1]))
    cholesky[:, *np.tril_indices(means.shape[1])] = row["cholesky"]
    weights = np.array(row["weights"])
    return _Mixture(weights / weights.sum(), means, cholesky)


@functools.cache
def _tables() -> dict[str, Any]:
    path = Path(__file__).parent / "data" / "line_priors.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))
