"""The numbers of the nebular benchmark."""

from __future__ import annotations

import math

import pytest

from benchmarks import nebular


@pytest.mark.parametrize("a_v", [0.0, 3.0])
def test_dereddening_is_unbiased(a_v):
    bias = nebular.dereddening_bias(a_v, 20_000)
    assert set(bias) == set(nebular.RATIOS)
    assert max(abs(value) for value in bias.values()) < 1.0


def test_difference_from_pyneb():
    value = nebular.pyneb_difference("OIII")
    assert math.isnan(value) or 0.0 < value < 1.0


def test_diagram_of_lists(tmp_path):
    (tmp_path / "a.dat").write_text(
        "#Extragalactic HII region\n4861.33 100 1\n5006.84 50 1\n6562.77 286 3\n6583.50 50 2\n"
    )
    assert nebular.published_diagrams(tmp_path)["hii"]["STAR_FORMING"] == 1
