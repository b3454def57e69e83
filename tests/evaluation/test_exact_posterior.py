"""The posterior on a grid beside the Cramer-Rao bound, where both must agree, and the prior."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nebulines.errors import UsageError
from nebulines.evaluation.exact_posterior import exact_posterior
from nebulines.evaluation.held_out import draw, sn3
from nebulines.instruments.line_spread import LineSpread


@pytest.fixture(scope="module")
def bright():
    return draw(sn3(1000.0, snr=(300.0, 300.0)), 4, seed=2, stream=8)


def test_bright_lines_reach_the_bound(bright):
    found = exact_posterior(bright)
    inside = (bright.truth["broadening"] > 20.0) & (bright.truth["broadening"] < 40.0)
    for quantity in ("velocity", "broadening"):
        error = getattr(found, f"{quantity}_err")
        miss = getattr(found, quantity) - bright.truth[quantity]
        assert (np.abs(miss) < 4.5 * error).all()
    ratio = (found.velocity_err / bright.bound.velocity_kms)[inside]
    assert ratio == pytest.approx(np.ones(len(ratio)), rel=0.06)


def test_faint_lines_leave_the_prior():
    faint = draw(sn3(1000.0, snr=(5.0, 5.0)), 2, seed=2, stream=9)
    found = exact_posterior(faint)
    flat = (50.0 - 10.0) / np.sqrt(12.0)
    assert found.broadening_err == pytest.approx(np.full(2, flat), rel=0.15)


def test_only_a_sinc(bright):
    spread = LineSpread("gaussian", resolution=3e3)
    other = replace(bright, spectra=replace(bright.spectra, line_spread=spread))
    with pytest.raises(UsageError, match="sinc"):
        exact_posterior(other)
