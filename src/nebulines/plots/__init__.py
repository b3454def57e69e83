"""Figures: maps, spectra with their fits, and the page that shows both.

Matplotlib is imported when something is drawn, and no figure belongs to a window or to
matplotlib's global state.
"""

from nebulines.plots.page import draw_page
from nebulines.plots.result import plot_result
from nebulines.plots.style import save_figure

__all__ = ["draw_page", "plot_result", "save_figure"]
