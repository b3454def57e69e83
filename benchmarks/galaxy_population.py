r"""The galaxy population beside DESI's bright galaxies: equivalent widths, ratios, predictability.

    python -m benchmarks.galaxy_population --widths desi_bgs_line_ews.npz \
        --weights khederlarian2024_weights.npz

writes ``benchmarks/results/galaxy_population/``: README.md, numbers.json and figures. The file
holds measured equivalent widths above zero of DESI bright galaxies (Khederlarian et al. 2024).
Drawn galaxies get the errors of such measurements (`nebulines.galaxies.widths.errors`), and their
widths at or below zero are left out as in the file. The numbers of ``data/population.toml`` were
tuned to the same file with other seeds of the same population.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from benchmarks.population_figures import draw_figures
from benchmarks.reporting import RESULTS, environment, table
from nebulines.galaxies.population.drawing import draw_population, population_blocks
from nebulines.galaxies.population.observing import observe
from nebulines.galaxies.population.population import CLASSES
from nebulines.galaxies.population.surveys import survey_names
from nebulines.galaxies.widths.baselines import nearest_neighbours
from nebulines.galaxies.widths.bins import bin_weights, colours
from nebulines.galaxies.widths.equivalent_widths import LINES, published_names
from nebulines.galaxies.widths.errors import measure
from nebulines.galaxies.widths.scores import line_scores
from nebulines.nebular.diagnostics import Bpt, bpt_class
from nebulines.spectral_axis import air_to_vacuum

_DETECTED = 3.0
_KS = ("ks", "ks detected")
_FOUR = ("HBETA4861", "OIII5007", "HALPHA6563", "NII6583")
RATIOS = (
    ("NII6583", "HALPHA6563"),
    ("OIII5007", "HBETA4861"),
    ("HBETA4861", "HALPHA6563"),
    ("OII3727", "HALPHA6563"),
    ("SII6716", "HALPHA6563"),
    ("SII6716", "SII6731"),
)
TARGET_RANKS = {
    "HALPHA6563": 0.89,
    "HBETA4861": 0.88,
    "NII6583": 0.86,
    "OIII5007": 0.69,
    "OII3727": 0.74,
}
"""Rank correlations of PCA 6 + 50 neighbours on colours with DESI's errors, as measured on an
earlier synthetic population."""


class Widths(NamedTuple):
    """Equivalent widths (n, 10) of galaxies and their errors; NaN where none is kept."""

    ew: np.ndarray
    error: np.ndarray

    def column(self, name: str) -> np.ndarray:
        """Widths of a line."""
        return self.ew[:, LINES.index(name)]

    def four(self) -> np.ndarray:
        """Which galaxies show the four lines of the diagram at 3 sigma."""
        places = [LINES.index(name) for name in _FOUR]
        return ((self.ew / self.error)[:, places] > _DETECTED).all(axis=1)


class Drawn(NamedTuple):
    """What is kept of drawn galaxies."""

    true_ew: np.ndarray
    seen: Widths
    colours: np.ndarray
    kind: np.ndarray
    d4000: np.ndarray


def read_desi(path: Path) -> Widths:
    """The file, galaxies matched by their targets."""
    stored = np.load(path)
    names = published_names()
    targets = np.unique(np.concatenate([stored[f"{name}_target_ids"] for name in names]))
    ew = np.full((len(targets), len(names)), np.nan)
    error = ew.copy()
    for column, name in enumerate(names):
        rows = np.searchsorted(targets, stored[f"{name}_target_ids"])
        ew[rows, column] = stored[f"{name}_ews"]
        error[rows, column] = stored[f"{name}_ew_ivars"] ** -0.5
    return Widths(ew, error)


def draw(n: int, seed: int) -> Drawn:
    """Galaxies, measured as DESI would."""
    parts: list[tuple[np.ndarray, ...]] = []
    for block in population_blocks(n, seed, wavelength=(3350.0, 7050.0)):
        weights = bin_weights(air_to_vacuum(block.wavelength_air)).astype(np.float32)
        colour = np.asarray(colours(block.continuum @ weights))
        ew = np.stack([block.line_ew[name] for name in LINES], axis=1)
        parts.append((ew, colour, block.kind, block.d4000))
    ew, colour, kind, d4000 = (np.concatenate(part) for part in zip(*parts, strict=True))
    seen, error = measure(ew, np.random.default_rng([seed, 1]))
    kept = seen > 0
    return Drawn(ew, Widths(np.where(kept, seen, np.nan), error), colour, kind, d4000)


def compare_widths(drawn: Widths, desi: Widths) -> dict[str, Any]:
    """Percentiles and Kolmogorov-Smirnov distance of each line, widths above zero."""
    found = {}
    for name in LINES:
        ours, theirs = (w.column(name)[np.isfinite(w.column(name))] for w in (drawn, desi))
        found[name] = {
            "population": percentiles(ours),
            "desi": percentiles(theirs),
            "ks": distance(ours, theirs),
            "ks detected": distance(detected(drawn, name), detected(desi, name)),
        }
    return found


def detected(widths: Widths, name: str) -> np.ndarray:
    """Widths of a line above 3 sigma."""
    column = LINES.index(name)
    ew, error = widths.ew[:, column], widths.error[:, column]
    return ew[ew > _DETECTED * error]


def compare_ratios(drawn: Widths, desi: Widths) -> dict[str, Any]:
    """The same for logarithms of ratios, where four lines are detected."""
    found = {}
    for top, bottom in RATIOS:
        ours, theirs = (log_ratio(w, top, bottom) for w in (drawn, desi))
        found[f"{top}/{bottom}"] = {
            "population": percentiles(ours),
            "desi": percentiles(theirs),
            "ks": distance(ours, theirs),
        }
    return found


def log_ratio(widths: Widths, top: str, bottom: str) -> np.ndarray:
    """log10 of a ratio of widths in galaxies with four detected lines."""
    rows = widths.four()
    with np.errstate(invalid="ignore"):
        ratio = np.log10(widths.column(top)[rows] / widths.column(bottom)[rows])
    return ratio[np.isfinite(ratio)]


def bpt_shares(widths: Widths) -> dict[str, float]:
    """Shares of the classes of the [N II] diagram, four lines at 3 sigma, ratios of widths."""
    rows = widths.four()
    number = bpt_class({name: widths.column(name)[rows] for name in _FOUR})
    shares = {
        "star-forming": float(np.mean(number == Bpt.STAR_FORMING)),
        "composite": float(np.mean(number == Bpt.COMPOSITE)),
    }
    return {**shares, "nucleus": 1.0 - sum(shares.values())}


def rank_correlations(widths: Widths) -> np.ndarray:
    """Spearman (10, 10) between the widths of two lines, galaxies that have both."""
    from scipy.stats import spearmanr

    matrix = np.eye(len(LINES))
    for i in range(len(LINES)):
        for j in range(i):
            both = np.isfinite(widths.ew[:, i]) & np.isfinite(widths.ew[:, j])
            value = spearmanr(widths.ew[both, i], widths.ew[both, j]).statistic
            matrix[i, j] = matrix[j, i] = value
    return matrix


def predictability(drawn: Drawn) -> dict[str, float]:
    """Rank correlation of widths predicted from eleven colours, on galaxies not learned from."""
    half = len(drawn.colours) // 2
    seen = np.nan_to_num(drawn.seen.ew, nan=0.0)
    predict = nearest_neighbours(drawn.colours[:half], seen[:half], k=50, components=6)
    scores = line_scores(predict(drawn.colours[half:]), seen[half:])
    return {name: float(value) for name, value in zip(LINES, scores.spearman, strict=True)}


def compare_colours(drawn: Drawn, weights: Path) -> dict[str, list[float]]:
    """Mean colours less those of DESI in units of their spread, and the ratio of the spreads.

    ``weights`` are the published networks, whose scalers keep mean and spread (with noise) of the
    colours that they learned from.
    """
    stored = np.load(weights)
    mean, spread = (
        np.mean([np.ravel(stored[f"{name}_{key}"]) for name in published_names()], axis=0)
        for key in ("mu", "sc")
    )
    return {
        "offset": ((drawn.colours.mean(axis=0) - mean) / spread).round(3).tolist(),
        "spread": (drawn.colours.std(axis=0) / spread).round(3).tolist(),
    }


def implied_correlations(desi: Widths, weights: Path, n: int, seed: int) -> dict[str, float]:
    """Spread of asinh EW that the published networks predict for noisy colours of the population,
    over that of DESI's widths: the correlation of prediction and measurement in real galaxies, as
    far as both sets of colours are the same (for a least-squares prediction f of y, corr = sd f /
    sd y)."""
    from nebulines.galaxies.widths.published import read_published
    from nebulines.galaxies.widths.samples import TEST, draw_sample

    galaxies = draw_sample(n, seed, TEST).galaxies
    predicted = np.asarray(read_published(weights)(galaxies.colours)).std(axis=0)
    measured = np.nanstd(np.arcsinh(desi.ew), axis=0)
    return {name: float(value) for name, value in zip(LINES, predicted / measured, strict=True)}


def speed(n: int) -> dict[str, float]:
    """Galaxies a second, by the clock and by processor time."""
    draw_population(n, 0)
    found = {}
    found["draw"], galaxies = _rate(lambda: draw_population(n, 1), n)
    for survey in survey_names():
        observe(galaxies.rows(slice(8)), survey)
        found[f"render and observe, {survey}"], _ = _rate(
            lambda survey=survey: observe(galaxies, survey, 2), n
        )
    return found


def _rate(function: Any, n: int) -> tuple[dict[str, float], Any]:
    clock, processor = time.perf_counter(), time.process_time()
    answer = function()
    rates = {
        "per second": n / (time.perf_counter() - clock),
        "per second of processor time": n / (time.process_time() - processor),
    }
    return rates, answer


def percentiles(values: np.ndarray) -> list[float]:
    """16, 50 and 84 %."""
    return [round(float(x), 3) for x in np.percentile(values, [16, 50, 84])]


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference of two cumulative distributions."""
    from scipy.stats import ks_2samp

    return round(float(ks_2samp(ours, theirs).statistic), 4)


