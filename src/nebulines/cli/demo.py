"""``nebulines demo``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default="nebulines-demo",
    show_default=True,
    help="Folder for maps, model, table, figure and report.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress bar, no summary.")
def demo(output: Path, quiet: bool) -> None:
    """Measure a real MUSE cube and show what was found.

    The core of the cluster Abell 478, as the package mpdaf carries it (installed with
    `nebulines[demo]`): maps, model cube, table, a figure and a one-page report.
    """
    from nebulines.runtime import configure

    configure()
    from nebulines.demo import run_demo

    run_demo(output, quiet=quiet)
