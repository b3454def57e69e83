"""The line spread between channels and nodes, and what one line leaves in the window of another."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from nebulines.constants import SINC_FWHM_PER_WIDTH
from nebulines.networks.kinematics.line_kernels import Rows, kernel, kernel_parts, project
from nebulines.networks.kinematics.line_neighbours import Nodes, others_of, without_neighbours
from nebulines.networks.kinematics.line_windows import line_response
from nebulines.networks.kinematics.rough_broadening import HALF_NODES, NODES, rough_broadening

FWHM = 120.0
WIDTH = FWHM / SINC_FWHM_PER_WIDTH


@pytest.mark.parametrize("shape", ["sinc", "gaussian"])
def test_the_kernel_is_the_unbroadened_line(shape):
    x = jnp.array([-731.0, -40.0, 0.0, 1e-4, 0.3, 250.0])[:, None]
    y = jnp.array([17.0, 17.0, 0.0, 0.0, 0.3, -400.0])[:, None]
    width = jnp.array([FWHM])
    parts = (kernel_parts(at, width, shape=shape) for at in (x, y))
    expected = line_response(x - y, FWHM, 0.0, shape=shape)
    np.testing.assert_allclose(kernel(*parts), expected, atol=3e-5)


@pytest.mark.parametrize("n_channels", [24, 21])
def test_sums_under_the_kernel_and_their_variance(n_channels):
    rng = np.random.default_rng(5)
    value, weight = rng.uniform(0.5, 1.5, size=(2, 2, n_channels, 3))
    offset = np.broadcast_to(np.linspace(-300.0, 300.0, n_channels)[:, None], value.shape)
    nodes, middle = np.array([-50.0, 10.0, 70.0])[None, :, None] * np.ones((2, 1, 3)), 1
    width = jnp.full((2, 3), FWHM)
    rows = Rows(*map(jnp.asarray, (value, weight, offset)), width)
    parts = kernel_parts(jnp.asarray(nodes), width, shape="sinc")
    signal, variance = project(rows, parts, middle, shape="sinc")
    seen = np.asarray(line_response(offset[:, None] - nodes[:, :, None], FWHM, 0.0, shape="sinc"))
    np.testing.assert_allclose(signal, (seen * value[:, None]).sum(axis=2), atol=1e-3)
    np.testing.assert_allclose(variance, (seen[:, middle] ** 2 * weight).sum(axis=1), atol=1e-3)


def seen_at_nodes(distance, broadening):
    """What a sinc sees at the nodes of a line of unit peak."""
    return line_response(NODES[:, None] * WIDTH - distance, FWHM, broadening, shape="sinc")


@pytest.mark.parametrize("broadening", [5.0, 60.0])
def test_the_neighbour_is_taken_out(broadening):
    """Two lines, one at the centre and one 500 km/s away, ten times as bright."""
    width = jnp.full((2, 1), FWHM)
    separation = jnp.array([[[0.0, 500.0], [-500.0, 0.0]]])
    position = jnp.asarray(NODES)[:, None] * WIDTH
    nodes = Nodes(position, kernel_parts(position, width, shape="sinc"), HALF_NODES)
    others = others_of(separation, jnp.zeros(1), width, shape="sinc")
    alone = [peak * seen_at_nodes(0.0, broadening) for peak in (1.0, 10.0)]
    profile = jnp.stack(
        [
            alone[0] + 10.0 * seen_at_nodes(500.0, broadening),
            alone[1] + 1.0 * seen_at_nodes(-500.0, broadening),
        ]
    )
    norm = jnp.full((2, 1), 1e4)
    left = without_neighbours(profile, norm, jnp.full(1, broadening), nodes, others)
    before = jnp.max(jnp.abs(profile - jnp.stack(alone)))
    after = jnp.max(jnp.abs(left - jnp.stack(alone)))
    assert float(before) > 5.0
    assert float(after) < 0.6  # 6 % of the brighter line's peak


def test_one_line_has_no_neighbours():
    width = jnp.full((1, 1), FWHM)
    position = jnp.asarray(NODES)[:, None] * WIDTH
    nodes = Nodes(position, kernel_parts(position, width, shape="sinc"), HALF_NODES)
    others = others_of(jnp.zeros((1, 1, 1)), jnp.zeros(1), width, shape="sinc")
    profile = seen_at_nodes(0.0, 10.0)[None]
    left = without_neighbours(profile, jnp.ones((1, 1)), jnp.full(1, 10.0), nodes, others)
    assert left is profile


@pytest.mark.parametrize("broadening", [0.2, 1.0, 2.5])
def test_the_broadening_of_a_bright_line_is_found(broadening):
    profile = 1000.0 * seen_at_nodes(0.0, broadening * WIDTH)
    found = float(rough_broadening(profile, shape="sinc")[0])
    assert found == pytest.approx(broadening, abs=0.12)
