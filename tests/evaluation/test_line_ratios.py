"""Line ratios judged: bounds, statistics, the noise classifier."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.errors import UsageError
from nebulines.evaluation.line_ratio_floor import measured_fluxes, posterior_floor
from nebulines.evaluation.line_ratio_noise import NoiseSet, draw_noise_set, judge_noise
from nebulines.evaluation.line_ratios import (
    Estimate,
    calibration_rows,
    draw_ratio_set,
    joint_bound,
    table_row,
)
from nebulines.evaluation.published import published
from nebulines.networks.line_ratios.ann import RATIOS
from nebulines.networks.line_ratios.space import LINES


@pytest.fixture(scope="module")
def held_out():
    return draw_ratio_set(120, seed=3)


def test_bounds_are_those_of_the_lines(held_out):
    joint, names = joint_bound(held_out.objects)
    # [SII]6731/6716: neither line is tied, so that the free bound holds
    first, second = names.index("SII6731"), names.index("SII6716")
    free = joint.ratio(first, second) / held_out.ratio[:, 0]
    np.testing.assert_allclose(held_out.bound[:, 0], free, rtol=0.03)
    # [N II] 6548 helps 6583 by 1 / 3.05^2 of its information
    free = joint.ratio(names.index("NII6583"), names.index("HALPHA6563")) / held_out.ratio[:, 2]
    assert (held_out.bound[:, 2] < free).all()
    assert (held_out.bound[:, 2] > 0.9 * free).all()
    assert (held_out.bound[:, -1] == 0).all()
    snr = held_out.objects.truth["snr"]
    bright = np.median(held_out.bound[snr > 20, 7]) / np.median(held_out.bound[snr < 12, 7])
    assert bright < 0.6


def test_an_efficient_method_reaches_the_bound(held_out):
    generator = np.random.default_rng(1)
    noise = generator.standard_normal(held_out.ratio.shape)
    ratio = held_out.ratio * np.exp(held_out.bound * noise)
    rows = table_row(held_out, Estimate(ratio))
    judged = [row for row in rows[:-1] if row["judged"] > 60]
    assert judged
    assert all(0.6 < row["over_bound"] < 1.5 for row in judged)  # few rows carry the mean
    assert all(0.7 < row["robust_over_bound"] < 1.35 for row in judged)
    double = table_row(held_out, Estimate(held_out.ratio * np.exp(2 * held_out.bound * noise)))
    assert double[7]["over_bound"] == pytest.approx(2 * rows[7]["over_bound"], rel=1e-6)
    biased = table_row(held_out, Estimate(1.1 * held_out.ratio))
    assert biased[2]["bias"] == pytest.approx(10.0)
    assert biased[2]["std"] == pytest.approx(0.0, abs=1e-9)


def test_no_method_is_below_the_floor(held_out):
    """The exact posterior beats measured fluxes, and is not better than it can be."""
    floor = posterior_floor(held_out, seed=3, sources=30_000)
    assert floor.n > 60
    generator = np.random.default_rng(2)
    noise = generator.standard_normal(held_out.ratio.shape)
    measured = table_row(held_out, Estimate(held_out.ratio * np.exp(held_out.bound * noise)))
    spread = [100 * np.std(held_out.ratio[:, k]) / np.mean(held_out.ratio[:, k]) for k in range(8)]
    for k in range(8):
        assert floor.relative[k] < 1.1 * min(measured[k]["std"], spread[k])
    assert (floor.relative > [0.5, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0]).all()
    # arcsinh is flatter than the ratio where that is large
    assert floor.arcsinh[7] < 0.7 * floor.relative[7]
    flux, covariance = measured_fluxes(held_out.objects)
    relative = np.sqrt(covariance[:, LINES.index("SII6716"), LINES.index("SII6716")])
    assert np.median(relative / flux[:, LINES.index("SII6716")]) > 0.05


def test_answers_that_are_none_are_counted(held_out):
    ratio = held_out.ratio.copy()
    ratio[:12, 4], ratio[12:24, 4] = np.nan, -1.0
    row = table_row(held_out, Estimate(ratio))[4]
    assert row["missing"] == pytest.approx(20.0)
    assert row["n"] == 108


def test_calibration_counts_what_the_transform_says(held_out):
    snr = held_out.objects.truth["snr"]
    uniform = np.tile((np.arange(120) + 0.5)[:, None] / 120, (1, 9))
    last = calibration_rows(snr, Estimate(held_out.ratio, pit=uniform))[-1]
    assert (last["low"], last["high"], last["n"]) == (5.0, 30.0, 120)
    assert last["covers_68"] == pytest.approx(0.6827, abs=0.01)
    assert last["ks"] < 0.01
    assert calibration_rows(snr, Estimate(held_out.ratio)) == []


def test_published_numbers_are_of_our_ratios():
    paper = published("rhea2021")
    assert tuple(paper["ratios"]) == RATIOS[:-1]
    assert all(len(row["percent"]) == 8 for row in paper["scatter"])


def test_the_forest_learns_what_the_spectra_show():
    pytest.importorskip("sklearn")
    generator = np.random.default_rng(0)
    weakest = generator.uniform(0.0, 0.1, 500)
    snr = generator.uniform(5.0, 30.0, 500)
    spectra = 0.01 * generator.standard_normal((500, 20))
    spectra[:, 7] += weakest
    found = NoiseSet(spectra, weakest, snr)
    verdict = judge_noise(found)
    assert verdict.accuracy > 0.8
    assert verdict.confusion.sum() == sum(n for _, _, n, _ in verdict.by_snr)
    right = np.trace(verdict.confusion) / verdict.confusion.sum()
    assert verdict.accuracy == pytest.approx(right)
    blind = judge_noise(found._replace(spectra=generator.permutation(spectra)))
    assert blind.accuracy < verdict.accuracy - 0.15
    with pytest.raises(UsageError, match="draw more"):
        judge_noise(found, threshold=0.099)


def test_noise_is_judged_by_the_weakest_line_as_seen():
    found = draw_noise_set(20, seed=2)
    assert found.spectra.shape == (20, 171 + 219 + 841)
    np.testing.assert_allclose(found.spectra.max(axis=1), 1.0, rtol=1e-5)
    assert (found.weakest < 1.0).all()
    assert found.weakest.min() < 0.05
