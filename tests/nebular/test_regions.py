"""Classes of nebulae: exact likelihoods, honest probabilities, non-detections, real nebulae."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from nebulines.errors import UsageError
from nebulines.models import transmission
from nebulines.nebular import Region, classify
from nebulines.nebular.extinction import vacuum_wavelength
from nebulines.nebular.region_densities import CLASS_NAMES, GRID, densities, features
from nebulines.nebular.region_ratios import TOLERANCE_DEX, Ratio
from nebulines.nebular.region_weighing import likelihood
from nebulines.nebular.regions import CLASSES, DEFAULT_SHARES
from nebulines.synthetic.line_priors import draw_lines

ROOT = Path(__file__).parents[2]
LISTS = ROOT.parent / "shared" / "data" / "published_lines" / "neat_line_lists" / "examples"
LINES = ("HALPHA6563", "HBETA4861", "NII6583", "SII6716", "SII6731", "OI6300", "OIII5007")
BLUE = ("OII3726", "OII3729", "NEIII3869")


def mock(n, snr, seed=4321, names=(*LINES, *BLUE), ebv=0.2):
    """Noisy fluxes behind dust, errors, true class; a stream that nothing was learned from."""
    generator = np.random.default_rng(seed)
    draw = draw_lines(generator, "mixed", names, n)
    fluxes = draw.fluxes * transmission(np.array([vacuum_wavelength(x) for x in names]), ebv)
    sigma = fluxes[:, names.index("HBETA4861")] / snr
    noisy = fluxes + sigma[:, None] * generator.standard_normal(fluxes.shape)
    truth = np.array([Region[name.upper()] for name in draw.regions])[draw.region]
    return dict(zip(names, noisy.T, strict=True)), dict.fromkeys(names, sigma), truth


def test_tables_hold_together():
    prepared = densities()
    for k in range(len(CLASS_NAMES)):
        assert prepared.weights[prepared.classes == k].sum() == pytest.approx(1.0, abs=1e-3)
    assert [region.name.lower() for region in CLASSES] == list(CLASS_NAMES) == list(DEFAULT_SHARES)
    np.testing.assert_allclose(prepared.integrals.sum(axis=1), 1.0, atol=1e-5)
    assert len(features()) == prepared.means.shape[1]


def test_the_integral_over_the_true_ratio_is_right():
    """A detected ratio against the closed form: a Gaussian in log10 convolved with its error."""
    one = Ratio(*(np.array([x]) for x in (30.0, 0.6, 100.0, 1e-6, 0.0, 0.0)))
    found = likelihood(one.terms())[0] @ densities().integrals[0]
    mean, sigma = densities().means[:, 0], densities().sigma[:, 0]
    width = np.hypot(sigma, 0.02 / np.log(10))
    expected = np.exp(-0.5 * ((np.log10(0.3) - mean) / width) ** 2) / width
    big = expected > 1e-3 * expected.max()
    np.testing.assert_allclose(
        (found / expected)[big] / (found / expected)[big].mean(), 1, atol=0.3
    )


def test_a_line_below_the_noise_excludes_what_it_would_show():
    one = Ratio(*(np.array([x]) for x in (-1.0, 1.0, 100.0, 1.0, TOLERANCE_DEX, 0.0)))
    found = likelihood(one.terms())[0]
    assert found[np.argmin(abs(GRID + 3.0))] == pytest.approx(1.0, abs=0.2)
    assert found[np.argmin(abs(GRID + 1.0))] < 1e-3
    nothing = Ratio(*(np.array([np.nan]) for _ in range(6)))
    assert np.all(likelihood(nothing.terms()) == 1.0)


@pytest.mark.parametrize(("snr", "least"), [(5.0, 0.76), (50.0, 0.87)])
def test_probabilities_are_honest(snr, least):
    fluxes, errors, truth = mock(4000, snr)
    found = classify(fluxes, errors)
    assert np.mean(found.region == truth) > least
    promised = found.probability.max(axis=1)
    assert np.mean(found.region == truth) == pytest.approx(promised.mean(), abs=0.02)
    for low, high in ((0.0, 0.05), (0.3, 0.7), (0.9, 1.0)):
        bin_ = (found.probability > low) & (found.probability < high)
        hit = (truth[:, None] == np.array(CLASSES))[bin_]
        error = np.sqrt(0.25 / len(hit))
        assert hit.mean() == pytest.approx(found.probability[bin_].mean(), abs=0.03 + 2 * error)
    assert np.mean(found.unlike) < 0.01
    np.testing.assert_allclose(found.probability.sum(axis=1), 1.0)


def test_more_lines_say_more_and_missing_ones_drop_out():
    fluxes, errors, truth = mock(1500, 20.0)
    all_lines = classify(fluxes, errors)
    red = ("HALPHA6563", "NII6583", "SII6716", "SII6731")
    few = classify({k: fluxes[k] for k in red}, {k: errors[k] for k in red})
    assert np.mean(few.region == truth) < np.mean(all_lines.region == truth)
    blank = {k: v if k in red else np.full(1500, np.nan) for k, v in fluxes.items()}
    np.testing.assert_allclose(classify(blank, errors).probability, few.probability)
    assert set(few.n_ratios) == {2, 3}  # the doublet counts where [S II] 6716 is detected


def test_dust_does_not_change_the_class():
    clean, errors, _ = mock(800, 60.0, ebv=0.0)
    dusty, dusty_errors, _ = mock(800, 60.0, ebv=0.6)
    one, two = classify(clean, errors), classify(dusty, dusty_errors)
    assert np.mean(one.region == two.region) > 0.93
    known = classify(clean, errors, ebv=0.0)
    assert np.mean(one.region == known.region) > 0.95


@pytest.mark.parametrize("scale", [1e-20, 1e12])
def test_units_do_not_matter(scale):
    fluxes, errors, _ = mock(300, 30.0)
    scaled = [{k: v * scale for k, v in part.items()} for part in (fluxes, errors)]
    one, two = classify(fluxes, errors), classify(*scaled)
    np.testing.assert_allclose(one.probability, two.probability, atol=1e-4)


def test_unknown_where_nothing_can_be_said():
    fluxes = {"HALPHA6563": [1.0, -5.0, np.nan, 100.0], "NII6583": [1.0, 1.0, 1.0, np.nan]}
    errors = {"HALPHA6563": [1.0] * 4, "NII6583": [1.0] * 4}
    found = classify(fluxes, errors)
    assert found.region.tolist() == [0, 0, 0, 0]
    assert np.isnan(found.probability).all()
    assert not found.unlike.any()


def test_ratios_like_nothing_are_flagged():
    fluxes = {"HALPHA6563": [300.0], "HBETA4861": [100.0], "NII6583": [300.0]}
    fluxes |= {"SII6716": [2000.0], "SII6731": [2000.0], "OIII5007": [3000.0]}
    errors = {name: [0.2] for name in fluxes}
    assert classify(fluxes, errors).unlike.tolist() == [True]


def test_shapes_shares_and_wrong_use():
    fluxes, errors, _ = mock(12, 30.0)
    image = {k: v.reshape(3, 4) for k, v in fluxes.items()}
    noise = {k: v.reshape(3, 4) for k, v in errors.items()}
    found = classify(image, noise, shares={"hii": 1.0})
    assert found.probability.shape == (3, 4, 5)
    assert np.all(found.region == Region.HII)
    with pytest.raises(UsageError, match="classes need HALPHA6563"):
        classify({"NII6583": [1.0]}, {"NII6583": [1.0]})
    with pytest.raises(UsageError, match="no error for NII6583"):
        classify({"HALPHA6563": [1.0], "NII6583": [1.0]}, {"HALPHA6563": [1.0]})
    for shares in ({"star": 1.0}, {"hii": -1.0}, {"hii": 0.0}):
        with pytest.raises(UsageError, match="shares must be"):
            classify(fluxes, errors, shares=shares)
    empty = {k: v[:0] for k, v in fluxes.items()}
    assert classify(empty, {k: v[:0] for k, v in errors.items()}).region.shape == (0,)


def test_real_nebulae_are_what_they_are_published_as():
    """79 extragalactic H II regions and the planetary nebulae of the published lists."""
    if not LISTS.is_dir():
        pytest.skip("the published line lists are not on this machine")
    sys.path.insert(0, str(ROOT))
    from benchmarks.classify import classify_list, read_lists

    right = {"hii": [], "pn": []}
    for one in read_lists(LISTS):
        if one.kind in right and "HALPHA6563" in one.fluxes:
            right[one.kind].append(Region(classify_list(one).region[0]).name.lower() == one.kind)
    assert len(right["hii"]) >= 79
    assert np.mean(right["hii"]) > 0.9
    assert np.mean(right["pn"]) > 0.8


def test_a_class_that_is_not_three_times_as_probable_as_the_others_is_ambiguous():
    fluxes, errors, truth = mock(3000, 20.0, seed=987)
    found = classify(fluxes, errors)
    assert found.ambiguous[found.probability.max(axis=1) < 0.75].all()
    excited = np.isin(found.region, (Region.SHOCK, Region.AGN))
    assert np.all(found.probability.max(axis=1)[found.ambiguous & ~excited] < 0.75)
    wrong = found.region != truth
    assert np.mean(found.ambiguous[wrong]) > 0.5 > 0.2 > np.mean(found.ambiguous[~wrong])
    assert np.mean(wrong[~found.ambiguous]) < 0.6 * np.mean(wrong)
    nothing = classify({name: np.nan * value for name, value in fluxes.items()}, errors)
    assert not nothing.ambiguous.any()


def test_a_shock_whose_diagrams_disagree_is_ambiguous():
    """Region 11 of NGC 1232: composite by [N II], star-forming by [S II], LINER by [O I]."""
    fluxes = {"HALPHA6563": 291.0, "HBETA4861": 100.0, "OIII5007": 63.0, "NII6583": 180.0}
    fluxes |= {"SII6716": 97.0, "SII6731": 85.0, "OI6300": 42.4, "NEIII3869": 15.4, "OII": 337.0}
    fluxes = {name: np.array([value]) for name, value in fluxes.items()}
    found = classify(fluxes, {name: 0.05 * value for name, value in fluxes.items()}, ebv=0.0)
    assert found.region[0] == Region.SHOCK
    assert found.probability.max() > 0.75
    assert found.ambiguous[0]
