"""The page of a cube's maps: a map, and the spectrum of the spaxel that one points at."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import UsageError
from nebulines.explorer.cube_spectra import CubeSpectra, Row
from nebulines.explorer.fit_facts import facts, sky_offsets, windows_and_lines
from nebulines.explorer.labels import plain_unit
from nebulines.explorer.maps import MapColumn, flags_present, map_columns
from nebulines.explorer.pack import Packed, pack, quantise, quantise_rows
from nebulines.explorer.page import assemble, colour_maps, table_html, write_page
from nebulines.fitting.result import Result

SCRIPTS = (
    "arrays.js",
    "colours.js",
    "view.js",
    "spectrum.js",
    "page.js",
    "image.js",
    "spaxels.js",
    "maps.js",
)
LARGEST = 12_000_000
"""Values of data and of model that a page still holds."""
MANY = 250_000
"""Spaxels above which a page holds the main maps alone, without errors, in 16 bits."""
_MAIN = ("velocity", "broadening", "snr", "chi2")
_MAIN_FLUXES = 4
_STEP = 0.1  # of the noise of a channel
_MODEL_STEP = 0.02


class CubeView(NamedTuple):
    """What the page shows.

    Attributes:
        result: of a cube.
        spectra: behind the maps, or None.
        title: of the page.
        served: spectra are asked for one by one instead of lying in the page.
    """

    result: Result
    spectra: CubeSpectra | None = None
    title: str = "Maps"
    served: bool = False


def fits_in_page(spectra: CubeSpectra | None) -> bool:
    """Whether all spectra can lie in one page."""
    return spectra is None or int(np.prod(spectra.shape)) <= LARGEST


def write_maps_page(view: CubeView, path: str | PathLike[str]) -> Path:
    """Write the page, with its spectra.

    Raises:
        UsageError: too many spectra for a page, or it cannot be written.
    """
    if not fits_in_page(view.spectra):
        raise UsageError(
            "the cube is too large for one page: leave -o out, and its spectra are read while "
            "you look (nebulines explore OUT_MAPS.fits --port 8000)"
        )
    return write_page(path, maps_page(view))


def maps_page(view: CubeView) -> str:
    """The text of the page."""
    assert view.result.shape is not None
    ny, nx = view.result.shape
    columns = map_columns(view.result)
    columns = main_maps(columns) if nx * ny > MANY else columns
    what = "click a spaxel to see its spectrum" if view.spectra else "no cube beside these maps"
    arrays, axis = _spectra_arrays(view)
    offsets = sky_offsets(view.result)
    if offsets is not None:
        arrays["sky"] = quantise(offsets[1])
    return assemble(
        "maps.html",
        scripts=SCRIPTS,
        texts={
            "title": view.title,
            "lead": f"{nx} × {ny} spaxels; {what}",
            "about_html": table_html(facts(view.result)),
        },
        document={
            "kind": "maps",
            "shape": [ny, nx],
            "maps": [_map_facts(column) for column in columns],
            "flags": flags_present(view.result),
            "sky": offsets[0] if offsets else None,
            "colourMaps": list(colour_maps()),
            **windows_and_lines(view.result),
            **axis,
        },
        arrays={**_map_arrays(view.result, columns), **arrays},
    )


def main_maps(columns: list[MapColumn]) -> list[MapColumn]:
    """Kinematics, signal to noise, chi2 and the strongest lines, without their errors."""
    fluxes = [column for column in columns if column.group == "line fluxes"]
    strength = [float(np.nanmedian(c.values)) if c.shown.any() else -np.inf for c in fluxes]
    strongest = {fluxes[k].name for k in np.argsort(strength)[::-1][:_MAIN_FLUXES]}
    kept = [c for c in columns if c.name in (*_MAIN, *strongest)]
    return [column._replace(error=None) for column in kept or columns[:_MAIN_FLUXES]]


def _soft(column: MapColumn) -> float:
    """Where the scale of a map turns from linear to logarithmic: its typical error, else a tenth
    of its typical value."""
    shown = column.shown & np.isfinite(column.values)
    typical = np.abs(column.values[shown]) / 10.0
    if column.error is not None:
        typical = column.error[shown & np.isfinite(column.error)]
    soft = float(np.median(typical)) if len(typical) else 1.0
    return soft if soft > 0 else 1.0


def _map_values(column: MapColumn) -> Packed:
    if len(column.values) <= MANY:
        return pack(column.values)
    return quantise(column.values, asinh=column.warp == "asinh", unit=_soft(column))


def _map_facts(column: MapColumn) -> dict[str, Any]:
    return {
        "name": column.name,
        "group": column.group,
        "label": column.label,
        "unit": column.unit,
        "text": column.text,
        "warp": column.warp,
        "soft": _soft(column),
        "diverging": column.diverging,
        "error": column.error is not None,
        "measured": int((column.shown & np.isfinite(column.values)).sum()),
    }


def _map_arrays(result: Result, columns: list[MapColumn]) -> dict[str, Packed]:
    arrays = {f"map-{name}": pack(shades) for name, shades in colour_maps().items()}
    for k, column in enumerate(columns):
        arrays[f"value-{k}"] = _map_values(column)
        arrays[f"shown-{k}"] = pack(column.shown.astype(np.uint8))
        if column.error is not None:
            arrays[f"error-{k}"] = pack(column.error)
    if "flags" in result:
        arrays["flags"] = pack(result["flags"].astype(np.int32))
    return arrays


def _spectra_arrays(view: CubeView) -> tuple[dict[str, Packed], dict[str, Any]]:
    """Arrays of the spectra, and what the page must know to read them."""
    if view.spectra is None:
        return {}, {"spectra": "none"}
    labels = {"fluxLabel": f"flux density [{plain_unit(view.spectra.unit)}]"}
    if view.served:
        return {}, {"spectra": "served", **labels}
    rows = list(view.spectra.blocks())
    axis, stretch = _axis(rows)
    arrays = {"wavelength": pack(axis.astype(np.float32)), "stretch": quantise(stretch)}
    noise = np.concatenate([row.noise for row in rows])
    steps: Mapping[str, float] = {"data": _STEP, "model": _MODEL_STEP}
    for kind, step in steps.items():
        parts = [getattr(row, kind) for row in rows]
        if parts[0] is None:
            continue
        packed, offset, scale = quantise_rows(np.concatenate(parts), step * noise)
        arrays |= {
            kind: packed,
            f"{kind}-offset": pack(offset),
            f"{kind}-scale": pack(scale),
        }
    return arrays, {"spectra": "embedded", **labels}


def _axis(rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Wavelengths (channel,) of the first spaxel, and the stretch (n,) of each spaxel's."""
    axis = rows[0].wavelength[0]
    stretch = np.concatenate([row.wavelength[:, 0] for row in rows]) / axis[0]
    last = np.concatenate([row.wavelength[:, -1] for row in rows]) / axis[-1]
    if not np.allclose(stretch, last, rtol=1e-6, equal_nan=True):
        raise UsageError("the axes of this cube differ in more than a stretch from pixel to pixel")
    return axis, stretch - 1.0


def served_spectrum(row: Row) -> dict[str, Any]:
    """One spectrum as the local server sends it."""

    def numbers(values: np.ndarray | None) -> list[float | None] | None:
        if values is None:
            return None
        return [float(v) if np.isfinite(v) else None for v in values[0]]

    return {
        "wavelength": [round(float(w), 4) for w in row.wavelength[0]],
        "data": numbers(row.data),
        "model": numbers(row.model),
    }
