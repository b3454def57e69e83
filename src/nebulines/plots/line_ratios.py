"""Figures of line ratios: densities of the errors, errors against the S/N, channels that count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nebulines.plots.judgement import new_figure
from nebulines.plots.style import DATA_COLOUR, FIT_COLOUR, LINE_COLOUR

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {
    "band by band": "#009E73",
    "joint fit": FIT_COLOUR,
    "line_ratio_ann": "#CC79A7",
    "line_ratios": LINE_COLOUR,
}
"""One for each method, of the colour-blind-safe palette of Okabe & Ito (2008)."""
_MOST = 4000
_SPECIES = {"SII": "[S II]", "NII": "[N II]", "OII": "[O II]", "OIII": "[O III]"}


def ratio_label(ratio: str) -> str:
    """A ratio as astronomers print it.

    Example:
        >>> ratio_label("SII/HALPHA6563")
        '[S II] / H$\\\\alpha$'
    """
    from nebulines.plots.names import line_label

    return " / ".join(_SPECIES.get(part) or line_label(part) for part in ratio.split("/"))


def density_figure(
    relative: Mapping[str, np.ndarray], ratios: Sequence[str], *, title: str
) -> Figure:
    """Densities of the relative errors (figure 3 of the paper).

    Args:
        relative: method -> (n, R) relative errors [%].
        ratios: R names.
        title: of the figure.
    """
    from scipy.stats import gaussian_kde

    figure, axes = new_figure(
        7.1, 6.4, 4, 2, left=0.07, right=0.985, top=0.91, bottom=0.07, wspace=0.14, hspace=0.55
    )
    for k, ratio in enumerate(ratios):
        panel = axes.flat[k]
        reach = 4.0 * max(_robust(values[:, k]) for values in relative.values())
        grid = np.linspace(-reach, reach, 201)
        for name, values in relative.items():
            good = values[np.abs(values[:, k]) < 3.0 * reach, k]
            if np.ptp(good) < 1e-3:
                continue
            density = gaussian_kde(good[:_MOST])(grid)
            panel.plot(grid, density, color=COLOURS.get(name), lw=1.1, label=name)
        panel.axvline(0.0, color="0.6", lw=0.5, zorder=0)
        panel.set_xlim(-reach, reach)
        panel.set_ylim(0, None)
        panel.set_yticks([])
        panel.set_title(ratio_label(ratio), fontsize=8, pad=3)
    axes.flat[0].legend(frameon=False, fontsize=6.5, loc="upper left")
    for panel in axes[-1]:
        panel.set_xlabel("relative error [%]", labelpad=1)
    figure.suptitle(title, fontsize=9, x=0.07, ha="left", y=0.985)
    return figure


def _robust(values: np.ndarray) -> float:
    low, high = np.nanpercentile(values, [16, 84])
    return max(0.5 * float(high - low), 1e-3)


def against_snr_figure(
    relative: Mapping[str, np.ndarray], snr: np.ndarray, ratios: Sequence[str], *, title: str
) -> Figure:
    """Median relative error and its 68 % band against the S/N (figures 7 and 8 of the paper).

    Args:
        relative: method -> (n, R) relative errors [%].
        snr: (n,) of the peak of H-alpha.
        ratios: R names.
        title: of the figure.
    """
    rows = (len(ratios) + 1) // 2
    height = 1.45 * rows + 0.9
    figure, axes = new_figure(
        7.1, height, rows, 2, left=0.075, right=0.985, top=1.0 - 0.5 / height,
        bottom=0.42 / height, wspace=0.16, hspace=0.42,
    )  # fmt: skip
    edges = np.linspace(snr.min(), snr.max(), 13)
    middle = 0.5 * (edges[1:] + edges[:-1])
    for k, ratio in enumerate(ratios):
        panel = axes.flat[k]
        reach = 0.0
        for name, values in relative.items():
            bands = _quantiles(values[:, k], np.digitize(snr, edges[1:-1]), len(middle))
            colour = COLOURS.get(name, DATA_COLOUR)
            panel.fill_between(middle, bands[0], bands[2], color=colour, alpha=0.18, lw=0)
            panel.plot(middle, bands[1], color=colour, lw=1.1, label=name)
            reach = max(reach, float(np.nanpercentile(np.abs(bands), 90)))
        panel.axhline(0.0, color="0.6", lw=0.5, zorder=0)
        panel.set_ylim(-1.2 * reach, 1.2 * reach)
        panel.set_title(ratio_label(ratio), fontsize=8, pad=3)
    for panel in axes.flat[len(ratios) :]:
        panel.set_visible(False)
    axes.flat[0].legend(frameon=False, fontsize=6.5, loc="upper right", ncols=2)
    for panel in axes[-1]:
        panel.set_xlabel("S/N of the peak of Hα", labelpad=1)
    for panel in axes[:, 0]:
        panel.set_ylabel("error [%]")
    figure.suptitle(title, fontsize=9, x=0.075, ha="left", y=0.99)
    return figure


def _quantiles(values: np.ndarray, cell: np.ndarray, count: int) -> np.ndarray:
    """Quantiles (3, count) of the values in each cell."""
    inside = [values[(cell == k) & np.isfinite(values)] for k in range(count)]
    return np.array(
        [np.percentile(v, [16, 50, 84]) if len(v) > 4 else [np.nan] * 3 for v in inside]
    ).T


def activation_figure(
    bands: Sequence[tuple[str, np.ndarray, np.ndarray]],
    saliency: Mapping[str, Sequence[np.ndarray]],
    *,
    title: str,
) -> Figure:
    """What the answers hang on in each band (figure 5 of the paper).

    Args:
        bands: name, wavelengths (channel,) [Angstrom] and a spectrum (channel,) of each.
        saliency: method -> for each band (channel,), largest value 1.
        title: of the figure.
    """
    figure, axes = new_figure(
        7.1, 5.2, len(bands), 1, left=0.08, right=0.985, top=0.93, bottom=0.08, hspace=0.28
    )
    for k, (name, wave, spectrum) in enumerate(bands):
        panel = axes[k, 0]
        panel.plot(wave, spectrum / spectrum.max(), color=DATA_COLOUR, lw=0.6, label="spectrum")
        for method, values in saliency.items():
            panel.plot(wave, values[k], color=FIT_COLOUR, lw=0.9, label=method)
        panel.set_xlim(wave.min(), wave.max())
        panel.set_ylabel(name)
    axes[0, 0].legend(frameon=False, fontsize=6.5, loc="upper right")
    axes[-1, 0].set_xlabel("wavelength [Å]", labelpad=1)
    figure.suptitle(title, fontsize=9, x=0.08, ha="left", y=0.985)
    return figure
