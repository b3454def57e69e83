"""Mock cubes held against their truth, and maps of real data made physical."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from nebulines.evaluation.methods import from_columns
from nebulines.reports.kinematics import mock_field
from nebulines.reports.kinematics.mock_field import measure_cube
from nebulines.reports.kinematics.plan import Plan


@pytest.fixture
def maps(tmp_path):
    folder = tmp_path / "maps"
    folder.mkdir()
    y, x = np.mgrid[:6, :8]
    images = {
        "velocity": 10.0 * x,
        "broadening": 20.0 + y,
        "Halpha_flux": np.full((6, 8), 3e-17),
        "NII6583_flux": np.full((6, 8), 1e-17),
        "NII6548_flux": np.full((6, 8), 9e-17),
    }
    images["velocity"][0, 0] = np.nan
    for name, image in images.items():
        fits.writeto(folder / f"{name}.fits", image)
    return folder


def test_a_weak_line_of_a_doublet_follows_the_strong_one(maps):
    from nebulines.synthetic.truth_maps import read_truth_maps

    tied = mock_field._tied(read_truth_maps(maps))
    ratio = tied["NII6583_flux"] / tied["NII6548_flux"]
    assert ratio.min() == ratio.max() == pytest.approx(3.0, abs=0.1)


def test_a_real_field_goes_through_a_method(maps, tmp_path):
    seen = {}

    def oracle(spectra):
        n = len(spectra)
        seen["n"] = seen.get("n", 0) + n
        return from_columns({"velocity": np.full(n, 10.0), "broadening": np.full(n, 20.0)})

    out = tmp_path / "out"
    out.mkdir()
    plan = Plan(out, 1, 100, 100, 100, {}, {}, maps, quick=True, wide={"oracle": oracle})
    field = mock_field._real_field(plan, maps)
    assert field.cube.shape == (6, 8, 842)
    assert "--truth-maps maps_tied" in field.command
    assert np.isnan(field.truth["velocity"][0, 0])
    # the brightest hundredth has S/N 50 and all spaxels have the same flux
    assert np.nanmedian(field.truth["snr"]) == pytest.approx(50.0, rel=0.25)
    section = mock_field._measured(plan, field)
    assert seen["n"] == 48
    rows = section.numbers["mock_maps"]["oracle"]
    assert sum(row["spaxels"] for row in rows) == 47
    truth = field.truth["velocity"]
    rms = np.sqrt(np.nanmean((truth - 10.0) ** 2))
    assert rows[-1]["RMS of v"] == pytest.approx(rms)
    assert [path.name for path in section.paths] == ["mock_maps_oracle.png"]
    assert (out / "maps_tied" / "NII6548_flux.fits").exists()


def test_rows_of_a_cube_stay_in_order(maps, tmp_path, monkeypatch):
    monkeypatch.setattr(mock_field, "_BLOCK", 8)
    plan = Plan(tmp_path, 1, 100, 100, 100, {}, {}, maps, quick=True)
    cube = mock_field._real_field(plan, maps).cube

    def first_channel(spectra):
        flux = np.asarray(spectra.flux)
        return from_columns({"velocity": flux[:, 0], "broadening": flux[:, 1]})

    found = measure_cube(first_channel, cube)
    np.testing.assert_array_equal(found.velocity, np.asarray(cube[:, :].flux)[:, 0])
    assert not found.stated
