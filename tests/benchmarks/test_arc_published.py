"""The lines of the arc as the publication measured them."""

from __future__ import annotations

import numpy as np
from benchmarks.arc_published import alfa_continuum, conventions

WAVE = 4950.0 + 0.7 * np.arange(200)
LINE = 20.0 * np.exp(-0.5 * ((WAVE - 5006.8) / 1.0) ** 2)
LOW_QUARTER = 0.690  # sigma by which the 25th lowest of 101 lies below the mean of noise


def test_the_continuum_of_the_publication_lies_below_noise():
    noise = np.random.default_rng(1).normal(size=(200, len(WAVE)))
    middle = alfa_continuum(noise)[:, 60:-60]
    assert np.isclose(middle.mean(), -LOW_QUARTER, atol=0.03)


def test_a_line_gains_what_is_taken_off_below_it():
    noise = np.random.default_rng(2).normal(size=(400, len(WAVE)))
    model = np.tile(LINE + 0.3 + 0.01 * (WAVE - 5000.0), (400, 1))
    factor = conventions(WAVE, LINE + noise, model, np.array([5006.8]))
    assert np.isclose(factor["level"].mean(), 1.0, atol=0.01)
    gain = (factor["published"] - factor["level"]).mean()
    assert np.isclose(gain, LOW_QUARTER * LINE.sum() / (LINE**2).sum(), rtol=0.1)
