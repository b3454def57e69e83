"""``nebulines evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

from nebulines.errors import UsageError

_PAGES_OF_THEIR_OWN = ("line_ratios", "equivalent_width", "equivalent_width_spectrum", "denoise")
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("name", metavar="NAME")
@click.option("-o", "--output", type=_FOLDER, help="Folder of the report [nebulines-NAME].")
@click.option("--n", "number", default=20_000, show_default=True, help="Held-out spectra.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
@click.option("--resolution", default=5000.0, show_default=True, help="Nominal R of SITELLE SN3.")
@click.option("--weights", type=click.Path(path_type=Path), help="Weights of a network [shipped].")
@click.option(
    "--saliency",
    default=10,
    show_default=True,
    type=click.IntRange(0),
    help="Its spectra; 0: none.",
)
@click.option("-q", "--quiet", is_flag=True, help="No summary.")
def evaluate(
    name: str,
    output: Path | None,
    number: int,
    seed: int,
    resolution: float,
    weights: Path | None,
    saliency: int,
    quiet: bool,
) -> None:
    """Judge a method on synthetic spectra that it was not trained on.

    NAME is fit (least squares), kinematics or starnet (networks), both (network and least
    squares), line_ratios (--n objects in SITELLE's SN1, SN2 and SN3), equivalent_width,
    equivalent_width_spectrum or denoise (--n galaxies). Accuracy beside its bound, calibration of
    the errors, answers out of range, figures, and the published numbers go to a folder.
    """
    from nebulines.runtime import configure

    configure()
    if name == "line_ratios":
        _line_ratios(output or Path("nebulines-line_ratios"), number, seed, weights, quiet)
        return
    if name == "denoise":
        _denoise(output or Path("nebulines-denoise"), number, seed, weights, quiet)
        return
    if name.startswith("equivalent_width"):
        _equivalent_width(name, output or Path(f"nebulines-{name}"), number, seed, weights, quiet)
        return
    from nebulines.evaluation.methods import method_names
    from nebulines.reports.evaluate import evaluate as run

    if name not in method_names():
        known = ", ".join([*method_names(), *_PAGES_OF_THEIR_OWN])
        raise UsageError(f"nothing named {name!r} to judge: choose one of {known}")
    shown = f"nebulines evaluate {name} --n {number} --seed {seed} --resolution {resolution:g}"
    if weights is not None:
        shown += f" --weights {weights.name}"
    paths = run(
        name,
        output or Path(f"nebulines-{name}"),
        n=number,
        seed=seed,
        weights=weights,
        resolution=resolution,
        command=shown,
        saliency_spectra=saliency,
    )
    if not quiet:
        click.echo(paths[0].read_text(encoding="utf-8").split("\n## Out of range")[0])
        click.echo(f"wrote {', '.join(str(path) for path in paths)}")


def _line_ratios(folder: Path, n: int, seed: int, weights: Path | None, quiet: bool) -> None:
    from nebulines.reports.line_ratios.evaluate import evaluate_line_ratios

    shown = f"nebulines evaluate line_ratios --n {n} --seed {seed}"
    if weights is not None:
        shown += f" --weights {weights.name}"
    paths = evaluate_line_ratios(folder, n=n, seed=seed, weights=weights, command=shown)
    if not quiet:
        click.echo(paths[0].read_text(encoding="utf-8"))
        click.echo(f"wrote {', '.join(str(path) for path in paths)}")


def _equivalent_width(
    name: str, folder: Path, n: int, seed: int, weights: Path | None, quiet: bool
) -> None:
    from nebulines.reports.widths.evaluate import evaluate_equivalent_width

    shown = f"nebulines evaluate {name} --n {n} --seed {seed}"
    if weights is not None:
        shown += f" --weights {weights.name}"
    paths = evaluate_equivalent_width(name, folder, n=n, seed=seed, weights=weights, command=shown)
    if not quiet:
        click.echo(paths[0].read_text(encoding="utf-8"))
        click.echo(f"wrote {', '.join(str(path) for path in paths)}")


def _denoise(folder: Path, n: int, seed: int, weights: Path | None, quiet: bool) -> None:
    from nebulines.reports.denoising.bench import Bench
    from nebulines.reports.denoising.report import JUDGED, reproduce_denoising

    shown = f"nebulines evaluate denoise --n {n} --seed {seed}"
    if weights is not None:
        shown += f" --weights {weights.name}"
    bench = Bench.of(folder, seed=seed, n=n, network=str(weights or "denoise"))
    paths = reproduce_denoising(bench, command=shown, sections=JUDGED, stem="denoise")
    if not quiet:
        click.echo(paths[0].read_text(encoding="utf-8"))
        click.echo(f"wrote {', '.join(str(path) for path in paths)}")
