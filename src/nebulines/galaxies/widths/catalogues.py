"""Catalogues of measured equivalent widths: FastSpecFit (DESI) and MPA-JHU (SDSS).

Which columns mean what stands in ``data/width_catalogues.toml``. Widths come out in Angstrom,
positive in emission, with an infinite error where a line was not measured (inverse variance 0,
an error that is not positive, a value that is not finite). Both lines of [O II] are added.
"""

from __future__ import annotations

import functools
import tomllib
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import InputError, UsageError
from nebulines.galaxies.widths.equivalent_widths import LINES


class WidthCatalogue(NamedTuple):
    """n measured galaxies.

    Attributes:
        kind: ``fastspecfit`` or ``mpa_jhu``.
        ew, ew_err: (n, 10) [Angstrom], positive in emission; error inf = not measured.
        redshift: (n,) or None when the file has none.
        ids: (n,) or None.
    """

    kind: str
    ew: np.ndarray
    ew_err: np.ndarray
    redshift: np.ndarray | None
    ids: np.ndarray | None


def read_width_catalogue(path: str | Path) -> WidthCatalogue:
    """Measured widths of a FITS, ECSV or Parquet table; its columns tell which kind it is.

    Args:
        path: FastSpecFit's file (extension FASTSPEC, redshifts there or in METADATA) or MPA-JHU's
            galSpecLine (redshifts in a column Z, where there is one).

    Raises:
        UsageError: no such file.
        InputError: no table of either kind, or columns are missing.
    """
    path = Path(path)
    if not path.exists():
        raise UsageError(f"there is no catalogue {path}: give the path of a file that exists")
    return catalogue_of(_columns(path), where=path.name)


def catalogue_of(columns: dict[str, np.ndarray], *, where: str = "table") -> WidthCatalogue:
    """Measured widths of columns by name.

    Args:
        columns: (n,) arrays; the names may be in lower case.
        where: for messages.

    Raises:
        InputError: columns of neither kind, or some are missing.

    Example:
        >>> names = ["OII_3726", "OII_3729", "HGAMMA", "HBETA", "OIII_4959", "OIII_5007",
        ...          "NII_6548", "HALPHA", "NII_6584", "SII_6716", "SII_6731"]
        >>> table = {f"{name}_EW": np.ones(3) for name in names}
        >>> table |= {f"{name}_EW_IVAR": np.full(3, 4.0) for name in names}
        >>> found = catalogue_of(table)
        >>> found.ew[0, :2].tolist(), found.ew_err[0, :2].round(3).tolist()
        ([2.0, 1.0], [0.707, 0.5])
    """
    columns = {name.upper(): np.asarray(values) for name, values in columns.items()}
    kind, layout = _layout_of(columns, where)
    n = len(columns[layout["columns"]["HALPHA6563"][0] + layout["ew"]])
    ew, variance = np.zeros((n, len(LINES))), np.zeros((n, len(LINES)))
    for k, line in enumerate(LINES):
        for prefix in layout["columns"][line]:
            width, square = _width(columns, prefix, layout, line in layout["blended"], where)
            ew[:, k] += width
            variance[:, k] += square
    measured = np.isfinite(ew) & np.isfinite(variance) & (variance > 0)
    error = np.where(measured, np.sqrt(np.where(measured, variance, 1.0)), np.inf)
    redshift, ids = (
        next((columns[name] for name in layout[key] if name in columns), None)
        for key in ("redshift", "id")
    )
    return WidthCatalogue(kind, np.where(measured, ew, 0.0), error, redshift, ids)


def _width(
    columns: dict[str, np.ndarray], prefix: str, layout: dict[str, Any], blended: bool, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """One line's width and its variance; NaN where it was not measured."""
    ratio = [prefix + layout.get(key, "?") for key in ("flux", "flux_error", "continuum")]
    with np.errstate(divide="ignore", invalid="ignore"):
        if blended and all(name in columns for name in ratio):
            flux, error, level = (np.asarray(columns[name], float) for name in ratio)
            good = (error > 0) & (level > 0)
            return np.where(good, flux / level, np.nan), np.where(good, error / level, np.nan) ** 2
        ew = layout["sign"] * _column(columns, prefix + layout["ew"], where)
        if "ivar" in layout:
            ivar = _column(columns, prefix + layout["ivar"], where)
            return ew, np.where(ivar > 0, 1.0 / ivar, np.nan)
        error = _column(columns, prefix + layout["error"], where)
        return ew, np.where(error > 0, error, np.nan) ** 2


def _column(columns: dict[str, np.ndarray], name: str, where: str) -> np.ndarray:
    if name not in columns:
        raise InputError(f"{where}: the column {name} is missing")
    return np.asarray(columns[name], float)


def _layout_of(columns: dict[str, np.ndarray], where: str) -> tuple[str, dict[str, Any]]:
    for kind, layout in _layouts().items():
        if layout["columns"]["HALPHA6563"][0] + layout["ew"] in columns:
            return kind, layout
    raise InputError(
        f"{where}: no catalogue of equivalent widths: expected columns such as HALPHA_EW and "
        "HALPHA_EW_IVAR (FastSpecFit) or H_ALPHA_EQW and H_ALPHA_EQW_ERR (MPA-JHU)"
    )


@functools.cache
def _layouts() -> dict[str, dict[str, Any]]:
    path = Path(__file__).parent / "data" / "width_catalogues.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _columns(path: Path) -> dict[str, np.ndarray]:
    """Columns of every table of a file that has as many rows as the first one with widths."""
    from astropy.io import fits
    from astropy.table import Table

    if path.suffix == ".parquet":
        from nebulines.galaxies.widths.parquet import read_columns

        return read_columns(path)
    try:
        if path.suffix == ".ecsv":
            table = Table.read(path, format="ascii.ecsv")
            return {name: np.asarray(table[name]) for name in table.colnames}
        with warnings.catch_warnings(), fits.open(path) as hdus:
            warnings.simplefilter("ignore")
            tables = [hdu.data for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]
            return _together([{n: np.array(t[n]) for n in t.names} for t in tables])
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the catalogue {path}: {error}") from error


def _together(tables: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Columns of tables that stand row by row beside the one with most columns."""
    if not tables:
        return {}
    tables = sorted(tables, key=len)
    n = len(next(iter(tables[-1].values())))
    fitting = [t for t in tables if len(next(iter(t.values()))) == n]
    return {name: values for table in fitting for name, values in table.items()}