def page(facts: dict[str, Any]) -> str:
    """Markdown of all tables."""
    parts = ["# The galaxy population beside DESI", f"`{facts['environment']['command']}`", ""]
    rows = [
        [name, _three(row["population"]), _three(row["desi"]), *(f"{row[k]:.3f}" for k in _KS)]
        for name, row in facts["widths"].items()
    ]
    head = ["equivalent width [A]", "population 16, 50, 84 %", "DESI", *_KS]
    parts += ["## Equivalent widths above zero, with DESI's errors", table(head, rows), ""]
    rows = [
        [name, _three(row["population"]), _three(row["desi"]), f"{row['ks']:.3f}"]
        for name, row in facts["ratios"].items()
    ]
    head = ["log10 of the ratio", "population 16, 50, 84 %", "DESI", "KS"]
    parts += ["## Ratios of widths, four lines at 3 sigma", table(head, rows), ""]
    names = list(facts["bpt"]["desi"])
    rows = [[who, *(f"{shares[k]:.3f}" for k in names)] for who, shares in facts["bpt"].items()]
    parts += ["## [N II] diagram", table(["", *names], rows), ""]
    parts += [
        "Largest difference of a rank correlation between two lines: "
        f"{facts['largest_correlation_difference']:.3f}; median {facts['median_difference']:.3f}.",
        "",
    ]
    rows = [[k, f"{v:.3f}"] for k, v in facts["classes"].items()]
    parts += ["## Classes", table(["class", "share"], rows), ""]
    rows = [
        [name, f"{facts['predictability'][name]:.3f}", f"{target:.2f}"]
        for name, target in TARGET_RANKS.items()
    ]
    head = ["line", "rank correlation", "of an earlier population"]
    parts += ["## Widths from eleven colours, PCA 6 + 50 neighbours", table(head, rows), ""]
    if "colours" in facts:
        rows = [
            [f"{1 + k} to {2 + k}", f"{offset:.2f}", f"{spread:.2f}"]
            for k, (offset, spread) in enumerate(zip(*facts["colours"].values(), strict=True))
        ]
        head = ["colour, bins", "mean less DESI's [spread]", "spread over DESI's (with noise)"]
        parts += ["## Colours of the continua, without noise", table(head, rows), ""]
    if "implied" in facts:
        head = ["", *(k for k in TARGET_RANKS)]
        rows = [["spread ratio", *(f"{facts['implied'][k]:.2f}" for k in TARGET_RANKS)]]
        title = "## Spread of what the published networks predict here over that of DESI's widths"
        parts += [title, table(head, rows), ""]
    rows = [
        [what, *(f"{value:,.0f}" for value in rates.values())]
        for what, rates in facts["speed"].items()
    ]
    head = ["galaxies", "per second", "per second of processor time"]
    parts += ["## Speed", table(head, rows), ""]
    figures = [f"![{name}]({name})" for name in facts["figures"]]
    return "\n".join([*parts, "## Figures", *figures, ""])


