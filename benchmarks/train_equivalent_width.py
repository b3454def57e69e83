"""Train the network that ``nebulines paint`` uses by default, and score it on held-out galaxies.

    python -m benchmarks.train_equivalent_width TEACHER.npz -o FOLDER

TEACHER holds the published weights of Khederlarian et al. 2024. Galaxies come from
`nebulines.galaxies.population`; training, validation and test sets have seeds of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.reporting import command
from nebulines.galaxies.baselines import linear, nearest_neighbours
from nebulines.galaxies.equivalent_widths import LINES, LineWidths
from nebulines.galaxies.learning import Measured, equivalent_width_task
from nebulines.galaxies.network import ARCHITECTURE
from nebulines.galaxies.population import Population, empirical_population
from nebulines.galaxies.predictors import load_predictor
from nebulines.galaxies.scores import coverage, line_scores

TRAINING, VALIDATION, TEST = range(3)
"""Streams of random numbers: the second number of a seed."""
SIZE = {"width": 64, "depth": 2, "rank": 3}


def score(network: Any, test: Population) -> dict[str, Any]:
    """Scores of a network on galaxies that it never saw, against measured and true widths."""
    galaxies = test.galaxies
    widths = LineWidths(*(np.asarray(part) for part in network.predict(galaxies.colours)))
    seen = line_scores(widths.ew(), galaxies.ew)
    true = line_scores(widths.ew(), test.true_ew)
    return {
        "spearman": rounded(seen.spearman),
        "spearman_true": rounded(true.spearman),
        "nmad": rounded(seen.nmad),
        "bias": rounded(seen.bias),
        "coverage": rounded(coverage(widths, galaxies.ew, galaxies.ew_err)),
        "outside_support": float(np.mean(network.support.distance(galaxies.colours) > 1.0)),
    }


def score_baselines(training: Measured, test: Population) -> dict[str, dict[str, Any]]:
    """The same for simple predictors that learn from the same galaxies."""
    colours, ew = training.colours, training.ew
    methods = {
        "k-NN 50": nearest_neighbours(colours, ew),
        "PCA 6 + k-NN 50": nearest_neighbours(colours, ew, components=6),
        "linear": linear(colours, ew),
    }
    table = {}
    for name, predict in methods.items():
        found = line_scores(predict(test.galaxies.colours), test.galaxies.ew)
        table[name] = {key: rounded(value) for key, value in found._asdict().items()}
    return table


def rounded(values: Any) -> dict[str, float]:
    """One number a line, three digits."""
    return {name: round(float(v), 3) for name, v in zip(LINES, values, strict=True)}


@click.command()
@click.argument("teacher", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
@click.option("--galaxies", default=200_000, show_default=True)
@click.option("--steps", default=3000, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(teacher: Path, output: Path, galaxies: int, steps: int, seed: int) -> None:
    """Train, score, write the weights and their card."""
    import sys

    import nebulines
    from nebulines.networks.weights import save
    from nebulines.training import TrainConfig, train

    source = load_predictor(teacher)
    training = empirical_population(galaxies, [seed, TRAINING], source.network)
    validation = empirical_population(8192, [seed, VALIDATION], source.network)
    test = empirical_population(20_000, [seed, TEST], source.network)
    task = equivalent_width_task(training.galaxies, validation.galaxies)
    config = TrainConfig(**{**task.learning, "steps": steps, "seed": seed})
    trained = train(task, config, size=SIZE)
    card = {
        "name": task.name,
        "architecture": ARCHITECTURE,
        "size": SIZE,
        "version": nebulines.__version__,
        "source": "colours to lines as DESI galaxies show them (Khederlarian et al. 2024)",
        "trained_with": {
            "command": command(sys.argv).replace(str(teacher), teacher.name),
            "config": config.as_dict(),
            "galaxies": galaxies,
            "data": "nebulines.galaxies.population: colours with the mean and spread of DESI BGS, "
            "widths from the published network with estimated scatter and DESI noise",
            "teacher": source.card["source"],
            "teacher_licence": source.card["licence"],
            "validation_loss": trained.best,
        },
        "trained_ranges": {"colours": "region of 99.9 % of the training colours (support)"},
        "scores": {
            "set": f"{len(test.true_ew)} galaxies of the same population, another seed",
            **score(trained.network, test),
        },
    }
    output.mkdir(parents=True, exist_ok=True)
    save(output / f"{task.name}.safetensors", trained.network, card)
    click.echo(f"wrote {output / task.name}.safetensors")


if __name__ == "__main__":
    from nebulines.runtime import configure

    configure()
    main()
