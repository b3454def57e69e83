"""Figure of calibration: coverage of intervals and regions, PIT and rank histograms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nebulines.evaluation.judge import Judgement
from nebulines.evaluation.methods import QUANTITIES
from nebulines.plots.judgement import QUANTITY_COLOUR, judgement_title, new_figure
from nebulines.plots.style import DATA_COLOUR, NOISE_COLOUR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def calibration_figure(judgement: Judgement) -> Figure | None:
    """Coverage of the central intervals and of TARP's regions; PIT and rank histograms.

    Returns:
        None where the method states no errors.
    """
    if not judgement.coverage:
        return None
    figure, axes = new_figure(
        7.1, 2.7, 1, 3, left=0.07, right=0.985, top=0.84, bottom=0.16, wspace=0.26
    )
    _draw_coverage(axes[0, 0], judgement)
    for panel, quantity in zip(axes[0, 1:], QUANTITIES, strict=True):
        _draw_uniformity(panel, judgement, quantity)
    figure.suptitle(judgement_title(judgement), fontsize=9, x=0.07, ha="left", y=0.99)
    return figure


def _draw_coverage(axes: Axes, judgement: Judgement) -> None:
    curve = judgement.coverage["velocity"]
    axes.fill_between(
        curve.level, -2 * curve.uncertainty, 2 * curve.uncertainty, color=NOISE_COLOUR, lw=0
    )
    for quantity, found in judgement.coverage.items():
        colour = QUANTITY_COLOUR[quantity]
        axes.plot(found.level, found.fraction - found.level, color=colour, lw=1.2, label=quantity)
    if judgement.tarp is not None:
        joint = judgement.tarp
        axes.plot(joint.level, joint.coverage - joint.level, ":", color=DATA_COLOUR, label="TARP")
    axes.axhline(0.0, color="0.3", lw=0.5)
    reach = max(0.05, 1.3 * max(abs(v) for v in axes.get_ylim()))
    axes.set(xlim=(0, 1), ylim=(-reach, reach))
    axes.set_xlabel("credible level")
    axes.set_ylabel("coverage − level", labelpad=1)
    axes.set_title("coverage (grey: ±2 σ)", pad=3, fontsize=8)
    axes.legend(frameon=False, fontsize=6.5, loc="upper left", ncols=3, columnspacing=0.7,
                handlelength=1.0)  # fmt: skip


def _draw_uniformity(axes: Axes, judgement: Judgement, quantity: str) -> None:
    pit = judgement.pit[quantity][judgement.trusted]
    pit = pit[np.isfinite(pit)]
    bins = 20
    mean = len(pit) / bins
    band = 2.0 * np.sqrt(mean * (1.0 - 1.0 / bins))
    counts, edges = np.histogram(pit, bins, (0.0, 1.0))
    axes.axhspan(1 - band / mean, 1 + band / mean, color=NOISE_COLOUR, lw=0)
    axes.stairs(counts / mean, edges, color=QUANTITY_COLOUR[quantity], fill=True, alpha=0.35)
    if quantity in judgement.sbc:
        ranks = judgement.sbc[quantity]
        axes.stairs(ranks.counts / ranks.expected, ranks.edges, color=DATA_COLOUR, lw=0.8,
                    baseline=None)  # fmt: skip
    axes.axhline(1.0, color="0.3", lw=0.5)
    axes.set(xlim=(0, 1), ylim=(0, max(1.6, 1.1 * counts.max() / mean)))
    axes.set_xlabel("PIT (filled), SBC rank (line)")
    axes.set_title(f"{quantity}: KS {judgement.ks[quantity].distance:.3f}", pad=3, fontsize=8)
