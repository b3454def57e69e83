"""What the figures of a judgement have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

from nebulines.evaluation.judge import Judgement
from nebulines.plots.style import FIT_COLOUR, LINE_COLOUR, RC

RUNNING_BINS = 16
"""Of a running median."""

QUANTITY_COLOUR = {"velocity": LINE_COLOUR, "broadening": FIT_COLOUR}


def new_figure(width: float, height: float, rows: int, columns: int, **layout: Any) -> Any:
    """A figure that belongs to no window, and its axes (rows, columns).

    Args:
        width, height: [inch].
        rows, columns: of axes.
        **layout: of ``Figure.subplots_adjust``.

    Example:
        >>> figure, axes = new_figure(4, 3, 1, 2)
        >>> axes.shape
        (1, 2)
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(width, height))
        axes = figure.subplots(rows, columns, squeeze=False)
        figure.subplots_adjust(**layout)
    return figure, axes


def judgement_title(judgement: Judgement) -> str:
    """Method, set and number of spectra that figures show."""
    n = int(judgement.trusted.sum())
    return f"{judgement.method} on {judgement.held_out.source.title}: {n:,} spectra"


def running_quantiles(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 16, 50 and 84 % quantiles of y in bins of equally many x.

    Args:
        x, y: (n,) with n of 16 or more.

    Returns:
        Mean x (16,) and quantiles (3, 16).

    Example:
        >>> centre, quantiles = running_quantiles(np.arange(160.0), np.ones(160))
        >>> float(centre[0]), quantiles.shape
        (4.5, (3, 16))
    """
    bins = np.array_split(np.argsort(x), RUNNING_BINS)
    quantiles = np.array([np.percentile(y[b], (15.87, 50.0, 84.13)) for b in bins])
    return np.array([x[b].mean() for b in bins]), quantiles.T
