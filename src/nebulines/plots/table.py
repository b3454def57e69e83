"""Figure of a result table: each quantity against signal to noise, with its errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.plots.maps import map_style, plain_log_ticks
from nebulines.plots.measured import flux_unit, measured
from nebulines.plots.page import PageSpectra, draw_spectra
from nebulines.plots.style import DATA_COLOUR, NOISE_COLOUR, RC

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nebulines.fitting.result import Result

_ERROR_BARS_UP_TO = 2000
_LEFT = 0.06
"""Where panels begin, in widths of the figure."""


def draw_table(
    result: Result,
    *,
    panels: Sequence[str],
    spectra: PageSpectra | None = None,
    title: str = "",
) -> Figure:
    """Draw columns of a result against signal to noise; unmeasured rows are grey.

    Args:
        result: the result of a set of spectra.
        panels: columns, in order; ``snr``, ``flags`` and those it lacks are left out.
        spectra: spectra below; None = none.
        title: at the top.

    Returns:
        A matplotlib figure.

    Raises:
        UsageError: nothing to draw.

    Example:
        >>> from nebulines.fitting.result import Result
        >>> result = Result({"velocity": np.arange(3.0), "snr": np.array([5.0, 9.0, 20.0])})
        >>> [axes.get_ylabel() for axes in draw_table(result, panels=["velocity"]).axes]
        ['velocity [km s$^{-1}$]']
    """
    import matplotlib
    from matplotlib.figure import Figure

    panels = [name for name in panels if name in result and name not in ("snr", "flags")]
    if not panels or "snr" not in result:
        raise UsageError(f"nothing to draw: the result has only {', '.join(result)}")
    rows = -(-len(spectra.spectra) // 2) if spectra else 0
    heights = [2.6, 2.15 * rows]
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10.0, 1.4 + sum(heights)))
        full = figure.get_figheight()
        figure.text(_LEFT, 1 - 0.22 / full, title, fontsize=12, va="center")
        bottom = 1 - (0.5 + heights[0]) / full
        grid = figure.add_gridspec(
            1, len(panels), left=_LEFT, right=0.985, top=1 - 0.5 / full, bottom=bottom, wspace=0.35
        )
        for column, name in enumerate(panels):
            _draw_column(
                figure.add_subplot(grid[0, column]),
                result,
                name,
                measured(result),
                flux_unit(result),
            )
        if spectra:
            below = figure.add_gridspec(
                1, 1, left=_LEFT, right=0.985, top=bottom - 0.95 / full, bottom=0.45 / full
            )
            draw_spectra(figure, below[0], spectra)
        figure.draw_without_rendering()
        drawn = figure.axes[0].get_tightbbox()
        outside = -drawn.x0 / figure.bbox.width if drawn else 0.0
        if outside > 0.0:  # labels of a short logarithmic axis are wide
            grid.left = _LEFT + outside + 0.005
            for column in range(len(panels)):
                figure.axes[column].set_position(grid[0, column].get_position(figure))
    return figure


def _draw_column(axes: Any, result: Result, name: str, good: np.ndarray, flux_unit: str) -> None:
    style = map_style(name, flux_unit=flux_unit)
    snr, values = result["snr"], result[name]
    axes.plot(snr[~good], values[~good], ".", ms=2.5, color=NOISE_COLOUR, rasterized=True)
    error = f"{name}_err"
    if error in result and good.sum() <= _ERROR_BARS_UP_TO:
        axes.errorbar(
            snr[good], values[good], result[error][good], fmt="none", ecolor=NOISE_COLOUR, lw=0.6
        )
    axes.plot(snr[good], values[good], ".", ms=2.5, color=DATA_COLOUR, rasterized=True)
    if np.any(snr > 0):
        axes.set_xscale("log")
        plain_log_ticks(axes.xaxis, *axes.get_xlim())
    if style.stretch == "log" and np.any(values[good] > 0):
        axes.set_yscale("log")
    elif good.any() and np.isfinite(values[good]).any():
        low, high = np.nanpercentile(values[good], (1, 99))
        room = 0.15 * (high - low) or 1.0
        axes.set_ylim(low - room, high + room)
    axes.set_xlabel("signal to noise")
    axes.set_ylabel(f"{style.title} [{style.unit}]" if style.unit else style.title)
