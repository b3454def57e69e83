"""``nebulines paint``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("continua", type=_PATH)
@click.option(
    "-o", "--output", required=True, type=_PATH, help=".fits or .parquet: FLUX and LINES."
)
@click.option(
    "--weights", type=_PATH, help="Name, .npz as published, or .safetensors [equivalent_width]."
)
@click.option("--scatter", is_flag=True, help="Draw the widths instead of taking medians.")
@click.option("--seed", type=click.IntRange(0), help="Of draws and noise [0].")
@click.option("--broadening", "broadening_kms", type=float, help="Of the gas, 1 sigma, km/s [100].")
@click.option("--resolution", type=float, help="R of the line spread [the file's, or none].")
@click.option("--snr", type=float, help="Add noise: median continuum / snr in each channel.")
@click.option("--oii-ratio", type=float, help="[O II] 3729 / 3726 [1.35].")
@click.option("--mask-lines", "mask_kms", type=float, metavar="KMS",
              help="Replace lines of the input within so many km/s before binning.")  # fmt: skip
@click.option("--model-scatter", type=float, metavar="SIGMA",
              help="Of asinh EW, added [that of real galaxies with --mask-lines].")  # fmt: skip
@click.option("--frame", type=click.Choice(["rest", "observed"]), help="Of files with redshifts.")
@click.option("-q", "--quiet", is_flag=True, help="No summary.")
def paint(continua: Path, output: Path, quiet: bool, **options: Any) -> None:
    """Add emission lines to stellar continua, predicted from their colours.

    CONTINUA is a file of spectra (row-stacked FITS, or Parquet with a list flux in each row) per
    wavelength in the rest frame, from 3400 to 7000 Angstrom at least. OUTPUT (.fits or .parquet)
    takes FLUX with the lines added, and the table LINES with the equivalent widths of ten lines,
    their errors and flags. Files larger than memory are worked through by blocks.
    """
    from nebulines.runtime import configure

    configure()
    import jax

    from nebulines.galaxies.widths.config import PaintConfig
    from nebulines.galaxies.widths.files import paint_file

    config = PaintConfig(**{k: v for k, v in options.items() if v is not None})
    with jax.enable_x64(True):
        flags = paint_file(continua, output, config)
    if not quiet:
        good = int((flags == 0).sum())
        click.echo(f"painted {len(flags)} continua, {len(flags) - good} of them flagged")
        click.echo(f"wrote {output}")
