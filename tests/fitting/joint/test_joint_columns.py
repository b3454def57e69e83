"""Parts of the columns of a joint fit that need no fit."""

from __future__ import annotations

import numpy as np

from nebulines.fitting.joint.fluxes import _inverse


def test_inverse_of_curvatures_is_the_pseudo_inverse():
    """Of usual curvatures, of one that sees a sum alone, and of one that does not see theta 2."""
    generator = np.random.default_rng(3)
    half = generator.normal(size=(50, 2, 3))
    curvature = half @ half.swapaxes(1, 2)
    curvature[-2] = [[4.0, -4.0], [-4.0, 4.0]]
    curvature[-1] = [[5.0, 0.0], [0.0, 0.0]]
    found = _inverse(curvature)
    np.testing.assert_allclose(found[:-1], np.linalg.pinv(curvature[:-1]), rtol=1e-6)
    np.testing.assert_allclose(found[-1], [[0.2, 0.0], [0.0, 0.0]], atol=1e-12)
