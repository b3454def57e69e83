"""Figures of the page on de-noising."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.galaxies.population.population import CLASSES
from nebulines.networks.denoise.grid import bin_centres
from nebulines.plots.judgement import new_figure
from nebulines.plots.style import DATA_COLOUR, FIT_COLOUR, LINE_COLOUR, NOISE_COLOUR

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colour-blind-safe colours of Okabe & Ito (2008), one a class or a method."""
_WINDOW = (6480.0, 6780.0)


def components_figure(components: np.ndarray) -> Figure:
    """The first principal components (k, 825) of noisy spectra (the paper's Figure 2)."""
    figure, axes = new_figure(
        7.1, 1.0 * len(components), len(components), 1, left=0.07, right=0.99, top=0.98, bottom=0.1
    )
    for number, (panel, row) in enumerate(zip(axes[:, 0], components, strict=True), start=1):
        panel.plot(bin_centres(), row, color=DATA_COLOUR, lw=0.5)
        panel.axhline(0.0, color="0.6", lw=0.4, ls="--")
        panel.set_ylabel(f"PC {number}")
        panel.set_xlim(3700, 7900)
        if number < len(components):
            panel.set_xticklabels([])
    axes[-1, 0].set_xlabel("rest wavelength [$\\AA$]")
    return figure


