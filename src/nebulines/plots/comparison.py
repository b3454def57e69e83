"""Figures that hold several methods, or two maps, against one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.evaluation.judge import Judgement
from nebulines.evaluation.methods import QUANTITIES
from nebulines.plots.judgement import new_figure
from nebulines.plots.style import DATA_COLOUR, RC

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito (2008), in the order of the methods
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
_WINDOW = 15  # of bins of S/N


def scatter_figure(
    judgements: Sequence[Judgement], published: Mapping[str, float | None], *, title: str
) -> Figure:
    """RMS of each method against the S/N, with the Cramer-Rao bound and the paper's number.

    Args:
        judgements: of several methods on one set.
        published: quantity -> standard deviation over the whole set [km/s], or None.
        title: of the figure.
    """
    figure, axes = new_figure(
        7.1, 3.0, 1, 2, left=0.08, right=0.985, top=0.89, bottom=0.14, wspace=0.2
    )
    for panel, quantity in zip(axes[0], QUANTITIES, strict=True):
        for judgement, colour in zip(judgements, _COLOURS, strict=False):
            x, rms, _ = _against_snr(judgement, quantity)
            panel.plot(x, rms, color=colour, lw=1.2, label=judgement.method)
        x, _, bound = _against_snr(judgements[0], quantity)
        panel.plot(x, bound, "--", color=DATA_COLOUR, lw=0.9, label="Cramér-Rao bound")
        value = published.get(quantity)
        if value is not None:
            panel.axhline(value, ls=":", color="0.4", lw=1.0, label="paper, all S/N")
        panel.set_yscale("log")
        panel.set_xlabel("S/N of the peak of Hα")
        panel.set_ylabel(f"RMS of {quantity} [km/s]")
        _plain_log_labels(panel)
    axes[0, 0].legend(frameon=False, fontsize=6.5)
    figure.suptitle(title, fontsize=9, x=0.08, ha="left", y=0.985)
    return figure


def _against_snr(judgement: Judgement, quantity: str) -> tuple[np.ndarray, ...]:
    """S/N, RMS of the unflagged misses and RMS of the bound in 15 bins of equally many."""
    truth = judgement.held_out.truth
    miss = np.asarray(getattr(judgement.measured, quantity), float) - truth[quantity]
    bound = getattr(judgement.held_out.bound, f"{quantity}_kms")
    good = np.flatnonzero(judgement.trusted & np.isfinite(miss) & np.isfinite(bound))
    bins = np.array_split(good[np.argsort(truth["snr"][good])], _WINDOW)
    bins = [b for b in bins if len(b)]
    x = np.array([truth["snr"][b].mean() for b in bins])
    rms = np.array([[np.sqrt(np.mean(v[b] ** 2)) for b in bins] for v in (miss, bound)])
    return x, rms[0], rms[1]


def _plain_log_labels(axes: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def absolute_residual_figure(judgements: Sequence[Judgement], *, title: str) -> Figure:
    """Mean absolute residual in bins of S/N one wide, its standard deviation as a band, misses
    beyond three standard deviations left out (figures 9 to 11 of Rhea et al. 2020)."""
    figure, axes = new_figure(
        7.1, 2.8, 1, 2, left=0.075, right=0.985, top=0.88, bottom=0.15, wspace=0.2
    )
    for panel, quantity in zip(axes[0], QUANTITIES, strict=True):
        for judgement, colour in zip(judgements, _COLOURS, strict=False):
            x, mean, spread = clipped_absolute(judgement, quantity)
            low = np.maximum(mean - spread, 0.0)
            panel.fill_between(x, low, mean + spread, color=colour, alpha=0.18, lw=0)
            panel.plot(x, mean, color=colour, lw=1.2, label=judgement.method)
        panel.set_ylim(bottom=0)
        panel.set_xlabel("S/N of the peak of Hα")
        panel.set_ylabel(f"mean |Δ {quantity}| [km/s]")
    axes[0, 0].legend(frameon=False, fontsize=6.5)
    figure.suptitle(title, fontsize=9, x=0.075, ha="left", y=0.985)
    return figure


def clipped_absolute(judgement: Judgement, quantity: str) -> tuple[np.ndarray, ...]:
    """S/N, mean absolute residual and its standard deviation in bins of S/N one wide.

    Args:
        judgement: flagged rows are left out; in each bin, so are misses beyond 3 sigma.
        quantity: ``velocity`` or ``broadening``.

    Returns:
        Three arrays (k,), of the bins that hold ten rows or more.
    """
    truth = judgement.held_out.truth
    miss = np.asarray(getattr(judgement.measured, quantity), float) - truth[quantity]
    good = judgement.trusted & np.isfinite(miss)
    rows = []
    for low in np.arange(np.floor(truth["snr"].min()), truth["snr"].max()):
        values = miss[good & (truth["snr"] >= low) & (truth["snr"] < low + 1.0)]
        values = np.abs(values[np.abs(values) <= 3.0 * np.std(values)])
        if len(values) >= 10:
            rows.append((low + 0.5, values.mean(), values.std()))
    return tuple(np.array(rows).reshape(-1, 3).T)


def residual_maps_figure(
    residuals: Mapping[str, np.ndarray], *, title: str, labels: Mapping[str, str]
) -> Figure:
    """Maps of absolute residuals side by side (figure 8 of Rhea et al. 2020).

    Args:
        residuals: quantity -> (ny, nx) [km/s], NaN where there is none.
        title: of the figure.
        labels: quantity -> label of its colour bar.
    """
    import matplotlib

    figure, axes = new_figure(
        7.1, 3.3, 1, len(residuals), left=0.055, right=0.94, top=0.86, bottom=0.11, wspace=0.3
    )
    cmap = matplotlib.colormaps["viridis"].with_extremes(bad="0.88")
    for panel, (name, values) in zip(axes[0], residuals.items(), strict=True):
        finite = values[np.isfinite(values)]
        top = float(np.percentile(finite, 92)) if len(finite) else 1.0
        image = panel.imshow(
            values, origin="lower", interpolation="nearest", cmap=cmap, vmin=0.0, vmax=top
        )
        with matplotlib.rc_context(RC):
            bar = figure.colorbar(image, ax=panel, fraction=0.046, pad=0.03, extend="max")
        bar.set_label(labels[name], fontsize=8)
        panel.set_xlabel("x [pixel]", labelpad=1)
    axes[0, 0].set_ylabel("y [pixel]", labelpad=1)
    figure.suptitle(title, fontsize=9, x=0.055, ha="left", y=0.985)
    return figure
