"""``nebulines explore``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nebulines.errors import UsageError

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("path", metavar="PATH", type=_PATH)
@click.option("-o", "--output", type=_PATH, help="The page [NAME_EXPLORER.html beside PATH].")
@click.option("--n", type=click.IntRange(1), help="Number of 'galaxies' [100000].")
@click.option("--seed", type=click.IntRange(0), help="Of 'galaxies' and of drawn widths [0].")
@click.option("--frame", type=click.Choice(["rest", "observed"]), help="Of spectra with redshifts.")
@click.option("--latent", is_flag=True, help="Add a UMAP of the network's latent space.")
@click.option("--cube", type=_PATH, help="The cube behind the maps [found by its name].")
@click.option("--model", type=_PATH, help="Its model [OUT_MODEL.fits beside the maps].")
@click.option("--title", help="Of the page.")
@click.option("--port", type=click.IntRange(0, 65535), help="Serve a cube there instead of "
              "writing a page [done by itself for large cubes].")  # fmt: skip
@click.option("--no-open", is_flag=True, help="Do not open the page.")
def explore(
    path: Path, output: Path | None, port: int | None, no_open: bool, **options: Any
) -> None:
    """Look at a population of galaxies, or at the maps of a cube, in the browser.

    PATH is a file of spectra (row-stacked, or the output of 'nebulines paint'), the OUT_MAPS.fits
    of 'nebulines fit', or the word 'galaxies' for a population of the package. The page is one file
    that works without a network. A cube too large for one page is served by this machine to
    itself until you press Ctrl-C.
    """
    from nebulines.runtime import configure

    configure()
    given = {key: value for key, value in options.items() if value not in (None, False)}
    if served := _served(path, output, port, given):
        return _serve(served, port or 0, no_open)
    if port is not None:
        raise UsageError("--port serves the maps of a cube; a population is one page: leave it out")
    from nebulines.explorer import explore as write

    page = write(path, output, **_with_demo_cube(path, given))
    click.echo(f"wrote {page}")
    _open(page.resolve().as_uri(), no_open)


def _served(path: Path, output: Path | None, port: int | None, options: dict[str, Any]) -> Any:
    """The view of a cube that is to be served, or None."""
    from nebulines.explorer.explore import ExploreConfig, cube_view, is_maps

    if not is_maps(path) or (output is not None and port is None):
        return None
    from nebulines.explorer.maps_page import fits_in_page

    view = cube_view(path, ExploreConfig(**_with_demo_cube(path, options)))
    if port is not None and view.spectra is None:
        raise UsageError(
            f"there is no cube to serve: give the one that was fitted (--cube), or its model "
            f"{path.name.replace('_MAPS', '_MODEL')} beside the maps"
        )
    return view if port is not None or not fits_in_page(view.spectra) else None


def _with_demo_cube(path: Path, options: dict[str, Any]) -> dict[str, Any]:
    """The options with the cube of the demonstration, where the maps are those of it."""
    from nebulines.demo.run import NAME

    if "cube" in options or path.name != f"{NAME}_MAPS.fits":
        return options
    from nebulines.demo.data import find_cube
    from nebulines.errors import NebulinesError

    try:
        return {**options, "cube": find_cube()}
    except NebulinesError:  # mpdaf is not installed any more: the maps and the model remain
        return options


def _serve(view: Any, port: int, no_open: bool) -> None:
    """Serve until Ctrl-C."""
    from nebulines.explorer.server import address, make_server

    server = make_server(view, port)
    click.echo(f"serving {address(server)} to this machine alone; Ctrl-C ends it")
    _open(address(server), no_open)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


def _open(address: str, no_open: bool) -> None:
    from nebulines.explorer.opening import show

    if not no_open and not show(address):
        click.echo(f"open it in a browser: {address}")
