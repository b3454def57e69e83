"""FITS tables of spectra: one row a channel, or one spectrum a row.

Columns by name: wavelength (WAVE, WAVELENGTH, LAMBDA ... or LOGLAM), flux, and error, variance
or inverse variance, mask, redshift. With a spectrum in every row the wavelengths may stand in
another table of the file, as one row of the same length.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nebulines.errors import InputError
from nebulines.io.axes import FoundAxis, axis_from_values, medium_of, medium_or_default
from nebulines.io.fits_file import FitsFile, FitsHdu
from nebulines.io.images import NoiseKind, bad_pixels, float32, variance_from
from nebulines.io.instrument_rows import instrument_in_header, medium_of_instrument
from nebulines.io.units import normalise_unit
from nebulines.io.wavelength_units import quantity_of
from nebulines.spectra import Spectra

_WAVE = ("WAVE", "WAVELENGTH", "LAMBDA", "LAM", "WL", "WAVELENGTH_AIR", "WAVELENGTH_VAC")
_LOG_WAVE = ("LOGLAM", "LOGLAMBDA", "LOG_LAMBDA", "LOGWAVE", "INPUT_GRID")
_FLUX = ("FLUX", "FLUX_REDUCED", "FLUX_DENSITY", "F_LAMBDA", "FLAM", "SPEC", "SPECTRUM", "DATA")
_NOISE: dict[str, NoiseKind] = {
    "ERR": "error",
    "ERROR": "error",
    "FLUX_ERR": "error",
    "FLUX_ERROR": "error",
    "ERR_FLUX": "error",
    "ERR_REDUCED": "error",
    "E_FLUX": "error",
    "SIGMA": "error",
    "UNCERTAINTY": "error",
    "STD": "error",
    "VAR": "variance",
    "VARIANCE": "variance",
    "STAT": "variance",
    "IVAR": "ivar",
}
_MASK = ("MASK", "DQ", "QUAL", "FLAG", "FLAGS")
_SDSS = {"PLATE", "MJD", "FIBERID"}


def matches(file: FitsFile) -> bool:
    """A table with a flux column, and wavelengths somewhere in the file."""
    return _flux_table(file) is not None


def read(file: FitsFile, *, instrument: str | None = None) -> Spectra:
    """Read the first table that holds spectra."""
    found_table = _flux_table(file)
    assert found_table is not None
    hdu, where = found_table
    table = hdu.table()
    name = _one_of(_FLUX, hdu.columns)
    flux = np.squeeze(table[name])
    flux = flux if flux.ndim == 2 else flux.reshape(1, -1)
    survey = "sdss" if set(hdu.columns) >= _SDSS else None
    instrument = instrument or survey or instrument_in_header(file, hdu)
    found = _axis(file, hdu, where, flux.shape, instrument)
    noise = next((key for key in _NOISE if key in table), None)
    quality = next((key for key in _MASK if key in table), None)
    variance = None
    bad: Any = False
    if noise is not None:
        values = found.ordered(table[noise].reshape(flux.shape))
        variance = variance_from(values, _NOISE[noise])
        bad = ~(values > 0) if _NOISE[noise] == "ivar" else bad
    if quality is not None and table[quality].size == flux.size:
        bad = bad | bad_pixels(found.ordered(table[quality].reshape(flux.shape)))
    redshift = table.get("Z", table.get("REDSHIFT"))
    unit = hdu.column_units().get(name, "") or str(file.card("BUNIT", hdu=hdu) or "")
    return Spectra(
        float32(found.ordered(flux)),
        found.axis,
        variance,
        None if bad is False else np.broadcast_to(bad, flux.shape),
        redshift=None if redshift is None or redshift.size != len(flux) else redshift.reshape(-1),
        instrument=instrument,
        unit=normalise_unit(unit),
        meta=file.facts(hdu)
        | found.meta()
        | {
            "format": f"FITS table of spectra (extension {hdu.name or hdu.index})",
            "noise": f"{_NOISE[noise]} (column {noise})" if noise else "none in the file",
        }
        | ({} if bad is False else {"mask": _judged(quality, noise)}),
    )


def _judged(quality: str | None, noise: str | None) -> str:
    parts = [f"column {quality} (not zero is bad)"] if quality else []
    return ", ".join(parts + (["IVAR 0"] if noise == "IVAR" else []))


def _flux_table(file: FitsFile) -> tuple[FitsHdu, FitsHdu] | None:
    """The table with the flux, and the one with its wavelengths."""
    tables = [hdu for hdu in file.hdus if hdu.kind == "table" and hdu.n_rows]
    for hdu in tables:
        if not any(name in hdu.columns for name in _FLUX):
            continue
        for other in [hdu, *tables]:
            if any(name in other.columns for name in (*_WAVE, *_LOG_WAVE)):
                return hdu, other
    return None


def _axis(
    file: FitsFile,
    hdu: FitsHdu,
    source: FitsHdu,
    shape: tuple[int, ...],
    instrument: str | None,
) -> FoundAxis:
    table, label = source.table(), source.label
    name = _one_of((*_WAVE, *_LOG_WAVE), source.columns)
    values = np.squeeze(np.asarray(table[name], float))
    values = values.reshape(-1) if values.ndim == 0 else values
    if values.shape != shape and values.shape != shape[-1:]:
        raise InputError(
            f"{label}: column {name} must have shape {shape[-1:]} or {shape} like the flux, "
            f"got {values.shape}"
        )
    logarithmic = name in _LOG_WAVE and values.max() < 10
    unit = source.column_units().get(name, "")
    found = quantity_of(unit)
    notes: tuple[str, ...] = ()
    if logarithmic:
        values, found = 10.0**values, None
    elif unit and found is None:
        raise InputError(
            f"{label}: the unit {unit!r} of column {name} is not understood: expected Angstrom, "
            "nm, um, m or cm-1"
        )
    elif found is None:
        notes = ("axis unit: none given; Angstrom is assumed",)
    quantity, size = found or ("length", 1.0)
    if quantity not in ("length", "wavenumber"):
        raise InputError(f"{label}: column {name} in {unit}: expected a length or cm-1")
    stated = medium_of(source.header) or medium_of(hdu.header) or medium_of(file.primary)
    if stated is None and name.endswith(("_AIR", "_VAC")):
        stated = "air" if name.endswith("_AIR") else "vacuum"
    medium, more = medium_or_default(stated, medium_of_instrument(instrument))
    kind = "wavelength" if quantity == "length" else "wavenumber"
    return axis_from_values(
        values * size,
        kind,  # type: ignore[arg-type]
        medium,
        where=f"{label} column {name}",
        assumed=(*notes, *more),
    )


def _one_of(names: tuple[str, ...], columns: dict[str, str]) -> str:
    return next(name for name in names if name in columns)
