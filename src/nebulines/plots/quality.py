"""The map of quality flags: what is to be trusted, and why not where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.spectra.flags import Flag

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GOOD_COLOUR = "#E8E8E8"
# the worst first: a spaxel shows the first of its bits found here
_SHOWN: tuple[tuple[Flag, str, str], ...] = (
    (Flag.NO_DATA, "no data", "#FFFFFF"),
    (Flag.LOW_SNR, "not detected", "#9A9A9A"),
    (Flag.NOT_CONVERGED, "not converged", "#000000"),
    (Flag.AT_BOUND, "at a bound", "#CC79A7"),
    (Flag.AMBIGUOUS_VELOCITY, "ambiguous velocity", "#F0E442"),
    (Flag.SECOND_COMPONENT, "second component", "#0072B2"),
    (Flag.POOR_FIT, "poor fit", "#D55E00"),
    (Flag.OUTLIER_CHANNEL, "outlier channel", "#E69F00"),
    (Flag.MASKED_CHANNELS, "masked channels", "#56B4E9"),
    (Flag.UNRESOLVED, "unresolved", "#009E73"),
)


def flag_classes(flags: np.ndarray) -> tuple[np.ndarray, list[str], list[str]]:
    """The most serious bit of every spaxel, as a class for a categorical map.

    Bits that say nothing about the fit itself (a line outside the band, a variance left out)
    count as good.

    Args:
        flags: integer array, bits of `Flag`.

    Returns:
        Classes of the same shape (0 good, then the names in order), the names that occur, and
        their colours.

    Example:
        >>> flag_classes(np.array([0, Flag.LOW_SNR, Flag.LOW_SNR | Flag.UNRESOLVED]))[:2]
        (array([0, 1, 1]), ['good', 'not detected'])
    """
    flags = np.asarray(flags)
    classes = np.zeros(flags.shape, int)
    names, colours = ["good"], [GOOD_COLOUR]
    undecided = np.ones(flags.shape, bool)
    for bit, name, colour in _SHOWN:
        here = undecided & ((flags & int(bit)) != 0)
        if here.any():
            classes[here] = len(names)
            names.append(name)
            colours.append(colour)
        undecided &= ~here
    return classes, names, colours


def draw_flags(
    axes: Axes, flags: np.ndarray, *, extent: tuple[float, float, float, float] | None = None
) -> Any:
    """Draw the map of quality flags with its legend beside it.

    Args:
        axes: matplotlib axes.
        flags: (ny, nx) integers, bits of `Flag`.
        extent: (left, right, bottom, top) of the map on the axes.

    Returns:
        The matplotlib image.
    """
    return draw_classes(axes, *flag_classes(flags), title="quality flags", extent=extent)


def draw_classes(
    axes: Axes,
    classes: np.ndarray,
    names: Sequence[str],
    colours: Sequence[str],
    *,
    title: str,
    extent: tuple[float, float, float, float] | None = None,
) -> Any:
    """Draw a map of classes with its legend, which counts them, beside it.

    Args:
        axes: matplotlib axes.
        classes: (ny, nx) integers, places in ``names``.
        names, colours: of the classes.
        title: printed above the panel.
        extent: (left, right, bottom, top) of the map on the axes.

    Returns:
        The matplotlib image.

    Example:
        >>> from matplotlib.figure import Figure
        >>> axes = Figure().add_subplot()
        >>> image = draw_classes(axes, np.eye(2, dtype=int), ["a", "b"], ["k", "w"], title="x")
        >>> [text.get_text() for text in axes.get_legend().get_texts()]
        ['a (2)', 'b (2)']
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    image = axes.imshow(
        classes,
        origin="lower",
        interpolation="nearest",
        extent=extent,
        cmap=ListedColormap(list(colours)),
        vmin=-0.5,
        vmax=len(names) - 0.5,
    )
    counts = np.bincount(classes.ravel(), minlength=len(names))
    handles = [
        Patch(facecolor=colour, edgecolor="0.4", lw=0.4, label=f"{name} ({count})")
        for name, colour, count in zip(names, colours, counts, strict=True)
    ]
    axes.set_title(title, pad=4)
    axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.02),
        frameon=False,
        fontsize=6.3,
        handlelength=0.9,
        handletextpad=0.5,
        handleheight=1.0,
        borderaxespad=0.2,
        labelspacing=0.5,
    )
    return image
