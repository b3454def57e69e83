"""Draw any result: maps of a cube, columns of a table, and spectra with their fits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.plots.fitted import fitted_spectrum, model_reader
from nebulines.plots.nebular import NEBULAR_PANELS
from nebulines.plots.page import DEFAULT_PANELS, PageSpectra, draw_page
from nebulines.plots.spectra import choose_spaxels
from nebulines.plots.style import unit_label
from nebulines.spectra import Cube, Spectra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nebulines.fitting.result import Result
from nebulines.plots.measured import flux_unit, measured, shown


def plot_result(
    result: Result,
    data: Spectra | Cube | None = None,
    *,
    model: np.ndarray | str | Path | None = None,
    panels: Sequence[str] | None = None,
    count: int = 6,
    title: str | None = None,
) -> Figure:
    """Draw a result on one page.

    A cube's result gives maps; a table's gives each quantity against signal to noise. With
    the data and their model, spectra chosen over the range of S/N follow below, with their
    fits and residuals.

    Args:
        result: what `nebulines.fit` gave.
        data: the cube or the spectra that were fitted; None = no spectra below.
        model: (n, channel) or the ``*_MODEL.fits`` of a cube; None = ``result.model``.
        panels: columns of the result, in order; those it lacks are left out. None = the fluxes
            and kinematics, or dust, density, abundance and classes of maps that
            `nebulines classify` wrote.
        count: number of spectra.
        title: at the top; None = the object's name.

    Returns:
        A matplotlib figure; write it with `nebulines.plots.save_figure`.

    Raises:
        UsageError: the result has none of ``panels``.

    Example:
        >>> from nebulines.fitting.result import Result
        >>> columns = {"velocity": np.arange(6.0), "snr": np.ones(6), "flags": np.zeros(6, int)}
        >>> figure = plot_result(Result(columns, shape=(2, 3)))
        >>> [axes.get_title() for axes in figure.axes if axes.get_title()]
        ['velocity', 'signal to noise', 'quality flags']
    """
    if panels is None:
        classified = result.shape is not None and "region_class" in result
        panels = NEBULAR_PANELS if classified else DEFAULT_PANELS
    title = str(result.meta.get("OBJECT") or "") if title is None else title
    spectra = _page_spectra(result, data, result.model if model is None else model, count)
    if result.shape is None:
        from nebulines.plots.table import draw_table

        return draw_table(result, panels=panels, spectra=spectra, title=title)
    return draw_page(
        {name: result.image(name) for name in panels if name in result},
        panels=panels,
        spectra=spectra,
        wcs=result.wcs,
        measured={name: shown(result, name).reshape(result.shape) for name in panels},
        flux_unit=flux_unit(result),
        title=title,
        caption=caption(result),
    )


def caption(result: Result) -> str:
    """One line that says which instrument and what the velocities are relative to."""
    parts = [str(result.meta[key]) for key in ("INSTRUME",) if result.meta.get(key)]
    redshift = result.meta.get("REDSHIFT")
    if isinstance(redshift, int | float):
        convention = result.meta.get("VELCONV", "optical")
        parts.append(f"velocities relative to z = {redshift:g} ({convention})")
    parts.append("grey, hatched: not measured (no detection, or unresolved)")
    return "; ".join(parts)


def _page_spectra(
    result: Result, data: Spectra | Cube | None, model: Any, count: int
) -> PageSpectra | None:
    if data is None or model is None:
        return None
    snr = np.where(measured(result), result["snr"], np.nan)
    chosen = choose_spaxels(snr.reshape(result.shape or (1, -1)), count=count)
    read_model = model_reader(model, result.shape)
    drawn = []
    for number, (y, x) in enumerate(chosen, start=1):
        row = y * (result.shape[1] if result.shape else 0) + x
        one = data[y, x] if isinstance(data, Cube) else data[x]
        place = f"(y, x) = ({y}, {x})" if result.shape else f"spectrum {x}"
        drawn.append(
            fitted_spectrum(result, row, one, read_model(row), title=f"{number}   {place}")
        )
    return PageSpectra(chosen, drawn, flux_label=unit_label(data.unit)) if drawn else None
