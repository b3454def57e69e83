"""``nebulines fit``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import click

from nebulines.cli.options import NAMES, REDSHIFT
from nebulines.errors import NebulinesError, UsageError

_PATH = click.Path(path_type=Path)
_RANGE: dict[str, Any] = {"type": float, "nargs": 2, "metavar": "LOW HIGH"}

# options of the command that `FitConfig` knows under another name
_FIT_FIELDS = {"velocity": "velocity_range", "broadening": "broadening_range", "tie": "ties"}
_RUN_DEFAULTS: dict[str, Any] = {
    "instrument": None,
    "bin": 1,
    "mask": None,
    "region": None,
    "chunk": None,
    "method": "both",
    "model": True,
    "table": False,
}


@click.command()
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=_PATH)
@click.option(
    "-o", "--output", required=True, type=_PATH, help="Table (.fits, .ecsv); a cube's prefix."
)
@click.option("--lines", type=NAMES, help="Lines to fit; see 'nebulines lines'.")
@click.option("--catalogue", help="Table with more lines (name, wavelength_air).")
@click.option("--redshift", type=REDSHIFT, help="A number, or auto; default: from the file, or 0.")
@click.option("--velocity", **_RANGE, help="Velocities searched around it, km/s [-1000 1000].")
@click.option("--broadening", **_RANGE, help="Intrinsic 1-sigma widths, km/s [0 500].")
@click.option("--tie", help="Lines that share kinematics: all, or groups 'A,B;C,D'.")
@click.option(
    "--amplitudes",
    type=click.Choice(["free", "tied", "positive"]),
    help="tied: ratios that theory fixes are held; positive: no negative flux either [free].",
)
@click.option(
    "--continuum",
    type=click.Choice(["auto", "band", "window", "stellar"]),
    help="A polynomial of the band or of each window of lines, or starlight [auto].",
)
@click.option("--templates", help="Stellar templates: mastar, miles, bc03, a file or a folder.")
@click.option("--continuum-order", type=int, help="Order of the continuum's polynomial.")
@click.option(
    "--noise",
    type=click.Choice(["auto", "file", "estimate"]),
    help="The file's, or estimated from the residuals [auto: the file's where it has one].",
)
@click.option(
    "--shape",
    type=click.Choice(["auto", "gaussian", "sinc", "sincgauss"]),
    help="Of the lines [auto: as the instrument spreads them].",
)
@click.option("--resolution", type=float, help="R that replaces the file's or instrument's.")
@click.option(
    "--velocity-convention", type=click.Choice(["optical", "relativistic"]), help="[optical]"
)
@click.option("--components", type=click.Choice(["1", "2", "auto"]), help="Velocity components.")
@click.option("--detection", type=float, help="S/N of a line that counts as detected [3].")
@click.option("--reddening", metavar="LAW", help="Link hydrogen lines by case B behind dust.")
@click.option("--method", type=click.Choice(["network", "fit", "both"]), help="[both]")
@click.option("--instrument", help="Row that replaces the file's; of each input, with commas.")
@click.option("--bin", type=click.IntRange(1), help="Average N x N spaxels of a cube.")
@click.option("--mask", help="FITS image; spaxels that are not zero are left out.")
@click.option("--region", help="ds9 region file; only spaxels inside are fitted.")
@click.option("--chunk", type=click.IntRange(1), help="Spectra held in memory at once.")
@click.option("--model/--no-model", default=None, help="Write the model of a cube [yes].")
@click.option("--table/--no-table", default=None, help="Write a cube's table as well [no].")
@click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler whose workers fit.")
@click.option("--resume", is_flag=True, help="Go on after an interruption; keep what is done.")
@click.option("--config", type=_PATH, help="TOML file with [fit] and [run]; options override it.")
@click.option("--progress/--no-progress", default=None, help="Bar on stderr [on a terminal].")
@click.option("-q", "--quiet", is_flag=True, help="No bar, no summary.")
def fit(
    inputs: tuple[Path, ...],
    output: Path,
    resume: bool,
    scheduler: str | None,
    config: Path | None,
    progress: bool | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Measure the emission lines of a cube or of spectra.

    Several INPUTs are bands of the same objects (row by row) or of one field (cubes, matched by
    their WCS to the first): they are fitted jointly, with one velocity and broadening.

    For spectra OUTPUT is the result table. For a cube it is the start of the names of
    OUTPUT_MAPS.fits and OUTPUT_MODEL.fits. The resolved configuration goes to
    OUTPUT_CONFIG.toml, which --config reads back.
    """
    from nebulines.io.atomic import check_writable

    check_writable(output)
    fit_options, run = _settings(options, config)
    how = {"resume": resume, "scheduler": scheduler, "progress": False if quiet else progress}
    try:
        outputs = _run(inputs, output, fit_options, run, how)
    except KeyboardInterrupt:
        if not resume:
            raise
        raise NebulinesError(
            "interrupted: what is done is kept; run the same command again to go on"
        ) from None
    if not quiet:
        for line in outputs.summary:
            click.echo(line)
        click.echo(f"wrote {', '.join(str(path) for path in outputs.paths)}")


