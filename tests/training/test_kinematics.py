"""The loss of the network ``kinematics`` on spectra that went through the package."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nebulines.networks.kinematics.line_stack import feature_count
from nebulines.networks.kinematics.network import Kinematics
from nebulines.networks.kinematics.posterior import Box, moments
from nebulines.training.kinematics.network import Both, Example, Measured, settling_loss

N = 16


@pytest.fixture(scope="module")
def network():
    return Kinematics(key=jax.random.key(1), width=8, depth=1, components=2)


@pytest.fixture(scope="module")
def measured(network):
    """Spectra whose truth is the mean of their posterior."""
    features = 0.3 * jax.random.normal(jax.random.key(2), (N, feature_count()))
    snr = jnp.full(N, 9.0)
    box = Box(*(jnp.full(N, x) for x in (-2.0, 2.0, 0.1, 1.5, 0.1)))
    found = moments(network.posterior(features, snr), box)
    return Measured(features, snr, found.mean_u, found.mean_r, box)


def batch_of(measured):
    mock = Example(*measured[:4], jnp.full(N, -2.0))
    return Both(measured, mock)


def test_a_truth_that_is_far_off_costs_no_more_than_a_lost_one(network, measured):
    near = settling_loss(network, batch_of(measured))
    loss_of = [
        settling_loss(network, batch_of(measured)._replace(measured=moved))
        for moved in (measured._replace(u=measured.u + x) for x in (0.5, 500.0))
    ]
    assert near < loss_of[0] < loss_of[1] < near + 12.0


def test_the_gradient_is_finite_where_the_lines_were_missed(network, measured):
    missed = batch_of(measured)._replace(measured=measured._replace(u=measured.u + 500.0))
    gradient = eqx.filter_grad(settling_loss)(network, missed)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
