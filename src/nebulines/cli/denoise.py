"""``nebulines denoise``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nebulines.errors import UsageError

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("spectra", metavar="INPUT", type=_PATH)
@click.option("-o", "--output", required=True, type=_PATH, help="FITS file: FLUX, ERR, FLAGS.")
@click.option("--draws", type=click.IntRange(0), default=0, help="Posterior draws to write [0].")
@click.option("--network", help="Name, or .safetensors, of a network [that of the prior].")
@click.option("--redshift", type=float, help="Of all spectra [the file's]; 0 = rest frame.")
@click.option("--prior", type=click.Choice(["wide", "population"]), 
              help="Galaxies that are expected [wide].")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, help="Of the draws [0].")
@click.option("--instrument", help="Instrument row that replaces what the file says.")
@click.option("-q", "--quiet", is_flag=True, help="No summary.")
def denoise(
    spectra: Path, output: Path, instrument: str | None, quiet: bool, **options: Any
) -> None:
    """De-noise spectra of galaxies: the posterior of what they would be without noise.

    INPUT is a file of spectra or a cube (SDSS, DESI, MaNGA, row-stacked ...). OUTPUT takes FLUX
    (the posterior mean), ERR and FLAGS on the channels of the input, one row a spectrum (a cube's
    spaxels row by row), and with --draws the extensions DRAWS and LINES. Rows that the network
    cannot judge hold a fit and a flag.
    """
    from nebulines.runtime import configure

    configure()
    from nebulines.io.atomic import check_writable

    check_writable(output)
    if output.resolve() == spectra.resolve():
        raise UsageError(f"the output would replace the input {spectra}: choose another name")
    if output.suffix != ".fits":
        raise UsageError(f"clean spectra are written as FITS: {output.name} must end in .fits")
    _check_redshift(options["redshift"])
    from nebulines.galaxies.denoising.denoise import denoise as run
    from nebulines.io import read

    result = run(read(spectra, instrument=instrument), **options)
    result.write(output)
    if not quiet:
        good = int((result.flags == 0).sum())
        click.echo(f"de-noised {len(result.flags)} spectra, {len(result.flags) - good} flagged")
        click.echo(f"wrote {output}")


def _check_redshift(redshift: float | None) -> None:
    """A redshift for all spectra must be one that spectra can have."""
    import numpy as np

    from nebulines.fitting.problem import usable_redshift

    if redshift is not None and not usable_redshift(np.asarray(redshift)):
        raise UsageError(f"redshift must lie between -0.1 and 20, not {redshift}")
