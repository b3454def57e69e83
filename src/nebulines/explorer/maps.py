"""A cube's result as the explorer shows it: maps by kind, and where each of them is measured."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import UsageError
from nebulines.explorer.labels import plain_label, plain_unit
from nebulines.fitting.column_names import describe, parse
from nebulines.fitting.result import Result
from nebulines.plots.result import rest_wavelengths, shown
from nebulines.spectra import Flag
from nebulines.spectral_axis import air_to_vacuum

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


def observed_lines(result: Result) -> list[dict[str, Any]]:
    """The fitted lines: name, label, rest wavelength in the medium of the data [Angstrom]."""
    vacuum = str(result.meta.get("AIRORVAC", "air")).startswith("vac")
    return [
        {
            "name": name,
            "label": plain_label(name),
            "rest": round(float(air_to_vacuum(at)) if vacuum else at, 3),
        }
        for name, at in rest_wavelengths(result).items()
    ]


def line_windows(lines: list[dict[str, Any]], redshift: float) -> list[dict[str, Any]]:
    """Observed windows on lines that lie close together.

    Example:
        >>> rests = [{"label": "a", "rest": 6550.0}, {"label": "b", "rest": 6580.0}]
        >>> line_windows(rests, 0.0)[0]["name"]
        'a, b'
    """
    groups: list[list[dict[str, Any]]] = []
    for line in sorted(lines, key=lambda line: line["rest"]):
        if groups and line["rest"] - groups[-1][-1]["rest"] < 70.0:
            groups[-1].append(line)
        else:
            groups.append([line])
    windows = []
    for group in groups:
        names = list(dict.fromkeys(_species(line["label"]) for line in group))
        low, high = group[0]["rest"] - 35.0, group[-1]["rest"] + 35.0
        stretch = 1.0 + redshift
        name = ", ".join(names)
        windows.append({"name": name, "low": low * stretch, "high": high * stretch})
    return windows


def _species(label: str) -> str:
    front, _, number = label.rpartition(" ")
    return front if number.isdigit() else label


def redshift_of(result: Result) -> float:
    """The redshift that velocities are relative to; the median where it varies."""
    stated = result.meta.get("REDSHIFT", 0.0)
    if isinstance(stated, int | float):
        return float(stated)
    return float(np.nanmedian(result["redshift"])) if "redshift" in result else 0.0


def facts(result: Result) -> dict[str, str]:
    """What the header says of the fit, for the reader."""
    words = {
        "OBJECT": "object", "INSTRUME": "instrument", "INPUT": "input", "REDSHIFT": "redshift",
        "VELCONV": "velocity convention", "SPECSYS": "velocity frame", "AIRORVAC": "wavelengths",
        "LSFCORR": "line spread removed from the dispersion", "METHOD": "method",
        "NOISE": "origin of the noise", "NEBVERS": "nebulines", "DATE": "date",
    }  # fmt: skip
    return {text: str(result.meta[key]) for key, text in words.items() if key in result.meta}


def sky_offsets(result: Result) -> tuple[dict[str, float], np.ndarray] | None:
    """Centre [deg] and offsets east and north (2, n) [arcsec] of the spaxels, or None."""
    if result.wcs is None or result.shape is None:
        return None
    from astropy.coordinates import SkyCoord

    ny, nx = result.shape
    y, x = np.mgrid[:ny, :nx]
    sky = SkyCoord(result.wcs.pixel_to_world(x.ravel(), y.ravel()))
    centre = sky[len(sky) // 2 + nx // 2 if len(sky) > nx else 0].icrs
    east, north = centre.spherical_offsets_to(sky.icrs)
    place = {"ra": float(centre.ra.deg), "dec": float(centre.dec.deg)}
    return place, np.array([east.arcsec, north.arcsec])


def windows_and_lines(result: Result) -> dict[str, Any]:
    """Lines, windows on them, and what turns a velocity into a wavelength."""
    lines = observed_lines(result)
    redshift = redshift_of(result)
    return {
        "lines": lines,
        "windows": line_windows(lines, redshift),
        "redshift": redshift,
        "convention": str(result.meta.get("VELCONV", "optical")),
        "groups": json.loads(result.meta.get("LINEGRP", "{}")),
    }