def _three(values: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


@click.command()
@click.option("--widths", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--weights", type=click.Path(path_type=Path, exists=True), help="Published, .npz.")
@click.option("--n", default=60_000, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--speed-of", default=4096, show_default=True, help="Galaxies that speed is of.")
def main(widths: Path, weights: Path | None, n: int, seed: int, speed_of: int) -> None:
    """Measure and write."""
    folder = RESULTS / "galaxy_population"
    folder.mkdir(parents=True, exist_ok=True)
    desi, drawn = read_desi(widths), draw(n, seed)
    gap = np.abs(rank_correlations(drawn.seen) - rank_correlations(desi))
    known = environment()
    for path in (widths, weights):
        known["command"] = known["command"].replace(str(path), path.name if path else "")
    facts: dict[str, Any] = {
        "environment": known,
        "galaxies": n,
        "widths": compare_widths(drawn.seen, desi),
        "ratios": compare_ratios(drawn.seen, desi),
        "bpt": {"population": bpt_shares(drawn.seen), "desi": bpt_shares(desi)},
        "largest_correlation_difference": float(gap.max()),
        "median_difference": float(np.median(gap[np.triu_indices(len(gap), 1)])),
        "classes": {
            name: float(np.mean(drawn.kind == number)) for number, name in enumerate(CLASSES)
        },
        "predictability": predictability(drawn),
        "speed": speed(speed_of),
    }
    if weights is not None:
        facts["colours"] = compare_colours(drawn, weights)
        facts["implied"] = implied_correlations(desi, weights, n // 3, seed)
    facts["figures"] = draw_figures(folder, drawn, desi)
    (folder / "numbers.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(page(facts), encoding="utf-8")
    click.echo(page(facts))


if __name__ == "__main__":
    from nebulines.runtime import configure

    configure()
    main()