def _settings(options: dict[str, Any], path: Path | None) -> tuple[Any, dict[str, Any]]:
    """Options of the fit and of the run: those given, else those of the file, else defaults."""
    from nebulines.fitting.config import FitConfig

    given = {_FIT_FIELDS.get(k, k): v for k, v in options.items() if v is not None}
    if "components" in given:
        value = given["components"]
        given["components"] = value if value == "auto" else int(value)
    saved = _run_table(path)
    run = {key: given.pop(key, saved.get(key, value)) for key, value in _RUN_DEFAULTS.items()}
    if run["method"] not in ("network", "fit", "both"):
        raise UsageError(f"method must be network, fit or both, not {run['method']!r}")
    if path is None:
        return FitConfig(**given), run
    try:
        return FitConfig.from_toml(path, **given), run
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path}: a value in [fit] is of the wrong kind: {error}") from error


def _run_table(path: Path | None) -> dict[str, Any]:
    """The ``[run]`` table of a configuration; an unknown key or table is an error."""
    if path is None:
        return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read the configuration {path}: {error}") from error
    run = tables.get("run", {})
    unknown = sorted({*tables} - {"fit", "run"}) + sorted({*run} - {*_RUN_DEFAULTS})
    if unknown:
        raise UsageError(
            f"{path}: unknown {', '.join(unknown)}; expected tables [fit] and [run], and in "
            f"[run] {', '.join(_RUN_DEFAULTS)}"
        )
    return run


def _run(
    sources: tuple[Path, ...],
    output: Path,
    config: Any,
    run: dict[str, Any],
    how: dict[str, Any],
) -> Any:
    """Read the inputs and fit them into files; ``how`` changes no number."""
    from nebulines.cubes.joint.measure import check_kinds
    from nebulines.cubes.joint.run import fit_band_spectra, fit_cubes
    from nebulines.cubes.run import fit_cube, fit_spectra
    from nebulines.spectra import Cube

    data = _read(sources, run["instrument"])
    check_kinds(data)
    joint = len(data) > 1 or config.reddening != "none"
    common: dict[str, Any] = {**how, "method": run["method"]}
    common["run"] = {key: run[key] for key in ("instrument", "method")}
    if isinstance(data[0], Cube):
        prefix = output.with_suffix("") if output.suffix == ".fits" else output
        common |= {key: run[key] for key in ("bin", "mask", "region", "model", "table")}
        common["max_spaxels"] = run["chunk"]
        _keep_input(sources, _cube_outputs(prefix, data))
        if joint:
            return fit_cubes(data, config, prefix, **common)
        return fit_cube(data[0], config, prefix, **common)
    for key in ("bin", "mask", "region"):
        if run[key] != _RUN_DEFAULTS[key]:
            raise UsageError(f"--{key} needs a cube; {sources[0]} holds spectra")
    _keep_input(sources, [output])
    common["chunk"] = run["chunk"]
    if joint:
        return fit_band_spectra(data, config, output, **common)
    return fit_spectra(data[0], config, output, **common)


def _read(sources: tuple[Path, ...], instruments: str | None) -> list[Any]:
    """The inputs; --instrument names one row for each, with commas."""
    from nebulines.io import read

    names: list[str | None] = [None] * len(sources)
    if instruments is not None:
        names = [name.strip() for name in instruments.split(",")]
    if len(names) != len(sources):
        raise UsageError(
            f"--instrument names {len(names)} rows for {len(sources)} inputs: give one for each, "
            "with commas"
        )
    if len({path.resolve() for path in sources}) < len(sources):
        raise UsageError(
            "an input is given twice, and its noise would count as two: give each band once"
        )
    return [read(path, instrument=name) for path, name in zip(sources, names, strict=True)]


def _cube_outputs(prefix: Path, cubes: list[Any]) -> list[Path]:
    from nebulines.instruments.labels import band_labels

    labels = band_labels([cube.instrument for cube in cubes])
    kinds = ("MAPS", "MODEL", "TABLE", *(f"MODEL_{label}" for label in labels))
    return [prefix.with_name(f"{prefix.name}_{kind}.fits") for kind in kinds]


def _keep_input(sources: tuple[Path, ...], outputs: list[Path]) -> None:
    finals = [path.resolve() for path in outputs]
    for source in sources:
        if source.resolve() in finals:
            raise UsageError(f"the output would replace the input {source}: choose another name")
