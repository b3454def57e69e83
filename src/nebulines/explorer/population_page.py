"""The page of a population."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.explorer.galaxies import VARIANTS, Column, Population
from nebulines.explorer.labels import plain_label, plain_unit
from nebulines.explorer.pack import Packed, pack, quantise
from nebulines.explorer.page import assemble, colour_maps, table_html, write_page
from nebulines.explorer.rest_frame import STEP
from nebulines.galaxies.widths.equivalent_widths import LINES, painted_lines, shares
from nebulines.lines import load_catalogue

SCRIPTS = (
    "arrays.js",
    "colours.js",
    "view.js",
    "scatter.js",
    "spectrum.js",
    "page.js",
    "galaxy.js",
    "population.js",
)
_WINDOWS = (
    ("OII3726", "OII3729"),
    ("HBETA4861", "OIII5007"),
    ("NII6548", "NII6583"),
    ("SII6716", "SII6731"),
)
"""First and last line of the windows that one button shows."""
_SIDE = 40.0  # Angstrom beside them
_WIDTH_STEP = 0.002
"""Of asinh(EW / A): 0.1 % of a width, or 0.001 A."""
_COEFFICIENT_STEP = 0.004
"""Of principal components: 0.01 % of a channel's flux."""


def write_population(population: Population, path: str | PathLike[str]) -> Path:
    """Write the page.

    Args:
        population: what it shows.
        path: of the HTML file.

    Returns:
        ``path``.

    Raises:
        UsageError: it cannot be written.
    """
    return write_page(path, population_page(population))


def population_page(population: Population) -> str:
    """The text of the page."""
    n = len(population)
    kinds = [key for key in VARIANTS if key in population.widths]
    lead = f"{n:,} galaxies".replace(",", "\u2009")
    texts = {
        "title": population.title,
        "lead": f"{lead}; hover over one to see its spectrum with and without emission lines",
        "id_hint": population.ids[0] if population.ids else f"0 to {n - 1}",
        "variant_heads_html": "".join(f'<th scope="col">{VARIANTS[key]}</th>' for key in kinds),
        "about_html": table_html(population.about),
    }
    return assemble(
        "population.html",
        scripts=SCRIPTS,
        texts=texts,
        document=_document(population, kinds),
        arrays=_arrays(population, kinds),
    )


def _document(population: Population, kinds: list[str]) -> dict[str, Any]:
    unit = f" [{plain_unit(population.unit)}]" if population.unit else " (relative)"
    return {
        "kind": "population",
        "n": len(population),
        "ids": list(population.ids) if population.ids else None,
        "axis": {"first": float(population.spectra.wavelength[0]), "step": STEP},
        "fluxLabel": f"flux density{unit}",
        "broadening": float(np.nanmedian(population.broadening_kms)),
        "lines": [{"name": name, "label": plain_label(name)} for name in LINES],
        "painted": _painted(),
        "windows": _windows(),
        "variants": [{"key": key, "label": VARIANTS[key]} for key in kinds],
        "columns": [_column(column) for column in population.columns],
        "embeddings": [{"label": p.label, "axes": list(p.axes)} for p in population.planes],
        "colourMaps": list(colour_maps()),
    }


def _column(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "label": column.label,
        "unit": column.unit,
        "names": list(column.names),
    }


def _painted() -> list[dict[str, Any]]:
    """Lines to paint: vacuum wavelength, number of the width, share of it."""
    names, matrix = painted_lines(), shares()
    rest = load_catalogue().select(names).wavelength("vacuum")
    rows = np.argmax(matrix > 0, axis=0)
    return [
        {
            "name": name,
            "wavelength": round(float(rest[k]), 3),
            "line": int(rows[k]),
            "share": float(matrix[rows[k], k]),
        }
        for k, name in enumerate(names)
    ]


def _windows() -> list[dict[str, Any]]:
    found = []
    for first, last in _WINDOWS:
        low, high = load_catalogue().select([first, last]).wavelength("vacuum")
        names = dict.fromkeys(plain_label(name, wavelength=False) for name in (first, last))
        name = "Hα, [N II]" if "NII6583" in (first, last) else ", ".join(names)
        found.append({"name": name, "low": float(low) - _SIDE, "high": float(high) + _SIDE})
    return found


def _steps(values: np.ndarray, step: float, *, asinh: bool = False) -> Packed:
    """No finer than a step, so that the page stays small; coarser where the range asks for it."""
    finite = values[np.isfinite(values)]
    scaled = np.arcsinh(finite) if asinh else finite
    width = float(np.ptp(scaled)) if len(scaled) else 0.0
    return quantise(values, asinh=asinh, step=max(step, width / 65_000))


def _arrays(population: Population, kinds: list[str]) -> dict[str, Packed]:
    spectra = population.spectra
    arrays = {
        "mean": quantise(spectra.mean),
        "basis": quantise(spectra.basis),
        "coefficients": _steps(spectra.coefficients, _COEFFICIENT_STEP),
        "level": pack(spectra.level.astype(np.float32)),
        **{f"ew-{key}": _steps(population.widths[key].T, _WIDTH_STEP, asinh=True) for key in kinds},
        **{f"map-{name}": pack(shades) for name, shades in colour_maps().items()},
    }
    for k, plane in enumerate(population.planes):
        arrays[f"embedding-{k}"] = quantise(np.asarray(plane.points).T)
    for k, column in enumerate(population.columns):
        classes = pack(np.asarray(column.values).astype(np.int16)) if column.names else None
        arrays[f"column-{k}"] = classes or quantise(column.values)
    if np.ndim(population.broadening_kms):
        arrays["broadening"] = quantise(population.broadening_kms)
    return arrays
