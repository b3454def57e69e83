"""What a page says of a cube's fit: its lines, where it lies on the sky, and how it was made."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from nebulines.explorer.labels import plain_label
from nebulines.fitting.result import Result
from nebulines.plots.measured import rest_wavelengths
from nebulines.spectral_axis import air_to_vacuum


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
