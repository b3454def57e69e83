"""Spectra with their fits and residuals, zoomed on the lines that matter."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.plots.names import line_label
from nebulines.plots.style import DATA_COLOUR, FIT_COLOUR, LINE_COLOUR, NOISE_COLOUR

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

LINE_GROUPS: tuple[tuple[str, ...], ...] = (
    ("NII6548", "HALPHA6563", "NII6583"),
    ("HBETA4861", "OIII4959", "OIII5007"),
    ("SII6716", "SII6731"),
    ("OII3726", "OII3729"),
    ("OI6300", "OI6364"),
    ("SIII9069",),
    ("SIII9531",),
)
"""Lines drawn together, the most wanted first."""

MARGIN_KMS = 1200.0
"""Room left and right of a group of lines [km/s]."""


@dataclass(frozen=True)
class Window:
    """A stretch of spectrum to draw.

    Attributes:
        low, high: observed wavelengths [Angstrom].
        lines: observed wavelength [Angstrom] of each line in it.

    Example:
        >>> Window(7100.0, 7200.0, {"HALPHA6563": 7130.0}).low
        7100.0
    """

    low: float
    high: float
    lines: Mapping[str, float]


def line_windows(
    observed: Mapping[str, float],
    band: tuple[float, float],
    *,
    marks: Mapping[str, float] | None = None,
    count: int = 3,
    groups: Sequence[Sequence[str]] = LINE_GROUPS,
) -> list[Window]:
    """The windows to draw: the most wanted groups that have a line in the band, from blue to
    red; without any, windows around single lines.

    Args:
        observed: observed wavelength [Angstrom] of every fitted line.
        band: first and last wavelength of the data [Angstrom].
        marks: where to mark the lines, when it is not ``observed`` (a cube whose spectra
            share their windows but not their velocity).
        count: at most so many windows.
        groups: names of lines to be drawn together.

    Example:
        >>> lines = {"HALPHA6563": 7130.0, "NII6583": 7153.0, "SII6716": 7297.0}
        >>> [list(w.lines) for w in line_windows(lines, (4750.0, 9350.0))]
        [['HALPHA6563', 'NII6583'], ['SII6716']]
    """
    inside = {name: at for name, at in observed.items() if band[0] < at < band[1]}
    grouped = [[name for name in group if name in inside] for group in groups]
    wanted = [group for group in grouped if group] or [[name] for name in inside]
    windows = [_window({n: inside[n] for n in group}, band, marks) for group in wanted[:count]]
    return sorted(windows, key=lambda window: window.low)


def _window(
    lines: dict[str, float], band: tuple[float, float], marks: Mapping[str, float] | None
) -> Window:
    room = MARGIN_KMS / SPEED_OF_LIGHT_KMS
    low, high = min(lines.values()) * (1.0 - room), max(lines.values()) * (1.0 + room)
    shown = {name: marks.get(name, at) for name, at in lines.items()} if marks else lines
    return Window(max(low, band[0]), min(high, band[1]), shown)


def choose_spaxels(
    snr: np.ndarray, *, count: int = 6, lowest: float = 4.0, border: int = 2
) -> list[tuple[int, int]]:
    """Spaxels spread evenly in log S/N from the brightest down, and as far apart as may be.

    For each wanted S/N the one that lies farthest from those already chosen is taken among
    the spaxels within 7 % of it (or the nearest one in S/N, where there is none).

    Args:
        snr: (ny, nx) signal to noise; NaN is never chosen.
        count: how many; fewer when the map has fewer.
        lowest: S/N of the faintest one.
        border: spaxels of the rim that are left out, as long as any remain.

    Returns:
        (y, x) of each.

    Example:
        >>> choose_spaxels(np.array([[50.0, np.nan, 5.0, 15.0]]), count=3)
        [(0, 0), (0, 3), (0, 2)]
    """
    snr = np.asarray(snr, float)
    usable = np.isfinite(snr) & (snr > 0)
    inner = np.zeros_like(usable)
    inner[border : snr.shape[0] - border, border : snr.shape[1] - border] = True
    places = np.argwhere(usable & inner) if (usable & inner).sum() >= count else np.argwhere(usable)
    if not len(places):
        return []
    strength = np.log(snr[tuple(places.T)])
    top = strength.max()
    wanted = np.linspace(top, min(np.log(lowest), top), count)
    chosen: list[int] = []
    for target in wanted[: len(places)]:
        chosen.append(_next_spaxel(places, np.abs(strength - target), chosen))
    return [(int(y), int(x)) for y, x in places[chosen]]


def _next_spaxel(places: np.ndarray, miss: np.ndarray, chosen: list[int]) -> int:
    miss = miss.copy()
    miss[chosen] = np.inf
    near = np.flatnonzero(miss <= max(float(miss.min()), 0.07 if chosen else 0.0))
    if not chosen:
        return int(near[0])
    gaps = places[near][:, None] - places[chosen][None]
    return int(near[np.argmax(np.hypot(gaps[..., 0], gaps[..., 1]).min(axis=1))])


@dataclass(frozen=True)
class FittedSpectrum:
    """One spectrum, ready to be drawn.

    Attributes:
        wavelength: (channel,) [Angstrom], increasing.
        flux, error, model: (channel,), NaN where not usable.
        windows: the stretches of it to draw (see `line_windows`).
        title: printed above it.

    Example:
        >>> FittedSpectrum(np.arange(3.0), np.ones(3), np.ones(3), np.ones(3)).flux.size
        3
    """

    wavelength: np.ndarray
    flux: np.ndarray
    error: np.ndarray
    model: np.ndarray
    windows: Sequence[Window] = ()
    title: str = ""

    def within(self, window: Window) -> FittedSpectrum:
        """The channels of a window."""
        inside = (self.wavelength >= window.low) & (self.wavelength <= window.high)
        cut = {k: getattr(self, k)[inside] for k in ("wavelength", "flux", "error", "model")}
        return replace(self, **cut)


def draw_spectrum(
    figure: Figure,
    place: SubplotSpec,
    spectrum: FittedSpectrum,
    *,
    name_lines: bool = True,
    flux_label: str = "",
    wavelength_label: str = "",
) -> list[Any]:
    """Draw one spectrum: a column per window of it, data and fit above, residuals / error below.

    Args:
        figure: the figure that ``place`` belongs to.
        place: cell of a matplotlib grid.
        spectrum: data, error and fit.
        name_lines: write the names of the lines at their marks.
        flux_label: of the vertical axis, on the first window.
        wavelength_label: of the horizontal axis, under the middle window.

    Returns:
        The axes, data then residuals, window by window.
    """
    windows = spectrum.windows
    widths = [np.sqrt(window.high - window.low) for window in windows] or [1.0]
    grid = place.subgridspec(
        2, len(widths), height_ratios=(3.0, 1.0), width_ratios=widths, hspace=0.0, wspace=0.24
    )
    drawn: list[Any] = []
    for column, window in enumerate(windows):
        above = figure.add_subplot(grid[0, column])
        below = figure.add_subplot(grid[1, column], sharex=above)
        part = spectrum.within(window)
        _draw_data(above, part)
        _draw_residuals(below, part)
        _mark_lines(above, window, name_lines)
        above.set_xlim(window.low, window.high)
        drawn += [above, below]
    if drawn:
        drawn[0].set_ylabel(flux_label)
        drawn[1].set_ylabel("resid./σ", fontsize=6.5)
        drawn[0].annotate(
            spectrum.title, (0.0, 1.0), (0, 9 if name_lines else 3), xycoords="axes fraction",
            textcoords="offset points", fontsize=8, va="bottom",
        )  # fmt: skip
        drawn[1 + 2 * (len(windows) // 2)].set_xlabel(wavelength_label)
    return drawn


def _draw_data(axes: Any, part: FittedSpectrum) -> None:
    from matplotlib.ticker import MaxNLocator

    low, high = part.flux - part.error, part.flux + part.error
    axes.fill_between(part.wavelength, low, high, step="mid", color=NOISE_COLOUR, lw=0)
    axes.step(part.wavelength, part.flux, where="mid", color=DATA_COLOUR, lw=0.7)
    axes.plot(part.wavelength, part.model, color=FIT_COLOUR, lw=1.0)
    axes.tick_params(labelbottom=False, pad=2)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=(1, 2, 2.5, 5, 10), prune="lower"))
    axes.set_ylim(*_flux_limits(part))


def _flux_limits(part: FittedSpectrum) -> tuple[float, float]:
    """Limits that hold the fit and all but the wildest channels, with room for line marks."""
    parts = np.concatenate([part.flux, part.model])
    parts = parts[np.isfinite(parts)]
    if not parts.size:
        return 0.0, 1.0
    low, high = np.percentile(parts, 0.5), np.percentile(parts, 99.8)
    span = (high - low) or 1.0
    return float(low - 0.12 * span), float(high + 0.22 * span)


def _draw_residuals(axes: Any, part: FittedSpectrum) -> None:
    from matplotlib.ticker import MaxNLocator

    with np.errstate(divide="ignore", invalid="ignore"):
        residual = (part.flux - part.model) / part.error
    axes.axhspan(-1, 1, color=NOISE_COLOUR, lw=0)
    axes.axhline(0, color=FIT_COLOUR, lw=0.7)
    axes.step(part.wavelength, residual, where="mid", color=DATA_COLOUR, lw=0.6)
    finite = np.abs(residual[np.isfinite(residual)])
    reach = max(4.5, float(finite.max()) * 1.1) if finite.size else 4.5
    axes.set_ylim(-reach, reach)
    axes.set_yticks([-3, 0, 3] if reach < 7 else [-round(reach / 2), 0, round(reach / 2)])
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.tick_params(pad=2)


def _mark_lines(axes: Any, window: Window, named: bool) -> None:
    top = axes.get_xaxis_transform()
    for at in window.lines.values():
        axes.plot([at, at], [0.90, 0.97], transform=top, color=LINE_COLOUR, lw=0.9)
    if not named:
        return
    for label, at in _line_labels(window, axes.get_window_extent().width * 72 / axes.figure.dpi):
        axes.annotate(
            label, (at, 1.0), (0, 1), xycoords=top, textcoords="offset points",
            ha="center", va="bottom", fontsize=6, color=LINE_COLOUR,
        )  # fmt: skip


def _line_labels(window: Window, width_points: float) -> list[tuple[str, float]]:
    """Names and where to write them; lines of one ion too close for two names share one."""
    per_point = (window.high - window.low) / width_points
    labels: list[tuple[str, float]] = []
    for name, at in sorted(window.lines.items(), key=lambda item: item[1]):
        label = line_label(name, wavelength=False)
        room = 1.5 * (_letters(label) + _letters(labels[-1][0])) * per_point if labels else 0.0
        if labels and at - labels[-1][1] < room:
            if labels[-1][0] == label:
                labels[-1] = (label, 0.5 * (labels[-1][1] + at))
            continue
        labels.append((label, at))
    return labels


def _letters(label: str) -> int:
    """Width of a label in letters; a Greek letter in mathtext is one."""
    return len(re.sub(r"\$.*?\$", "a", label))
