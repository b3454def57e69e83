"""Learn the densities of line ratios that tell classes of nebulae apart.

    python -m benchmarks.learn_regions src/nebulines/nebular/data/regions.toml

Every class of the simulator (``synthetic/data/line_priors.toml``) is drawn from, and a mixture of
Gaussians with diagonal covariances is fitted to the log10 of its line ratios before dust. With
diagonal covariances each ratio can be convolved with its own error, whatever its shape.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nebulines.nebular.ratios import SUMS, log_ratio
from nebulines.synthetic.line_priors import draw_lines

CLASSES = ("hii", "pn", "shock", "dig", "agn")
FEATURES = (
    "NII6583/HALPHA6563",
    "SII/HALPHA6563",
    "OI6300/HALPHA6563",
    "OIII5007/HBETA4861",
    "OII/HBETA4861",
    "NEIII3869/HBETA4861",
    "SII6731/SII6716",
)
TRAINING_SEED = 20_001
"""Of the stream that densities are learned from; tests and benchmarks use other streams."""
_DRAWS, _GAUSSIANS, _STEPS, _FLOOR_DEX = 30_000, 40, 120, 0.03

_HEADER = """\
# Densities of line ratios (log10, before dust) of classes of nebulae; written by
#   python -m benchmarks.learn_regions src/nebulines/nebular/data/regions.toml
# from draws of synthetic/data/line_priors.toml, which names the model grids behind each class.
# Mixtures of Gaussians with diagonal covariances: weights, means and sigma, one row a Gaussian.
"""


class Mixture(NamedTuple):
    """Weights (K,), means (K, d) and standard deviations (K, d)."""

    weights: np.ndarray
    means: np.ndarray
    sigma: np.ndarray


def line_names() -> tuple[str, ...]:
    """Lines that the features are made of."""
    sides = [side for feature in FEATURES for side in feature.split("/")]
    return tuple(dict.fromkeys(line for side in sides for line in SUMS.get(side, (side,))))


def draw_features(seed: int, name: str, n: int) -> np.ndarray:
    """(n, d) log10 ratios of a class."""
    names = line_names()
    fluxes = draw_lines(np.random.default_rng([seed, CLASSES.index(name)]), name, names, n).fluxes
    lines = dict(zip(names, fluxes.T, strict=True))
    return np.stack([log_ratio(lines, feature) for feature in FEATURES], axis=1)


def fit_mixture(generator: np.random.Generator, data: np.ndarray) -> Mixture:
    """Expectation maximisation, started from random rows."""
    n = len(data)
    weights = np.full(_GAUSSIANS, 1.0 / _GAUSSIANS)
    means = data[generator.permutation(n)[:_GAUSSIANS]]
    variance = np.tile(data.var(axis=0) / 4.0, (_GAUSSIANS, 1))
    for _ in range(_STEPS):
        away = data[:, None] - means
        logs = np.log(weights) - 0.5 * np.sum(away**2 / variance + np.log(variance), axis=2)
        share = np.exp(logs - logs.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        total = share.sum(axis=0) + 1e-9
        weights, means = total / total.sum(), share.T @ data / total[:, None]
        spread = share.T @ data**2 / total[:, None] - means**2
        variance = np.maximum(spread, 0.0) + _FLOOR_DEX**2
    return Mixture(weights, means, np.sqrt(variance))


def as_toml(found: dict[str, Mixture]) -> str:
    """The file that the classifier reads."""
    parts = [_HEADER, f"features = {list(FEATURES)}".replace("'", '"'), ""]
    for name, mixture in found.items():
        parts += [
            f"[classes.{name}]",
            f"weights = {_numbers(mixture.weights, 5)}",
            f"means = [{', '.join(_numbers(row, 3) for row in mixture.means)}]",
            f"sigma = [{', '.join(_numbers(row, 3) for row in mixture.sigma)}]",
            "",
        ]
    return "\n".join(parts)


def _numbers(values: np.ndarray, digits: int) -> str:
    return "[" + ", ".join(f"{v + 0.0:.{digits}f}" for v in values) + "]"


def main() -> None:
    """Draw, fit, write."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    found = {}
    for name in CLASSES:
        data = draw_features(TRAINING_SEED, name, _DRAWS)
        found[name] = fit_mixture(np.random.default_rng(TRAINING_SEED), data)
    Path(sys.argv[1]).write_text(as_toml(found), encoding="utf-8")


if __name__ == "__main__":
    main()
