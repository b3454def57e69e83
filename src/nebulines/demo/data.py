"""Find the cube of the demonstration, which the package mpdaf carries."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from nebulines.errors import InputError, UsageError

PACKAGE = "mpdaf"
CUBE = "mpdaf/data/sdetect/minicube.fits"
REDSHIFT = 0.0881
"""Redshift of the cluster Abell 478 (Struble & Rood 1999, ApJS 125, 35)."""

_INSTALL = "install it with: pip install 'nebulines[demo]' (or pip install mpdaf)"


def find_cube() -> Path:
    """Path of the MUSE cube of Abell 478's core: 40 x 40 spaxels of 0.2 arcsec.

    The cube is looked up among the files of the installed package; mpdaf itself is not
    imported.

    Raises:
        UsageError: mpdaf is not installed.
        InputError: mpdaf is installed without the cube.
    """
    try:
        package = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        raise UsageError(
            f"the demonstration fits a MUSE cube that comes with the package {PACKAGE}, "
            f"which is not installed here; {_INSTALL}"
        ) from None
    path = Path(str(package.locate_file(CUBE)))
    if not path.is_file():
        raise InputError(
            f"{PACKAGE} {package.version} is installed without its file {CUBE}; "
            f"{_INSTALL.replace('install', 'reinstall', 1)}"
        )
    return path
