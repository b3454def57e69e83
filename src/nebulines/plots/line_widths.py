"""Figures of predicted equivalent widths: against measured ones, their distributions, the BPT
diagram of a population."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from nebulines.evaluation.width_diagrams import bpt_points
from nebulines.galaxies.widths.equivalent_widths import LINES
from nebulines.nebular.diagnostics import demarcation
from nebulines.plots.judgement import new_figure
from nebulines.plots.style import DATA_COLOUR, FIT_COLOUR, LINE_COLOUR

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TITLES = {
    "OII3727": "[O II] 3727",
    "HGAMMA4340": "Hγ",
    "HBETA4861": "Hβ",
    "OIII4959": "[O III] 4959",
    "OIII5007": "[O III] 5007",
    "NII6548": "[N II] 6548",
    "HALPHA6563": "Hα",
    "NII6583": "[N II] 6583",
    "SII6716": "[S II] 6716",
    "SII6731": "[S II] 6731",
}
_TICKS = (-10.0, -1.0, 0.0, 1.0, 10.0, 100.0)
_REACH = (np.arcsinh(-12.0), np.arcsinh(300.0))
_WIDE = {"left": 0.06, "right": 0.99, "top": 0.88, "bottom": 0.11, "wspace": 0.28, "hspace": 0.42}


def predicted_against_measured(ew: np.ndarray, measured: np.ndarray, *, title: str) -> Figure:
    """One panel a line: density of galaxies, the median of the measured widths in bins of the
    predicted ones with their 16 to 84 % range, and the line of equality; asinh scales."""
    figure, axes = new_figure(9.6, 4.3, 2, 5, **_WIDE)
    for k, (name, ax) in enumerate(zip(LINES, axes.ravel(), strict=True)):
        x, y = np.arcsinh(ew[:, k]), np.arcsinh(measured[:, k])
        low, high = np.quantile(x, [0.001, 0.999])
        reach = (min(low, np.quantile(y, 0.005)), max(high, np.quantile(y, 0.995)))
        count = np.histogram2d(x, y, 50, range=(reach, reach))[0].T
        ax.imshow(np.log1p(count), origin="lower", extent=(*reach, *reach), aspect="auto",
                  cmap="Greys", interpolation="nearest")  # fmt: skip
        ax.plot(reach, reach, color=LINE_COLOUR, lw=0.8)
        centres, low, middle, high = _running(x, y)
        ax.errorbar(centres, middle, [middle - low, high - middle], fmt="o", ms=2.2, lw=0.8,
                    color=FIT_COLOUR)  # fmt: skip
        ax.set(xlim=reach, ylim=reach)
        ax.set_title(_TITLES[name], fontsize=8, pad=3)
        _asinh_ticks(ax.xaxis, reach)
        _asinh_ticks(ax.yaxis, reach)
    for ax in axes[-1]:
        ax.set_xlabel("predicted EW [Å]", labelpad=1)
    for ax in axes[:, 0]:
        ax.set_ylabel("measured EW [Å]", labelpad=1)
    figure.suptitle(title, fontsize=9, x=0.06, ha="left", y=0.985)
    return figure


def width_distributions(sets: Mapping[str, np.ndarray], *, title: str) -> Figure:
    """One panel a line: distributions of sets of widths, such as observed, predicted, and
    predicted with scatter and noise."""
    figure, axes = new_figure(9.6, 4.3, 2, 5, **_WIDE)
    styles = zip((DATA_COLOUR, LINE_COLOUR, FIT_COLOUR), ("-", ":", "-"), strict=True)
    edges = np.linspace(*_REACH, 70)
    for (label, ew), (colour, style) in zip(sets.items(), styles, strict=False):
        for k, ax in enumerate(axes.ravel()):
            count = np.histogram(np.arcsinh(ew[:, k]), edges, density=True)[0]
            ax.stairs(count, edges, color=colour, lw=1.0, ls=style, label=label)
    for name, ax in zip(LINES, axes.ravel(), strict=True):
        top = max(patch.get_data().values.max() for patch in ax.patches)
        ax.set(yticks=[], xlim=_REACH, ylim=(0.0, min(1.05 * top, 1.6)))
        ax.set_title(_TITLES[name], fontsize=8, pad=3)
        _asinh_ticks(ax.xaxis, _REACH)
    for ax in axes[-1]:
        ax.set_xlabel("EW [Å]", labelpad=1)
    axes[0, 0].legend(fontsize=5.5, frameon=False, loc="upper left")
    figure.suptitle(title, fontsize=9, x=0.06, ha="left", y=0.985)
    return figure


def bpt_figure(sets: Mapping[str, tuple[np.ndarray, np.ndarray]], *, title: str) -> Figure:
    """The [N II] diagram of sets of widths with errors, galaxies with all four lines above
    3 sigma, with the lines of Kauffmann et al. 2003 (dashed) and Kewley et al. 2001."""
    figure, axes = new_figure(
        2.9 * len(sets), 2.9, 1, len(sets), left=0.07, right=0.99, top=0.86, bottom=0.14, wspace=0.2
    )
    x = np.linspace(-1.6, 0.45, 300)
    for (label, (ew, error)), ax in zip(sets.items(), axes[0], strict=True):
        points = bpt_points(ew, error)
        ax.hexbin(*points.T, gridsize=50, extent=(-1.6, 0.6, -1.3, 1.3), bins="log", cmap="Greys",
                  mincnt=1, linewidths=0.1)  # fmt: skip
        for name, style in (("Kauffmann03", "--"), ("Kewley01", "-")):
            y = demarcation(x, name)
            ax.plot(x[np.isfinite(y)], y[np.isfinite(y)], style, color=FIT_COLOUR, lw=0.9)
        ax.set(xlim=(-1.6, 0.6), ylim=(-1.3, 1.3))
        ax.set_title(f"{label} ({len(points):,})", fontsize=8, pad=3)
        ax.set_xlabel("log [N II] 6583 / Hα", labelpad=1)
    axes[0, 0].set_ylabel("log [O III] 5007 / Hβ", labelpad=1)
    figure.suptitle(title, fontsize=9, x=0.07, ha="left", y=0.99)
    return figure


def _running(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """Centres of 10 equally filled bins of x, and 16, 50, 84 % of y in them."""
    edges = np.quantile(x, np.linspace(0.005, 0.995, 11))
    parts = [(x >= a) & (x < b) for a, b in pairwise(edges)]
    levels = [np.quantile(y[part], [0.16, 0.5, 0.84]) for part in parts if part.any()]
    centres = [np.median(x[part]) for part in parts if part.any()]
    return (np.array(centres), *np.array(levels).T)


def _asinh_ticks(axis: object, reach: tuple[float, float]) -> None:
    """Ticks at round widths on an axis of asinh EW."""
    shown = [t for t in _TICKS if reach[0] <= np.arcsinh(t) <= reach[1]]
    axis.set_ticks(np.arcsinh(shown), [f"{t:g}" for t in shown])  # type: ignore[attr-defined]
