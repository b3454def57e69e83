"""Wrong redshifts: which are told, and how often a right one is held for wrong."""

from __future__ import annotations

import pytest

from nebulines.galaxies.denoising.training_sets import TEST, clean_set
from nebulines.networks.weights import load
from nebulines.reports.denoising.redshifts import told


@pytest.mark.parametrize(("noise", "least", "silent"), [(0.01, 0.9, 0.02), (0.02, 0.4, 0.15)])
def test_wrong_redshifts_are_told_where_the_spectrum_tells_them(noise, least, silent):
    found = told(load("denoise-wide").network, clean_set(200, 81, TEST), noise, 1)
    right = found.pop(0)
    assert right.flagged - right.gate < 0.03
    for row in found.values():
        assert row.flagged > max(least, row.gate, 0.5 * row.known)
        assert row.wrong < min(silent, 0.6 * row.wrong_before)
