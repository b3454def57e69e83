"""A cube's result as the explorer shows it: maps by kind, and where each of them is measured."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import UsageError
from nebulines.explorer.labels import plain_label, plain_unit
from nebulines.fitting.column_names import describe, parse
from nebulines.fitting.result import Result
from nebulines.plots.measured import shown
from nebulines.spectra import Flag

GROUPS = {
    "kinematics": ("velocity", "broadening"),
    "line fluxes": ("flux",),
    "line ratios": ("ratio",),
    "nebula": (
        "ebv", "electron_density", "electron_temperature", "oxygen_abundance", "log_u",
    ),
    "quality": ("snr", "chi2", "noise", "continuum", "n_components", "redshift"),
}  # fmt: skip
"""Groups of maps: name -> quantities of the columns."""
_DIVERGING = ("velocity",)
_WIDE = ("flux", "ratio", "snr", "chi2", "continuum", "electron_density")
"""Quantities that span decades, shown on an asinh scale."""


class MapColumn(NamedTuple):
    """One map.

    Attributes:
        name: column of the result.
        group: of the list.
        label, unit: on the page.
        text: what it is.
        warp: ``linear`` or ``asinh``.
        diverging: two-sided colours around the median.
        values, error: (n,) float32; no error is None.
        shown: (n,) bool, where it is measured.
    """

    name: str
    group: str
    label: str
    unit: str
    text: str
    warp: str
    diverging: bool
    values: np.ndarray
    error: np.ndarray | None
    shown: np.ndarray


def map_columns(result: Result) -> list[MapColumn]:
    """The maps of a result, by group.

    Raises:
        UsageError: the result is not that of a cube, or holds no map.
    """
    if result.shape is None:
        raise UsageError(
            "the explorer shows maps of cubes and populations of galaxies; this is a table of "
            "single spectra: give OUT_MAPS.fits of a cube"
        )
    found = [_map(result, name, group) for group in GROUPS for name in result
             if parse(name).quantity in GROUPS[group] and not parse(name).error]  # fmt: skip
    if not found:
        raise UsageError(f"no map to show among the columns {', '.join(result)}")
    return found


def _map(result: Result, name: str, group: str) -> MapColumn:
    parsed = parse(name)
    unit, text = describe(name, result.flux_unit)
    error = f"{name}_err"
    quantity = parsed.quantity or ""
    return MapColumn(
        name,
        group,
        _label(name),
        plain_unit(unit),
        text,
        "asinh" if quantity in _WIDE else "linear",
        quantity in _DIVERGING,
        np.asarray(result[name], np.float32),
        np.asarray(result[error], np.float32) if error in result else None,
        shown(result, name),
    )


_SPELLED = {
    "velocity": "velocity",
    "broadening": "velocity dispersion",
    "snr": "signal to noise",
    "chi2": "reduced χ²",
    "n_components": "components",
    "ebv": "E(B−V)",
    "oxygen_abundance": "12 + log(O/H)",
    "log_u": "log U",
}


def _label(name: str) -> str:
    """What the page calls a column: ``NII6583_flux`` -> [N II] 6583."""
    parsed = parse(name)
    quantity = parsed.quantity or ""
    words = _SPELLED.get(quantity, quantity.replace("_", " "))
    if quantity == "ratio":
        words = " / ".join(plain_label(part) for part in (parsed.line or "").split("_"))
    elif quantity == "flux":
        words = plain_label(parsed.line or "")
    elif parsed.line:
        words = f"{plain_label(parsed.line)} {words}"
    if parsed.component > 1:
        words += f", component {parsed.component}"
    return words + (f", line group {parsed.group}" if parsed.group > 1 else "")


def flags_present(result: Result) -> list[dict[str, Any]]:
    """Flags that are set anywhere: bit, name, meaning, number of spaxels."""
    if "flags" not in result:
        return []
    flags = result["flags"].astype(int)
    return [
        {"bit": int(f), "name": f.name, "meaning": f.meaning, "count": int((flags & f != 0).sum())}
        for f in Flag
        if (flags & f != 0).any()
    ]
