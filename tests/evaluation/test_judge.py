"""A judge of methods whose quality is known: honest, overconfident, biased, flagging."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nebulines.errors import UsageError
from nebulines.evaluation.held_out import HeldOut, draw, held_out_seed, sn3
from nebulines.evaluation.judge import judge
from nebulines.evaluation.methods import Measured, from_columns, get_method, method_names
from nebulines.evaluation.published import published
from nebulines.spectra import Flag

N = 3000
BINS = ("low", "high", "quantity")


@pytest.fixture(scope="module")
def held_out() -> HeldOut:
    return draw(sn3(), N, seed=3)


def guess(held_out: HeldOut, *, scale=1.0, shift=0.0, draws=0) -> Measured:
    """A posterior as wide as the bound, ``scale`` of what it states; with draws where asked."""
    generator = np.random.default_rng(1)
    bound = np.stack([held_out.bound.velocity_kms, held_out.bound.broadening_kms], axis=1)
    truth = np.stack([held_out.truth["velocity"], held_out.truth["broadening"]], axis=1)
    centre = truth + bound * (shift + generator.standard_normal((N, 2)))
    stated = bound / scale
    cloud = None
    if draws:
        cloud = centre[:, None] + stated[:, None] * generator.standard_normal((N, draws, 2))
    columns = {
        "velocity": centre[:, 0],
        "velocity_err": stated[:, 0],
        "broadening": centre[:, 1],
        "broadening_err": stated[:, 1],
    }
    return from_columns(columns, cloud)


@pytest.mark.parametrize("draws", [0, 99])
def test_a_method_at_the_bound_is_found_at_the_bound(held_out, draws):
    found = judge("ideal", lambda spectra: guess(held_out, draws=draws), held_out)
    assert len(found.bins) == 10
    for record in found.bins:
        assert record["rms_over_bound"] == pytest.approx(1.0, abs=0.08)
        assert abs(record["bias"]) < 4 * record["bias_error"]
        for level in (68, 95):
            miss = record[f"coverage_{level}"] - level / 100
            assert abs(miss) < 4 * record[f"coverage_{level}_error"]
    assert sum(r["n"] for r in found.bins[:8:2]) == found.bins[-2]["n"] == N
    for quantity in ("velocity", "broadening"):
        assert found.ks[quantity].p_value > 1e-3
        assert found.sbc[quantity].p_value > 1e-3
    velocity = found.bins[-2]
    assert velocity["width"] == pytest.approx(np.sqrt(np.mean(held_out.bound.velocity_kms**2)))


def test_overconfidence_and_bias_are_seen(held_out):
    narrow = judge("narrow", lambda s: guess(held_out, scale=2.0), held_out)
    assert narrow.bins[-2]["coverage_68"] == pytest.approx(0.38, abs=0.04)
    assert narrow.sbc["velocity"].p_value < 1e-6
    biased = judge("biased", lambda s: guess(held_out, shift=1.0), held_out)
    record = biased.bins[-2]
    assert record["bias"] > 10 * record["bias_error"]
    assert record["rms_over_bound"] == pytest.approx(np.sqrt(2.0), abs=0.06)
    assert biased.ks["velocity"].distance == pytest.approx(0.383, abs=0.04)


def test_flagged_rows_are_counted_and_left_out(held_out):
    measured = guess(held_out)
    velocity = measured.velocity.copy()
    flags = np.zeros(N, int)
    velocity[:60] += 500.0
    flags[:60] = int(Flag.AMBIGUOUS_VELOCITY)
    wrong = measured._replace(velocity=velocity, flags=flags)
    record = judge("flags", lambda s: wrong, held_out).bins[-2]
    assert record["flagged"] == 60
    assert record["rms_over_bound"] == pytest.approx(1.0, abs=0.08)
    assert record["rms_all"] == pytest.approx(500 * np.sqrt(60 / N), rel=0.05)
    silent = judge("silent", lambda s: wrong._replace(flags=0 * flags), held_out)
    assert silent.bins[-2]["rms_over_bound"] > 10


def test_points_without_errors_have_no_calibration(held_out):
    found = judge("truth", lambda s: from_columns(held_out.truth), held_out)
    assert found.bins[-1]["rms"] == 0.0
    assert (found.pit, found.ks, found.coverage, found.sbc, found.tarp) == ({}, {}, {}, {}, None)
    assert "coverage_68" not in found.bins[0]


def test_least_squares_reaches_the_bound(held_out):
    rows = slice(0, 600)
    part = replace(
        held_out,
        spectra=held_out.spectra[rows],
        truth={name: values[rows] for name, values in held_out.truth.items()},
        bound=type(held_out.bound)(*(a[rows] for a in held_out.bound)),
    )
    found = judge("fit", get_method("fit", velocity_range=(-500.0, 500.0)), part)
    velocity, broadening = found.bins[-2:]
    assert 0.9 < velocity["rms_over_bound"] < 1.15
    assert 0.9 < broadening["rms_over_bound"] < 1.3
    assert velocity["flagged"] < 20
    assert found.spectra_per_second > 100


def test_a_method_must_answer_every_spectrum(held_out):
    short = from_columns({"velocity": [0.0], "broadening": [1.0]})
    with pytest.raises(UsageError, match="one row a spectrum"):
        judge("short", lambda s: short, held_out)


def test_names_of_methods():
    with pytest.raises(UsageError, match="fit, both, kinematics, starnet"):
        get_method("magic")
    with pytest.raises(UsageError, match="no weights"):
        get_method("fit", weights="somewhere")
    assert "fit" in method_names()


def test_held_out_seeds_are_a_stream_of_their_own():
    seeds = {held_out_seed(seed, stream) for seed in range(50) for stream in range(20)}
    assert len(seeds) == 1000
    assert min(seeds) > 10**6  # no small integer that someone trains with
    again, other = draw(sn3(), 4, seed=3), draw(sn3(), 4, seed=4)
    np.testing.assert_array_equal(again.spectra.flux, draw(sn3(), 4, seed=3).spectra.flux)
    assert not np.array_equal(again.truth["velocity"], other.truth["velocity"])


@pytest.mark.parametrize(("resolution", "channels"), [(5000, 842), (2000, 337), (1000, 168)])
def test_channels_follow_the_resolution(resolution, channels):
    held_out = draw(sn3(resolution), 60, seed=1)
    assert held_out.spectra.flux.shape == (60, channels)
    drawn = held_out.truth["resolution"]
    assert (resolution - 200 <= drawn.min()) & (drawn.max() <= resolution)


def test_bounds_at_low_resolution_are_the_known_ones():
    """Medians over S/N 5 to 30: 1.9 and 2.5 km/s at R 5000, 3.6 and 11 at R 2000."""
    for resolution, velocity, broadening in ((5000, 1.9, 2.5), (2000, 3.6, 11.0)):
        bound = draw(sn3(resolution), 400, seed=2).bound
        assert np.median(bound.velocity_kms) == pytest.approx(velocity, rel=0.12)
        assert np.median(bound.broadening_kms) == pytest.approx(broadening, rel=0.15)


def test_the_papers_numbers_are_there():
    paper = published("rhea2020")
    at = {
        (r["method"], r["resolution"]): (r["velocity"], r["broadening"]) for r in paper["scatter"]
    }
    assert at["CNN", 5000] == (5.0, 5.5)
    assert at["CNN", 2000] == (75.0, 12.0)
    assert [row["seconds"] for row in paper["timing"]] == [180, 14400, 14400]
    with pytest.raises(UsageError, match="rhea2020"):
        published("nobody1900")
