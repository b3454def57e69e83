"""``nebulines instruments``."""

from __future__ import annotations

import click


@click.command()
def instruments() -> None:
    """List the known instruments: band [Angstrom], line spread, what they are."""
    from nebulines.instruments import get_instrument, instrument_names

    click.echo(f"{'name':<16} {'band':<15} {'shape':<9} title")
    for name in instrument_names():
        row = get_instrument(name)
        band = f"{row.band[0]:.0f}-{row.band[1]:.0f}"
        click.echo(f"{name:<16} {band:<15} {row.line_spread.shape:<9} {row.title}")
