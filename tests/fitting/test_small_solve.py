"""Small symmetric systems against LAPACK, and what becomes of singular ones."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from nebulines.fitting.small_solve import inverse, scaled_cholesky, solve


def positive_matrices(n, p, seed=0):
    root = np.random.default_rng(seed).normal(size=(n, p, p + 3))
    matrix = root @ root.transpose(0, 2, 1)
    scale = 10.0 ** np.random.default_rng(seed).uniform(-2, 3, (n, p))
    return matrix * scale[:, :, None] * scale[:, None, :]


@pytest.mark.parametrize("p", [1, 4])
def test_solutions_agree_with_lapack(p):
    matrix = positive_matrices(20, p)
    rhs = np.random.default_rng(1).normal(size=(20, p, 2))
    with jax.enable_x64(True):
        np.testing.assert_allclose(solve(matrix, rhs), np.linalg.solve(matrix, rhs), rtol=1e-8)
        np.testing.assert_allclose(inverse(matrix), np.linalg.inv(matrix), rtol=1e-7)
        lower, scale = scaled_cholesky(matrix)
    rows = np.zeros((20, p, p))
    for i in range(p):
        for j in range(i + 1):
            rows[:, i, j] = lower[i][j]
    unit = matrix * np.asarray(scale)[:, :, None] * np.asarray(scale)[:, None, :]
    np.testing.assert_allclose(rows @ rows.transpose(0, 2, 1), unit, atol=1e-10)


def test_an_absent_parameter_does_not_disturb_the_others():
    whole = positive_matrices(5, 3)
    matrix = np.zeros((5, 4, 4))
    keep = np.ix_(range(5), [0, 1, 3], [0, 1, 3])
    matrix[keep] = whole
    with jax.enable_x64(True):
        found = np.asarray(inverse(matrix))
    np.testing.assert_allclose(found[keep], np.linalg.inv(whole), rtol=1e-8)
    assert np.all(found[:, 2] == 0)
    assert np.all(found[:, :, 2] == 0)


def test_a_singular_system_has_a_large_finite_answer():
    one = np.ones((1, 3, 3), np.float32)
    variance = np.diagonal(np.asarray(inverse(one)), axis1=1, axis2=2)
    assert np.all(np.isfinite(variance))
    assert variance.max() > 1e4
    assert np.all(np.isfinite(solve(one, np.ones((1, 3, 1), np.float32))))
