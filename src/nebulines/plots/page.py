"""One page that shows a cube's result: maps above, spectra with their fits below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.plots.maps import SkyFrame, draw_map, map_style, mark_spaxels, sky_frame
from nebulines.plots.nebular import class_title, nebular_classes
from nebulines.plots.quality import draw_classes, draw_flags
from nebulines.plots.spectra import FittedSpectrum, draw_spectrum
from nebulines.plots.style import RC

if TYPE_CHECKING:
    from astropy.wcs import WCS
    from matplotlib.figure import Figure

DEFAULT_PANELS = (
    "HALPHA6563_flux",
    "velocity",
    "broadening",
    "ratio_NII6583_HALPHA6563",
    "snr",
    "flags",
)
_MAP_WIDTH = 2.11  # inch


@dataclass(frozen=True)
class PageSpectra:
    """The spectra of a page.

    Attributes:
        spaxels: (y, x) of each, numbered from 1 on the maps.
        spectra: data, error and fit of each.
        flux_label, wavelength_label: of the axes.

    Example:
        >>> len(PageSpectra([], []).spaxels)
        0
    """

    spaxels: list[tuple[int, int]]
    spectra: Sequence[FittedSpectrum]
    flux_label: str = ""
    wavelength_label: str = "observed wavelength [Å]"


def draw_page(
    maps: Mapping[str, np.ndarray],
    *,
    panels: Sequence[str] = DEFAULT_PANELS,
    spectra: PageSpectra | None = None,
    wcs: WCS | None = None,
    measured: Mapping[str, np.ndarray] | None = None,
    flux_unit: str = "",
    title: str = "",
    caption: str = "",
) -> Figure:
    """Draw maps, and spectra below them, on one page.

    Args:
        maps: column of the result -> (ny, nx).
        panels: columns to draw, in order; those that ``maps`` lacks are left out.
        spectra: the spectra below the maps; None = maps alone.
        wcs: celestial WCS, for axes in arcsec.
        measured: column -> (ny, nx) bool, where it is measured; elsewhere it is grey. A
            column that is missing is shown wherever it is finite.
        flux_unit: FITS unit string of the line fluxes.
        title: at the top.
        caption: small print under the title.

    Returns:
        A matplotlib figure that belongs to no window.

    Raises:
        UsageError: none of the panels is among the maps.

    Example:
        >>> maps = {"velocity": np.zeros((4, 5)), "snr": np.ones((4, 5))}
        >>> [axes.get_title() for axes in draw_page(maps).axes if axes.get_title()]
        ['velocity', 'signal to noise']
    """
    import matplotlib
    from matplotlib.figure import Figure

    panels = [panel for panel in panels if panel in maps]
    if not panels:
        raise UsageError(f"nothing to draw: the result has only {', '.join(maps) or 'no maps'}")
    map_rows = -(-len(panels) // 3)
    spectrum_rows = -(-len(spectra.spectra) // 2) if spectra else 0
    frame = sky_frame(maps[panels[0]].shape, wcs)
    heights = [_row_height(frame) * map_rows, 2.15 * spectrum_rows]
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10.0, 0.75 + sum(heights)))
        upper, lower = _halves(figure, heights)
        figure.text(0.06, 1 - 0.22 / figure.get_figheight(), title, fontsize=12, va="center")
        figure.text(
            0.06, 1 - 0.45 / figure.get_figheight(), caption, fontsize=8, va="center", color="0.3"
        )
        style = _MapRow(maps, frame, measured or {}, flux_unit)
        _draw_maps(figure, upper, panels, style, spectra.spaxels if spectra else [])
        if spectra:
            draw_spectra(figure, lower, spectra)
        figure.draw_without_rendering()
    return figure


@dataclass(frozen=True)
class _MapRow:
    maps: Mapping[str, np.ndarray]
    frame: SkyFrame
    measured: Mapping[str, np.ndarray]
    flux_unit: str


def _row_height(frame: SkyFrame) -> float:
    """Height [inch] of a row of maps: their own shape, with room for title and labels."""
    left, right, bottom, top = frame.extent
    return min(2.75, _MAP_WIDTH * abs((top - bottom) / (right - left)) + 0.64)


def _halves(figure: Figure, heights: list[float]) -> tuple[Any, Any]:
    """Grid cells of the maps and of the spectra; a part without height takes none."""
    full = figure.get_figheight()
    top, bottom = 1 - 0.82 / full, 0.45 / full
    if not heights[1]:
        return figure.add_gridspec(1, 1, left=0.06, right=0.862, top=top, bottom=bottom)[0], None
    border = 1 - (0.82 + heights[0] - 0.35) / full
    maps = figure.add_gridspec(1, 1, left=0.06, right=0.862, top=top, bottom=border)
    below = border - 0.75 / full
    spectra = figure.add_gridspec(1, 1, left=0.06, right=0.985, top=below, bottom=bottom)
    return maps[0], spectra[0]


def _draw_maps(
    figure: Figure,
    place: Any,
    panels: Sequence[str],
    row: _MapRow,
    spaxels: list[tuple[int, int]],
) -> None:
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    grid = place.subgridspec(rows, columns, hspace=0.18, wspace=0.42)
    for index, panel in enumerate(panels):
        axes = figure.add_subplot(grid[index // columns, index % columns])
        _draw_panel(axes, panel, row)
        mark_spaxels(axes, row.frame, spaxels)
        axes.tick_params(pad=2)
        if index % columns == 0:
            axes.set_ylabel(row.frame.y_label, labelpad=1)
        if index + columns >= len(panels):
            axes.set_xlabel(row.frame.x_label, labelpad=1)


def _draw_panel(axes: Any, panel: str, row: _MapRow) -> None:
    values = row.maps[panel]
    if panel == "flags":
        draw_flags(axes, values, extent=row.frame.extent)
        return
    if (title := class_title(panel)) is not None:
        classes = nebular_classes(panel, values)
        draw_classes(axes, *classes, title=title, extent=row.frame.extent)
        return
    style = map_style(panel, flux_unit=row.flux_unit)
    draw_map(axes, values, style, extent=row.frame.extent, measured=row.measured.get(panel))


def draw_spectra(figure: Figure, place: Any, page: PageSpectra) -> None:
    """Draw spectra in two columns in a cell of a grid, with a line that explains them."""
    rows = -(-len(page.spectra) // 2)
    grid = place.subgridspec(rows, 2, hspace=0.34, wspace=0.13)
    for index, spectrum in enumerate(page.spectra):
        last = index + 2 >= len(page.spectra)
        draw_spectrum(
            figure,
            grid[index // 2, index % 2],
            spectrum,
            flux_label="flux density" if index % 2 == 0 else "",
            wavelength_label=page.wavelength_label if last else "",
        )
    unit = f", in {page.flux_label}" if page.flux_label else ""
    note = (
        f"Numbered spectra{unit} (black; 1σ error grey) with their fits (orange); "
        "below each, the residuals divided by the error (grey: ±1)."
    )
    top = place.get_position(figure).y1 + 0.37 / figure.get_figheight()
    figure.text(0.06, top, note, fontsize=8, va="bottom", color="0.3")
