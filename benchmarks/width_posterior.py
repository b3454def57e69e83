"""The best that these colours allow: the exact posterior of the widths, without any network.

    python -m benchmarks.width_posterior

Galaxies of the test set of the report get the posterior that the population itself, its noise and
its errors of calibration give them (`nebulines.evaluation.width_posterior`). Beside the scores of
its medians stand those of the network and of nearest neighbours on the same galaxies, and what no
function of the colours can pass (`nebulines.evaluation.width_limits`). Writes
``benchmarks/results/lines_from_continuum/posterior.md`` and ``.json``, and what the report needs of
it, ``src/nebulines/reports/data/width_limits.toml``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

import nebulines
from benchmarks.reporting import RESULTS, environment, table
from nebulines.evaluation.held_out import held_out_seed
from nebulines.evaluation.width_limits import Limits, limits_of, together
from nebulines.evaluation.width_posterior import LEAST_EFFECTIVE, Library
from nebulines.galaxies.widths.baselines import nearest_neighbours
from nebulines.galaxies.widths.equivalent_widths import LINES
from nebulines.galaxies.widths.predictors import load_predictor
from nebulines.galaxies.widths.samples import TEST, TRAINING, draw_sample
from nebulines.galaxies.widths.scores import line_scores

SHOWN = ("HALPHA6563", "HBETA4861", "NII6583", "OIII5007", "OII3727")
BASELINES = {"k-NN 50": 0, "PCA 6 + k-NN 50": 6}
_DATA = Path(nebulines.__file__).parent / "reports" / "data" / "width_limits.toml"
_PER_NMAD = 1.4826
_GAINS = np.linspace(0.40, -0.05, 10)
_STREAM = 61


class Found(NamedTuple):
    """Scores on one set of galaxies: name -> (10,)."""

    spearman: dict[str, np.ndarray]
    nmad: dict[str, np.ndarray]


def predictions(n: int, neighbours: int, seed: int) -> dict[str, np.ndarray]:
    """Widths (n, 10) [Angstrom] by the network and by nearest neighbours."""
    colours = draw_sample(n, seed, TEST).galaxies.colours
    known = draw_sample(neighbours, seed, TRAINING).galaxies
    made = {"network": np.asarray(load_predictor("equivalent_width").network.median(colours))}
    for name, components in BASELINES.items():
        made[name] = nearest_neighbours(known.colours, known.ew, components=components)(colours)
    return made


def found(
    limits: Limits, made: dict[str, np.ndarray], measured: np.ndarray, windows: np.ndarray
) -> Found:
    """Scores of those galaxies whose posterior enough others carry."""
    sure = limits.sure()
    scores = {
        name: line_scores(ew[sure], measured[sure])
        for name, ew in {"posterior": limits.median, **made}.items()
    }
    ranks = line_scores(limits.rank[sure], measured[sure]).spearman
    low, high = limits.least_half_width(windows)
    spearman = {name: one.spearman for name, one in scores.items()}
    nmad = {name: one.nmad for name, one in scores.items()}
    return Found(
        {**spearman, "expected rank": ranks, "any function": limits.most_spearman()},
        {**nmad, "any function": _PER_NMAD * low, "any, held out": _PER_NMAD * high},
    )


def shown(scores: dict[str, np.ndarray]) -> str:
    """One row a predictor."""
    places = [LINES.index(name) for name in SHOWN]
    rows = [[name, *(f"{one[k]:.3f}" for k in places)] for name, one in scores.items()]
    return table(["", *SHOWN], rows)


def gains(nmad: dict[str, np.ndarray]) -> str:
    """How far each lies below the neighbours."""
    places, rows = [LINES.index(name) for name in SHOWN], []
    for near in BASELINES:
        for name, one in nmad.items():
            if name not in BASELINES:
                below = 100.0 * (1.0 - one / nmad[near])
                rows.append([f"{name}, below {near}", *(f"{below[k]:.1f} %" for k in places)])
    return table(["", *SHOWN], rows)


def write(scores: Found, facts: dict[str, Any]) -> None:
    """Page, numbers, and the table of the report."""
    known = environment()
    text = [
        "# The best that eleven colours allow",
        f"`{known['command']}`, {known['date']}",
        f"{facts['sure']:,} of {facts['galaxies']:,} galaxies of the test stream of the "
        f"[report](lines_from_continuum.md): those whose posterior {LEAST_EFFECTIVE:.0f} or more "
        f"of {facts['library']:,} galaxies carry (median {facts['effective']:,.0f}, 5 % have fewer "
        f"than {facts['effective_5']:,.0f}). **posterior**: medians of the exact posterior of the "
        "true widths; **any function**: what no function of the colours passes, for NMAD a little "
        "too low; **any, held out**: windows judged by other draws, a little too high.",
        "Spearman, against measured widths.", shown(scores.spearman),
        "NMAD [A].", shown(scores.nmad),
        "NMAD below that of neighbours.", gains(scores.nmad),
        "Mean square of (rank of the measured width - expected rank) / its stated spread, one if "
        "the posterior is right.",
        shown({"": np.array(facts["calibration"])}),
        "",
    ]  # fmt: skip
    folder = RESULTS / "lines_from_continuum"
    (folder / "posterior.md").write_text("\n\n".join(text), encoding="utf-8")
    numbers = {
        key: {name: [round(float(v), 4) for v in one] for name, one in part.items()}
        for key, part in scores._asdict().items()
    }
    record = {"environment": known, "lines": LINES, **facts, **numbers}
    text_json = json.dumps(record, indent=1) + "\n"
    (folder / "posterior.json").write_text(text_json, encoding="utf-8")
    _DATA.write_text(toml(numbers, facts, known["command"]), encoding="utf-8")


def toml(numbers: dict[str, Any], facts: dict[str, Any], command: str) -> str:
    """What the report reads."""
    lines = [
        "# What the exact posterior of the widths reaches given eleven colours, and what no",
        "# function of them can pass: scores of each line on the same galaxies as the network's.",
        f"# Written by `{command}`.",
        f"galaxies = {facts['sure']}",
        f"effective = {facts['effective']:.0f}",
    ]
    for key, part in numbers.items():
        for name, values in part.items():
            lines += ["", f'[{key}."{name}"]']
            lines += [f"{line} = {v}" for line, v in zip(LINES, values, strict=True)]
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--n", default=2000, show_default=True, help="Galaxies that judge.")
@click.option("--library", "size", default=300_000, show_default=True, help="Of the posterior.")
@click.option("--neighbours", default=50_000, show_default=True, help="Galaxies of k-NN.")
@click.option("--seed", default=1, show_default=True)
def main(n: int, size: int, neighbours: int, seed: int) -> None:
    """Draw, weigh, judge, write."""
    galaxies = draw_sample(n, seed, TEST).galaxies
    made = predictions(n, neighbours, seed)
    near = line_scores(made["k-NN 50"], galaxies.ew).nmad / _PER_NMAD
    windows = near * (1.0 - _GAINS)[:, None]
    library = Library.draw(size, held_out_seed(seed, _STREAM))
    parts = []
    with click.progressbar(limits_of(galaxies.colours, library, windows), length=n) as bar:
        parts.extend(bar)
    limits = together(parts)
    effective, sure = limits.effective, limits.sure()
    pairs = zip(library.measured.T, galaxies.ew.T, strict=True)
    rank = [np.searchsorted(np.sort(known), seen) for known, seen in pairs]
    away = np.square(np.transpose(rank) / size - limits.rank) / limits.rank_variance
    facts = {
        "galaxies": n,
        "library": size,
        "sure": int(sure.sum()),
        "effective": float(np.median(effective)),
        "effective_5": float(np.quantile(effective, 0.05)),
        "calibration": [round(float(v), 3) for v in away[sure].mean(axis=0)],
    }
    write(found(limits, made, galaxies.ew, windows), facts)


if __name__ == "__main__":
    from nebulines.runtime import configure

    configure()
    main()
