"""Figure of what answers hang on, channel by channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from nebulines.evaluation.judge import Judgement
from nebulines.evaluation.methods import QUANTITIES
from nebulines.plots.judgement import QUANTITY_COLOUR, judgement_title, new_figure
from nebulines.plots.style import DATA_COLOUR, NOISE_COLOUR

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def saliency_figure(
    judgement: Judgement, saliency: Mapping[str, np.ndarray], best: Mapping[str, np.ndarray]
) -> Figure:
    """What the answers hang on, over the mean spectrum (figure 6 of the paper).

    Args:
        judgement: of the method.
        saliency: quantity -> (channel,) of the method.
        best: the same of the best possible answer.
    """
    spectra = judgement.held_out.spectra
    wave = spectra.axis.rows(0).wavelength().reshape(-1)
    shown = np.median(np.asarray(spectra.flux[:2000], float), axis=0)
    figure, axes = new_figure(
        7.1, 4.3, 3, 1, left=0.085, right=0.985, top=0.93, bottom=0.09, hspace=0.08
    )
    axes[0, 0].plot(wave, shown / shown.max(), color=DATA_COLOUR, lw=0.8)
    axes[0, 0].set_ylabel("median spectrum")
    for panel, quantity in zip(axes[1:, 0], QUANTITIES, strict=True):
        colour = QUANTITY_COLOUR[quantity]
        panel.fill_between(wave, 0.0, best[quantity], color=NOISE_COLOUR, lw=0,
                           label="least squares at the truth")  # fmt: skip
        panel.plot(wave, saliency[quantity], color=colour, lw=0.8, label=judgement.method)
        panel.set_ylabel(f"|Δ {quantity}|\n[km/s per σ]", fontsize=7)
        panel.set_ylim(0, 1.15 * max(saliency[quantity].max(), best[quantity].max()))
        panel.legend(frameon=False, fontsize=6.5, loc="upper left")
    for panel in axes[:, 0]:
        panel.set_xlim(*judgement_band(judgement))
    for panel in axes[:-1, 0]:
        panel.tick_params(labelbottom=False)
    axes[-1, 0].set_xlabel("wavelength [Å]", labelpad=1)
    figure.suptitle(judgement_title(judgement), fontsize=9, x=0.085, ha="left", y=0.985)
    return figure


def judgement_band(judgement: Judgement) -> tuple[float, float]:
    """Wavelengths [Angstrom] around the lines of the set."""
    from nebulines.lines import load_catalogue

    lines = load_catalogue().select(judgement.held_out.source.lines)
    wave = lines.wavelength(judgement.held_out.spectra.axis.medium)
    margin = 30.0
    return float(wave.min() - margin), float(wave.max() + margin)
