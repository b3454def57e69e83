"""What the output files contain: extensions, headers, units, types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.cubes.files.canvas import Extension
from nebulines.cubes.files.provenance import add_cards, flag_bits
from nebulines.fitting.column_names import describe, map_columns
from nebulines.spectra import Flag
from nebulines.spectral_axis import SpectralAxis

if TYPE_CHECKING:
    from astropy.io import fits
    from astropy.wcs import WCS

_TFORM = {"f4": "E", "f8": "D", "i1": "I", "i2": "I", "i4": "J", "i8": "K", "b1": "L", "u1": "B"}
_FILL = {"flags": int(Flag.NO_DATA), "binid": -1}


def fill_value(column: str, dtype: Any) -> Any:
    """What stands in a column where nothing was fitted: NaN, and the NO_DATA flag.

    Example:
        >>> fill_value("velocity", float), fill_value("flags", int), fill_value("binid", int)
        (nan, 1, -1)
    """
    if np.dtype(dtype).kind == "f":
        return np.nan
    return _FILL.get(column, 0)


def table_layout(
    columns: Mapping[str, Any],
    n: int,
    *,
    flux_unit: str,
    meta: Mapping[str, Any],
    shape: tuple[int, int] | None = None,
    wcs: WCS | None = None,
) -> list[Extension]:
    """A table of n rows in extension ``RESULT``, with the metadata in its header; the first
    header has the WCS of a cube.

    Args:
        columns: name -> dtype.
        n: number of rows.
        flux_unit: FITS unit string of the data.
        meta: FITS keyword -> value.
        shape: (ny, nx) of a cube.
        wcs: celestial WCS of a cube.
    """
    from astropy.io import fits

    dtypes = {name: _table_dtype(dtype) for name, dtype in columns.items()}
    primary = _primary({"CREATOR": "nebulines"}, wcs)
    header = fits.BinTableHDU.from_columns(
        [
            fits.Column(
                name,
                _TFORM[dtype.str[1:]],
                unit=describe(name, flux_unit)[0] or None,
                null=None,
            )
            for name, dtype in dtypes.items()
        ],
        nrows=0,
        name="RESULT",
    ).header
    header["NAXIS2"] = n
    for number, name in enumerate(dtypes, start=1):
        if text := describe(name, flux_unit)[1]:
            header.set(f"TCOMM{number}", text, after=f"TFORM{number}")
    add_cards(header, {**meta, **flag_bits()})
    if shape is not None:
        add_cards(header, {"CUBENY": shape[0], "CUBENX": shape[1]})
    row = np.dtype(list(dtypes.items()))
    fill = np.array(tuple(fill_value(name, dtype) for name, dtype in dtypes.items()), row)
    return [Extension(primary), Extension(header, row, (n,), fill)]


def _table_dtype(dtype: Any) -> np.dtype:
    dtype = np.dtype(dtype)
    known = dtype if dtype.str[1:] in _TFORM and dtype.str[1:] != "i1" else _widened(dtype)
    return known.newbyteorder(">")


def _widened(dtype: np.dtype) -> np.dtype:
    return np.dtype({"f": "f8", "i": "i4", "u": "i4"}.get(dtype.kind, "f8"))


def maps_layout(
    columns: Mapping[str, Any],
    shape: tuple[int, int],
    *,
    flux_unit: str,
    meta: Mapping[str, Any],
    wcs: WCS | None = None,
) -> list[Extension]:
    """One image per map, named as PHANGS does (`map_columns`), with the celestial WCS and
    ``BUNIT`` in each; ``COLUMN`` says which column of the table it shows."""
    extensions = [Extension(_primary({**meta, **flag_bits()}, None))]
    for name, column in map_columns(columns, meta).items():
        dtype = np.dtype(">f4" if np.dtype(columns[column]).kind == "f" else ">i4")
        header = _image_header(name, dtype, shape)
        unit, text = describe(column, flux_unit)
        if unit:
            header["BUNIT"] = unit
        header["COLUMN"] = (column, "column of the result table")
        add_cards(header, {"CONTENT": text})
        if column == "flags":
            add_cards(header, flag_bits())
        _add_wcs(header, wcs)
        extensions.append(Extension(header, dtype, shape, fill_value(column, dtype)))
    return extensions


def model_layout(
    axis: SpectralAxis,
    shape: tuple[int, int],
    *,
    flux_unit: str,
    meta: Mapping[str, Any],
    wcs: WCS | None = None,
    partial: bool = False,
) -> list[Extension]:
    """The model cube: ``FLUX`` (model), ``ERR`` (1-sigma noise of the data) and ``MASK``
    (1 = channel not used), all (channel, y, x).

    A linear axis that all spaxels share is in the WCS; any other is in extension ``WAVE``
    [Angstrom] or ``WAVENUMBER`` [cm-1], (channel) or (channel, y, x), to be multiplied by the
    image ``SCALE`` (y, x) where there is one.

    Args:
        axis: axis of the first block.
        shape: (ny, nx).
        flux_unit: FITS unit string of the data.
        meta: FITS keyword -> value, for the first header.
        wcs: celestial WCS.
        partial: True fills with NaN first, for a run that leaves spaxels out.
    """
    size = (axis.n_channels, *shape)
    extensions = [Extension(_primary(meta, None))]
    for name, dtype, fill in (("FLUX", ">f4", np.nan), ("ERR", ">f4", np.nan), ("MASK", "u1", 1)):
        header = _image_header(name, np.dtype(dtype), size)
        if name != "MASK" and (unit := describe("continuum", flux_unit)[0]):
            header["BUNIT"] = unit
        _add_wcs(header, wcs, spectral=_linear_axis(axis))
        extensions.append(Extension(header, np.dtype(dtype), size, fill if partial else None))
    return extensions + _axis_extensions(axis, shape, wcs)


def _axis_extensions(
    axis: SpectralAxis, shape: tuple[int, int], wcs: WCS | None
) -> list[Extension]:
    if _linear_axis(axis):
        return []
    name = "WAVE" if axis.kind == "wavelength" else "WAVENUMBER"
    size = (axis.n_channels, *shape) if axis.values.ndim == 2 else (axis.n_channels,)
    header = _image_header(name, np.dtype(">f8"), size)
    header["BUNIT"] = "Angstrom" if axis.kind == "wavelength" else "cm-1"
    header["AIRORVAC"] = "air" if axis.medium == "air" else "vac"
    extensions = [Extension(header, np.dtype(">f8"), size)]
    if axis.scale is not None:
        header = _image_header("SCALE", np.dtype(">f8"), shape)
        add_cards(header, {"CONTENT": f"factor of {name} in each spaxel"})
        _add_wcs(header, wcs)
        extensions.append(Extension(header, np.dtype(">f8"), shape, np.nan))
    return extensions


def _linear_axis(axis: SpectralAxis) -> dict[str, Any]:
    """WCS keywords of the third axis; none when it is not shared or not linear (to 1e-3 of a
    channel)."""
    if not axis.shared or axis.n_channels < 2:
        return {}
    step = (axis.values[-1] - axis.values[0]) / (axis.n_channels - 1)
    straight = axis.values[0] + step * np.arange(axis.n_channels)
    if np.abs(axis.values - straight).max() > 1e-3 * step:
        return {}
    wave = {"air": "AWAV", "vacuum": "WAVE"}[axis.medium]
    return {
        "CTYPE3": wave if axis.kind == "wavelength" else "WAVN",
        "CUNIT3": "Angstrom" if axis.kind == "wavelength" else "cm-1",
        "CRPIX3": 1.0,
        "CRVAL3": float(axis.values[0]),
        "CDELT3": float(step),
        "AIRORVAC": "air" if axis.medium == "air" else "vac",
    }


def _primary(meta: Mapping[str, Any], wcs: WCS | None) -> fits.Header:
    from astropy.io import fits

    header = fits.PrimaryHDU().header
    header["EXTEND"] = True
    add_cards(header, meta)
    _add_wcs(header, wcs)
    return header


def _image_header(name: str, dtype: np.dtype, shape: tuple[int, ...]) -> fits.Header:
    from astropy.io import fits

    bits = {"f": -8 * dtype.itemsize}.get(dtype.kind, 8 * dtype.itemsize)
    axes = [(f"NAXIS{i}", size) for i, size in enumerate(shape[::-1], start=1)]
    cards = [("XTENSION", "IMAGE"), ("BITPIX", bits), ("NAXIS", len(shape)), *axes]
    return fits.Header([*cards, ("PCOUNT", 0), ("GCOUNT", 1), ("EXTNAME", name)])


def _add_wcs(header: fits.Header, wcs: WCS | None, spectral: dict[str, Any] | None = None) -> None:
    celestial = {} if wcs is None else dict(wcs.celestial.to_header(relax=True))
    if spectral and celestial:
        celestial["WCSAXES"] = 3
    for key, value in (celestial | (spectral or {})).items():
        header[key] = value
