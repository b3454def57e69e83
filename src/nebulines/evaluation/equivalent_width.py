"""Networks of equivalent widths and what they are compared with, on galaxies of a test set.

Baselines learn from other galaxies of the same population than those that judge; a network's
training galaxies come from a stream of their own (`nebulines.galaxies.widths.samples`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from nebulines.errors import UsageError
from nebulines.galaxies.widths.baselines import linear, nearest_neighbours
from nebulines.galaxies.widths.equivalent_widths import LINES, published_names
from nebulines.galaxies.widths.predictors import load_predictor
from nebulines.galaxies.widths.samples import TEST, TRAINING, Sample, View, draw_sample
from nebulines.galaxies.widths.scores import coverage, line_scores
from nebulines.galaxies.widths.tasks import predict_in_blocks
from nebulines.galaxies.widths.width_mixture import Widths
from nebulines.networks.weights import shipped

NETWORKS: dict[str, View] = {"equivalent_width": "colours", "equivalent_width_spectrum": "spectrum"}
"""Networks of the package -> what they see."""


class Judged(NamedTuple):
    """One method on one test set.

    Attributes:
        name: of the method.
        ew: (n, 10) predicted widths [Angstrom].
        widths: predicted distributions, or None.
        spearman, nmad, bias: (10,) against measured widths [-, Angstrom, Angstrom].
        coverage: (10,) of the central 68.27 %, NaN without distributions.
    """

    name: str
    ew: np.ndarray
    widths: Widths | None
    spearman: np.ndarray
    nmad: np.ndarray
    bias: np.ndarray
    coverage: np.ndarray


class TestSets(NamedTuple):
    """Galaxies that judge, and galaxies that baselines learn from, in both views."""

    test: dict[View, Sample]
    training: dict[View, Sample]

    @classmethod
    def draw(cls, n: int, n_training: int, seed: int) -> TestSets:
        """New galaxies of the package's population."""
        views: tuple[View, View] = ("colours", "spectrum")
        return cls(
            {view: draw_sample(n, seed, TEST, view=view) for view in views},
            {view: draw_sample(n_training, seed, TRAINING, view=view) for view in views},
        )


def judge_network(name: str, network: Any, test: Sample) -> Judged:
    """A network with its distributions.

    Args:
        name: for tables.
        network: with ``predict``.
        test: galaxies in the view that the network takes.
    """
    widths = predict_in_blocks(network, test.galaxies.colours)
    return judge_predictions(name, np.asarray(widths.ew()), test, widths)


def judge_predictions(
    name: str, ew: np.ndarray, test: Sample, widths: Widths | None = None
) -> Judged:
    """Scores of predicted widths (n, 10) [Angstrom].

    Example:
        >>> test = draw_sample(50, 0, TEST)
        >>> bool(judge_predictions("truth", test.true_ew, test).spearman[6] > 0.9)
        True
    """
    galaxies = test.galaxies
    found = line_scores(ew, galaxies.ew)
    inside = np.full(len(LINES), np.nan)
    if widths is not None:
        inside = coverage(widths, galaxies.ew, galaxies.ew_err)
    return Judged(name, ew, widths, found.spearman, found.nmad, found.bias, inside)


def ceiling(test: Sample) -> Judged:
    """What the true widths themselves would score: the noise alone is in the way."""
    return judge_predictions("true widths (noise ceiling)", test.true_ew, test)


def published_agreement(path: Path, test: Sample) -> dict[str, float]:
    """Largest difference of asinh EW between the published network here and in plain NumPy, by
    precision.

    Args:
        path: published weights (``.npz``).
        test: galaxies with colours.
    """
    colours, found = np.asarray(test.galaxies.colours, float)[:2000], {}
    with np.load(path, allow_pickle=False) as stored:
        expected = np.stack([_in_numpy(stored, name, colours) for name in published_names()], 1)
    for precision, double in (("double", True), ("single", False)):
        with jax.enable_x64(double):
            got = np.asarray(load_predictor(path).network(colours))
        found[precision] = float(np.abs(got - expected).max())
    return found


