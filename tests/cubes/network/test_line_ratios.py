"""Line ratios of objects in three bands by networks alone, and the reports that judge them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from nebulines.cubes.network.line_fluxes import LineFluxes, bound_fluxes, line_fluxes_of
from nebulines.cubes.network.line_ratios import estimate_ratios
from nebulines.cubes.network.ratio_columns import out_of_range, ratio_columns, reported_ratios
from nebulines.errors import UsageError
from nebulines.fitting.fluxes import Fluxes
from nebulines.fitting.joint.links import Link, impose
from nebulines.networks.line_ratios.space import LINES
from nebulines.spectra import Flag
from nebulines.training.line_ratios.ann import true_ratios
from nebulines.training.line_ratios.spectra import paper_objects

OPTIONS = {"velocity_range": (-300.0, 300.0), "broadening_range": (5.0, 60.0), "prior": "rhea2021"}
BALMER = "HALPHA6563_HBETA4861"
ALL = np.ones(8, bool)


@pytest.fixture(scope="module")
def objects():
    return paper_objects(200, 9, snr=(10.0, 30.0))


@pytest.fixture(scope="module")
def result(objects):
    return estimate_ratios(objects.bands[1:], **OPTIONS)  # two of three compile faster


def fluxes_with(snr: float, **values: float) -> LineFluxes:
    """One object with all lines measured."""
    flux = np.array([[values.get(name, 0.3) for name in LINES]])
    covariance = np.diag(np.square(flux[0] / snr))[None]
    present = np.ones((1, 8), bool)
    return LineFluxes(flux, covariance, present, present[0])


def test_ratios_kinematics_and_dust_are_near_the_truth(objects, result):
    truth = objects.truth
    ratios = true_ratios(truth)
    for name, column in (("velocity", "velocity"), ("broadening", "broadening")):
        pull = (result[column] - truth[name]) / result[f"{column}_err"]
        assert np.sqrt(np.mean(pull**2)) < 1.3
    for label, true in ((BALMER, ratios[:, 7]), ("NII6583_HALPHA6563", ratios[:, 2]),
                        ("OIII5007_HBETA4861", ratios[:, 4])):  # fmt: skip
        low, high = (result[f"log_ratio_{label}_{q}"] for q in ("q16", "q84"))
        inside = (np.log10(true) > low) & (np.log10(true) < high)
        assert 0.55 < inside.mean() < 0.82  # 68 % of 200, 4 sigma
        assert (result[f"ratio_{label}_err"] > 0).all()
    pull = (result["ebv"] - truth["ebv"]) / result["ebv_err"]
    assert abs(np.median(pull)) < 0.35
    assert np.sqrt(np.mean(np.square(pull))) < 1.4


def test_columns_are_those_of_a_fit(result):
    for name in ("velocity", "broadening_err", "HALPHA6563_flux", "NII6583_flux_err", "chi2"):
        assert np.isfinite(result[name]).all()
    assert list(result)[-2:] == ["n_components", "flags"]
    assert result.meta["METHOD"] == "network"
    assert result.meta["PRIOR"] == "rhea2021"
    assert (result["flags"] & int(Flag.NO_DATA | Flag.OUT_OF_RANGE) == 0).mean() > 0.97


def test_a_missing_band_gives_wide_posteriors_and_a_flag(objects, result):
    first, last = (band[:200] for band in objects.bands[1:])
    mask = np.zeros(first.flux.shape, bool)
    mask[:5] = True
    found = estimate_ratios([replace(first, mask=mask), last], **OPTIONS)
    assert (found["flags"][:5] & int(Flag.LINE_OUTSIDE_BAND) != 0).all()
    assert (found["flags"][5:] & int(Flag.LINE_OUTSIDE_BAND) == 0).all()
    wide = found["log_ratio_OIII5007_HBETA4861_q84"] - found["log_ratio_OIII5007_HBETA4861_q16"]
    assert np.isfinite(wide).all()
    assert wide[:5].min() > 1.5 * np.median(wide[5:])
    rest = slice(5, None)
    np.testing.assert_allclose(
        found[f"ratio_{BALMER}"][rest], result[f"ratio_{BALMER}"][rest], rtol=1e-2
    )


def test_wrong_use_is_refused(objects):
    with pytest.raises(UsageError, match="no prior 'stars'"):
        estimate_ratios(objects.bands, prior="stars")
    with pytest.raises(UsageError, match="unknown option"):
        estimate_ratios(objects.bands, colour=1)
    with pytest.raises(UsageError, match="rows"):
        estimate_ratios([objects.bands[0][:3], objects.bands[1][:4]])
    with pytest.raises(UsageError, match="no prior"):
        ratio_columns(fluxes_with(10.0), prior="stars")


def test_ratios_of_lines_that_no_band_shows_are_not_reported():
    red = np.array([name in ("HALPHA6563", "NII6583") for name in LINES])
    assert reported_ratios(red) == ("NII6583/HALPHA6563",)
    assert reported_ratios(np.ones(8, bool))[-1] == "ebv"


def test_free_partners_of_a_doublet_count_with_their_own_error():
    names = ["NII6548", "HALPHA6563", "NII6583"]
    value = np.array([[0.4, 1.0, 1.0]])
    covariance = np.diag([0.01, 0.01, 0.01])[None]
    found = line_fluxes_of(Fluxes(value, covariance, value), names)
    line = LINES.index("NII6583")
    best = (1.0 + 0.4 / 3.05) / (1.0 + 1.0 / 3.05**2)
    assert found.value[0, line] == pytest.approx(best, rel=1e-6)
    assert found.covariance[0, line, line] < 0.01
    gone = line_fluxes_of(Fluxes(np.full((1, 3), np.nan), covariance, value), names)
    assert not gone.present.any()


def test_one_tie_after_another_is_all_ties_at_once():
    names = ["OIII4959", "OIII5007", "NII6548", "HALPHA6563", "NII6583"]
    generator = np.random.default_rng(3)
    root = generator.normal(size=(40, 5, 5))
    covariance = root @ root.swapaxes(1, 2) + 0.1 * np.eye(5)
    value = generator.normal(1.0, 1.0, (40, 5))
    value[0, 0] = value[1, 4] = np.nan
    links = [Link(1, 0, 2.98), Link(4, 2, 3.05)]
    expected = impose(value, covariance, links)
    found = bound_fluxes(Fluxes(value, covariance, value), names)
    np.testing.assert_allclose(found.value, expected.value, rtol=1e-8)
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-7, atol=1e-9)


def test_slabs_of_objects_give_the_same_as_all_at_once(monkeypatch):
    flux = np.random.default_rng(4).uniform(0.1, 1.0, (20, 8))
    seen = LineFluxes(flux, 0.01 * np.eye(8) * np.ones((20, 1, 1)), np.ones((20, 8), bool), ALL)
    whole, flags = ratio_columns(seen)
    monkeypatch.setattr("nebulines.cubes.network.ratio_columns.SLAB_ROWS", 7)
    parts, again = ratio_columns(seen)
    np.testing.assert_array_equal(flags, again)
    for name, column in whole.items():
        np.testing.assert_allclose(parts[name], column, rtol=1e-5, atol=1e-6)


def test_ratios_of_no_nebula_are_flagged():
    usual = {"HALPHA6563": 1.0, "HBETA4861": 0.3, "NII6583": 0.3, "OII3726": 0.4, "OII3729": 0.5,
             "SII6716": 0.15, "SII6731": 0.12, "OIII5007": 0.4}  # fmt: skip
    columns, flags = ratio_columns(fluxes_with(40.0, **usual))
    assert flags.tolist() == [0]
    assert columns[f"ratio_{BALMER}"][0] == pytest.approx(1.0 / 0.3, rel=0.05)
    _, flags = ratio_columns(fluxes_with(40.0, **usual | {"SII6731": 0.9}))
    assert flags.tolist() == [int(Flag.OUT_OF_RANGE)]
    ranges = {"NII6583/HALPHA6563": (-1.0, 0.0)}
    faint = fluxes_with(2.0, **usual | {"NII6583": 30.0})
    assert not out_of_range(faint, ranges).any()


def test_a_limit_stays_a_limit():
    usual = {"HALPHA6563": 1.0, "HBETA4861": 0.3, "OIII5007": 0.01}
    dark = fluxes_with(20.0, **usual)
    dark.covariance[0, 3, 3] = 0.04**2
    columns, _ = ratio_columns(dark)
    low, high = (columns[f"log_ratio_OIII5007_HBETA4861_{q}"][0] for q in ("q16", "q84"))
    assert high < np.log10(0.12 / 0.3)
    assert high - low > 0.5


def test_evaluate_and_reproduce_say_what_they_need(tmp_path):
    from nebulines.reports.line_ratios.evaluate import evaluate_line_ratios
    from nebulines.reports.line_ratios.report import reproduce_line_ratios
    from nebulines.reports.line_ratios.workshop import RatioPlan

    with pytest.raises(UsageError, match="100 or more"):
        evaluate_line_ratios(tmp_path, n=5)
    plan = RatioPlan.of(tmp_path / "report", quick=True, ann=tmp_path / "none.safetensors")
    with pytest.raises(UsageError, match="no pretrained network"):
        reproduce_line_ratios(plan, command="nebulines reproduce line-ratios")


def test_the_evaluation_is_a_page_with_numbers(tmp_path, monkeypatch):
    from nebulines.evaluation.line_ratio_methods import Ours
    from nebulines.reports.line_ratios.evaluate import evaluate_line_ratios

    def true_fluxes(self, objects):
        flux = np.stack([objects.truth[f"{name}_flux"] for name in LINES], axis=1)
        sigma = (0.5 * flux.mean(axis=1) / objects.truth["snr"])[:, None] * np.ones(8)
        seen = flux + sigma * np.random.default_rng(1).standard_normal(flux.shape)
        present = np.ones(flux.shape, bool)
        return LineFluxes(seen, sigma[:, :, None] ** 2 * np.eye(8), present, present[0])

    monkeypatch.setattr(Ours, "fluxes", true_fluxes)
    page, numbers = evaluate_line_ratios(tmp_path, n=300, kinds=("rhea2021",))
    text = page.read_text(encoding="utf-8")
    assert "| NII6583/HALPHA6563 |" in text
    found = json.loads(numbers.read_text(encoding="utf-8"))["rhea2021"]["calibration"]
    covered = [row["covers_68"] for row in found if row["n"] == 300]
    assert len(covered) == 8
    assert 0.6 < np.mean(covered) < 0.76
