"""Statistics of known numbers, and bounds of windows that share their kinematics."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.evaluation import Bound, summary
from nebulines.evaluation.fit_bound import combine


def test_statistics_of_known_numbers():
    generator = np.random.default_rng(1)
    truth, bound = np.full(40_000, 10.0), np.full(40_000, 2.0)
    found = summary(truth, truth + generator.normal(0.2, 2.0, 40_000), bound, bound)
    assert found["rms_over_bound"] == pytest.approx(np.hypot(1.0, 0.1), abs=0.01)
    assert found["nmad_over_bound"] == pytest.approx(1.0, abs=0.02)
    assert found["bias"] == pytest.approx(0.2, abs=4 * found["bias_error"])
    assert found["relative_bias"] == pytest.approx(0.02, abs=4 * found["relative_bias_error"])
    assert found["coverage"] == pytest.approx(0.68, abs=0.01)
    assert found["coverage_95"] == pytest.approx(0.949, abs=0.005)


def test_windows_combine_as_one_information_matrix():
    """Velocity and broadening shared, fluxes and continuum of two windows apart."""
    generator = np.random.default_rng(2)
    jacobian = np.zeros((200, 9))
    jacobian[:, :2] = generator.normal(size=(200, 2))
    jacobian[:100, 2:6] = generator.normal(size=(100, 4))  # two lines, two continuum terms
    jacobian[100:, 6:] = generator.normal(size=(100, 3))  # one line, two continuum terms
    whole = np.linalg.inv(jacobian.T @ jacobian)
    parts = []
    for rows, columns, n_lines in (
        (slice(0, 100), slice(2, 6), 2),
        (slice(100, 200), slice(6, 9), 1),
    ):
        own = np.concatenate([jacobian[rows, :2], jacobian[rows, columns]], axis=1)
        covariance = np.linalg.inv(own.T @ own)[None]
        none = np.zeros((1, 0))
        parts.append(Bound(none, none, none, none, covariance, np.ones((1, n_lines))))
    bound = combine(parts, np.ones((1, 3)))
    keep = np.ix_([0, 1, 2, 3, 6], [0, 1, 2, 3, 6])
    np.testing.assert_allclose(bound.covariance[0], whole[keep], rtol=1e-9)
    np.testing.assert_allclose(bound.velocity_kms[0], np.sqrt(whole[0, 0]))
