"""Learn the priors over line ratios that the simulator ships, from published model grids.

    python -m benchmarks.learn_priors NEBULAR_MODELS src/nebulines/synthetic/data/line_priors.toml

NEBULAR_MODELS is a folder with ``3mdb/`` and ``izi/``: tables of the Mexican Million Models
database (Morisset et al. 2015, RMxAA 51, 101) as text, and the photoionisation grids of
izi (Byler et al. 2017, ApJ 840, 44). The grid of narrow-line regions comes from the package
NebulaBayes (Thomas et al. 2018, ApJ 856, 89), which must be installed.

Each class becomes a mixture of Gaussians over the normal scores of line ratios: the logarithm
(base 10) of each ratio is first mapped to a standard normal by its own quantiles. Lines that
the main table of a class does not hold are taken from the most similar rows of a companion
grid (nearest in [O III]/Hb, [N II]/Ha, [S II]/Ha), as ratios to a line of like ionisation.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

O3, N2, S2 = "OIII5007/HBETA4861", "NII6583/HALPHA6563", "SII/HALPHA6563"
O2, BALMER = "OII3726/HBETA4861", "HALPHA6563/HBETA4861"
NE3, O1, S3 = "NEIII3869/HBETA4861", "OI6300/HALPHA6563", "SIII9531/HBETA4861"
HE1, AR3 = "HEI5876/HBETA4861", "ARIII7136/HALPHA6563"
FEATURES = (O3, N2, S2, BALMER, O2, NE3, O1, S3, HE1, AR3)
_MATCH = (O3, N2, S2)
_N_GAUSSIANS = 8
_FLOOR = 0.05
_ROWS = 12_000
KNOTS = np.linspace(-2.6, 2.6, 14)
"""Normal scores at which the quantiles of a ratio are kept."""
_LEAST_BALMER = 0.4315  # log10 of Ha/Hb: 2.70, the lowest of hot gas

Ratios = dict[str, np.ndarray]


class Class(NamedTuple):
    """Rows of a class (log10 ratios), typical density, and where they come from."""

    ratios: Ratios
    log_density: tuple[float, float]
    source: str


class Mixture(NamedTuple):
    """Gaussians: weights (K,), means (K, d), lower Cholesky factors (K, d, d)."""

    weights: np.ndarray
    means: np.ndarray
    cholesky: np.ndarray


def hii_fluxes(folder: Path) -> Ratios:
    """BOND H II regions of 3MdB."""
    return _flux_table(folder / "3mdb" / "Ratios_HII_fluxes.txt.gz")


def pn_fluxes(folder: Path) -> Ratios:
    """Planetary nebulae of 3MdB, those with every line above 1e-4 of its Balmer line."""
    rows = _flux_table(folder / "3mdb" / "Ratios_PNe_fluxes.txt.gz")
    return _where(rows, np.all([rows[name] > -4.0 for name in rows], axis=0))


def dig_ratios(folder: Path) -> Ratios:
    """Diffuse ionised gas of 3MdB."""
    return _ratio_table(folder / "3mdb" / "Ratios_DIG.txt.gz")


def shock_ratios(folder: Path) -> Ratios:
    """Shocks of 3MdB with [O III]/Hb at most 20: those whose gas has had time to recombine."""
    rows = _ratio_table(folder / "3mdb" / "Ratios_SNR.txt.gz")
    return _where(rows, (rows[O3] <= np.log10(20.0)) & (rows[S2] > -2.5) & (rows[N2] > -2.5))


def agn_ratios() -> Ratios:
    """Narrow-line regions of NebulaBayes between usual ionisations and metallicities."""
    table = _nebulabayes("NB_NLR_grid.fits.gz")
    usual = (table["log U"] >= -3.4) & (table["log U"] <= -1.4)
    usual &= (table["12 + log O/H"] > 8.3) & (table["12 + log O/H"] < 9.2)
    usual &= (table["log P/k"] >= 5.0) & (table["log P/k"] <= 7.8)
    rows = _from_nebulabayes(table[usual])
    return _where(rows, rows[O3] > 0.0)


def classes(folder: Path) -> dict[str, Class]:
    """Every class, completed to all ratios."""
    generator = np.random.default_rng(20)
    young = byler_ratios(folder)
    hard = _from_nebulabayes(_nebulabayes("NB_NLR_grid.fits.gz"))
    argon = dict(_normal(generator, {AR3: (-1.45, 0.2)}, 1))
    hard |= {name: np.full(len(hard[O3]), value[0]) for name, value in argon.items()}
    thin = {BALMER: (np.log10(2.90), 0.010)}
    warm = {BALMER: (np.log10(2.97), 0.015)}
    mdb = "3MdB (Morisset et al. 2015)"
    nlr = "other lines: NebulaBayes NLR grid (Thomas et al. 2018); [Ar III] assumed -1.45 +- 0.2"
    return {
        "hii": Class(
            _complete(generator, hii_fluxes(folder), young),
            (2.0, 0.4),
            f"{mdb}, BOND H II regions; other lines: Byler et al. 2017, 1-7 Myr",
        ),
        "pn": Class(
            _complete(generator, pn_fluxes(folder), hard),
            (3.5, 0.4),
            f"{mdb}, planetary nebulae with lines above 1e-4; {nlr}",
        ),
        "shock": Class(
            _complete(generator, _with(generator, shock_ratios(folder), warm), hard),
            (2.5, 0.4),
            f"{mdb}, shocks with [O III]/Hb <= 20; Ha/Hb assumed 2.97; {nlr}",
        ),
        "dig": Class(
            _complete(generator, _with(generator, dig_ratios(folder), thin), hard),
            (1.0, 0.3),
            f"{mdb}, diffuse ionised gas; Ha/Hb assumed 2.90; {nlr}",
        ),
        "agn": Class(
            _complete(generator, agn_ratios(), hard),
            (2.6, 0.4),
            "NebulaBayes NLR grid (Thomas et al. 2018), log U -3.4 to -1.4, 12 + log O/H 8.3 to "
            "9.2; [Ar III] assumed -1.45 +- 0.2",
        ),
        "sitelle-2020": Class(
            hii_fluxes(folder),
            (2.0, 0.0),
            f"{mdb}, the BOND selection of Rhea et al. 2020, sect. 2.2: filled spheres, density "
            "100 cm-3; the table as it is, without completion",
        ),
    }


def byler_ratios(folder: Path) -> Ratios:
    """H II regions of Byler et al. 2017, 1 to 7 Myr."""
    from astropy.table import Table

    parts = []
    for path in sorted((folder / "izi").glob("byler_FSPS_mist_age_*_Myr.fits")):
        table = Table.read(path, hdu=1)
        names = [str(_text(name)) for name in table["ID"][0]]
        parts.append(dict(zip(names, np.asarray(table["FLUX"], float).T, strict=True)))
    line = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return _logs(
        {
            O3: (line["oiii5007"], line["hbeta"]),
            N2: (line["nii6584"], line["halpha"]),
            S2: (line["sii6717"] + line["sii6731"], line["halpha"]),
            BALMER: (line["halpha"], line["hbeta"]),
            O2: (line["oii3726"], line["hbeta"]),
            NE3: (line["neiii3869"], line["hbeta"]),
            O1: (line["oi6300"], line["halpha"]),
            S3: (line["siii9532"], line["hbeta"]),
            HE1: (line["hei5875"], line["hbeta"]),
            AR3: (line["ariii7136"], line["halpha"]),
        }
    )


def _from_nebulabayes(table: Any) -> Ratios:
    line = {name: np.asarray(table[name], float) for name in table.colnames}
    rows = _logs(
        {
            O3: (line["OIII5007"], line["Hbeta"]),
            N2: (line["NII6583"], line["Halpha"]),
            S2: (line["SII6716"] + line["SII6731"], line["Halpha"]),
            BALMER: (line["Halpha"], line["Hbeta"]),
            O2: (line["OII3726"], line["Hbeta"]),
            NE3: (line["NeIII3869"], line["Hbeta"]),
            O1: (line["OI6300"], line["Halpha"]),
            S3: (line["SIII9531"], line["Hbeta"]),
            HE1: (line["HeI5876"], line["Hbeta"]),
        }
    )
    return _where(rows, np.all([np.isfinite(v) for v in rows.values()], axis=0))


def _nebulabayes(name: str) -> Any:
    from astropy.table import Table

    found = importlib.util.find_spec("NebulaBayes")
    if found is None or found.origin is None:
        raise SystemExit("install NebulaBayes first: its grids are needed")
    return Table.read(Path(found.origin).parent / "grids" / name)


def _flux_table(path: Path) -> Ratios:
    """Columns Ct, [O III] 5007, [S II] sum, [N II] 6583, [O II] 3726, Ha, Hb."""
    o3, s2, n2, o2, ha, hb = np.loadtxt(path, skiprows=1)[:, 1:7].T
    return _logs({O3: (o3, hb), N2: (n2, ha), S2: (s2, ha), BALMER: (ha, hb), O2: (o2, hb)})


def _ratio_table(path: Path) -> Ratios:
    """Columns index, [O III]/Hb, [S II]/Ha, [N II]/Ha."""
    o3, s2, n2 = np.loadtxt(path, usecols=(1, 2, 3)).T
    one = np.ones_like(o3)
    rows = _logs({O3: (o3, one), N2: (n2, one), S2: (s2, one)})
    return _where(rows, np.all([np.isfinite(v) for v in rows.values()], axis=0))


def _logs(pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Ratios:
    with np.errstate(divide="ignore", invalid="ignore"):
        return {name: np.log10(top / bottom) for name, (top, bottom) in pairs.items()}


def _where(rows: Ratios, keep: np.ndarray) -> Ratios:
    return {name: values[keep] for name, values in rows.items()}


def _with(
    generator: np.random.Generator, rows: Ratios, assumed: dict[str, tuple[float, float]]
) -> Ratios:
    return rows | _normal(generator, assumed, len(rows[O3]))


def _normal(
    generator: np.random.Generator, assumed: dict[str, tuple[float, float]], n: int
) -> Ratios:
    return {name: generator.normal(mean, width, n) for name, (mean, width) in assumed.items()}


# line that is copied from the companion, and the line of like ionisation it is copied relative to
_LIKE = {NE3: O3, O1: S2, AR3: BALMER, S3: BALMER, HE1: BALMER, O2: S2, BALMER: BALMER}


def _complete(generator: np.random.Generator, rows: Ratios, companion: Ratios) -> Ratios:
    """Fill the missing ratios from one of the five most similar rows of the companion."""
    from scipy.spatial import cKDTree

    pick = generator.permutation(len(rows[O3]))[:_ROWS]
    rows = _where(rows, pick)
    usable = np.all([np.isfinite(v) for v in companion.values()], axis=0)
    companion = _where(companion, usable)
    tree = cKDTree(np.stack([companion[name] for name in _MATCH], axis=1))
    near = tree.query(np.stack([rows[name] for name in _MATCH], axis=1), k=5)[1]
    chosen = near[np.arange(len(near)), generator.integers(0, 5, len(near))]
    for name in FEATURES:
        if name not in rows:
            like = _LIKE[name]
            shift = rows[like] - companion[like][chosen] if like != BALMER else 0.0
            rows[name] = companion[name][chosen] + shift
            if name == AR3 and len(np.unique(companion[AR3])) == 1:
                rows[name] = generator.normal(-1.45, 0.2, len(chosen))
    return rows


def learn(ratios: Ratios, seed: int = 1) -> tuple[tuple[str, ...], np.ndarray, Mixture]:
    """Names of the d ratios, their quantiles (d, knot), and the mixture over normal scores."""
    from scipy.special import ndtr

    names = tuple(name for name in FEATURES if name in ratios)
    data = np.stack([ratios[name] for name in names], axis=1)
    data = data[np.isfinite(data).all(axis=1)]
    column = names.index(BALMER)
    data[:, column] = np.maximum(data[:, column], _LEAST_BALMER)
    generator = np.random.default_rng(seed)
    data = data[generator.permutation(len(data))[:_ROWS]]
    quantiles = np.quantile(data, ndtr(KNOTS), axis=0).T
    scores = np.stack([_scores(values) for values in data.T], axis=1)
    return names, quantiles, fit_mixture(generator, scores)


def _scores(values: np.ndarray) -> np.ndarray:
    """Normal scores: the standard normal's quantile at the rank of each value, ties in a
    random order."""
    from scipy.special import ndtri

    generator = np.random.default_rng(2)
    order = np.lexsort((generator.random(len(values)), values))
    ranks = np.empty(len(values))
    ranks[order] = np.arange(len(values)) + 0.5
    return ndtri(ranks / len(values))


def fit_mixture(
    generator: np.random.Generator, data: np.ndarray, k: int = _N_GAUSSIANS, steps: int = 150
) -> Mixture:
    """Expectation maximisation with full covariances, started from random rows."""
    n, d = data.shape
    weights, means = np.full(k, 1.0 / k), data[generator.permutation(n)[:k]]
    floor = _FLOOR**2 * np.eye(d)
    covariance = np.repeat(np.cov(data.T)[None] + floor, k, axis=0)
    for _ in range(steps):
        cholesky = np.linalg.cholesky(covariance)
        logs = np.stack(
            [_log_density(data, means[j], cholesky[j]) + np.log(weights[j]) for j in range(k)]
        )
        share = np.exp(logs - logs.max(axis=0))
        share /= share.sum(axis=0)
        total = share.sum(axis=1) + 1e-9
        weights, means = total / total.sum(), share @ data / total[:, None]
        away = data[None] - means[:, None]
        covariance = np.einsum("kn,kni,knj->kij", share, away, away) / total[:, None, None] + floor
    return Mixture(weights, means, np.linalg.cholesky(covariance))


def _log_density(data: np.ndarray, mean: np.ndarray, cholesky: np.ndarray) -> np.ndarray:
    from scipy.linalg import solve_triangular

    away = solve_triangular(cholesky, (data - mean).T, lower=True)
    return -0.5 * np.sum(away**2, axis=0) - np.log(np.diag(cholesky)).sum()


_HEADER = """\
# Priors over line ratios, learned from published model grids; written by
#   python -m benchmarks.learn_priors NEBULAR_MODELS src/nebulines/synthetic/data/line_priors.toml
# Each class: a mixture of Gaussians (weights; means; lower Cholesky factors of the covariances,
# row by row) over normal scores, which the quantiles turn into log10 of the ratios before dust:
# quantiles[k] are the values of ratio k at the normal scores "knots". SII is the sum of 6716 and
# 6731. log_density: mean and 1-sigma of log10 of the electron density [cm-3], an assumption
# (Osterbrock & Ferland 2006), which sets [S II] 6716/6731 and [O II] 3729/3726 by the relations
# of Sanders et al. 2016, ApJ 816, 23, eq. 6-7: ratio = a (b + n) / (c + n).

