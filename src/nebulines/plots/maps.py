"""Maps of a cube's result: one panel per quantity, on axes of the sky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nebulines.plots.style import unit_label

if TYPE_CHECKING:
    from astropy.wcs import WCS
    from matplotlib.axes import Axes

Stretch = Literal["linear", "log", "centred"]


@dataclass(frozen=True)
class MapStyle:
    """How one quantity is drawn.

    Attributes:
        title: printed above the panel.
        unit: printed on the colour bar.
        cmap: name of a matplotlib colour map, perceptually uniform and safe for colour-blind
            readers; diverging for ``centred``.
        stretch: ``log``; ``linear``; ``centred`` (symmetric about the median).
        percentiles: of the values shown, where the colours end.

    Example:
        >>> MapStyle("velocity", "km/s", "RdBu_r", "centred").stretch
        'centred'
    """

    title: str
    unit: str = ""
    cmap: str = "viridis"
    stretch: Stretch = "linear"
    percentiles: tuple[float, float] = (1.0, 99.0)


def map_style(column: str, *, flux_unit: str = "") -> MapStyle:
    """The usual style of a column of a result.

    Args:
        column: ``velocity``, ``broadening``, ``snr``, ``NAME_flux``, ``ratio_A_B`` ...
        flux_unit: FITS unit string of the line fluxes.

    Example:
        >>> map_style("ratio_NII6583_HALPHA6563").title
        '[N II] 6583 / H$\\\\alpha$'
        >>> map_style("HALPHA6563_flux").stretch
        'log'
    """
    from nebulines.plots.names import line_label

    if column.endswith("_flux"):
        name = line_label(column.removesuffix("_flux"))
        return MapStyle(f"{name} flux", unit_label(flux_unit), "inferno", "log", (2.0, 100.0))
    if column.startswith("ratio_"):
        parts = column.removeprefix("ratio_").split("_")
        title = " / ".join(line_label(part) for part in parts)
        return MapStyle(title, "", "viridis", "linear", (3.0, 97.0))
    return _STYLES.get(column, MapStyle(column.replace("_", " ")))


_STYLES = {
    "velocity": MapStyle("velocity", "km s$^{-1}$", "RdBu_r", "centred", (3.0, 97.0)),
    "broadening": MapStyle("velocity dispersion", "km s$^{-1}$", "plasma", "linear", (3.0, 97.0)),
    "snr": MapStyle("signal to noise", "", "cividis", "log", (2.0, 100.0)),
    "chi2": MapStyle("reduced χ²", "", "cividis"),
    "ebv": MapStyle("E(B−V)", "mag", "cividis", "linear", (3.0, 97.0)),
    "electron_density": MapStyle("electron density", "cm$^{-3}$", "viridis", "log", (3.0, 97.0)),
    "oxygen_abundance": MapStyle("12 + log(O/H)", "", "viridis", "linear", (3.0, 97.0)),
    "log_u": MapStyle("log U", "", "plasma", "linear", (3.0, 97.0)),
}


def draw_map(
    axes: Axes,
    values: np.ndarray,
    style: MapStyle,
    *,
    extent: tuple[float, float, float, float] | None = None,
    measured: np.ndarray | None = None,
) -> Any:
    """Draw one map with its colour bar; spaxels without a measurement are grey and hatched.

    Args:
        axes: matplotlib axes.
        values: (ny, nx), NaN where there is nothing.
        style: see `MapStyle`.
        extent: (left, right, bottom, top) of the map on the axes (see `sky_frame`).
        measured: (ny, nx) bool, False greys a spaxel; None = wherever ``values`` is finite.

    Returns:
        The matplotlib image.

    Example:
        >>> from matplotlib.figure import Figure
        >>> axes = Figure().add_subplot()
        >>> draw_map(axes, np.eye(3), MapStyle("unit")).get_clim()
        (0.0, 1.0)
    """
    from matplotlib.patches import Rectangle

    values = np.asarray(values, float)
    shown = np.isfinite(values) if measured is None else np.isfinite(values) & measured
    if style.stretch == "log":
        shown &= values > 0
    image = axes.imshow(
        np.ma.array(values, mask=~shown),
        origin="lower",
        interpolation="nearest",
        extent=extent,
        cmap=style.cmap,
        norm=_norm(values[shown], style),
        zorder=1,
    )
    backdrop = Rectangle(
        (0, 0), 1, 1, transform=axes.transAxes, facecolor="0.87", edgecolor="0.72", hatch="/////"
    )
    axes.add_patch(backdrop).set(zorder=0, linewidth=0)
    axes.set_title(style.title, pad=4)
    _colour_bar(axes, image, values[shown], style)
    return image


def _norm(values: np.ndarray, style: MapStyle) -> Any:
    from matplotlib.colors import LogNorm, Normalize

    if not values.size:
        return Normalize(0.0, 1.0)
    low, high = (float(x) for x in np.percentile(values, style.percentiles))
    if style.stretch == "centred":
        middle = float(np.median(values))
        reach = max(high - middle, middle - low) or 1.0
        return Normalize(middle - reach, middle + reach)
    if not low < high:
        low, high = low - 0.5 * abs(low), high + (0.5 * abs(high) or 1.0)
    return LogNorm(low, high) if style.stretch == "log" else Normalize(low, high)


def _colour_bar(axes: Axes, image: Any, values: np.ndarray, style: MapStyle) -> None:
    low, high = image.get_clim()
    below, above = bool(np.any(values < low)), bool(np.any(values > high))
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[below, above]
    place = axes.inset_axes((1.03, 0.0, 0.045, 1.0))
    assert axes.figure is not None
    bar = axes.figure.colorbar(image, cax=place, extend=extend, extendfrac=0.03)
    bar.set_label(style.unit, labelpad=2)
    bar.outline.set_linewidth(0.6)
    if style.stretch == "log" and values.size:
        plain_log_ticks(bar.ax.yaxis, low, high)


def plain_log_ticks(axis: Any, low: float, high: float) -> None:
    """Label a logarithmic axis with plain numbers that never collide."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    axis.set_major_locator(LogLocator(subs=_log_ticks(low, high)))
    axis.set_major_formatter(ScalarFormatter())
    axis.set_minor_formatter(NullFormatter())


