"""Figures of a judgement: residuals, predicted against true, and all of them into files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nebulines.evaluation.density import kernel_density
from nebulines.evaluation.judge import Judgement
from nebulines.evaluation.methods import QUANTITIES
from nebulines.plots.judgement import (
    QUANTITY_COLOUR,
    RUNNING_BINS,
    judgement_title,
    new_figure,
    running_quantiles,
)
from nebulines.plots.style import DATA_COLOUR, FIT_COLOUR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_POINTS = 4000


def residual_figure(judgement: Judgement) -> Figure:
    """Residuals of velocity and broadening against the truth and against the S/N.

    The line is the running median, the dark band holds 68 % of the residuals, the dashed lines
    are plus and minus the Cramer-Rao bound. Flagged rows are left out.
    """
    figure, axes = new_figure(
        7.1, 4.6, 2, 2, left=0.08, right=0.985, top=0.92, bottom=0.1, wspace=0.16, hspace=0.3
    )
    for row, quantity in enumerate(QUANTITIES):
        truth, miss, snr, bound = _residuals(judgement, quantity)
        reach = 6.0 * max(float(np.median(np.abs(miss))), 1e-6)
        columns = ((truth, f"true {quantity} [km/s]"), (snr, "S/N of the peak of Hα"))
        for column, (x, label) in enumerate(columns):
            _draw_residuals(axes[row, column], x, miss, bound, QUANTITY_COLOUR[quantity])
            axes[row, column].set_xlabel(label, labelpad=1)
            axes[row, column].set_ylim(-reach, reach)
        axes[row, 0].set_ylabel(f"{quantity}: measured − true [km/s]", fontsize=7.5)
    figure.suptitle(judgement_title(judgement), fontsize=9, x=0.08, ha="left", y=0.985)
    return figure


def _residuals(judgement: Judgement, quantity: str) -> tuple[np.ndarray, ...]:
    truth, snr = judgement.held_out.truth[quantity], judgement.held_out.truth["snr"]
    miss = np.asarray(getattr(judgement.measured, quantity), float) - truth
    good = judgement.trusted & np.isfinite(miss)
    bound = getattr(judgement.held_out.bound, f"{quantity}_kms")
    return truth[good], miss[good], snr[good], bound[good]


def _draw_residuals(
    axes: Axes, x: np.ndarray, miss: np.ndarray, bound: np.ndarray, colour: str
) -> None:
    step = max(1, -(-len(x) // _MOST_POINTS))
    axes.plot(x[::step], miss[::step], ".", ms=1.2, color="0.72", rasterized=True, zorder=1)
    axes.axhline(0.0, color="0.3", lw=0.5, zorder=2)
    if len(x) < RUNNING_BINS * 5:
        return
    centre, running = running_quantiles(x, miss)
    axes.fill_between(centre, running[0], running[2], color=colour, alpha=0.3, lw=0, zorder=3)
    axes.plot(centre, running[1], color=colour, lw=1.3, zorder=4)
    _, limits = running_quantiles(x, bound)
    for sign in (1.0, -1.0):
        axes.plot(centre, sign * limits[1], "--", color=DATA_COLOUR, lw=0.7, zorder=4)
    axes.set_xlim(float(x.min()), float(x.max()))


def density_figure(judgement: Judgement) -> Figure:
    """Kernel density of predicted against true values (figure 3 of Rhea et al. 2020)."""
    figure, axes = new_figure(
        6.4, 3.2, 1, 2, left=0.09, right=0.985, top=0.89, bottom=0.14, wspace=0.26
    )
    for column, quantity in enumerate(QUANTITIES):
        panel = axes[0, column]
        truth, miss, *_ = _residuals(judgement, quantity)
        found = kernel_density(truth, truth + miss)
        top = found.density.max()
        levels = top * np.array([0.02, 0.1, 0.25, 0.45, 0.7, 1.0])
        panel.contourf(found.x, found.y, found.density, levels=levels, cmap="Blues", extend="max")
        ends = [found.x[0], found.x[-1]]
        panel.plot(ends, ends, "--", color=FIT_COLOUR, lw=0.8)
        panel.set_xlabel(f"true {quantity} [km/s]")
        panel.set_ylabel(f"measured {quantity} [km/s]", labelpad=1)
        panel.set_xlim(ends)
        panel.set_ylim(ends)
        panel.set_aspect("equal")
    figure.suptitle(judgement_title(judgement), fontsize=9, x=0.09, ha="left", y=0.98)
    return figure


def distribution_figure(judgement: Judgement) -> Figure:
    """Distributions of the residuals with their standard deviation (figure 5 of the paper)."""
    figure, axes = new_figure(
        6.4, 2.7, 1, 2, left=0.09, right=0.985, top=0.87, bottom=0.16, wspace=0.2
    )
    for column, quantity in enumerate(QUANTITIES):
        panel = axes[0, column]
        _, miss, _, bound = _residuals(judgement, quantity)
        reach = 4.0 * max(float(np.sqrt(np.mean(miss**2))), 1e-6)
        edges = np.linspace(-reach, reach, 61)
        panel.hist(miss, edges, density=True, color=QUANTITY_COLOUR[quantity], alpha=0.55)
        x = np.linspace(-reach, reach, 400)
        usable = bound[np.isfinite(bound)]
        panel.plot(x, _mixed_normal(x, usable), "--", color=DATA_COLOUR, lw=0.9,
                   label="at the Cramér-Rao bound")  # fmt: skip
        panel.set_title(f"{quantity}: std {np.std(miss):.2f} km/s", pad=3, fontsize=8)
        panel.set_xlabel("measured − true [km/s]")
        panel.set_xlim(-reach, reach)
        panel.legend(frameon=False, fontsize=6.5, loc="upper right")
    axes[0, 0].set_ylabel("density")
    figure.suptitle(judgement_title(judgement), fontsize=9, x=0.09, ha="left", y=0.985)
    return figure


def _mixed_normal(x: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """Mean of normal densities of those widths, by 200 of their quantiles."""
    if not len(sigmas):
        return np.full_like(x, np.nan)
    chosen = np.quantile(sigmas, (np.arange(200) + 0.5) / 200)[:, None]
    values = np.exp(-0.5 * (x / chosen) ** 2) / (np.sqrt(2 * np.pi) * chosen)
    return values.mean(axis=0)


def write_figures(
    judgement: Judgement,
    folder: Path,
    *,
    saliency: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]] | None = None,
    formats: tuple[str, ...] = ("png",),
) -> list[Path]:
    """Write every figure of a judgement.

    Args:
        judgement: what to draw.
        folder: that exists.
        saliency: of the method and of the best possible answer, or None.
        formats: endings.

    Returns:
        The paths.
    """
    from nebulines.plots.calibration import calibration_figure
    from nebulines.plots.saliency import saliency_figure
    from nebulines.plots.style import save_figure

    stem = judgement.method
    figures = {
        "residuals": residual_figure(judgement),
        "predicted_true": density_figure(judgement),
        "distributions": distribution_figure(judgement),
        "calibration": calibration_figure(judgement),
        "saliency": saliency_figure(judgement, *saliency) if saliency else None,
    }
    paths: list[Path] = []
    for name, figure in figures.items():
        if figure is not None:
            paths += save_figure(figure, folder / f"{stem}_{name}", formats=formats)
    return paths
