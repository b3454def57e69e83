"""The figure of a population: for each line, observed, predicted, predicted + noise side by side.

After the figure of UMAP planes in Khederlarian et al. 2024, MNRAS 531, 1454.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.explorer.galaxies import VARIANTS, Population
from nebulines.explorer.labels import plain_label
from nebulines.galaxies.widths.equivalent_widths import LINES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEFAULT_LINES = ("OII3727", "HBETA4861", "OIII5007", "HALPHA6563", "NII6583", "SII6716")
_WIDTH, _HEIGHT = 2.2, 1.75  # inch
_TICKS = (-5, -1, 0, 1, 5, 20, 100, 500)


def draw_panels(
    population: Population, lines: Sequence[str] = DEFAULT_LINES, *, plane: int = 0
) -> Figure:
    """Draw a population on a plane, one row a line, one column a kind of widths.

    Args:
        population: with one kind of widths or more.
        lines: of `LINES`.
        plane: number of the plane.

    Returns:
        A matplotlib figure that belongs to no window.

    Raises:
        UsageError: an unknown line.
    """
    import matplotlib
    from matplotlib.figure import Figure

    from nebulines.plots.style import RC

    if unknown := sorted(set(lines) - set(LINES)):
        raise UsageError(f"no widths of {', '.join(unknown)}; there are {', '.join(LINES)}")
    kinds = [kind for kind in VARIANTS if kind in population.widths]
    with matplotlib.rc_context(RC):
        figure = Figure((_WIDTH * len(kinds) + 0.9, _HEIGHT * len(lines)), layout="constrained")
        axes = figure.subplots(len(lines), len(kinds), sharex=True, sharey=True, squeeze=False)
        for row, line in zip(axes, lines, strict=True):
            _draw_row(figure, row, population, kinds, line, plane)
        where = population.planes[plane]
        for ax in axes[-1]:
            ax.set_xlabel(where.axes[0])
        for ax in axes[:, 0]:
            ax.set_ylabel(where.axes[1])
    return figure


def _draw_row(
    figure: Figure, row: Any, population: Population, kinds: list[str], line: str, plane: int
) -> None:
    """One line: the same colours for all kinds, in the same random order of the points."""
    index = LINES.index(line)
    points = population.planes[plane].points
    order = np.random.default_rng(0).permutation(len(points))
    reference = np.arcsinh(population.widths[kinds[0]][:, index])
    low, high = np.nanquantile(reference, [0.02, 0.98])
    size = float(np.clip(2e4 / len(points), 0.15, 4.0))
    drawn: Any = None
    for ax, kind in zip(row, kinds, strict=True):
        values = np.arcsinh(population.widths[kind][:, index])
        drawn = ax.scatter(
            *points[order].T, c=values[order], s=size, lw=0, vmin=low, vmax=high, rasterized=True
        )
        ax.set_title(f"{plain_label(line)}, {VARIANTS[kind]}")
    bar = figure.colorbar(drawn, ax=list(row), label="EW [Å]", pad=0.01)
    ticks = [t for t in _TICKS if low <= np.arcsinh(t) <= high]
    bar.set_ticks(np.arcsinh(ticks).tolist(), labels=[str(t) for t in ticks])
