"""``nebulines simulate``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import click

from nebulines.cli.options import NAMES
from nebulines.errors import UsageError

_PATH = click.Path(path_type=Path)
_RANGE: dict[str, Any] = {"type": float, "nargs": 2, "metavar": "LOW HIGH"}
_N_SPECTRA = 1000


@click.command()
@click.argument("instruments", metavar="INSTRUMENT...", nargs=-1, required=True)
@click.option("-o", "--output", required=True, type=_PATH, help="Spectra .fits; cube .hdf5, .fits.")
@click.option("--n", type=click.IntRange(1), help=f"Number of spectra [{_N_SPECTRA}].")
@click.option("--cube", metavar="NXxNY", help="A mock cube of that size instead of spectra.")
@click.option("--truth-maps", type=_PATH, help="Folder or FITS file of maps that a cube shows.")
@click.option("--separate", is_flag=True, help="One FITS file a spectrum; OUTPUT is a folder.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of the random generator [0].")
@click.option("--lines", type=NAMES, help="Lines to simulate; see 'nebulines lines'.")
@click.option("--prior", help="Line ratios: hii, pn, shock, dig, agn, mixed ..., or a table.")
@click.option("--snr", **_RANGE, help="Peak of H-alpha over the noise [5 30].")
@click.option("--velocity", **_RANGE, help="km/s around the redshift [-200 200].")
@click.option("--broadening", **_RANGE, help="Intrinsic 1-sigma widths, km/s [10 50].")
@click.option("--resolution", **_RANGE, help="R; default: the instrument's.")
@click.option("--continuum", **_RANGE, help="Level in units of the peak [0 0].")
@click.option("--continuum-shape", type=click.Choice(["flat", "polynomial", "stellar"]))
@click.option("--ebv", **_RANGE, help="Colour excess E(B-V), mag [0 0].")
@click.option("--extinction", help="Extinction law [CCM89].")
@click.option("--rv", type=float, help="R_V; default: the law's.")
@click.option("--components", type=click.Choice(["1", "2", "mixed"]), help="Of velocity [1].")
@click.option("--separation", **_RANGE, help="Of the second component, km/s [30 200].")
@click.option("--noise", help="white, wavelength, photon, sky, spikes, with commas [white].")
@click.option("--redshift", type=float, help="Of every source [0].")
@click.option("--band", **_RANGE, help="Part of a dispersive band, observed Angstrom.")
@click.option("--n-steps", type=click.IntRange(8), help="Of SITELLE's scan: number of channels.")
@click.option("--config", type=_PATH, help="TOML file with [simulate]; options override it.")
@click.option("--progress/--no-progress", default=None, help="Bar on stderr [on a terminal].")
@click.option("-q", "--quiet", is_flag=True, help="No bar, no summary.")
def simulate(
    instruments: tuple[str, ...],
    output: Path,
    n: int | None,
    cube: str | None,
    truth_maps: Path | None,
    separate: bool,
    seed: int,
    config: Path | None,
    progress: bool | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Simulate spectra or a cube of an instrument, with their truth.

    INSTRUMENT is a row of 'nebulines instruments'. Spectra go to one row-stacked FITS file
    (--separate: to one file each), a cube to the instrument's own format: .hdf5 for SITELLE,
    .fits for MUSE. The truth goes to OUTPUT_TRUTH.fits, with the names of a fit's results. The
    same seed gives the same data.

    galaxies-sdss, galaxies-desi, galaxies-manga, galaxies-uniform-0.04 and galaxies-desi-z0.1
    are galaxies with starlight as those surveys see them; of the options they take --n, --seed,
    --redshift and --snr (of a channel near 5500 Angstrom).

    Several instruments show the same objects, or the same field, each in its band: the names of
    their files end in that of the band, OUTPUT_SN1.fits, OUTPUT_SN2.fits ...
    """
    from nebulines.runtime import configure
    from nebulines.synthetic.config import GALAXIES

    configure()
    if instruments[0].startswith(GALAXIES):
        if len(instruments) > 1 or cube or truth_maps or separate or config:
            raise UsageError("mock galaxies are spectra of one survey in one file: see --help")
        shown = False if quiet else sys.stderr.isatty() if progress is None else progress
        paths = _galaxies(output, instruments[0], n or _N_SPECTRA, seed, options, shown)
        if not quiet:
            click.echo(f"simulated {n or _N_SPECTRA} galaxies, {instruments[0]}, seed {seed}")
            click.echo(f"wrote {', '.join(str(path) for path in paths)}")
        return
    shape = _shape(cube, truth_maps, n=n, separate=separate)
    chosen = _config(options, config, cube=shape is not None or truth_maps is not None)
    shown = False if quiet else sys.stderr.isatty() if progress is None else progress
    if separate and len(instruments) > 1:
        raise UsageError("--separate writes one band: give one instrument")
    if shape is None and truth_maps is None:
        paths = _spectra(output, instruments, n or _N_SPECTRA, seed, chosen, separate, shown)
        what = f"{n or _N_SPECTRA} spectra"
    else:
        paths = ()
        for instrument, place in zip(instruments, _places(output, instruments), strict=True):
            made, size = _cube(place, instrument, shape, truth_maps, seed, chosen, shown)
            paths += made
        what = f"a cube of {size[1]} x {size[0]} spaxels"
    if not quiet:
        click.echo(f"simulated {what} of {', '.join(instruments)}, seed {seed}")
        click.echo(f"wrote {', '.join(str(path) for path in paths)}")


