"""What the network is shown: complete, and the same for every instrument."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from nebulines.networks.kinematics.line_stack import stack_lines
from nebulines.networks.kinematics.line_windows import LineWindows, line_response, peak_ratio
from nebulines.networks.kinematics.rough_broadening import HALF_NODES, NODE_STEP

TRIALS = jnp.linspace(-500.0, 500.0, 41)


def windows_of(
    velocity, broadening, *, shape, fwhm=60.0, channel=30.0, phase=0.0, heights=(30.0, 10.0)
):
    """Noise-free windows of lines far from each other."""
    n_lines = len(heights)
    offset = (np.arange(72) - 36 + phase) * channel
    offset = np.broadcast_to(offset, (1, n_lines, 72))
    data = line_response(offset - velocity, fwhm, broadening, shape=shape)
    separation = 1e5 * np.subtract.outer(-np.arange(n_lines), -np.arange(n_lines))[None]
    return LineWindows(
        jnp.asarray(data * np.array(heights)[:, None], jnp.float32),
        jnp.ones((1, n_lines, 72)),
        jnp.asarray(offset, jnp.float32),
        jnp.full((1, n_lines), fwhm),
        jnp.asarray(separation, jnp.float32),
        jnp.ones((1, n_lines)),
    )


@pytest.mark.parametrize("shape", ["sinc", "gaussian"])
@pytest.mark.parametrize("velocity", [-430.0, 3.0, 217.0])
def test_the_search_finds_the_lines(shape, velocity):
    stack = stack_lines(windows_of(velocity, 20.0, shape=shape), TRIALS, shape=shape)
    assert float(stack.offset[0]) == pytest.approx(velocity, abs=12.0)


@pytest.mark.parametrize(("shape", "few"), [("sinc", 1.4), ("gaussian", 2.0)])
def test_the_profile_does_not_depend_on_the_sampling(shape, few):
    """Same line, same total signal, channels of another size and phase."""
    shown = []
    for per_fwhm, phase in ((few, 0.0), (few, 0.4), (2.0 * few, 0.2)):
        heights = np.array([40.0, 13.0]) * np.sqrt(few / per_fwhm)
        windows = windows_of(
            0.0, 25.0, shape=shape, channel=60.0 / per_fwhm, phase=phase, heights=heights
        )
        shown.append(stack_lines(windows, jnp.array([-1e-3, 0.0, 1e-3]), shape=shape).features[0])
    profile = np.stack(shown)[:, : 2 * HALF_NODES + 1]
    np.testing.assert_allclose(profile[1], profile[0], atol=0.02)
    np.testing.assert_allclose(profile[2], profile[0], atol=0.04)


@pytest.mark.parametrize("shape", ["sinc", "gaussian"])
def test_scaling_all_velocities_changes_no_profile(shape):
    """The profile lives in units of the line spread."""
    zero = jnp.array([-1e-3, 0.0, 1e-3])
    narrow = windows_of(0.0, 20.0, shape=shape, fwhm=50.0, channel=30.0)
    wide = windows_of(0.0, 60.0, shape=shape, fwhm=150.0, channel=90.0)
    a, b = (stack_lines(w, zero, shape=shape) for w in (narrow, wide))
    cut = 2 * HALF_NODES + 1
    np.testing.assert_allclose(a.features[:, :cut], b.features[:, :cut], atol=2e-3)
    assert float(b.scale[0] / a.scale[0]) == pytest.approx(3.0)


def test_masked_lines_do_not_count():
    windows = windows_of(50.0, 20.0, shape="gaussian", heights=(30.0, 10.0, 20.0))
    spoiled = windows.data.at[:, 2].set(1e4)
    masked = windows._replace(data=spoiled, weight=windows.weight.at[:, 2].set(0.0))
    two = windows_of(50.0, 20.0, shape="gaussian", heights=(30.0, 10.0))
    a, b = (stack_lines(w, TRIALS, shape="gaussian") for w in (masked, two))
    assert float(a.offset[0]) == pytest.approx(float(b.offset[0]), abs=1.0)
    assert float(a.snr[0]) == pytest.approx(float(b.snr[0]), rel=0.02)


def test_peaks_fall_with_broadening():
    assert float(peak_ratio(60.0, 0.0, shape="sinc")) == pytest.approx(1.0, abs=1e-5)
    assert 0.3 < float(peak_ratio(60.0, 40.0, shape="sinc")) < 0.9
    assert NODE_STEP < 1.0  # finer than the critical sampling of a sinc


def test_a_rare_kind_of_source_forgoes_its_share_of_the_score():
    """It counts where it does clearly better than a common one, and by no more than it is told."""
    windows = windows_of(40.0, 20.0, shape="sinc")

    def score(strength, rarity):
        kinds = windows._replace(strength=jnp.asarray(strength)[None], rarity=jnp.asarray(rarity))
        return float(stack_lines(kinds, TRIALS, shape="sinc").score[0])

    alike = [[1.0, 0.3]], [[0.0, 1.0]]
    common, poor = (score(strength, [0.0]) for strength in alike)
    assert poor < 0.5 * common
    assert score(alike[0], [0.2]) == pytest.approx(0.8 * common, rel=1e-5)
    assert score([*alike[0], *alike[1]], [0.0, 0.3]) == pytest.approx(common, rel=1e-5)
    assert score([*alike[1], *alike[0]], [0.0, 0.3]) == pytest.approx(0.7 * common, rel=1e-5)
