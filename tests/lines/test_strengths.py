"""Typical line strengths: names that exist, and ratios that atoms allow."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.lines import load_catalogue, tied_groups
from nebulines.lines.strengths import line_strengths

NAMES = load_catalogue().names


def test_every_class_counts_from_halpha_and_obeys_the_fixed_ratios():
    strengths = line_strengths(NAMES)
    flux = dict(zip(NAMES, strengths.flux.T, strict=True))
    np.testing.assert_allclose(flux["HALPHA6563"], 1.0)
    for tie in tied_groups(["NII6583", "NII6548", "OIII5007", "OIII4959"]):
        np.testing.assert_allclose(flux[tie.strong] / flux[tie.weak], tie.ratio, rtol=0.1)
    assert np.all(flux["HBETA4861"] <= 1 / 2.7)  # case B, or reddened
    assert strengths.flux.shape == (len(strengths.classes), len(NAMES))
    assert strengths.rarity.shape == (len(strengths.classes),)


def test_every_line_of_the_table_is_in_the_catalogue():
    from nebulines.lines.strengths import _table

    assert set(map(str, _table()["name"])) <= set(NAMES)


@pytest.mark.parametrize("names", [["FOO5000"], ["CI9850", "FOO5000"]])
def test_lines_without_a_typical_strength_count_alike(names):
    assert np.ptp(line_strengths(names).flux, axis=1).max() == 0
