"""Train the map of continua: UMAP of a population's colours, and a network that learned it.

    python -m benchmarks.train_continuum_map -o FOLDER

UMAP places the training galaxies; the network learns from nine tenths of them. It is judged on
galaxies that UMAP placed together with these but the network never saw (R^2 against the fitted
plane), and on galaxies of another seed that neither saw (R^2 against ``UMAP.transform``, which
itself only approximates the plane).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.reporting import command
from nebulines.galaxies.embedding.continuum_map import CONTINUUM_MAP, place
from nebulines.galaxies.embedding.learning import (
    LEAST_DISTANCE,
    NEIGHBOURS,
    explained,
    fit_umap,
    map_task,
    standardise,
)

TRAINING, TEST = 1001, 1002
"""Seeds of the population, of its own each."""
SIZE = {"width": 64, "depth": 3}


def galaxies(n: int, seed: int) -> np.ndarray:
    """Colours (n, 11) of the package's population."""
    from nebulines.explorer.demo_population import population_colours

    return population_colours(n, seed)


def speed(network: Any, colours: np.ndarray) -> float:
    """Galaxies placed in a second, one warm call of a million."""
    many = np.resize(colours, (1_000_000, colours.shape[1]))
    place(network, many[:10_000])
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        place(network, many)
        seconds.append(time.perf_counter() - began)
    return len(many) / min(seconds)


@click.command()
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
@click.option("--galaxies", "n", default=30_000, show_default=True)
@click.option("--steps", default=8000, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(output: Path, n: int, steps: int, seed: int) -> None:
    """Place, train, score, write the weights and their card."""
    import nebulines
    from nebulines.galaxies.embedding.sequences import fit_sequences
    from nebulines.networks.weights import save
    from nebulines.training import TrainConfig, train

    colours = galaxies(n, TRAINING)
    began = time.perf_counter()
    reducer = fit_umap(colours, seed=seed)
    click.echo(f"UMAP of {n} galaxies: {time.perf_counter() - began:.0f} s")
    placed = np.asarray(reducer.embedding_)
    held = n // 10  # the last tenth tests, the tenth before it validates
    parts = [slice(0, n - 2 * held), slice(n - 2 * held, n - held), slice(n - held, n)]
    training, validation, test = [(colours[part], placed[part]) for part in parts]
    task = map_task(training, validation)
    config = TrainConfig(**{**task.learning, "steps": steps, "seed": seed})
    trained = train(task, config, size=SIZE)
    unseen = galaxies(5000, TEST)
    transformed = np.asarray(reducer.transform(standardise(unseen, colours)))
    scores = {
        "r2_held_out": round(explained(trained.network, *test), 5),
        "r2_held_out_set": f"{held} galaxies placed by the same UMAP, not used in training",
        "r2_transform": round(explained(trained.network, unseen, transformed), 5),
        "r2_transform_set": f"{len(unseen)} galaxies of seed {TEST}, placed by UMAP.transform",
        "galaxies_per_second": round(speed(trained.network, colours), -4),
    }
    click.echo(scores)
    card = {
        "name": CONTINUUM_MAP,
        "architecture": CONTINUUM_MAP,
        "size": SIZE,
        "version": nebulines.__version__,
        "source": "UMAP (McInnes, Healy & Melville 2018) of eleven colours",
        "trained_with": {
            "command": command(sys.argv).replace(str(output), output.name),
            "config": config.as_dict(),
            "galaxies": n,
            "data": f"colours of draw_population (seed {TRAINING}), without noise",
            "umap": {"n_neighbors": NEIGHBOURS, "min_dist": LEAST_DISTANCE, "seed": seed},
            "validation_loss": trained.best,
        },
        "trained_ranges": {"colours": "region of 99.9 % of the training colours (support)"},
        "sequences": fit_sequences(colours)._asdict(),
        "scores": scores,
    }
    output.mkdir(parents=True, exist_ok=True)
    save(output / f"{CONTINUUM_MAP}.safetensors", trained.network, card)
    click.echo(f"wrote {output / CONTINUUM_MAP}.safetensors")


if __name__ == "__main__":
    from nebulines.runtime import configure

    configure()
    main()
