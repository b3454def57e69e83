"""Run the demonstration from cube to report."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from nebulines.demo.data import REDSHIFT, find_cube
from nebulines.errors import UsageError

if TYPE_CHECKING:
    from nebulines.fitting.result import Result
    from nebulines.spectra import Cube

NAME = "abell478"
TITLE = "Abell 478: ionised gas in the core of the cluster"
_MAX_SPAXELS = 400

FILES = {
    "report.html": "this page",
    f"{NAME}.png": "the figure above",
    f"{NAME}.pdf": "the same figure for a paper",
    f"{NAME}_MAPS.fits": "one map per extension: fluxes, errors, upper limits, velocity, "
    "dispersion, ratios, χ², flags; each with the celestial WCS",
    f"{NAME}_MODEL.fits": "the best-fit spectrum of every spaxel, on the axes of the cube",
    f"{NAME}_TABLE.fits": "one row per spaxel with all measurements, units and descriptions",
    f"{NAME}_CONFIG.toml": "the options of the fit as they were resolved, for "
    "<code>--config</code>",
}


def run_demo(
    output: str | os.PathLike[str] = "nebulines-demo", quiet: bool = False
) -> dict[str, Path]:
    """Fit the real MUSE cube of Abell 478's core, spaxel by spaxel, and show what was found.

    All default lines of the catalogue between 4750 and 9350 A are fitted at z = 0.0881, with
    one velocity and one dispersion per spaxel. The folder then holds maps, model cube, result
    table, a figure (PNG and PDF) and a report; five lines on standard output say what was
    found and where it lies.

    Args:
        output: folder, made when it does not exist; files of an earlier run are replaced.
        quiet: True writes neither the progress bar nor the five lines.

    Returns:
        Paths by kind: ``report``, ``figure``, ``figure_pdf``, ``maps``, ``model``, ``table``.

    Raises:
        UsageError: mpdaf, which carries the cube, is not installed, or the folder cannot be
            written.
    """
    source = find_cube()
    folder = make_folder(output)
    from nebulines.cubes.run import fit_cube
    from nebulines.fitting.config import FitConfig
    from nebulines.fitting.result import Result
    from nebulines.io import read
    from nebulines.spectra import Cube

    cube = read(source)
    assert isinstance(cube, Cube)
    started = time.perf_counter()
    fit_cube(
        cube,
        FitConfig(redshift=REDSHIFT),
        folder / NAME,
        max_spaxels=_MAX_SPAXELS,
        progress=False if quiet else None,
        table=True,
    )
    seconds = time.perf_counter() - started
    result = Result.read(folder / f"{NAME}_TABLE.fits")
    return present(result, cube, folder, seconds=seconds, quiet=quiet)


def make_folder(output: str | os.PathLike[str]) -> Path:
    """The output folder, made when needed.

    Raises:
        UsageError: it cannot be made or written.
    """
    folder = Path(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot make the output folder {folder} ({error.strerror}); choose another one"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"the output folder {folder} cannot be written; choose another one")
    return folder


def present(
    result: Result, cube: Cube, folder: Path, *, seconds: float, quiet: bool = False
) -> dict[str, Path]:
    """Write figure and report of a fitted cube beside its maps, and say what was found.

    Args:
        result: of the cube.
        cube: the data.
        folder: that holds maps, model and table.
        seconds: that the fit took.
        quiet: True says nothing.

    Returns:
        See `run_demo`.
    """
    from nebulines.demo.report import write_report
    from nebulines.demo.summary import sentences, summarise
    from nebulines.plots import plot_result, save_figure

    maps, model, table = (folder / f"{NAME}_{kind}.fits" for kind in ("MAPS", "MODEL", "TABLE"))
    figure = plot_result(result, cube, model=model, title=TITLE)
    png, pdf = save_figure(figure, folder / NAME)
    summary = summarise(result, redshift=REDSHIFT)
    report = write_report(folder / "report.html", summary, figure=png, files=FILES, seconds=seconds)
    if not quiet:
        _say([*sentences(summary, seconds=seconds), _where(folder)])
    paths = {"report": report, "figure": png, "figure_pdf": pdf}
    return {**paths, "maps": maps, "model": model, "table": table}


def _where(folder: Path) -> str:
    names = ", ".join(name for name in FILES if name != "report.html")
    return (
        f"Open {folder / 'report.html'}; beside it: {names}. "
        f"To look at each spaxel: nebulines explore {folder / f'{NAME}_MAPS.fits'}"
    )


def _say(lines: list[str]) -> None:
    import click

    for line in lines:
        click.echo(line)
