"""The files that a run on a cube or on a set of spectra fills."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.cubes.files.canvas import Extension
from nebulines.cubes.files.journal import Journal
from nebulines.cubes.files.layout import maps_layout, model_layout, table_layout
from nebulines.cubes.files.sinks import FileSink, Piece
from nebulines.fitting.column_names import map_columns
from nebulines.fitting.result import positions

if TYPE_CHECKING:
    from astropy.wcs import WCS

_Arrays = Mapping[str, np.ndarray]


def medium_card(piece: Piece) -> dict[str, str]:
    """Medium of the wavelengths of a piece, as FITS headers name it."""
    return {"AIRORVAC": {"air": "air", "vacuum": "vac"}[piece.axis.medium]}


def maps_file(
    final: Path,
    journal: Journal,
    *,
    shape: tuple[int, int],
    flux_unit: str,
    meta: Mapping[str, Any],
    wcs: WCS | None,
) -> FileSink:
    """``*_MAPS.fits``: one image per map (see `maps_layout`)."""

    def layout(piece: Piece) -> list[Extension]:
        about = {**meta, **medium_card(piece)}
        return maps_layout(_dtypes(piece), shape, flux_unit=flux_unit, meta=about, wcs=wcs)

    def fill(arrays: _Arrays, piece: Piece) -> None:
        for name, column in map_columns(piece.columns, meta).items():
            arrays[name][piece.index] = piece.columns[column]

    return FileSink(final, journal, layout=layout, fill=fill)


def model_file(
    final: Path,
    journal: Journal,
    *,
    shape: tuple[int, int],
    flux_unit: str,
    meta: Mapping[str, Any],
    wcs: WCS | None,
    partial: bool,
    band: int | None = None,
) -> FileSink:
    """``*_MODEL.fits``: model, noise and bad channels (see `model_layout`), of one ``band`` of a
    joint fit."""

    def layout(whole: Piece) -> list[Extension]:
        piece = whole if band is None else whole.bands[band]
        about = {**meta, **medium_card(piece)}
        return model_layout(
            piece.axis, shape, flux_unit=flux_unit, meta=about, wcs=wcs, partial=partial
        )

    def fill(arrays: _Arrays, piece: Piece) -> None:
        _fill_model(arrays, piece if band is None else piece.bands[band])

    return FileSink(final, journal, layout=layout, fill=fill)


def _fill_model(arrays: _Arrays, piece: Piece) -> None:
    where = (slice(None), *piece.model_index)
    for name, values in (("FLUX", piece.model), ("ERR", piece.error), ("MASK", piece.bad)):
        arrays[name][where] = values
    name = "WAVE" if piece.axis.kind == "wavelength" else "WAVENUMBER"
    if name in arrays:
        _fill_axis(arrays, name, piece)


def _fill_axis(arrays: _Arrays, name: str, piece: Piece) -> None:
    """The axis of a piece; spaxels that were left out have NaN in its rows."""
    rows = tuple(s.stop - s.start for s in piece.model_index)
    if arrays[name].ndim == 1:
        arrays[name][:] = piece.axis.values
    else:
        values = _spread(piece.axis.values, piece.used, rows)
        arrays[name][(slice(None), *piece.model_index)] = np.moveaxis(values, -1, 0)
    if "SCALE" in arrays and piece.axis.scale is not None:
        arrays["SCALE"][piece.model_index] = _spread(piece.axis.scale, piece.used, rows)


def _spread(values: np.ndarray, used: np.ndarray | None, rows: tuple[int, ...]) -> np.ndarray:
    if used is not None and not used.all():
        whole = np.full((len(used), *values.shape[1:]), np.nan)
        whole[used] = values
        values = whole
    return values.reshape(*rows, *values.shape[1:])


def table_file(
    final: Path,
    journal: Journal,
    *,
    shape: tuple[int, ...],
    flux_unit: str,
    meta: Mapping[str, Any],
    wcs: WCS | None = None,
) -> FileSink:
    """A result table: one row a spectrum (shape (n,)) or a spaxel (shape (ny, nx))."""
    cube = (shape[0], shape[1]) if len(shape) == 2 else None

    def layout(piece: Piece) -> list[Extension]:
        columns = _dtypes(piece)
        if cube:
            where = positions(slice(0, 1), slice(0, 1), wcs)
            columns = {name: values.dtype for name, values in where.items()} | columns
        n = int(np.prod(shape))
        about = {**meta, **medium_card(piece)}
        return table_layout(columns, n, flux_unit=flux_unit, meta=about, shape=cube, wcs=wcs)

    def begin(arrays: _Arrays) -> None:
        for y in range(cube[0] if cube else 0):
            row = arrays["RESULT"].reshape(shape)[y]
            for name, values in positions(slice(y, y + 1), slice(0, shape[1]), wcs).items():
                row[name] = values

    def fill(arrays: _Arrays, piece: Piece) -> None:
        rows = arrays["RESULT"].reshape(shape)[piece.index]
        for name, values in piece.columns.items():
            rows[name] = values

    return FileSink(final, journal, layout=layout, fill=fill, begin=begin, meta_extension=1)


def _dtypes(piece: Piece) -> dict[str, Any]:
    return {name: values.dtype for name, values in piece.columns.items()}
