"""``nebulines info``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nebulines.cli.options import REDSHIFT


@click.command()
@click.argument("path", metavar="INPUT", type=click.Path(path_type=Path))
@click.option("--instrument", help="Instrument row that replaces what the file says.")
@click.option("--redshift", type=REDSHIFT, help="A number, or auto.")
def info(path: Path, instrument: str | None, redshift: Any) -> None:
    """Say what a file is, how it was understood, and what would be fitted."""
    from nebulines.io import describe, read

    data = read(path, instrument=instrument)
    for line in describe(data):
        click.echo(line)
    click.echo(_would_fit(data, redshift))


def _would_fit(data: Any, redshift: Any) -> str:
    """One line: the lines and the redshift of a fit with the defaults."""
    from nebulines.cubes import engine
    from nebulines.cubes.files.provenance import reference_redshift
    from nebulines.errors import UsageError
    from nebulines.fitting.config import FitConfig

    try:
        config = engine.load().resolve(data, FitConfig(redshift=redshift))
    except UsageError as error:
        return f"{'would fit':<12}nothing: {error}"
    at = reference_redshift(data, config)
    at = at if isinstance(at, str) else f"{at:.5g}"
    return f"{'would fit':<12}{', '.join(config.lines or ())} at redshift {at}"
