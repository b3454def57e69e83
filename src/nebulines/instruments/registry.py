"""The table of instruments: built-in rows, and a user's own file that adds or replaces."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.instruments.instrument import Instrument
from nebulines.instruments.line_spread import LineSpread

_LAWS = ("resolution", "fwhm_angstrom", "fwhm_polynomial", "fwhm_table", "fwhm_cm1")
_SPREAD = ("shape", "reference_wavelength", *_LAWS)
_REQUIRED = ("title", "source", "axis", "medium", "unit", "band", "shape")
_PLAIN = tuple(
    f.name for f in dataclasses.fields(Instrument) if f.name not in ("name", "line_spread")
)
_SCAN = ("step_nm", "order", "n_steps", "zpd_index", "correction")
_BUILTIN = Path(__file__).parent / "data" / "instruments.toml"


def instrument_names(path: str | Path | None = None) -> tuple[str, ...]:
    """Names of all instruments, with those of a user's file.

    Example:
        >>> "sitelle-sn3" in instrument_names()
        True
    """
    return tuple(_rows(path))


def get_instrument(name: str, path: str | Path | None = None) -> Instrument:
    """The instrument of that name, in any case.

    Args:
        name: such as ``sitelle-sn3`` or ``MUSE``.
        path: a user's TOML file with rows that add to or replace the built-in ones.

    Raises:
        UsageError: no such instrument (the message lists the names), or a row of the file is
            wrong (the message names the row and the key).

    Example:
        >>> get_instrument("MUSE").band
        (4750.0, 9350.0)
    """
    rows = _rows(path)
    key = name.strip().casefold()
    if key not in rows:
        close = difflib.get_close_matches(key, rows, n=3, cutoff=0.6)
        close = [row for row in rows if row.startswith(f"{key}-")] or close
        hint = f" did you mean {', '.join(close)}?" if close else ""
        raise UsageError(f"unknown instrument {name!r}:{hint} Known: {', '.join(rows)}")
    return rows[key]


def _rows(path: str | Path | None) -> dict[str, Instrument]:
    builtin = _builtin()
    return builtin if path is None else {**builtin, **_read(Path(path))}


@functools.cache
def _builtin() -> dict[str, Instrument]:
    return _read(_BUILTIN)


def _read(path: Path) -> dict[str, Instrument]:
    try:
        with open(path, "rb") as stream:
            tables = tomllib.load(stream)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the instruments of {path}: {error}") from error
    rows = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(f"{path}: {name} stands outside a row; begin with [instrument-name]")
        rows[name.casefold()] = _instrument(name.casefold(), table, f"{path}: [{name}]")
    return rows


def _instrument(name: str, table: dict[str, Any], where: str) -> Instrument:
    """Check one row and build the instrument; ``where`` opens every message."""
    known = {*_PLAIN, *_SPREAD}
    unknown = sorted(set(table) - known)
    if unknown:
        raise UsageError(
            f"{where}: unknown key(s) {', '.join(unknown)}; known: {', '.join(sorted(known))}"
        )
    missing = [key for key in _REQUIRED if key not in table]
    if missing:
        raise UsageError(f"{where}: missing key(s) {', '.join(missing)}")
    plain = {key: value for key, value in table.items() if key in _PLAIN}
    _check_types(plain, where)
    plain["band"] = tuple(float(edge) for edge in plain["band"])
    _check_sampling(plain, where)
    return Instrument(name=name, line_spread=_line_spread(table, plain["band"], where), **plain)


def _check_types(plain: dict[str, Any], where: str) -> None:
    for key in ("axis", "medium"):
        allowed = {"axis": ("wavelength", "wavenumber"), "medium": ("air", "vacuum")}[key]
        if plain[key] not in allowed:
            raise UsageError(f"{where}: {key} must be {' or '.join(allowed)}, not {plain[key]!r}")
    for key in ("title", "source", "unit"):
        if not isinstance(plain[key], str):
            raise UsageError(f"{where}: {key} must be text, not {plain[key]!r}")
    for key in ("lsf_from_file", "galaxies"):
        if not isinstance(plain.get(key, False), bool):
            raise UsageError(f"{where}: {key} must be true or false")
    band = plain["band"]
    if not (isinstance(band, list) and len(band) == 2 and all(map(_is_positive, band))):
        raise UsageError(f"{where}: band must be [low, high] in Angstrom, not {band!r}")
    if not band[0] < band[1]:
        raise UsageError(f"{where}: band must go from low to high wavelength, not {band}")
    for key in ("channel_angstrom", "log10_step", "step_nm", "correction"):
        if key in plain and not _is_positive(plain[key]):
            raise UsageError(f"{where}: {key} must be a positive number, not {plain[key]!r}")
    for key in ("order", "n_steps", "zpd_index"):
        value = plain.get(key, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise UsageError(f"{where}: {key} must be a whole number, not {value!r}")


def _is_positive(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value > 0


def _check_sampling(plain: dict[str, Any], where: str) -> None:
    """One way of sampling: a scan in wavenumber, else a linear or a logarithmic channel."""
    scan = [key for key in _SCAN if key in plain]
    channel = [key for key in ("channel_angstrom", "log10_step") if key in plain]
    if plain["axis"] == "wavenumber":
        if channel or len(scan) != len(_SCAN):
            raise UsageError(
                f"{where}: a wavenumber axis needs {', '.join(_SCAN)} and no channel width"
            )
        if not plain["zpd_index"] < plain["n_steps"]:
            raise UsageError(f"{where}: zpd_index must lie within the n_steps of the scan")
    elif scan or len(channel) != 1:
        raise UsageError(
            f"{where}: a wavelength axis needs channel_angstrom or log10_step (one of them) "
            "and no step of a scan"
        )


def _line_spread(table: dict[str, Any], band: tuple[float, float], where: str) -> LineSpread:
    laws = {key: table[key] for key in _LAWS if key in table}
    if len(laws) != 1:
        raise UsageError(
            f"{where}: give exactly one of {', '.join(_LAWS)}; got {', '.join(laws) or 'none'}"
        )
    key, law = next(iter(laws.items()))
    if (table["shape"] == "sinc") != (key == "fwhm_cm1") and key != "resolution":
        raise UsageError(f"{where}: a {table['shape']!r} line spread cannot have {key}")
    try:
        spread = _with_law(table, key, law)
        width = spread.fwhm_angstrom(np.asarray(band))
    except (TypeError, ValueError, UsageError) as error:
        raise UsageError(f"{where}: {key} = {law!r} cannot be used: {error}") from error
    if not (np.all(np.isfinite(width)) and np.all(width > 0)):
        raise UsageError(f"{where}: {key} gives a FWHM of {width} Angstrom at the ends of the band")
    return spread


def _with_law(table: dict[str, Any], key: str, law: Any) -> LineSpread:
    shape, reference = table["shape"], table.get("reference_wavelength")
    if key == "fwhm_angstrom":
        key, law = "fwhm_polynomial", (float(law),)
    elif key == "fwhm_polynomial":
        law = tuple(float(c) for c in law)
    elif key == "fwhm_table":
        wavelength, fwhm = (np.array(column, float) for column in law)
        if (
            wavelength.shape != fwhm.shape
            or wavelength.ndim != 1
            or np.any(np.diff(wavelength) <= 0)
        ):
            raise ValueError("wavelengths must increase, with one FWHM each")
        law = (wavelength, fwhm)
    else:
        law = float(law)
    return LineSpread(shape, reference_wavelength=reference, **{key: law})
