"""What a fit gives back: columns by name, with units, conventions and provenance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.errors import InputError, UsageError
from nebulines.fitting.column_names import describe, line_names, map_columns

if TYPE_CHECKING:
    from astropy.table import Table
    from astropy.wcs import WCS


def positions(rows: slice, columns: slice, wcs: WCS | None) -> dict[str, np.ndarray]:
    """Where the spaxels of a rectangle lie, row by row.

    Args:
        rows, columns: the rectangle.
        wcs: celestial WCS of the cube, or None.

    Returns:
        ``y``, ``x`` counted from 0 and, with a WCS, ``ra``, ``dec`` [deg] of the centres (the
        two world axes of the WCS, whatever its frame).
    """
    y, x = (a.ravel().astype(np.int32) for a in np.mgrid[rows, columns])
    where = {"y": y, "x": x}
    if wcs is not None:
        where["ra"], where["dec"] = wcs.celestial.wcs_pix2world(x, y, 0)
    return where


@dataclass(frozen=True)
class Result:
    """Measurements of n spectra, or of the ny * nx spaxels of a cube row by row.

    Attributes:
        columns: name -> (n,) array; units and meanings by `describe`.
        flux_unit: FITS unit string of the data.
        meta: provenance and conventions, FITS keyword -> value (see `provenance`).
        shape: (ny, nx) of a cube, or None.
        wcs: celestial WCS of a cube, or None.
        model: (n, channel) best-fit model, or None where it was not kept.

    Example:
        >>> result = Result({"velocity": np.array([12.0]), "flags": np.array([0])})
        >>> result["velocity"], str(result.table()["velocity"].unit)
        (array([12.]), 'km / s')
    """

    columns: dict[str, np.ndarray]
    flux_unit: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    shape: tuple[int, int] | None = None
    wcs: WCS | None = None
    model: np.ndarray | None = None

    def __post_init__(self) -> None:
        lengths = {name: np.shape(column) for name, column in self.columns.items()}
        n = {self.shape[0] * self.shape[1]} if self.shape else {s[0] for s in lengths.values() if s}
        if len(n) != 1 or any(s != (min(n),) for s in lengths.values()):
            raise InputError(f"the columns of a result must all be (n,), got {lengths}")

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            return self.columns[name]
        except KeyError:
            raise UsageError(
                f"no column {name!r} in this result; it has {', '.join(self.columns)}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def lines(self) -> list[str]:
        """Names of the lines measured."""
        return line_names(self.columns)

    def image(self, name: str) -> np.ndarray:
        """A column of a cube's result as an image (ny, nx)."""
        if self.shape is None:
            raise UsageError("only the result of a cube has images; use result[name]")
        return self[name].reshape(self.shape)

    def maps(self, path: str | Path | None = None) -> dict[str, np.ndarray]:
        """Every map (ny, nx) of a cube's result, by the name that it has in a file; with a path
        they are written there too, as by `write_maps`.

        Raises:
            UsageError: the result is not that of a cube, or nothing can be written there.
        """
        if path is not None:
            self.write_maps(path)
        return {name: self.image(c) for name, c in map_columns(self.columns, self.meta).items()}

    def table(self) -> Table:
        """The result as an astropy table with units, descriptions and metadata; for a cube
        with the position of each spaxel: y, x and, where the WCS is known, ra, dec."""
        from astropy.table import Column, Table

        columns = {**self._positions(), **self.columns}
        table = Table(meta=dict(self.meta))
        for name, values in columns.items():
            unit, description = describe(name, self.flux_unit)
            table[name] = Column(values, unit=unit or None, description=description)
        return table

    def write(self, path: str | Path) -> Path:
        """Write the table, as FITS (``.fits``) or ECSV (``.ecsv``) by the name's ending.

        Raises:
            UsageError: another ending, or a folder where nothing can be written.
        """
        from nebulines.cubes.files.result_files import write_table

        return write_table(self, Path(path))

    def write_maps(self, path: str | Path) -> Path:
        """Write a cube's result as one FITS image per map, each with the celestial WCS."""
        from nebulines.cubes.files.result_files import write_maps

        return write_maps(self, Path(path))

    def _positions(self) -> dict[str, np.ndarray]:
        if self.shape is None:
            return {}
        ny, nx = self.shape
        return positions(slice(0, ny), slice(0, nx), self.wcs)

    def plot(self) -> Any:
        """Draw the result: `nebulines.plots.plot_result`."""
        from nebulines.plots import plot_result

        return plot_result(self)

    @classmethod
    def read(cls, path: str | Path) -> Result:
        """Read a result table (FITS, ECSV) or a maps file that nebulines wrote.

        Raises:
            InputError: the file is something else.
        """
        from nebulines.cubes.files.result_files import read_result

        return read_result(Path(path))