def history_figure(histories: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Losses against epochs, solid in training, dashed in validation (Figure 5)."""
    figure, axes = new_figure(7.1, 2.6, 1, 2, left=0.09, right=0.99, top=0.9, bottom=0.16)
    for panel, kind in zip(axes[0], ("ae", "vae"), strict=True):
        chosen = [name for name in histories if name.startswith(f"{kind}-")]
        for colour, name in zip(PALETTE, chosen, strict=False):
            for key, style in (("loss", "-"), ("validation", "--")):
                values = histories[name][key]
                epoch = np.arange(1, len(values) + 1)
                label = name if key == "loss" else None
                panel.plot(epoch, values, style, color=colour, lw=1.0, label=label)
        panel.set(yscale="log", xlabel="epoch", title=kind.upper())
        if chosen:
            panel.legend(frameon=False, fontsize=7)
    axes[0, 0].set_ylabel("loss")
    return figure


def latent_figure(latent: np.ndarray, kind: np.ndarray, *, title: str) -> Figure:
    """Pairs of latent dimensions (n, d), coloured by class (Figure 6)."""
    size = min(latent.shape[1], 6)
    figure, axes = new_figure(
        4.8, 4.6, size - 1, size - 1, left=0.07, right=0.99, top=0.94, bottom=0.06,
        wspace=0.06, hspace=0.06,
    )  # fmt: skip
    limits = np.percentile(latent, [0.5, 99.5], axis=0)
    for y in range(1, size):
        for x in range(size - 1):
            panel = axes[y - 1, x]
            if x >= y:
                panel.set_visible(False)
                continue
            for number in np.unique(kind):
                part = latent[kind == number]
                panel.plot(part[:, x], part[:, y], ".", ms=1.2, color=PALETTE[number % 6],
                           label=CLASSES[number], rasterized=True)  # fmt: skip
            panel.set(xlim=limits[:, x], ylim=limits[:, y], xticks=[], yticks=[])
            if y == size - 1:
                panel.set_xlabel(f"dimension {x + 1}")
            if x == 0:
                panel.set_ylabel(f"dimension {y + 1}")
    handles, labels = axes[-1, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper right", frameon=False, markerscale=6, fontsize=8,
                  bbox_to_anchor=(0.97, 0.9))  # fmt: skip
    figure.suptitle(f"Latent space of {title}", fontsize=9)
    return figure


def loss_figure(loss: Mapping[str, float]) -> Figure:
    """Mean square error against latent dimensions, ours and the Bayes bound (Figure 7)."""
    figure, axes = new_figure(4.2, 3.0, 1, 1, left=0.16, right=0.97, top=0.96, bottom=0.14)
    panel = axes[0, 0]
    for colour, kind in zip(PALETTE, ("pca", "ae", "vae"), strict=False):
        names = sorted((n for n in loss if n.startswith(f"{kind}-")), key=_dimensions)
        x, y = [_dimensions(n) for n in names], [loss[n] for n in names]
        panel.plot(x, y, "o-", color=colour, ms=4, lw=1.0, label=kind.upper())
    panel.axhline(loss["ours"], color=DATA_COLOUR, lw=1.2, label="ours")
    panel.axhline(loss["bound"], color=DATA_COLOUR, lw=1.0, ls=":", label="Bayes bound")
    panel.set(yscale="log", xlabel="latent dimensions", ylabel="mean square error", xlim=(1, 11))
    panel.legend(frameon=False, fontsize=7)
    return figure


def _dimensions(name: str) -> int:
    return int(name.partition("-")[2])


def example_figure(truth: np.ndarray, noisy: np.ndarray, found: Mapping[str, Any]) -> Figure:
    """One spectrum (825,), noisy, true and de-noised, whole and about H-alpha (Figure 8)."""
    figure, axes = new_figure(
        5.8, 1.3 * len(found), len(found), 2, left=0.08, right=0.99, top=0.97, bottom=0.11,
        wspace=0.12,
    )  # fmt: skip
    wave = bin_centres()
    near = (wave > _WINDOW[0]) & (wave < _WINDOW[1])
    for row, (name, spectrum) in zip(axes, found.items(), strict=True):
        for panel, part in zip(row, (np.ones(len(wave), bool), near), strict=True):
            panel.plot(wave[part], noisy[part], color=NOISE_COLOUR, lw=0.5)
            panel.plot(wave[part], truth[part], color=DATA_COLOUR, lw=0.8, label="true")
            panel.plot(wave[part], spectrum[part], color=FIT_COLOUR, lw=0.8, label=name)
            panel.set_xlim(wave[part][[0, -1]])
        row[0].legend(frameon=False, fontsize=7, loc="upper left")
        row[0].set_ylim(*np.percentile(noisy, [0.3, 99.9]))
    for panel in axes[-1]:
        panel.set_xlabel("rest wavelength [$\\AA$]")
    return figure


def flux_figure(found: Mapping[str, np.ndarray], truth: np.ndarray, lines: Sequence[str]) -> Figure:
    """Recovered against true line fluxes (n, L) of several methods (Figure 9)."""
    from nebulines.galaxies.denoising.training_sets import LINES

    figure, axes = new_figure(
        6.2, 1.4 * len(found), len(found), len(lines), left=0.12, right=0.99, top=0.94,
        bottom=0.12, wspace=0.08, hspace=0.08,
    )  # fmt: skip
    for number, (row, (name, flux)) in enumerate(zip(axes, found.items(), strict=True)):
        for panel, line in zip(row, lines, strict=True):
            k = LINES.index(line)
            top = float(np.log10(np.percentile(truth[:, k], 99.9)))
            x = np.log10(np.maximum(truth[:, k], 1e-9))
            y = np.log10(np.maximum(flux[:, k], 1e-9))
            panel.plot(x, y, ".", ms=1.0, color=LINE_COLOUR, alpha=0.4, rasterized=True)
            panel.plot([top - 3, top + 0.3], [top - 3, top + 0.3], color=DATA_COLOUR, lw=0.6)
            panel.set(xlim=(top - 3, top + 0.3), ylim=(top - 3.3, top + 0.6))
            if number == 0:
                panel.set_title(line, fontsize=8)
            if panel is not row[0]:
                panel.set_yticklabels([])
            if number < len(found) - 1:
                panel.set_xticklabels([])
        row[0].set_ylabel(f"{name}\nlog flux", fontsize=7)
    axes[-1, len(lines) // 2].set_xlabel("log true flux [unit norm times $\\AA$]")
    return figure


def metallicity_figure(
    panels: Mapping[str, np.ndarray], log_mass: np.ndarray, log_sfr: np.ndarray, curve: np.ndarray
) -> Figure:
    """Mass-metallicity relations, coloured by star-formation rate (Figure 10)."""
    figure, axes = new_figure(
        7.1, 2.4, 1, len(panels), left=0.07, right=0.88, top=0.9, bottom=0.18, wspace=0.06
    )
    low, high = np.percentile(log_mass, [1, 99])
    grid = np.linspace(low, high, 50)
    for panel, (name, abundance) in zip(axes[0], panels.items(), strict=True):
        dots = panel.scatter(log_mass, abundance, c=log_sfr, s=2, cmap="viridis", lw=0,
                             vmin=np.percentile(log_sfr, 2), vmax=np.percentile(log_sfr, 98),
                             rasterized=True)  # fmt: skip
        panel.plot(grid, np.polyval(curve, grid - 10.0), color=FIT_COLOUR, lw=1.2)
        panel.set(title=name, xlabel="log mass", ylim=(7.9, 9.1), xlim=grid[[0, -1]])
        if panel is not axes[0, 0]:
            panel.set_yticklabels([])
    axes[0, 0].set_ylabel("12 + log(O/H), O3N2")
    bar = figure.colorbar(dots, cax=figure.add_axes((0.895, 0.18, 0.012, 0.72)))
    bar.set_label("log SFR", fontsize=7)
    bar.ax.tick_params(labelsize=6)
    return figure
