"""The verb ``explore``: a population or a cube's result in, a page out."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from nebulines.errors import InputError, UsageError

GALAXIES = "galaxies"
"""In place of a path: a population of the package."""


@dataclass(frozen=True)
class ExploreConfig:
    """Options of `explore`.

    Attributes:
        n: galaxies of the package's own population.
        seed: of that population, and of drawn widths.
        frame: ``rest`` or ``observed``: how the wavelengths of spectra with redshifts are meant.
        latent: add the UMAP plane of the network's latent space.
        cube: the cube that was fitted; None = the file that the maps name, where it is found.
        model: its model; None = ``OUT_MODEL.fits`` beside the maps.
        title: of the page; None = the object's or the file's name.
    """

    n: int = 100_000
    seed: int = 0
    frame: str | None = None
    latent: bool = False
    cube: str | PathLike[str] | None = None
    model: str | PathLike[str] | None = None
    title: str | None = None


def explore(
    source: str | PathLike[str], output: str | PathLike[str] | None = None, **options: Any
) -> Path:
    """Write a page on which one looks at a population of galaxies, or at the maps of a cube.

    The page is one HTML file that needs no network and nothing beside it.

    Args:
        source: row-stacked spectra, what ``nebulines paint`` wrote, ``OUT_MAPS.fits`` of a cube,
            or the word ``galaxies`` for a population of the package.
        output: of the page; None = beside ``source``, ``NAME_EXPLORER.html``.
        **options: of `ExploreConfig`.

    Returns:
        The path of the page.

    Raises:
        UsageError: an unknown option, a cube without a result, or a cube too large for a page.
        InputError: the file is neither a population nor maps.

    Example:
        >>> import numpy as np
        >>> from nebulines.fitting.result import Result
        >>> result = Result({"velocity": np.arange(6.0), "flags": np.zeros(6, int)}, shape=(2, 3))
        >>> explore(result.write_maps("gas_MAPS.fits")).name
        'gas_EXPLORER.html'
    """
    from nebulines.io.atomic import check_writable

    config = _config(options)
    target = Path(output) if output is not None else default_output(source)
    if target.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"the page {target.name} must end in .html: choose another name")
    check_writable(target)
    if is_maps(source):
        from nebulines.explorer.maps_page import write_maps_page

        return write_maps_page(cube_view(source, config), target)
    from nebulines.explorer.population_page import write_population

    return write_population(_population(source, config), target)


def _config(options: dict[str, Any]) -> ExploreConfig:
    known = list(ExploreConfig.__dataclass_fields__)
    if unknown := sorted(set(options) - set(known)):
        raise UsageError(f"explore: unknown {', '.join(unknown)}; there are {', '.join(known)}")
    config = ExploreConfig(**options)
    if config.n < 100:
        raise UsageError(f"a population to look at needs 100 galaxies or more, not {config.n}")
    return config


def default_output(source: str | PathLike[str]) -> Path:
    """The page beside a file.

    Example:
        >>> default_output("run/gas_MAPS.fits").as_posix(), default_output("galaxies").as_posix()
        ('run/gas_EXPLORER.html', 'galaxies_EXPLORER.html')
    """
    path = Path(source)
    stem = path.name.removesuffix(".gz").rpartition(".")[0] or path.name
    return path.with_name(f"{stem.removesuffix('_MAPS')}_EXPLORER.html")


def is_maps(source: str | PathLike[str]) -> bool:
    """Whether a file holds the maps of a cube's result.

    Raises:
        InputError: it is missing, or no FITS file.
    """
    if str(source) == GALAXIES and not Path(source).exists():
        return False
    from astropy.io import fits

    path = Path(source)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(
            f"{path} {what}: give a file of spectra, OUT_MAPS.fits of a cube, or the word "
            f"'{GALAXIES}' for a population of the package"
        )
    try:
        with fits.open(path) as hdus:
            return "RESULT" in hdus or any("COLUMN" in hdu.header for hdu in hdus[1:])
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is no FITS file ({error}): expected row-stacked spectra, the output of "
            "'nebulines paint', or OUT_MAPS.fits of a cube"
        ) from error


def cube_view(source: str | PathLike[str], config: ExploreConfig) -> Any:
    """The result of a cube with the spectra behind it.

    Raises:
        UsageError: a result of single spectra, or a cube of another shape.
    """
    from nebulines.explorer.cube_spectra import find_spectra
    from nebulines.explorer.maps import map_columns
    from nebulines.explorer.maps_page import CubeView
    from nebulines.fitting.result import Result

    path = Path(source)
    result = Result.read(path)
    map_columns(result)  # refuses what has no maps
    assert result.shape is not None
    spectra = find_spectra(
        path,
        result.shape,
        cube=None if config.cube is None else Path(config.cube),
        model=None if config.model is None else Path(config.model),
        source=str(result.meta.get("INPUT", "")),
    )
    title = config.title or str(result.meta.get("OBJECT") or path.name)
    return CubeView(result, spectra, title)


def _population(source: str | PathLike[str], config: ExploreConfig) -> Any:
    from dataclasses import replace

    if str(source) == GALAXIES and not Path(source).exists():
        from nebulines.explorer.demo_population import demo_population

        found = demo_population(config.n, config.seed, latent=config.latent)
    else:
        from nebulines.explorer.population_files import read_population

        found = read_population(
            Path(source), frame=config.frame, seed=config.seed, latent=config.latent
        )
    return replace(found, title=config.title) if config.title else found
