"""``nebulines reproduce``."""

from __future__ import annotations

from pathlib import Path

import click

from nebulines.errors import UsageError

OPTIONS_OF = {
    "denoising": {"weights", "spectra"},
    "kinematics": {"method", "truth-maps"},
    "lines-from-continuum": {"weights"},
    "line-ratios": {"weights"},
}
"""Papers, and the options that not all of them have."""
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("paper", metavar="PAPER")
@click.option("-o", "--output", required=True, type=_FOLDER, help="Folder of the report.")
@click.option("--quick", is_flag=True, help="A tenth of the spectra.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
@click.option("--method", "methods", multiple=True, help="Only this method; may be repeated.")
@click.option("--truth-maps", type=_FOLDER, help="Maps of a real field, for its mock cube.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Weights of the paper's network [shipped, or trained anew].",
)
@click.option("--spectra", type=_FOLDER, help="Folder of real spectra, for denoising.")
@click.option("-q", "--quiet", is_flag=True, help="No bar, no summary.")
def reproduce(
    paper: str,
    output: Path,
    quick: bool,
    seed: int,
    methods: tuple[str, ...],
    truth_maps: Path | None,
    weights: Path | None,
    spectra: Path | None,
    quiet: bool,
) -> None:
    """Make a paper's tables and figures, ours beside theirs.

    PAPER is kinematics (Rhea et al. 2020), line-ratios (Rhea et al. 2021), lines-from-continuum
    (Khederlarian et al. 2024) or denoising (Scourfield et al. 2023; --weights is a folder of its
    autoencoders). Everything is measured anew, on spectra that no network was trained on, and
    written to a folder with the command that made it.
    """
    given = {"method": methods, "truth-maps": truth_maps, "weights": weights, "spectra": spectra}
    _check(paper, {name for name, value in given.items() if value})
    from nebulines.runtime import configure

    configure()
    shown = f"nebulines reproduce {paper}{' --quick' if quick else ''} --seed {seed}"
    if paper == "line-ratios":
        paths = _line_ratios(output, shown, quick=quick, seed=seed, weights=weights, quiet=quiet)
    elif paper == "denoising":
        paths = _denoising(output, shown, quick, seed, (weights, spectra), quiet)
    elif paper == "lines-from-continuum":
        paths = _lines_from_continuum(output, shown, quick=quick, seed=seed, weights=weights)
    else:
        paths = _kinematics(output, shown, quick, seed, methods, truth_maps, quiet)
    if not quiet:
        click.echo(f"wrote {paths[0]} and {len(paths) - 1} more files in {output}")


def _check(paper: str, given: set[str]) -> None:
    if paper not in OPTIONS_OF:
        raise UsageError(f"no paper {paper!r}: choose one of {', '.join(OPTIONS_OF)}")
    for name in sorted(given - OPTIONS_OF[paper]):
        papers = ", ".join(paper for paper, options in OPTIONS_OF.items() if name in options)
        raise UsageError(f"--{name} is an option of {papers}, not of {paper}")


def _kinematics(
    output: Path,
    shown: str,
    quick: bool,
    seed: int,
    methods: tuple[str, ...],
    truth_maps: Path | None,
    quiet: bool,
) -> list[Path]:
    from nebulines.reports.kinematics.plan import Plan
    from nebulines.reports.kinematics.report import reproduce_kinematics

    shown += "".join(f" --method {name}" for name in methods)
    if truth_maps is not None:
        shown += f" --truth-maps {truth_maps.name}"
    plan = Plan.of(output, seed=seed, quick=quick, methods=methods or None, truth_maps=truth_maps)
    return reproduce_kinematics(plan, command=shown, progress=not quiet)


def _line_ratios(
    output: Path, shown: str, *, quick: bool, seed: int, weights: Path | None, quiet: bool
) -> list[Path]:
    from nebulines.reports.line_ratios.report import reproduce_line_ratios
    from nebulines.reports.line_ratios.workshop import RatioPlan

    if weights is not None:
        shown += f" --weights {weights.name}"
    plan = RatioPlan.of(output, seed=seed, quick=quick, ann=weights)
    return reproduce_line_ratios(plan, command=shown, progress=not quiet)


def _lines_from_continuum(
    output: Path, shown: str, *, quick: bool, seed: int, weights: Path | None
) -> list[Path]:
    from nebulines.reports.widths.report import WidthPlan, reproduce_lines_from_continuum

    if weights is not None:
        shown += f" --weights {weights.name}"
    plan = WidthPlan.of(output, seed=seed, quick=quick, weights=weights)
    return reproduce_lines_from_continuum(plan, command=shown)


def _denoising(
    output: Path,
    shown: str,
    quick: bool,
    seed: int,
    folders: tuple[Path | None, Path | None],
    quiet: bool,
) -> list[Path]:
    from nebulines.reports.denoising.bench import Bench
    from nebulines.reports.denoising.report import reproduce_denoising

    weights, spectra = folders
    for option, folder in (("weights", weights), ("spectra", spectra)):
        shown += f" --{option} {folder.name}" if folder is not None else ""
    bench = Bench.of(output, seed=seed, quick=quick, weights=weights, spectra=spectra)
    return reproduce_denoising(bench, command=shown, progress=not quiet)