def _galaxies(
    output: Path, name: str, n: int, seed: int, options: dict[str, Any], shown: bool
) -> tuple[Path, ...]:
    from nebulines.galaxies.population.mock_files import write_galaxies
    from nebulines.galaxies.population.mocks import GalaxyConfig

    config = GalaxyConfig.of({key: value for key, value in options.items() if value is not None})
    with _bar(n, "galaxies", shown) as bar:
        return write_galaxies(output, name, n, seed, config=config, advance=bar.update)


def _shape(
    cube: str | None, truth_maps: Path | None, *, n: int | None, separate: bool
) -> tuple[int, int] | None:
    """(ny, nx) of --cube NXxNY."""
    if cube is not None and truth_maps is not None:
        raise UsageError("--truth-maps sets the size of the cube: leave --cube out")
    if (cube or truth_maps) and (n is not None or separate):
        raise UsageError("--n and --separate are for spectra, --cube and --truth-maps for a cube")
    if cube is None:
        return None
    match = re.fullmatch(r"([1-9]\d*)[xX]([1-9]\d*)", cube.strip())
    if not match:
        raise UsageError(f"--cube must be NXxNY, for example 200x150, not {cube!r}")
    return int(match[2]), int(match[1])


def _config(options: dict[str, Any], path: Path | None, *, cube: bool) -> Any:
    """The options given, over those of the file; a cube has sky residuals by default."""
    from nebulines.synthetic.config import SimulationConfig

    given = {key: value for key, value in options.items() if value is not None}
    if given.get("components") in ("1", "2"):
        given["components"] = int(given["components"])
    config = SimulationConfig.of(given)
    if path is not None:
        config = SimulationConfig.from_toml(path, **given)
    elif cube and "noise" not in given:
        config = SimulationConfig.of({**given, "noise": ("white", "sky")})
    return config


def _places(output: Path, instruments: tuple[str, ...]) -> list[Path]:
    from nebulines.synthetic.bands_files import band_paths

    return [output] if len(instruments) == 1 else band_paths(output, instruments)


def _spectra(
    output: Path,
    instruments: tuple[str, ...],
    n: int,
    seed: int,
    config: Any,
    separate: bool,
    shown: bool,
) -> tuple[Path, ...]:
    from nebulines.synthetic.bands_files import write_bands
    from nebulines.synthetic.spectra_files import write_spectra

    with _bar(n, "spectra", shown) as bar:
        if len(instruments) > 1:
            return write_bands(output, instruments, n, seed, config=config, advance=bar.update)
        return write_spectra(
            output, instruments[0], n, seed, config=config, separate=separate, advance=bar.update
        )


def _cube(
    output: Path,
    instrument: str,
    shape: tuple[int, int] | None,
    truth_maps: Path | None,
    seed: int,
    config: Any,
    shown: bool,
) -> tuple[tuple[Path, ...], tuple[int, int]]:
    from nebulines.instruments import get_instrument
    from nebulines.synthetic.cubes import write_cube
    from nebulines.synthetic.spectra import simulated_lines
    from nebulines.synthetic.truth_maps import MapScene, read_truth_maps

    scene = None
    if truth_maps is not None:
        names = simulated_lines(get_instrument(instrument), config).names
        scene = MapScene(read_truth_maps(truth_maps), names)
        shape = scene.shape
    assert shape is not None
    with _bar(shape[0] * shape[1], "spaxels", shown) as bar:
        paths = write_cube(
            output, instrument, shape, seed, config=config, scene=scene, advance=bar.update
        )
    return paths, shape


def _bar(total: int, unit: str, shown: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, unit=f" {unit}", unit_scale=True, disable=not shown, file=sys.stderr)
