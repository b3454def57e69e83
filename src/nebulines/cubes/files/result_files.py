"""Write a result to a file and read it back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.cubes.files.canvas import Canvas
from nebulines.cubes.files.layout import maps_layout, table_layout
from nebulines.cubes.files.provenance import flag_bits
from nebulines.errors import InputError, UsageError
from nebulines.fitting.result import Result
from nebulines.io.atomic import atomic_path

if TYPE_CHECKING:
    from astropy.io import fits
    from astropy.wcs import WCS

_STRUCTURE = re.compile(
    r"XTENSION|SIMPLE|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|EXTNAME|TFIELDS|"
    r"T(TYPE|FORM|UNIT|COMM|NULL|DISP)\d+|DATASUM|CHECKSUM|COMMENT|HISTORY|CUBEN[XY]|BIT\d+|WCS|"
)
_POSITIONS = ("y", "x", "ra", "dec")


def check_table_name(path: Path) -> None:
    """Refuse a name of a result table that ends neither in .fits nor in .ecsv."""
    if path.suffix not in (".fits", ".ecsv"):
        raise UsageError(
            f"the result table {path.name} must end in .fits or .ecsv, not {path.suffix!r}"
        )


def write_table(result: Result, path: Path) -> Path:
    """Write the table of a result; see `Result.write`."""
    check_table_name(path)
    table = result.table()
    with atomic_path(path) as partial:
        if path.suffix == ".ecsv":
            table.meta.update(_geometry(result), **flag_bits())
            table.write(partial, format="ascii.ecsv")
            return path
        layout = table_layout(
            {name: table[name].dtype for name in table.colnames},
            len(table),
            flux_unit=result.flux_unit,
            meta=result.meta,
            shape=result.shape,
            wcs=result.wcs,
        )
        canvas = Canvas.create(partial, layout)
        with canvas.arrays() as arrays:
            for name in table.colnames if len(table) else ():
                arrays["RESULT"][name] = table[name]
        canvas.finish()
    return path


def write_maps(result: Result, path: Path) -> Path:
    """Write the maps of a cube's result; see `Result.write_maps`."""
    maps = result.maps()
    assert result.shape is not None
    layout = maps_layout(
        {name: column.dtype for name, column in result.columns.items()},
        result.shape,
        flux_unit=result.flux_unit,
        meta=result.meta,
        wcs=result.wcs,
    )
    with atomic_path(path) as partial:
        canvas = Canvas.create(partial, layout)
        with canvas.arrays() as arrays:
            for name, image in maps.items():
                arrays[name][...] = image
        canvas.finish()
    return path


def _geometry(result: Result) -> dict[str, Any]:
    if result.shape is None:
        return {}
    wcs = {} if result.wcs is None else {"WCS": result.wcs.to_header_string(relax=True)}
    return {"CUBENY": result.shape[0], "CUBENX": result.shape[1], **wcs}


def read_result(path: Path) -> Result:
    """Read a result table (FITS or ECSV) or a maps file; see `Result.read`."""
    if not path.exists():
        raise InputError(f"{path} does not exist: check the name and the folder")
    try:
        if path.suffix == ".ecsv":
            return _read_ecsv(path)
        return _read_fits(path)
    except (OSError, KeyError, IndexError, ValueError) as error:
        raise InputError(
            f"{path} is not a result that nebulines wrote (a table .fits or .ecsv, or "
            f"*_MAPS.fits): {error}"
        ) from error


def _read_ecsv(path: Path) -> Result:
    from astropy.table import Table

    table = Table.read(path, format="ascii.ecsv")
    columns = {name: _plain(table[name]) for name in table.colnames}
    return _result(columns, dict(table.meta), table.meta.get("WCS"))


def _plain(column: Any) -> np.ndarray:
    """A column as a bare array; ECSV gives empty cells back as masked."""
    values = np.ma.asarray(column)
    if not np.ma.is_masked(values):
        return np.asarray(values)
    return values.filled(np.nan if values.dtype.kind == "f" else 0)


def _read_fits(path: Path) -> Result:
    from astropy.io import fits

    with fits.open(path, memmap=False) as hdus:
        if (table := _table_in(hdus)) is not None:
            data, header = table.data, table.header
            columns = {n: _native(data[n]) for n in data.names}
            return _result(columns, dict(header), hdus[0].header)
        columns, shape = {}, hdus["MASK"].data.shape
        for hdu in hdus[1:]:
            columns.setdefault(hdu.header["COLUMN"], _native(hdu.data).ravel())
        meta = {**hdus[0].header, "CUBENY": shape[0], "CUBENX": shape[1]}
        return _result(columns, meta, hdus["MASK"].header)


def _table_in(hdus: Any) -> Any:
    """The result table, or the first table of a file without maps: a line list of one's own."""
    if "RESULT" in hdus:
        return hdus["RESULT"]
    if "MASK" in hdus:
        return None
    tables = [hdu for hdu in hdus if getattr(hdu, "columns", None) is not None]
    if not tables:
        raise ValueError("it has neither a table nor maps")
    return tables[0]


def _native(values: np.ndarray) -> np.ndarray:
    return values.astype(values.dtype.newbyteorder("="))


def _result(columns: dict[str, np.ndarray], meta: dict[str, Any], wcs: Any) -> Result:
    shape = (int(meta["CUBENY"]), int(meta["CUBENX"])) if "CUBENY" in meta else None
    if shape:
        columns = {name: c for name, c in columns.items() if name not in _POSITIONS}
    kept = {k: v for k, v in meta.items() if not _STRUCTURE.fullmatch(k)}
    return Result(columns, str(meta.get("FLUXUNIT", "")), kept, shape, _celestial(wcs))


def _celestial(header: fits.Header | str | None) -> WCS | None:
    from astropy.io import fits
    from astropy.wcs import WCS

    if header is None:
        return None
    cards = fits.Header.fromstring(header) if isinstance(header, str) else header.copy()
    if "CTYPE1" not in cards:
        return None
    cards.pop("NAXIS", None)  # a header without an image describes the cube's sky all the same
    return WCS(cards).celestial
