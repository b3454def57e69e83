"""The comparison of the population with a survey: what is compared, and how."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import galaxy_population as bench
from nebulines.galaxies.widths.equivalent_widths import LINES, published_names


@pytest.fixture(scope="module")
def drawn():
    return bench.draw(600, 3)


@pytest.fixture(scope="module")
def desi_file(drawn, tmp_path_factory):
    """The drawn widths written as the survey's file has them: lines apart, targets shuffled."""
    rng, arrays = np.random.default_rng(0), {}
    for column, name in enumerate(published_names()):
        rows = rng.permutation(np.flatnonzero(np.isfinite(drawn.seen.ew[:, column])))
        arrays[f"{name}_ews"] = drawn.seen.ew[rows, column]
        arrays[f"{name}_ew_ivars"] = drawn.seen.error[rows, column] ** -2.0
        arrays[f"{name}_target_ids"] = rows
    path = tmp_path_factory.mktemp("desi") / "widths.npz"
    np.savez(path, **arrays)
    return path


def test_a_survey_like_the_population_has_no_distance(drawn, desi_file):
    desi = bench.read_desi(desi_file)
    widths = bench.compare_widths(drawn.seen, desi)
    assert set(widths) == set(LINES)
    assert all(row["ks"] == 0.0 and row["ks detected"] == 0.0 for row in widths.values())
    assert bench.bpt_shares(desi) == bench.bpt_shares(drawn.seen)
    np.testing.assert_allclose(
        bench.rank_correlations(desi), bench.rank_correlations(drawn.seen), atol=1e-12
    )


def test_stronger_lines_are_a_distance(drawn, desi_file):
    desi = bench.read_desi(desi_file)
    stronger = bench.Widths(2.0 * desi.ew, 2.0 * desi.error)
    assert bench.compare_widths(drawn.seen, stronger)["HALPHA6563"]["ks"] > 0.1
    ratios = bench.compare_ratios(drawn.seen, stronger)
    assert all(row["ks"] < 0.02 for row in ratios.values())


def test_only_widths_above_zero_are_kept(drawn):
    assert (drawn.seen.ew[np.isfinite(drawn.seen.ew)] > 0).all()
    assert np.isnan(drawn.seen.ew).mean() > 0.02
    assert (drawn.seen.error > 0).all()


def test_shares_add_up(drawn):
    assert sum(bench.bpt_shares(drawn.seen).values()) == pytest.approx(1.0)
