"""``nebulines classify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nebulines.errors import UsageError

if TYPE_CHECKING:
    from nebulines.fitting.result import Result

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("result", metavar="RESULT", type=_PATH)
@click.option(
    "-o", "--output", required=True, type=_PATH, help="Table (.fits, .ecsv); a cube's prefix."
)
@click.option("--law", default="CCM89", show_default=True, help="Extinction law of the source.")
@click.option("--rv", type=float, help="R_V [the law's usual value].")
@click.option("--ebv", type=float, help="E(B-V); 0: no dust left [from H-alpha / H-beta].")
@click.option("--foreground", type=float, help="E(B-V) of the Milky Way, taken out first [0].")
@click.option("--calibration", help="Of the oxygen abundance [O3N2_M13].")
@click.option("--doublet", type=click.Choice(["SII", "OII"]), help="Of the density [SII].")
@click.option("--temperature", type=float, help="Of the electrons, K, for the density [10000].")
@click.option("--detection", type=float, help="S/N of a line that counts as detected [3].")
@click.option("--component", type=click.IntRange(1), help="Velocity component [1].")
@click.option(
    "--share", "shares", multiple=True, metavar="CLASS=SHARE", help="Prior share of a class."
)
@click.option("-q", "--quiet", is_flag=True, help="No summary.")
def classify(
    result: Path, output: Path, law: str, rv: float | None, quiet: bool, **options: Any
) -> None:
    """Say what line fluxes mean: dust, density, abundance, classes.

    RESULT is a table or a *_MAPS.fits of 'nebulines fit'. E(B-V), electron density, oxygen
    abundance, BPT classes and the probabilities of H II region, planetary nebula, shock, diffuse
    gas and active nucleus are added to its columns or maps. For a cube OUTPUT is the start of the
    name of OUTPUT_MAPS.fits.
    """
    from nebulines.fitting.result import Result
    from nebulines.io.atomic import check_writable
    from nebulines.nebular.extinction import Dust
    from nebulines.nebular.interpret import interpret
    from nebulines.nebular.options import Options

    options["shares"] = _shares(options["shares"])
    given = {key: value for key, value in options.items() if value is not None}
    chosen = Options(dust=Dust(law, rv), **given)
    measured = Result.read(result)
    target = _target(measured, output)
    if target.resolve() == result.resolve():
        raise UsageError(f"the output would replace the input {result}: choose another name")
    check_writable(target)
    found = interpret(measured, chosen)
    if measured.shape is not None and target.suffix == ".fits":
        found.write_maps(target)
    else:
        found.write(target)
    if not quiet:
        click.echo(_summary(found))
        click.echo(f"wrote {target}")


def _target(result: Result, output: Path) -> Path:
    """The file that is written: a table as it is named, maps under a prefix."""
    if result.shape is None or output.suffix == ".ecsv":
        from nebulines.cubes.files.result_files import check_table_name

        check_table_name(output)
        return output
    prefix = output.with_suffix("") if output.suffix == ".fits" else output
    return prefix.with_name(f"{prefix.name}_MAPS.fits")


def _shares(pairs: tuple[str, ...]) -> dict[str, float] | None:
    """The default shares with those given in their place."""
    from nebulines.nebular.regions import DEFAULT_SHARES

    shares = dict(DEFAULT_SHARES)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if name not in shares or not equals or not 0.0 <= number < float("inf"):
            raise UsageError(
                f"--share is CLASS=NUMBER with a class of {', '.join(shares)} and a number from 0 "
                f"up; got {pair!r}"
            )
        shares[name] = number
    return shares if pairs else None


def _summary(result: Result) -> str:
    """How many rows of each class."""
    import numpy as np

    from nebulines.nebular.regions import Region

    counts = np.bincount(result["region_class"], minlength=len(Region))
    parts = [f"{region.name} {counts[region]}" for region in Region]
    return f"classes of {len(result)} spectra: {', '.join(parts)}"
