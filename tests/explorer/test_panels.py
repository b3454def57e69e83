"""The figure of a population."""

import numpy as np
import pytest

from nebulines.errors import UsageError
from nebulines.explorer.panels import draw_panels


def test_rows_are_lines_and_columns_kinds(population):
    figure = draw_panels(population, ("HALPHA6563", "OII3727"))
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == [
        "Hα, observed", "Hα, predicted", "Hα, predicted + noise",
        "[O II] 3727, observed", "[O II] 3727, predicted", "[O II] 3727, predicted + noise",
    ]  # fmt: skip
    drawn = [axes.collections[0] for axes in figure.axes if axes.get_title()]
    assert len({drawn[k].get_clim() for k in range(3)}) == 1  # one colour scale a line
    found = np.sort(np.ma.filled(drawn[1].get_array(), np.nan))
    assert found == pytest.approx(np.sort(np.arcsinh(population.widths["predicted"][:, 6])))


def test_an_unknown_line_is_refused(population):
    with pytest.raises(UsageError, match="no widths of LYALPHA"):
        draw_panels(population, ("LYALPHA",))
