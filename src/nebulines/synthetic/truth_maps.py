"""A scene made of maps that somebody measured: what they say becomes the truth of a mock."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from nebulines.errors import InputError
from nebulines.lines import load_catalogue
from nebulines.spectra.cube import Block
from nebulines.synthetic.rendering import Kinematics
from nebulines.synthetic.spaxels import Place, Spaxels

_LIMIT_KMS = {"velocity": 1000.0, "broadening": 300.0}
_PLAIN = ("velocity", "broadening", "continuum")
_SHORT = {"HA": "HALPHA", "HB": "HBETA", "HG": "HGAMMA", "HD": "HDELTA"}


class MapScene:
    """Spaxels as maps say.

    A spaxel is valid where velocity (within 1000 km/s), broadening (0 to 300 km/s) and the
    flux of H-alpha (or of the first line) are finite and the flux is positive; other fluxes
    that are negative or not finite count 0. Elsewhere there is noise only.

    Args:
        maps: name -> (ny, nx): ``velocity``, ``broadening`` [km/s], ``NAME_flux``, and
            optionally ``continuum``, from `read_truth_maps`.
        names: lines to show; those without a map are left dark.

    Example:
        >>> maps = {"velocity": np.zeros((2, 3)), "broadening": np.full((2, 3), 20.0)}
        >>> scene = MapScene(maps | {"HALPHA6563_flux": np.ones((2, 3))}, ("HALPHA6563",))
        >>> scene.shape, int(scene.spaxels(Block(0, 2, 0, 3)).valid.sum())
        ((2, 3), 6)
    """

    def __init__(self, maps: dict[str, np.ndarray], names: tuple[str, ...]) -> None:
        shown = [name for name in names if f"{name}_flux" in maps]
        if not shown or not {"velocity", "broadening"} <= set(maps):
            raise InputError(
                "truth maps need velocity, broadening and the flux of a line in the band "
                f"({', '.join(names)}); found {', '.join(maps)}"
            )
        self.names = names
        self.shape: tuple[int, int] = maps["velocity"].shape
        brightest = "HALPHA6563" if "HALPHA6563" in shown else shown[0]
        self._maps = maps
        valid = maps[f"{brightest}_flux"] > 0
        for name, limit in _LIMIT_KMS.items():
            valid &= np.isfinite(maps[name]) & (np.abs(maps[name]) < limit)
        self._valid = valid & (maps["broadening"] >= 0)
        if not self._valid.any():
            raise InputError("the truth maps have no spaxel with a finite velocity and a flux")

    def spaxels(self, block: Block) -> Spaxels:
        """What the spaxels of a block show, row by row; fluxes in the unit of the maps."""
        where = (slice(block.y0, block.y1), slice(block.x0, block.x1))
        valid = self._valid[where].ravel()
        velocity, broadening, level = (
            np.where(valid, np.nan_to_num(self._image(name)[where].ravel()), 0.0) for name in _PLAIN
        )
        fluxes = [self._image(f"{name}_flux")[where].ravel() for name in self.names]
        fluxes = [np.where(valid, np.maximum(np.nan_to_num(f), 0.0), 0.0) for f in fluxes]
        lines = Kinematics(velocity, broadening, np.stack(fluxes, axis=1))
        nothing = np.zeros(len(valid))
        place = np.full(len(valid), Place.UNKNOWN)
        return Spaxels(lines, None, None, level, nothing, place, valid)

    def _image(self, name: str) -> np.ndarray:
        return self._maps[name] if name in self._maps else np.zeros(self.shape)


def read_truth_maps(path: str | Path) -> dict[str, np.ndarray]:
    """Maps of a folder (one FITS image a map) or of one FITS file (one extension a map).

    Names are matched without case: ``velocity`` or ``*_VEL``, ``broadening`` or ``*_SIGMA``,
    ``continuum``, and the flux of a line by its name (``HALPHA6563_flux``, ``Halpha_flux``,
    ``HA6562_FLUX``, ``NII6583_flux`` ...).

    Args:
        path: the folder or file.

    Returns:
        name -> (ny, nx) float64, names as in a result table.

    Raises:
        InputError: nothing is there, or maps of different shapes.
    """
    path = Path(path)
    images = _folder(path) if path.is_dir() else _extensions(path)
    maps: dict[str, np.ndarray] = {}
    for name, image in images.items():
        if (column := _column(name)) and column not in maps:
            maps[column] = np.asarray(image, float)
    if not maps:
        raise InputError(f"{path}: no map of velocity, broadening or line flux found")
    if len(shapes := {image.shape for image in maps.values()}) > 1:
        raise InputError(f"{path}: the maps differ in shape: {sorted(shapes)}")
    return maps


def _folder(path: Path) -> dict[str, np.ndarray]:
    from astropy.io import fits

    files = sorted(path.glob("*.fits"))
    return {file.stem: fits.getdata(file) for file in files}


def _extensions(path: Path) -> dict[str, np.ndarray]:
    from astropy.io import fits

    try:
        with fits.open(path) as file:
            return {hdu.name: hdu.data for hdu in file if hdu.is_image and np.ndim(hdu.data) == 2}
    except OSError as error:
        raise InputError(f"cannot read the truth maps {path}: {error}") from error


def _column(name: str) -> str | None:
    """The column of a result table that a map shows."""
    text = name.casefold()
    if "err" in text.split("_"):
        return None
    if text == "continuum":
        return "continuum"
    if text == "velocity" or text.endswith("_vel"):
        return "velocity"
    if text == "broadening" or text.endswith("_sigma"):
        return "broadening"
    line = _line(text.removesuffix("_flux")) if text.endswith("_flux") else None
    return None if line is None else f"{line}_flux"


def _line(text: str) -> str | None:
    """The catalogue's name of a line: by species, and whole Angstroms where there are any."""
    match = re.fullmatch(r"([a-z]+?)(\d*)", text)
    if not match:
        return None
    species = _SHORT.get(match[1].upper(), match[1].upper())
    for name in load_catalogue().names:
        digits = name.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        same = name.removesuffix(digits) == species
        if same and (not match[2] or abs(int(match[2]) - int(digits)) <= 1):
            return name
    return None
