"""``nebulines simulate``: files that read back, the same for the same seed, clear refusals."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner

from nebulines.cli.main import cli
from nebulines.fitting.result import Result
from nebulines.io import read
from nebulines.synthetic import simulate, spectra_files


def invoke(*arguments):
    return CliRunner().invoke(cli, ["simulate", *(str(a) for a in arguments)])


@pytest.fixture(autouse=True)
def _keep_environment(monkeypatch):
    monkeypatch.setattr("nebulines.runtime.configure", lambda: None)


def test_spectra_are_those_of_the_package(tmp_path):
    output = tmp_path / "mock.fits"
    done = invoke("sitelle-sn3", "-o", output, "--n", 30, "--seed", 4, "--snr", 20, 40)
    assert done.exit_code == 0, done.stderr
    assert "30 spectra" in done.stdout
    truth, expected = simulate("sitelle-sn3", 30, 4, snr=(20, 40))
    spectra = read(output)
    np.testing.assert_array_equal(spectra.flux, expected.flux)
    np.testing.assert_allclose(spectra.variance, expected.variance, rtol=1e-5)
    np.testing.assert_allclose(spectra.axis.values, expected.axis.values, rtol=1e-12)
    np.testing.assert_allclose(spectra.line_spread.resolution, truth["resolution"])
    assert spectra.instrument == "sitelle-sn3"
    told = Result.read(tmp_path / "mock_TRUTH.fits")
    for name in ("velocity", "broadening", "NII6583_flux", "snr"):
        np.testing.assert_allclose(told[name], truth[name])
    assert told.table()["velocity"].unit == "km/s"
    with fits.open(output) as file:
        file.verify("exception")


def test_blocks_make_one_file(tmp_path, monkeypatch):
    blocks = spectra_files.simulate_blocks
    monkeypatch.setattr(spectra_files, "simulate_blocks", lambda *a, **k: blocks(*a, block=7, **k))
    done = invoke("muse", "-o", tmp_path / "m.fits", "--n", 20, "--band", 6500, 6700,
                  "--prior", "mixed", "--components", "mixed", "--noise", "photon")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    parts = list(blocks("muse", 20, 0, block=7, band=(6500, 6700), prior="mixed",
                        components="mixed", noise="photon"))  # fmt: skip
    spectra, truth = read(tmp_path / "m.fits"), Table.read(tmp_path / "m_TRUTH.fits", hdu=1)
    np.testing.assert_array_equal(spectra.flux, np.concatenate([s.flux for _, s in parts]))
    for name in ("velocity_2", "region", "n_components"):
        expected = np.concatenate([np.asarray(t[name]) for t, _ in parts])
        np.testing.assert_array_equal(np.ma.filled(truth[name], np.nan), expected)
    assert truth.meta["REGIONS"].startswith('["hii"')
    assert truth.meta["LSFCORR"] == "yes"


def test_one_file_a_spectrum(tmp_path):
    done = invoke("sitelle-sn3", "-o", tmp_path / "set", "--n", 3, "--separate")
    assert done.exit_code == 0, done.stderr
    files = sorted((tmp_path / "set").iterdir())
    assert [file.name for file in files] == [f"spectrum_{k:06d}.fits" for k in range(3)]
    truth, expected = simulate("sitelle-sn3", 3, 0)
    np.testing.assert_array_equal(read(files[2]).flux[0], expected.flux[2])
    assert fits.getheader(files[2])["velocity"] == pytest.approx(truth["velocity"][2])
    again = invoke("sitelle-sn3", "-o", tmp_path / "set", "--n", 3, "--separate")
    assert again.exit_code == 2
    assert "exists" in again.stderr


def test_cube_and_its_maps_as_truth_of_another(tmp_path):
    first = tmp_path / "mock.hdf5"
    done = invoke("sitelle-sn3", "-o", first, "--cube", "7x5", "--seed", 2)
    assert done.exit_code == 0, done.stderr
    assert read(first).shape == (5, 7, 842)
    maps = tmp_path / "mock_TRUTH.fits"
    done = invoke("sitelle-sn3", "-o", tmp_path / "again.hdf5", "--truth-maps", maps)
    assert done.exit_code == 0, done.stderr
    old, new = (Result.read(tmp_path / f"{name}_TRUTH.fits") for name in ("mock", "again"))
    np.testing.assert_allclose(new["HALPHA6563_flux"], old["HALPHA6563_flux"], rtol=1e-6)


def test_configuration_file(tmp_path):
    (tmp_path / "run.toml").write_text("[simulate]\nsnr = [50, 60]\nprior = 'hii'\n")
    output = tmp_path / "mock.fits"
    done = invoke("sitelle-sn3", "-o", output, "--n", 4, "--config", tmp_path / "run.toml")
    assert done.exit_code == 0, done.stderr
    assert Result.read(tmp_path / "mock_TRUTH.fits")["snr"].min() >= 50


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sitelle-sn9", "-o", "a.fits"], "unknown instrument"),
        (["sitelle-sn3", "-o", "a.hdf5"], "must end in .fits"),
        (["sitelle-sn3", "-o", "a.fits", "--cube", "4x4"], "ends in .hdf5"),
        (["sitelle-sn3", "-o", "a.hdf5", "--cube", "4"], "NXxNY"),
        (["sitelle-sn3", "-o", "a.hdf5", "--cube", "4x4", "--n", "5"], "--n"),
        (["sitelle-sn3", "-o", "a.fits", "--prior", "nebula"], "unknown prior"),
        (["sitelle-sn3", "-o", "a.fits", "--snr", "9", "3"], "snr"),
        (["sitelle-sn3", "-o", "nowhere/a.fits"], "does not exist"),
        (["sitelle-sn3", "-o", "a.fits", "--noise", "pink"], "noise"),
        (["sitelle-sn3", "-o", "a.fits", "--band", "6500", "6600"], "scan"),
        (["sitelle-sn3", "-o", "a.hdf5", "--truth-maps", "missing.fits"], "truth maps"),
    ],
)
def test_refusals(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    done = invoke(*arguments)
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []
