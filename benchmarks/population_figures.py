"""Figures of the galaxy population beside DESI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from nebulines.galaxies.population.drawing import draw_population
from nebulines.galaxies.population.observing import observe
from nebulines.galaxies.population.population import CLASSES
from nebulines.galaxies.population.spectra import render
from nebulines.galaxies.widths.equivalent_widths import LINES
from nebulines.nebular.diagnostics import demarcation
from nebulines.plots.style import DATA_COLOUR, FIT_COLOUR, LINE_COLOUR, RC

if TYPE_CHECKING:
    from benchmarks.galaxy_population import Drawn, Widths

_DPI = 110
_COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#CC79A7", "#E69F00", "#009E73")


def draw_figures(folder: Path, drawn: Drawn, desi: Widths) -> list[str]:
    """Draw them all; names of the files."""
    with plt.rc_context(RC):
        figures = {
            "equivalent_widths.png": widths_figure(drawn.seen, desi),
            "bpt.png": bpt_figure(drawn.seen, desi),
            "halpha_d4000.png": break_figure(drawn),
            "spectra.png": spectra_figure(),
        }
        for name, figure in figures.items():
            figure.savefig(folder / name, dpi=_DPI)
            plt.close(figure)
    return list(figures)


def widths_figure(drawn: Widths, desi: Widths) -> Any:
    """Distribution of asinh EW of each line."""
    figure, axes = plt.subplots(2, 5, figsize=(10.5, 4.2), layout="constrained", sharey=True)
    for axis, name in zip(axes.flat, LINES, strict=True):
        edges = np.linspace(0.0, 5.6, 45)
        for widths, colour, label in ((desi, DATA_COLOUR, "DESI"), (drawn, FIT_COLOUR, "drawn")):
            values = widths.column(name)
            values = np.arcsinh(values[np.isfinite(values)])
            axis.hist(values, edges, density=True, histtype="step", color=colour, label=label)
        ticks = np.array([0.0, 1.0, 3.0, 10.0, 30.0, 100.0])
        axis.set_xticks(np.arcsinh(ticks), [f"{tick:g}" for tick in ticks])
        axis.set_title(name)
    for axis in axes[1]:
        axis.set_xlabel("equivalent width [Angstrom]")
    axes[0, 0].legend(frameon=False)
    for axis in axes[:, 0]:
        axis.set_ylabel("density in asinh EW")
    return figure


def bpt_figure(drawn: Widths, desi: Widths) -> Any:
    """[N II] diagram of both, galaxies with four lines at 3 sigma."""
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.6), layout="constrained", sharey=True)
    curve = np.linspace(-1.5, 0.4, 200)
    for axis, widths, title in ((axes[0], desi, "DESI"), (axes[1], drawn, "drawn")):
        rows = widths.four()
        x = np.log10(widths.column("NII6583")[rows] / widths.column("HALPHA6563")[rows])
        y = np.log10(widths.column("OIII5007")[rows] / widths.column("HBETA4861")[rows])
        axis.hist2d(x, y, bins=70, range=[[-1.5, 0.5], [-1.2, 1.4]], cmap="Blues", cmin=1)
        for name, style in (("Kauffmann03", "--"), ("Kewley01", "-")):
            axis.plot(curve, _demarcation(curve, name), style, color=FIT_COLOUR, lw=1, label=name)
        axis.set(title=f"{title}, {rows.sum()} galaxies", xlim=(-1.5, 0.5), ylim=(-1.2, 1.4))
        axis.set_xlabel(r"log [N II] 6583 / H$\alpha$")
    axes[0].set_ylabel(r"log [O III] 5007 / H$\beta$")
    axes[0].legend(frameon=False, loc="lower left")
    return figure


def _demarcation(x: np.ndarray, name: str) -> np.ndarray:
    y = demarcation(x, name)
    return np.where(np.isfinite(y) & (y < 1.4), y, np.nan)


def break_figure(drawn: Drawn) -> Any:
    """H-alpha against the break at 4000 Angstrom, by class."""
    figure, axis = plt.subplots(figsize=(4.8, 3.6), layout="constrained")
    halpha = drawn.true_ew[:, LINES.index("HALPHA6563")]
    for number, name in enumerate(CLASSES):
        rows = np.flatnonzero(drawn.kind == number)[:3000]
        axis.plot(drawn.d4000[rows], halpha[rows], ".", ms=1.5, color=_COLOURS[number], alpha=0.5)
        axis.plot([], [], "o", ms=4, color=_COLOURS[number], label=name)
    axis.set(yscale="log", xlabel="D4000", ylabel=r"EW(H$\alpha$) [Angstrom]", xlim=(0.8, 2.4))
    axis.set_ylim(0.03, 1000.0)
    axis.legend(frameon=False, ncols=2)
    return figure


def spectra_figure() -> Any:
    """One galaxy of each class, as SDSS sees it."""
    galaxies = draw_population(4000, [77, 1])
    rows = [int(np.flatnonzero(galaxies.kind == number)[1]) for number in range(len(CLASSES))]
    chosen = galaxies.rows(rows)
    seen = observe(chosen, "sdss", 3, snr=15.0, redshift=0.03)
    figure, axes = plt.subplots(len(rows), 1, figsize=(8.5, 8.0), layout="constrained", sharex=True)
    clean = render(chosen, seen.wavelength, medium="vacuum", redshift=0.03, fwhm=2.8)
    for number, axis in enumerate(axes):
        axis.plot(seen.wavelength / 1.03, seen.flux[number], color="0.75", lw=0.4)
        axis.plot(
            seen.wavelength / 1.03, clean[number] * seen.scale[number], color=LINE_COLOUR, lw=0.6
        )
        ew = chosen.line_ew["HALPHA6563"][number]
        axis.set_title(f"{CLASSES[number]}: EW(Ha) {ew:.1f} A, log M {chosen.log_mass[number]:.1f}")
        axis.set_ylim(0, 1.15 * np.nanpercentile(seen.flux[number], 99.8))
    axes[-1].set_xlabel("wavelength at rest [Angstrom, vacuum]")
    return figure
