"""A user's own lines: read from a table and checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.spectral_axis import air_to_vacuum, vacuum_to_air

if TYPE_CHECKING:
    from astropy.table import Table

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_TEXTS = ("species", "label", "group")


@dataclass(frozen=True)
class LineRow:
    """One line of a user's table; None where the table does not say."""

    name: str
    wavelength_air: float
    wavelength_vacuum: float
    species: str | None = None
    label: str | None = None
    group: str | None = None
    default: bool | None = None


def read_rows(path: str | Path) -> list[LineRow]:
    """Read and check the lines of an ECSV, CSV or FITS table.

    Raises:
        UsageError: naming the file, what was expected, and the row at fault.
    """
    table = _read_table(path)
    columns = [c for c in ("wavelength_air", "wavelength_vacuum") if c in table.colnames]
    if "name" not in table.colnames or not columns:
        raise UsageError(
            f"{path}: a table of lines needs the columns name and wavelength_air (or "
            f"wavelength_vacuum); found {', '.join(table.colnames) or 'no column'}"
        )
    if not len(table):
        raise UsageError(f"{path}: the table of lines has no row")
    wavelengths = {column: _angstrom(table, column, path) for column in columns}
    rows = [_row(table, i, wavelengths, path) for i in range(len(table))]
    folded = [row.name.casefold() for row in rows]
    repeated = sorted({row.name for row in rows if folded.count(row.name.casefold()) > 1})
    if repeated:
        raise UsageError(f"{path}: each line may appear once; repeated: {', '.join(repeated)}")
    return rows


def _read_table(path: str | Path) -> Table:
    from astropy.table import Table

    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: no such file; the table of lines must be ECSV, CSV or FITS")
    suffix = path.suffix.lower()
    formats = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".fits": "fits", ".fit": "fits"}
    if suffix not in formats:
        raise UsageError(
            f"{path}: a table of lines must end in {', '.join(formats)}, not {suffix or 'nothing'}"
        )
    try:
        return Table.read(path, format=formats[suffix])
    except Exception as error:  # astropy raises many types on a broken file
        raise UsageError(
            f"{path}: cannot be read as a {suffix[1:]} table: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _angstrom(table: Table, column: str, path: str | Path) -> np.ndarray:
    """A wavelength column as a plain array in Angstrom, NaN where empty."""
    import astropy.units as u

    unit = table[column].unit or u.Angstrom
    try:
        values: np.ndarray = np.ma.asarray(table[column], dtype=float).filled(np.nan)
        return np.asarray(u.Quantity(values, unit).to_value(u.Angstrom), float)
    except (ValueError, TypeError, u.UnitsError) as error:
        raise UsageError(
            f"{path}: {column} must hold wavelengths (numbers in Angstrom or with a unit of "
            f"length): {_first_line(error)}"
        ) from error


def _row(table: Table, index: int, wavelengths: dict[str, np.ndarray], path: str | Path) -> LineRow:
    name = _text(table["name"][index]) or ""
    where = f"{path}: row {index + 1}"
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{where}: a line's name must be letters and digits and start with a letter "
            f"(it names columns and maps), not {name!r}"
        )
    air, vacuum = _air_and_vacuum({k: float(v[index]) for k, v in wavelengths.items()})
    if not 900.0 <= air <= 300_000.0:
        raise UsageError(
            f"{where}: the rest wavelength of {name} must lie between 900 and 300000 Angstrom, "
            f"not {air}"
        )
    if not abs(vacuum / float(air_to_vacuum(air)) - 1.0) < 1e-5:
        raise UsageError(
            f"{where}: wavelength_air and wavelength_vacuum of {name} disagree; give one of them"
        )
    texts = {t: _text(table[t][index]) for t in _TEXTS if t in table.colnames}
    return LineRow(name, air, vacuum, **texts, default=_default(table, index, where))


def _air_and_vacuum(given: dict[str, float]) -> tuple[float, float]:
    """Both wavelengths of a line from the one or two that the table gives."""
    if "wavelength_air" not in given:
        vacuum = given["wavelength_vacuum"]
        return float(vacuum_to_air(vacuum)), vacuum
    air = given["wavelength_air"]
    return air, given.get("wavelength_vacuum", float(air_to_vacuum(air)))


def _text(value: Any) -> str | None:
    if value is np.ma.masked:
        return None
    return str(value.decode() if isinstance(value, bytes) else value).strip() or None


def _default(table: Table, index: int, where: str) -> bool | None:
    if "default" not in table.colnames or table["default"][index] is np.ma.masked:
        return None
    word = str(table["default"][index]).strip().casefold()
    if word not in ("true", "false", "1", "0"):
        raise UsageError(f"{where}: default must be true or false, not {word!r}")
    return word in ("true", "1")
