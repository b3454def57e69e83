"""The parameters of a SITELLE scan, under whichever names and types a file carries them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import Any

import numpy as np

from nebulines.errors import InputError, UsageError
from nebulines.instruments import get_instrument

_NAMES: dict[str, tuple[str, ...]] = {
    "step": ("step", "STEP"),
    "order": ("order", "ORDER"),
    "axis_corr": ("axis_corr", "AXISCORR", "axiscorr"),
    "nm_laser": ("nm_laser", "CALIBNM", "calibnm"),
    "step_nb": ("step_nb", "STEPNB", "stepnb"),
    "zpd_index": ("zpd_index", "ZPDINDEX", "zpdindex"),
    "filter_name": ("filter_name", "filter", "FILTER"),
    "exposure_time": ("exposure_time", "EXPTIME", "exptime"),
    "flambda": ("flambda", "FLAMBDA"),
    "flambda2": ("flambda2", "FLAMBDA2"),
    "apodization": ("apodization", "APODIZ", "apodiz"),
    "wavetype": ("wavetype", "WAVTYPE", "wavtype"),
    "wavenumber_calibration": ("wavenumber_calibration", "WAVCALIB", "wavcalib"),
    "level2": ("level2", "LEVEL2"),
    "level3": ("level3", "LEVEL3"),
    "object": ("object_name", "OBJECT", "object"),
    "date_obs": ("date_obs", "DATE-OBS"),
    "dimx": ("dimx", "DIMX"),
    "dimy": ("dimy", "DIMY"),
    "dimz": ("dimz", "DIMZ"),
    "quad_nb": ("quad_nb", "QUAD_NB"),
}
NM_LASER = 543.5
"""Wavelength of the calibration laser [nm]."""


@dataclass(frozen=True)
class Scan:
    """What the axis and the line width follow from.

    Attributes:
        step_nm, order, n_steps, zpd_index: as in `nebulines.instruments.sitelle`.
        axis_corr: 1 / cos(theta) of a calibrated cube's common axis.
        nm_laser: [nm].
        apodization: broadening, 1 = none.
        calibrated: True when every pixel already has the common axis.
        filter_name: ``SN3`` ..., "" when the file does not say.
    """

    step_nm: float
    order: int
    n_steps: int
    zpd_index: int
    axis_corr: float = 1.0
    nm_laser: float = NM_LASER
    apodization: float = 1.0
    calibrated: bool = False
    filter_name: str = ""

    @classmethod
    def of(cls, instrument: str, **changes: Any) -> Scan:
        """The typical scan of a SITELLE band, with changes.

        Example:
            >>> scan = Scan.of("sitelle-sn3", n_steps=100, zpd_index=20)
            >>> scan.step_nm, scan.order, scan.filter_name
            (2943.0, 8, 'SN3')
        """
        row = get_instrument(instrument)
        if row.step_nm is None:
            raise UsageError(f"{row.name} is no band of SITELLE: give one such as sitelle-sn3")
        own = {"step_nm": row.step_nm, "order": row.order, "n_steps": row.n_steps}
        own |= {"zpd_index": row.zpd_index, "axis_corr": row.correction}
        return cls(**{**own, "filter_name": filter_of(row.name), **changes})

    @property
    def instrument(self) -> str | None:
        """Name of the instrument row, or None."""
        return f"sitelle-{self.filter_name.lower()}" if self.filter_name else None


def read_parameters(file: Any) -> dict[str, Any]:
    """All parameters of an open HDF5 file by their lower-case ORB name, and every FITS-style
    card under its own name; plain Python values. Root attributes come before the header."""
    raw = {**_header_cards(file), **{key: _plain(value) for key, value in file.attrs.items()}}
    known = {name: _first(raw, keys) for name, keys in _NAMES.items()}
    return {**raw, **{name: value for name, value in known.items() if value is not None}}


def scan_of(parameters: dict[str, Any], n_channels: int, where: str) -> Scan:
    """The scan that the parameters describe.

    Raises:
        InputError: a parameter that the axis needs is missing or impossible.
    """
    needed = {key: _number(parameters.get(key)) for key in ("step", "order", "zpd_index")}
    missing = [key for key, value in needed.items() if value is None]
    if missing:
        names = ", ".join(f"{key} ({_NAMES[key][-1].upper()})" for key in missing)
        raise InputError(
            f"{where}: the scan parameters {names} are missing: add them as attributes"
        )
    n_steps = int(_number(parameters.get("step_nb")) or n_channels)
    if n_steps != n_channels:
        raise InputError(
            f"{where}: {n_channels} channels, but step_nb is {n_steps}: the channels of a scan are "
            "its steps; give the cube before channels were cut"
        )
    wavetype = str(parameters.get("wavetype") or "WAVENUMBER").strip().upper()
    if not wavetype.startswith("WAVENUMBER"):
        raise InputError(f"{where}: expected spectra in wavenumber, found {wavetype}")
    return Scan(
        step_nm=float(needed["step"] or 0.0),
        order=int(needed["order"] or 0),
        n_steps=n_steps,
        zpd_index=int(needed["zpd_index"] or 0),
        axis_corr=_number(parameters.get("axis_corr")) or 1.0,
        nm_laser=_number(parameters.get("nm_laser")) or NM_LASER,
        apodization=_number(parameters.get("apodization")) or 1.0,
        calibrated=_truth(parameters.get("wavenumber_calibration")),
        filter_name=filter_of(parameters.get("filter_name")),
    )


def filter_of(text: Any) -> str:
    """The filter that a name or a path means, "" when none.

    Example:
        >>> filter_of("/data/filters/SN3_filter.dat"), filter_of("c1"), filter_of(None)
        ('SN3', 'C1', '')
    """
    name = PureWindowsPath(str(text or "").strip()).name.upper()
    match = re.search(r"(?<![A-Z0-9])(SN[1-4]|C[1-4])(?![0-9])", name)
    return match[1] if match else ""


def _header_cards(file: Any) -> dict[str, Any]:
    if "header" not in file:
        return {}
    cards = {}
    for row in np.atleast_2d(np.asarray(file["header"])):
        key, value = _plain(row[0]), _plain(row[1])
        if isinstance(key, str) and key.strip():
            cards[key.strip()] = _parsed(value)
    return cards


def _parsed(value: Any) -> Any:
    """The value of a header card that was stored as text."""
    text = str(value).strip()
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"True": True, "T": True, "False": False, "F": False}.get(text, text)


def _plain(value: Any) -> Any:
    """A Python value or a float64 array out of whatever HDF5 gives (bytes, float128, 0-d ...)."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    array = np.asarray(value)
    if array.dtype.kind in "SO" and array.size == 1:
        item = array.reshape(-1)[0]
        return _plain(item) if isinstance(item, bytes) else item
    if array.dtype.kind == "f":
        array = array.astype(np.float64)
    return array.reshape(-1)[0].item() if array.size == 1 else array


def _first(raw: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((raw[key] for key in keys if key in raw), None)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _truth(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().upper() in ("T", "TRUE", "1", "YES")
    return bool(value)