def _in_numpy(stored: Any, line: str, colours: np.ndarray) -> np.ndarray:
    """asinh EW (n,) of one line: three layers with SELU, and a last one without."""
    hidden = (colours - stored[f"{line}_mu"]) / stored[f"{line}_sc"]
    for layer in range(4):
        weight, bias = (stored[f"{line}_{layer}_{k}"].astype(float) for k in (0, 1))
        hidden = hidden @ weight.T + bias
        if layer < 3:
            below = 1.6732632423543772 * np.expm1(np.minimum(hidden, 0.0))
            hidden = 1.0507009873554805 * np.where(hidden > 0, hidden, below)
    return np.asarray(hidden[:, 0])


def baselines(training: dict[View, Sample]) -> dict[str, tuple[View, Callable[..., Any]]]:
    """Simple predictors fitted to galaxies: name -> what they see, and the predictor."""
    made: dict[str, tuple[View, Callable[..., Any]]] = {}
    views: tuple[tuple[View, int], ...] = (("colours", 6), ("spectrum", 10))
    for view, components in views:
        galaxies = training[view].galaxies
        inputs, ew = galaxies.colours, galaxies.ew
        seen = "11 colours" if view == "colours" else "120 bins"
        near = nearest_neighbours(inputs, ew, components=components)
        made[f"PCA {components} + k-NN 50, {seen}"] = (view, near)
        if view == "colours":
            made["k-NN 50, 11 colours"] = (view, nearest_neighbours(inputs, ew))
            made["linear, 11 colours"] = (view, linear(inputs, ew))
    return made


def judge_all(
    sets: TestSets, *, weights: Path | None = None, networks: dict[str, View] = NETWORKS
) -> list[Judged]:
    """Ceiling, networks of the package, the published one, and baselines.

    Args:
        sets: galaxies.
        weights: published weights (``.npz``); None leaves that network out.
        networks: of the package.
    """
    judged = [ceiling(sets.test["colours"])]
    for name, view in networks.items():
        if name not in shipped():
            continue
        network = load_predictor(name).network
        seen = "11 colours" if view == "colours" else "120 bins"
        judged.append(judge_network(f"{name}, {seen}", network, sets.test[view]))
    if weights is not None:
        network = load_predictor(weights).network
        judged.append(judge_network("published, 11 colours", network, sets.test["colours"]))
    for name, (view, predict) in baselines(sets.training).items():
        test = sets.test[view]
        judged.append(judge_predictions(name, predict(test.galaxies.colours), test))
    return judged


def kolmogorov_smirnov(a: Any, b: Any) -> np.ndarray:
    """Largest distance (10,) of the cumulative distributions of two sets of widths.

    Args:
        a, b: (n, 10), (m, 10).

    Example:
        >>> kolmogorov_smirnov(np.arange(4.0)[:, None], np.arange(4.0)[:, None]).tolist()
        [0.0]
    """
    from scipy.stats import ks_2samp

    pairs = zip(np.asarray(a).T, np.asarray(b).T, strict=True)
    return np.array([float(ks_2samp(x, y, method="asymp").statistic) for x, y in pairs])


def with_noise(judged: Judged, test: Sample, *, seed: int = 0) -> np.ndarray:
    """Predicted widths (n, 10) as they would be measured: one draw of each, and noise of each
    galaxy's own errors.

    Raises:
        UsageError: a method without distributions.
    """
    if judged.widths is None:
        raise UsageError(f"{judged.name} predicts no distribution to draw from")
    rng = np.random.default_rng([seed, 2])
    drawn = np.asarray(judged.widths.draw(jax.random.key(seed)))
    return drawn + np.asarray(test.galaxies.ew_err) * rng.normal(size=drawn.shape)
