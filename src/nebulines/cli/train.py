"""``nebulines train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nebulines.errors import UsageError

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("name")
@click.option(
    "-o", "--out", "--output", type=_PATH, help="Folder for weights and checkpoints [NAME-run]."
)
@click.option("--steps", type=click.IntRange(1), help="Gradient steps.")
@click.option("--seed", type=click.IntRange(0), help="Of weights, examples and validation [0].")
@click.option("--batch", type=click.IntRange(1), help="Spectra in a step.")
@click.option("--learning-rate", type=float, help="Largest learning rate.")
@click.option("--patience", type=click.IntRange(0), help="Stop after validations without gain.")
@click.option("--spectra", type=click.IntRange(100), default=50_000, show_default=True,
              help="Simulated spectra, for a network that learns from a fixed set.")  # fmt: skip
@click.option("--data", nargs=2, type=_PATH, metavar="SPECTRA CATALOGUE",
              help="Learn equivalent widths from files.")  # fmt: skip
@click.option("--clean", multiple=True, type=_PATH, metavar="SPECTRA",
              help="Learn de-noising from files of real spectra; may be repeated.")  # fmt: skip
@click.option("--ensemble", type=click.IntRange(1), default=1, help="Train so many networks.")
@click.option("--search", type=click.IntRange(1), metavar="MODELS",
              help="Random search for the layers and the dropout of ae or vae.")  # fmt: skip
@click.option("--start", type=_PATH, metavar="WEIGHTS",
              help="Begin with the weights of this file instead of random ones.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in the folder.")
@click.option("--config", type=_PATH, help="TOML file with [train] and [network].")
@click.option("--onnx", is_flag=True, help="Write the network as ONNX too.")
@click.option("--progress/--no-progress", default=None, help="Bar on stderr [on a terminal].")
def train(
    name: str,
    out: Path | None,
    spectra: int,
    data: tuple[Path, Path] | None,
    clean: tuple[Path, ...],
    ensemble: int,
    search: int | None,
    start: Path | None,
    resume: bool,
    config: Path | None,
    onnx: bool,
    progress: bool | None,
    **options: Any,
) -> None:
    """Train a network of the package from simulated spectra.

    NAME is kinematics, starnet, starnet-r2000, starnet-r1000, line_ratios, line_ratio_ann,
    denoise, denoise-wide, galaxy_kinds, pca, ae or vae (-2, -4, -6, -10 for other latent
    dimensions), equivalent_width or equivalent_width_spectrum. The folder takes NAME.safetensors
    with its card NAME.json, metrics.jsonl and the checkpoint that --resume goes on from. The same
    options and seed give the same weights, interrupted or not. With --data, equivalent widths are
    learned from observed spectra and a catalogue of FastSpecFit or MPA-JHU; with --clean,
    de-noising from files of spectra. With --search, models of drawn layers and dropout are trained
    for 25 epochs each (100 in the paper); the folder takes their table NAME-search.csv and the best
    one as NAME-search.toml, a file for --config.
    """
    from nebulines.runtime import configure

    configure(inline=False)
    from nebulines.training.config import read_training_file
    from nebulines.training.tasks import get_task, starting_from, task_names

    if name not in task_names():
        raise UsageError(f"no network {name!r} to train: choose one of {', '.join(task_names())}")
    saved, size = ({}, {}) if config is None else read_training_file(config)
    if search is not None:
        _refuse_beside_search(ensemble=ensemble > 1, start=start, onnx=onnx, network=size)
    given = {key: value for key, value in options.items() if value is not None}
    seed = given.get("seed", saved.get("seed", 0))
    try:
        task = get_task(name, seed=seed, spectra=spectra, data=data or clean or None)
        task = task if start is None else starting_from(task, start)
        settings = _settings(task, {**saved, **given}, search)
    except TypeError as error:
        raise UsageError(f"a value of [train] has the wrong type: {error}") from None
    folder = out or Path(f"{name}-run")
    folder.mkdir(parents=True, exist_ok=True)
    if search is not None:
        for path in _search(task, settings, folder, search, resume, progress):
            click.echo(f"wrote {path}")
        return
    for path in _run(task, settings, size, folder, ensemble, resume, progress):
        click.echo(f"wrote {path} and {path.with_suffix('.json').name}")
        if onnx:
            click.echo(f"wrote {_as_onnx(path)}")


def _settings(task: Any, given: dict[str, Any], search: int | None) -> Any:
    from nebulines.training.config import TrainConfig
    from nebulines.training.denoise.search import search_config

    if search is not None:
        return search_config(task, **given)
    return TrainConfig(**{**task.learning, **given})


def _refuse_beside_search(**options: Any) -> None:
    for name, value in options.items():
        if value:
            shown = "[network] of --config" if name == "network" else f"--{name}"
            raise UsageError(f"{shown} does nothing beside --search: leave it out")


def _search(
    task: Any, config: Any, folder: Path, models: int, resume: bool, progress: bool | None
) -> list[Path]:
    from nebulines.training.denoise.search import search_layers, write_models, write_network_table

    journal, table, best = (
        folder / f"{task.name}-search.{ending}" for ending in ("journal", "csv", "toml")
    )
    if not resume:
        journal.unlink(missing_ok=True)
    found = search_layers(task, config, models, journal=journal, progress=progress)
    write_models(table, found)
    write_network_table(best, found[0])
    return [table, best]


def _run(
    task: Any,
    config: Any,
    size: dict[str, Any],
    folder: Path,
    ensemble: int,
    resume: bool,
    progress: bool | None,
) -> list[Path]:
    from nebulines.training.loop import train as learn
    from nebulines.training.several import train_ensemble
    from nebulines.training.tasks import write_network

    common: dict[str, Any] = {"size": size, "resume": resume, "progress": progress}
    if ensemble == 1:
        trained = learn(task, config, out=folder, **common)
        return [write_network(folder, task, config, size, trained)]
    members = train_ensemble(task, config, ensemble, out=folder, **common)
    return [
        write_network(folder / f"member-{k}", task, config, size, member)
        for k, member in enumerate(members)
    ]


def _as_onnx(path: Path) -> Path:
    from nebulines.networks.onnx_file import write_onnx
    from nebulines.networks.weights import load

    target = path.with_suffix(".onnx")
    write_onnx(load(str(path)).network, target)
    return target