def _log_ticks(low: float, high: float) -> tuple[float, ...]:
    """Ticks of a decade: fewer for a wider range, so that labels never collide."""
    decades = np.log10(high / low)
    steps = ((1.0, (1, 2, 3, 5)), (2.0, (1, 2, 5)), (3.0, (1, 3)))
    return next((ticks for limit, ticks in steps if decades < limit), (1,))


@dataclass(frozen=True)
class SkyFrame:
    """Where spaxels lie on a panel, and what its axes are called.

    Attributes:
        extent: (left, right, bottom, top).
        x_label, y_label: of the axes.
        step: (x, y), change of the coordinate from one spaxel to the next.

    Example:
        >>> SkyFrame((-0.5, 3.5, -0.5, 3.5), "x", "y", (1.0, 1.0)).position(2, 1)
        (1.0, 2.0)
    """

    extent: tuple[float, float, float, float]
    x_label: str
    y_label: str
    step: tuple[float, float]

    def position(self, y: int, x: int) -> tuple[float, float]:
        """Panel coordinates (horizontal, vertical) of the centre of spaxel (y, x)."""
        left, bottom = self.extent[0], self.extent[2]
        return left + self.step[0] * (x + 0.5), bottom + self.step[1] * (y + 0.5)


def sky_frame(shape: tuple[int, int], wcs: WCS | None = None) -> SkyFrame:
    """Offsets on the sky from the middle of the map [arcsec], east to the left.

    A map without WCS is drawn in spaxels; one whose north is not up (by more than a degree)
    is drawn along its own axes, still in arcsec.

    Args:
        shape: (ny, nx).
        wcs: celestial WCS, or None.

    Example:
        >>> sky_frame((4, 6)).extent
        (-0.5, 5.5, -0.5, 3.5)
    """
    ny, nx = shape
    if wcs is None or not wcs.has_celestial:
        return SkyFrame((-0.5, nx - 0.5, -0.5, ny - 0.5), "x [spaxel]", "y [spaxel]", (1.0, 1.0))
    (x_step, y_step), aligned = _steps_arcsec(wcs.celestial)
    x_label, y_label = ("ΔR.A. [arcsec]", "ΔDec. [arcsec]") if aligned else _OWN_AXES
    half_x, half_y = 0.5 * nx * x_step, 0.5 * ny * y_step
    return SkyFrame((-half_x, half_x, -half_y, half_y), x_label, y_label, (x_step, y_step))


_OWN_AXES = ("along x [arcsec]", "along y [arcsec]")


def _steps_arcsec(wcs: WCS) -> tuple[tuple[float, float], bool]:
    """Offsets (east, north) [arcsec] of one spaxel, and whether the axes run east and north;
    where they do not, the lengths of the steps."""
    matrix = 3600.0 * np.asarray(wcs.pixel_scale_matrix)
    x_step, y_step = float(matrix[0, 0]), float(matrix[1, 1])
    aligned = max(abs(matrix[0, 1] / y_step), abs(matrix[1, 0] / x_step)) < np.sin(np.radians(1.0))
    if aligned and y_step > 0:
        return (x_step, y_step), True
    lengths = np.hypot(*matrix)
    return (float(lengths[0]), float(lengths[1])), False


def mark_spaxels(axes: Axes, frame: SkyFrame, spaxels: list[tuple[int, int]]) -> None:
    """Circle and number spaxels (y, x) on a map, from 1."""
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=1.8, foreground="black")]
    for number, (y, x) in enumerate(spaxels, start=1):
        place = frame.position(y, x)
        axes.plot(
            *place, "o", ms=4.5, mfc="none", mec="white", mew=0.9, path_effects=halo, zorder=3
        )
        axes.annotate(
            str(number),
            place,
            xytext=(3.5, 2.5),
            textcoords="offset points",
            color="white",
            fontsize=7,
            fontweight="bold",
            path_effects=halo,
            zorder=3,
        )
