"""``nebulines lines``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--catalogue",
    type=click.Path(path_type=Path),
    help="Table with more lines (name, wavelength_air).",
)
@click.option("--default", "only_default", is_flag=True, help="Only the lines fitted by default.")
def lines(catalogue: Path | None, only_default: bool) -> None:
    """List the lines of the catalogue.

    Rest wavelengths in Angstrom; an asterisk marks the lines that are fitted when none is named.
    """
    from nebulines.lines import load_catalogue

    known = load_catalogue(catalogue)
    shown = known.defaults() if only_default else known
    click.echo(f"{'name':<16} {'air':>10} {'vacuum':>10}   ion")
    rows = zip(
        shown.names,
        shown.wavelength_air,
        shown.wavelength_vacuum,
        shown.default,
        shown.species,
        strict=True,
    )
    for name, air, vacuum, default, species in rows:
        click.echo(f"{name:<16} {air:10.2f} {vacuum:10.2f} {'*' if default else ' '} {species}")
