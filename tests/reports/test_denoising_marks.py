"""Why real spectra are marked, and whether the network would have been wrong."""

from __future__ import annotations

import numpy as np

from nebulines.galaxies.denoising.gate import Evidence, judge
from nebulines.reports.denoising.marks import marks, marks_table


def test_reasons_are_counted_and_judged():
    """Of four spectra one is marked by chi2 alone, its line off; one by chi2 and its range, the
    line right; one passes with a line off; one has no line that compares."""
    row, lines = np.ones(4), np.ones((4, 1))
    names = ("line_sigmas", "strength", "disagreement")
    parts = dict.fromkeys(("together", "feature", "elsewhere", "moved"), 0.0 * row) | dict.fromkeys(
        names, 0.0 * lines
    )
    parts |= {"share": row, "noise": 0.01 * row, "signal": 99.0 * row, "line_noise": lines}
    parts |= {"data_flux": 10.0 * lines, "data_error": lines, "hidden": row < 0}
    parts |= {"chi2": np.array([2.0, 2.0, 1.0, 2.0]), "outside": np.arange(4) == 1}
    parts |= {"line_flux": np.array([[7.0], [9.9], [14.0], [10.0]])}
    used = np.arange(4)[:, None] < 3
    found = marks(judge(Evidence(**parts), 0.15), 10.0 * lines, used)
    third = 1.0 / 3.0
    assert found["chi2"] == {
        "marked": 2 * third, "alone": third, "off": 0.5, "alone and off": 1.0
    }  # fmt: skip
    assert found["range of the training"]["marked"] == third
    assert found["range of the training"]["off"] == 0.0
    assert found["any of them"]["marked"] == 2 * third
    assert found["none"]["marked"] == third
    assert found["none"]["off"] == 1.0
    assert np.isnan(found["residual anywhere"]["off"])
    assert "| 0.01 | chi2 | 0.667 | 0.500 |" in marks_table({"0.01": found})[1]
