"""Priors over line ratios: the tables they were learned from, physics, a user's table."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from nebulines.errors import UsageError
from nebulines.lines import load_catalogue
from nebulines.synthetic import simulate
from nebulines.synthetic.line_priors import draw_lines, draw_ratios, prior_names

GRIDS = Path(__file__).resolve().parents[3] / "shared" / "data" / "nebular_models"
DEFAULTS = load_catalogue().defaults().names
CLASSES = [name for name in prior_names() if name not in ("uniform", "mixed")]
SN3 = ("NII6548", "HALPHA6563", "NII6583", "SII6716", "SII6731")


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("hii", "hii_fluxes"),
        ("pn", "pn_fluxes"),
        ("shock", "shock_ratios"),
        ("dig", "dig_ratios"),
        ("sitelle-2020", "hii_fluxes"),
    ],
)
def test_samples_reproduce_the_source_table(name, reader, monkeypatch):
    if not GRIDS.is_dir():
        pytest.skip(f"the model grids are not in {GRIDS}")
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    learn_priors = importlib.import_module("benchmarks.learn_priors")
    rows = getattr(learn_priors, reader)(GRIDS)
    sample = draw_ratios(np.random.default_rng(5), name, 20_000)
    for ratio, values in rows.items():
        expected = np.percentile(values, [16, 50, 84])
        np.testing.assert_allclose(
            np.percentile(sample[ratio], [16, 50, 84]), expected, atol=0.1, err_msg=ratio
        )
    expected = np.corrcoef([rows[r] for r in rows])
    np.testing.assert_allclose(np.corrcoef([sample[r] for r in rows]), expected, atol=0.15)


@pytest.mark.parametrize("name", [*CLASSES, "mixed"])
def test_fluxes_are_finite_and_physical(name):
    names = [n for n in DEFAULTS if name != "sitelle-2020" or n in (*SN3, "HBETA4861", "OII3726")]
    draw = draw_lines(np.random.default_rng(3), name, names, 3000)
    flux = dict(zip(names, draw.fluxes.T, strict=True))
    assert np.all(np.isfinite(draw.fluxes))
    assert np.all(draw.fluxes > 0)
    assert np.all(flux["HALPHA6563"] == 1.0)
    assert np.all(flux["HALPHA6563"] / flux["HBETA4861"] >= 2.7)
    np.testing.assert_allclose(flux["NII6583"] / flux["NII6548"], 3.05)
    sulphur = flux["SII6716"] / flux["SII6731"]
    assert np.all((sulphur > 0.43) & (sulphur < 1.46))


def test_mixed_says_which_class():
    draw = draw_lines(np.random.default_rng(1), "mixed", DEFAULTS, 4000)
    assert draw.regions == ("hii", "pn", "shock", "dig", "agn")
    shares = np.bincount(draw.region) / 4000
    np.testing.assert_allclose(shares, [0.5, 0.1, 0.15, 0.15, 0.1], atol=0.03)
    nitrogen = draw.fluxes[:, DEFAULTS.index("NII6583")]
    medians = [np.median(nitrogen[draw.region == k]) for k in (0, 2)]
    assert medians[1] > 5 * medians[0]  # shocks above metal-poor H II regions


def test_prior_of_rhea_2020():
    truth, _ = simulate("sitelle-sn3", n=400, seed=1, prior="sitelle-2020")
    assert np.asarray(truth["broadening"]).min() < 1.0
    doublet = np.asarray(truth["SII6716_flux"] / truth["SII6731_flux"])
    np.testing.assert_allclose(doublet, 0.4315 * 2207.0 / 727.1, rtol=1e-6)  # 100 cm-3


def test_ranges_replace_a_prior():
    truth, _ = simulate(n=50, prior="hii", ratios={"NII6583": (0.4, 0.4)})
    np.testing.assert_allclose(truth["NII6583_flux"], 0.4)
    np.testing.assert_allclose(truth["NII6548_flux"], 0.4 / 3.05)
    assert np.std(truth["SII6716_flux"]) > 0


def test_table_of_the_user(tmp_path):
    path = tmp_path / "own.ecsv"
    Table({"HALPHA6563": [2.0, 4.0], "nii6583": [1.0, 8.0], "SII6716": [0.2, 0.4],
           "SII6731": [0.2, 0.4], "note": ["a", "b"]}).write(path)  # fmt: skip
    truth, _ = simulate(n=300, seed=2, prior=str(path))
    ratio = np.log10(truth["NII6583_flux"] / truth["HALPHA6563_flux"])
    near = np.abs(ratio[:, None] - np.log10([0.5, 2.0]))
    assert near.min(axis=1).max() < 0.1
    assert 0.3 < np.mean(near[:, 0] < near[:, 1]) < 0.7
    np.testing.assert_allclose(truth["NII6583_flux"] / truth["NII6548_flux"], 3.05)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (None, "unknown prior"),
        ({"a": [1.0]}, "holds no line"),
        ({"HALPHA6563": [1.0]}, "no column for NII6583"),
        ({"HALPHA6563": [np.nan], "NII6583": [1.0]}, "no row"),
    ],
)
def test_refusals(tmp_path, columns, message):
    path = tmp_path / "own.ecsv"
    if columns is not None:
        Table(columns).write(path)
    with pytest.raises(UsageError, match=message):
        simulate(n=2, prior=str(path), lines=["HALPHA6563", "NII6583", "NII6548"])