[doublets]
"SII6716/SII6731" = [0.4315, 2107.0, 627.1]
"OII3729/OII3726" = [0.3771, 2468.0, 638.4]

[balmer]  # case B, 10^4 K, 100 cm-3: Osterbrock & Ferland 2006, table 4.4; relative to H-beta
HGAMMA4340 = 0.468
HDELTA4102 = 0.259

[broadening]  # km/s, where a class has a range of its own
"sitelle-2020" = [0.0, 50.0]

[mixed]  # share of each class in the prior "mixed"
hii = 0.5
pn = 0.1
shock = 0.15
dig = 0.15
agn = 0.1
"""


def as_toml(found: dict[str, Class]) -> str:
    """The file that the simulator reads."""
    parts = [f"{_HEADER}\n[scores]\nknots = {_numbers(KNOTS)}\n"]
    for name, one in found.items():
        features, quantiles, mixture = learn(one.ratios)
        d = len(features)
        lower = mixture.cholesky[:, *np.tril_indices(d)]
        parts += [
            f'[classes."{name}"]',
            f'source = "{one.source}"',
            f"ratios = {list(features)}".replace("'", '"'),
            f"log_density = {list(one.log_density)}",
            f"quantiles = [{', '.join(_numbers(row, 4) for row in quantiles)}]",
            f"weights = {_numbers(mixture.weights, 5)}",
            f"means = [{', '.join(_numbers(row) for row in mixture.means)}]",
            f"cholesky = [{', '.join(_numbers(row) for row in lower)}]",
            "",
        ]
    return "\n".join(parts)


def _numbers(values: np.ndarray, digits: int = 3) -> str:
    return "[" + ", ".join(f"{v + 0.0:.{digits}f}" for v in values) + "]"


def _text(value: Any) -> str:
    return (value.decode() if isinstance(value, bytes) else str(value)).strip()


def main() -> None:
    """Read the grids, write the file."""
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    Path(sys.argv[2]).write_text(as_toml(classes(Path(sys.argv[1]))), encoding="utf-8")


if __name__ == "__main__":
    main()
