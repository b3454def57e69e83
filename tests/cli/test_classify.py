"""``nebulines classify``: tables, maps, messages."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from click.testing import CliRunner

from nebulines.cli.main import cli
from nebulines.fitting.result import Result
from nebulines.nebular import Region
from nebulines.nebular.flags import NebularFlag

FLUX = {
    "HBETA4861": 100.0,
    "OIII5007": 110.0,
    "HALPHA6563": 330.0,
    "NII6583": 80.0,
    "SII6716": 18.0,
    "SII6731": 14.0,
}


def invoke(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def measured(n, **more):
    columns = {"velocity": np.zeros(n)}
    for name, flux in FLUX.items():
        columns |= {f"{name}_flux": np.full(n, flux), f"{name}_flux_err": np.full(n, 2.0)}
    columns["HALPHA6563_flux"][-1] = np.nan
    columns["flags"] = np.zeros(n, np.int32)
    return Result(columns, "erg s-1 cm-2 Angstrom-1", {"CREATOR": "nebulines"}, **more)


@pytest.fixture
def table(tmp_path):
    return measured(4).write(tmp_path / "result.fits")


@pytest.fixture
def maps(tmp_path):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [50, 10], [-1e-4, 1e-4]
    return measured(6, shape=(2, 3), wcs=wcs).write_maps(tmp_path / "field_MAPS.fits")


@pytest.mark.parametrize("name", ["classes.fits", "classes.ecsv"])
def test_a_table(table, tmp_path, name):
    done = invoke("classify", table, "-o", tmp_path / name)
    assert done.exit_code == 0, done.stderr
    assert "HII 3" in done.stdout
    found = Result.read(tmp_path / name)
    assert found["region_class"].tolist() == [Region.HII] * 3 + [Region.UNKNOWN]
    assert found["nebular_quality"][:3].tolist() == [0] * 3
    assert found["nebular_quality"][3] & NebularFlag.NO_HALPHA
    assert found["velocity"].tolist() == [0.0] * 4
    total = sum(found[f"p_{region.name.lower()}"] for region in Region if region)
    np.testing.assert_allclose(total[:3], 1.0, rtol=1e-6)
    assert json.loads(found.meta["NEBCLASS"])["HII"] == 1
    assert found.meta["NBIT0"].startswith("NO_HALPHA")


def test_a_line_list_of_ones_own(tmp_path):
    """A table that nebulines did not write, with fluxes that say nothing."""
    from astropy.table import Table

    columns = dict(measured(4).columns)
    columns["HALPHA6563_flux"] = np.array([330.0, 0.0, -20.0, 330.0])
    columns["HBETA4861_flux"] = np.array([100.0, 100.0, 100.0, -50.0])
    Table(columns).write(tmp_path / "mine.fits")
    done = invoke("classify", tmp_path / "mine.fits", "-o", tmp_path / "out.fits")
    assert done.exit_code == 0, done.stderr
    found = Result.read(tmp_path / "out.fits")
    assert found["region_class"][:3].tolist() == [Region.HII, Region.UNKNOWN, Region.UNKNOWN]
    quality = found["nebular_quality"]
    assert (quality[1:3] & NebularFlag.NO_HALPHA != 0).all()
    assert quality[3] & NebularFlag.NO_EXTINCTION
    assert np.isnan(found["ebv"][1:]).all()


def test_maps(maps, tmp_path):
    done = invoke("classify", maps, "-o", tmp_path / "classes", "--law", "Calzetti00", "-q")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == ""
    with fits.open(tmp_path / "classes_MAPS.fits", checksum=True) as hdus:
        for name in ("EBV", "ELECTRON_DENSITY", "OXYGEN_ABUNDANCE", "P_HII", "HALPHA6563_FLUX"):
            assert hdus[name].data.shape == (2, 3)
            assert hdus[name].header["CTYPE1"] == "RA---TAN"
        assert hdus["REGION_CLASS"].data.ravel().tolist() == [1] * 5 + [0]
        assert hdus[0].header["NEBLAW"] == "Calzetti00"
    again = invoke("classify", tmp_path / "classes_MAPS.fits", "-o", tmp_path / "again.ecsv")
    assert again.exit_code == 0, again.stderr


def test_options_reach_the_answer(table, tmp_path):
    out = tmp_path / "out.fits"
    options = ["--ebv", 0, "--calibration", "N2_PP04", "--share", "hii=0", "--detection", 5]
    done = invoke("classify", table, "-o", out, *options)
    assert done.exit_code == 0, done.stderr
    found = Result.read(out)
    assert np.all(found["ebv"] == 0.0)
    assert found["oxygen_abundance"][0] == pytest.approx(8.90 + 0.57 * np.log10(80 / 330), abs=1e-6)
    assert found["p_hii"][0] == 0.0
    assert found.meta["NEBSN"] == 5.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--law", "CCM98"], "unknown extinction law"),
        (["--rv", "1"], "R_V must lie"),
        (["--calibration", "O3N2"], "unknown calibration"),
        (["--share", "star=1"], "--share is CLASS=NUMBER"),
        (["--share", "hii=x"], "--share is CLASS=NUMBER"),
        (["--component", "3"], "no component 3"),
        (["--temperature", "0"], "temperature must be"),
    ],
)
def test_wrong_options(table, tmp_path, options, message):
    done = invoke("classify", table, "-o", tmp_path / "out.fits", *options)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (tmp_path / "out.fits").exists()


def test_wrong_files(table, maps, tmp_path):
    other = tmp_path / "spectra.fits"
    fits.HDUList([fits.PrimaryHDU(np.ones(3))]).writeto(other)
    assert "is not a result" in invoke("classify", other, "-o", tmp_path / "out.fits").stderr
    missing = invoke("classify", tmp_path / "no.fits", "-o", tmp_path / "out.fits")
    assert missing.exit_code == 2
    assert "does not exist" in missing.stderr
    assert "must end in" in invoke("classify", table, "-o", tmp_path / "out.txt").stderr
    assert "would replace the input" in invoke("classify", table, "-o", table).stderr
    assert "would replace" in invoke("classify", maps, "-o", tmp_path / "field").stderr
    few = Result({"velocity": np.zeros(2), "flags": np.zeros(2, np.int32)})
    no_lines = few.write(tmp_path / "few.fits")
    done = invoke("classify", no_lines, "-o", tmp_path / "out.fits")
    assert done.exit_code == 2
    assert "HALPHA6563_flux_err is needed" in done.stderr
    assert not (tmp_path / "out.fits").exists()
