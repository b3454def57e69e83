"""The truth of mock data on disk, filled block by block: a table, or maps.

Names, units and headers are those of the results of a fit, so that truth and result compare
column by column.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nebulines
from nebulines.lines import load_catalogue
from nebulines.synthetic.config import SimulationConfig

if TYPE_CHECKING:
    from astropy.table import Table
    from astropy.wcs import WCS

Columns = Mapping[str, np.ndarray]


def truth_path(output: Path) -> Path:
    """Name of the truth that belongs to an output.

    Example:
        >>> truth_path(Path("mock.hdf5")).name
        'mock_TRUTH.fits'
    """
    return output.with_name(f"{output.stem if output.suffix else output.name}_TRUTH.fits")


def truth_meta(
    config: SimulationConfig, *, instrument: str, names: tuple[str, ...], seed: int, unit: str
) -> dict[str, Any]:
    """What the header of a truth file says about itself.

    Args:
        config: what was simulated.
        instrument: name of its row.
        names: of the lines.
        seed: of the random generator.
        unit: FITS unit of the flux density.
    """
    lines = load_catalogue().select(names)
    air = {n: round(float(w), 4) for n, w in zip(names, lines.wavelength_air, strict=True)}
    options = {key: value for key, value in vars(config).items() if key != "correction"}
    return {
        "CREATOR": "nebulines",
        "NEBVERS": nebulines.__version__,
        "CONTENT": "truth of simulated data",
        "INSTROW": instrument,
        "SEED": seed,
        "CONFIG": json.dumps(options, default=str),
        "VELCONV": config.convention,
        "REDSHIFT": float(config.redshift),
        "LSFCORR": "yes",
        "DEREDDEN": False,
        "FLUXUNIT": unit,
        "LINES": json.dumps(air),
    }


class TruthTable:
    """A table of n rows that is filled block by block.

    Args:
        path: the file, complete with the last block.
        n: number of rows.
        meta: of the header, from `truth_meta`.
    """

    def __init__(self, path: Path, n: int, meta: Mapping[str, Any]) -> None:
        self.path, self.n, self.meta = path, n, dict(meta)
        self._canvas: Any = None
        self._row = 0

    def add(self, truth: Table) -> None:
        """Write the rows of the next block."""
        from nebulines.cubes.files.canvas import Canvas
        from nebulines.cubes.files.layout import table_layout

        if self._canvas is None:
            meta = self.meta
            if "REGIONS" in truth.meta:
                meta["REGIONS"] = json.dumps(list(truth.meta["REGIONS"]))
            columns = {name: truth[name].dtype for name in truth.colnames}
            layout = table_layout(columns, self.n, flux_unit=self.meta["FLUXUNIT"], meta=meta)
            self._canvas = Canvas.create(self.path, layout)
        with self._canvas.arrays() as arrays:
            rows = arrays["RESULT"][self._row : self._row + len(truth)]
            for name in truth.colnames:
                rows[name] = truth[name]
        self._row += len(truth)

    def finish(self) -> None:
        """Write the checksums."""
        self._canvas.finish()


class TruthMaps:
    """Maps of a cube that are filled block by block; NaN where nothing was written.

    Args:
        path: the file.
        shape: (ny, nx).
        meta: of the header, from `truth_meta`.
        wcs: celestial WCS of the cube.
    """

    def __init__(
        self, path: Path, shape: tuple[int, int], meta: Mapping[str, Any], wcs: WCS | None
    ) -> None:
        self.path, self.shape, self.meta, self.wcs = path, shape, dict(meta), wcs
        self._canvas: Any = None
        self._maps: dict[str, str] = {}

    def add(self, rows: slice, columns: slice, truth: Columns) -> None:
        """Write a rectangle: name -> values, row by row."""
        from nebulines.cubes.files.canvas import Canvas
        from nebulines.cubes.files.layout import maps_layout
        from nebulines.fitting.column_names import map_columns

        if self._canvas is None:
            dtypes = {name: values.dtype for name, values in truth.items()}
            unit = self.meta["FLUXUNIT"]
            layout = maps_layout(dtypes, self.shape, flux_unit=unit, meta=self.meta, wcs=self.wcs)
            self._canvas = Canvas.create(self.path, layout)
            self._maps = map_columns(truth, self.meta)
        size = (rows.stop - rows.start, columns.stop - columns.start)
        with self._canvas.arrays() as arrays:
            for name, column in self._maps.items():
                arrays[name][rows, columns] = truth[column].reshape(size)

    def finish(self) -> None:
        """Write the checksums."""
        self._canvas.finish()
