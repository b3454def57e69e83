"""Runs over a cube: maps, model and table on disk, whole or not at all, resumable."""

from __future__ import annotations

import json
import logging
import tomllib
from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.wcs import WCS

from nebulines.cubes.files import run_files
from nebulines.cubes.run import fit_cube, fit_spectra
from nebulines.errors import InputError, NebulinesError, UsageError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.result import Result
from nebulines.spectra import Flag, Spectra
from nebulines.spectral_axis import SpectralAxis

NAMES = ("HALPHA6563", "NII6583")


def names_in(folder) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"input.fits"}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_maps_hold_every_spaxel_where_it_belongs(fake, cube, numbers, out):
    outputs = fit_cube(cube, FitConfig(redshift=0.01), out, max_spaxels=11)
    assert fake.calls == 4  # two rows a block
    with fits.open(outputs.paths[0], checksum=True) as maps:
        maps.verify("exception")
        for name in ("HA6562_FLUX", "NII6583_FLUX", "HA6562_VEL", "NII6583_VEL", "CONTINUUM"):
            assert np.array_equal(maps[name].data, numbers[:, :, 0].astype(np.float32)), name
        assert np.array_equal(maps["BINID"].data, np.arange(35).reshape(7, 5))
        assert maps["MASK"].data.dtype.kind == "i"
        assert not maps["MASK"].data.any()


def test_every_map_has_wcs_strict_unit_and_checksum(fake, cube, out):
    maps_path = fit_cube(cube, FitConfig(redshift=0.01), out).paths[0]
    with fits.open(maps_path, checksum=True) as maps:
        for hdu in maps[1:]:
            assert hdu.data.ndim == 2
            assert WCS(hdu.header).celestial.wcs_world2pix(63.355, 10.465, 1) == [
                pytest.approx(2.5),
                pytest.approx(3.5),
            ]
            if "BUNIT" in hdu.header:
                unit = u.Unit(hdu.header["BUNIT"], format="fits", parse_strict="raise")
                assert unit.to_string("fits") == hdu.header["BUNIT"]
            assert {"CHECKSUM", "DATASUM"} <= set(hdu.header)
        flux = u.Unit("1e-20 erg s-1 cm-2")
        assert u.Unit(maps["HA6562_FLUX"].header["BUNIT"], format="fits") == flux
        density = u.Unit("1e-20 erg s-1 cm-2 Angstrom-1")
        assert u.Unit(maps["CONTINUUM"].header["BUNIT"], format="fits") == density
        assert u.Unit(maps["HA6562_VEL_ERR"].header["BUNIT"], format="fits") == u.km / u.s
        assert "BUNIT" not in maps["MASK"].header


def test_headers_say_what_was_done(fake, cube, out):
    maps_path = fit_cube(cube, FitConfig(redshift="auto"), out).paths[0]
    header = fits.getheader(maps_path)
    assert header["REDSHIFT"] == 0.01
    assert header["SPECSYS"] == "BARYCENT"
    assert (header["VELCONV"], header["AIRORVAC"]) == ("optical", "air")
    assert header["NOISE"] == "file"
    assert header["INPUT"] == "input.fits"
    assert len(header["DIGEST"]) == 64
    assert json.loads(header["CONFIG"])["lines"] == list(NAMES)
    for flag in Flag:
        assert header[f"BIT{flag.bit_length() - 1}"].startswith(flag.name)
    mask = fits.getheader(maps_path, "MASK")
    assert mask["BIT0"] == header["BIT0"]


def test_the_model_cube_shares_the_axis_of_the_cube(fake, cube, numbers, out):
    model_path = fit_cube(cube, FitConfig(), out, max_spaxels=3).paths[1]  # parts of rows
    with fits.open(model_path, checksum=True) as model:
        model.verify("exception")
        assert [hdu.name for hdu in model] == ["PRIMARY", "FLUX", "ERR", "MASK"]
        assert np.array_equal(model["FLUX"].data, np.moveaxis(numbers + 0.5, -1, 0))
        assert np.all(model["ERR"].data == 2.0)
        assert not model["MASK"].data.any()
        wcs = WCS(model["FLUX"].header)
        assert wcs.wcs.ctype[2] == "AWAV"
        last = wcs.wcs_pix2world(0, 0, 11, 0)[2]
        assert last == pytest.approx(6513.75e-10)  # metres


def test_an_axis_per_spaxel_is_written_beside_the_model(fake, make_cube, numbers, out):
    scale = np.linspace(1.0, 1.05, 35)
    axis = SpectralAxis(14600.0 + np.arange(12.0), "wavenumber", "air", scale)

    fit_cube(make_cube(numbers, axis), FitConfig(), out, max_spaxels=10)
    with fits.open(f"{out}_MODEL.fits", checksum=True) as model:
        assert np.allclose(model["SCALE"].data.ravel(), scale)
        assert np.array_equal(model["WAVENUMBER"].data, axis.values)
        assert model["WAVENUMBER"].header["AIRORVAC"] == "air"
        assert "CTYPE3" not in model["FLUX"].header
        # no variance: the noise is the median residual, 0.5 here, as a Gaussian's sigma
        assert np.allclose(model["ERR"].data, 0.5 * 1.4826)


def test_the_table_of_a_cube_says_where_each_spaxel_lies(fake, cube, numbers, out):
    outputs = fit_cube(cube, FitConfig(), out, table=True, model=False, max_spaxels=11)
    assert [p.name for p in outputs.paths] == ["out_MAPS.fits", "out_TABLE.fits", "out_CONFIG.toml"]
    with fits.open(outputs.paths[1], checksum=True) as hdus:
        hdus.verify("exception")
        rows = hdus["RESULT"].data
        assert np.array_equal(rows["velocity"], numbers[rows["y"], rows["x"], 0])
        sky = cube.wcs.wcs_pix2world(rows["x"], rows["y"], 0)
        assert np.allclose([rows["ra"], rows["dec"]], sky)
    table, maps = Result.read(outputs.paths[1]), Result.read(outputs.paths[0])
    assert table.shape == maps.shape == (7, 5)
    assert set(table) == set(maps)
    assert all(np.array_equal(table[name], maps[name]) for name in table)


def test_masked_spaxels_are_nan_and_flagged(fake, cube, out):
    mask = np.zeros((7, 5), int)
    mask[2:, :] = 1
    mask[0, 3] = 1
    fit_cube(cube, FitConfig(), out, mask=mask, max_spaxels=5)
    assert fake.calls == 2  # blocks without a spaxel are not read
    with fits.open(f"{out}_MAPS.fits") as maps:
        assert np.array_equal(np.isnan(maps["HA6562_FLUX"].data), mask == 1)
        assert np.array_equal(maps["MASK"].data, mask * int(Flag.NO_DATA))
        assert np.array_equal(maps["BINID"].data == -1, mask == 1)
    with fits.open(f"{out}_MODEL.fits", checksum=True) as model:
        assert np.array_equal(np.isnan(model["FLUX"].data[4]), mask == 1)
        assert np.array_equal(model["MASK"].data[4], mask)


def test_bins_average_and_spread_over_the_full_grid(fake, cube, numbers, out):
    fit_cube(cube, FitConfig(), out, bin=2, max_spaxels=8)
    with fits.open(f"{out}_MAPS.fits") as maps:
        flux, bins = maps["HA6562_FLUX"].data, maps["BINID"].data
        assert flux.shape == (7, 5)
        for number in np.unique(bins):
            inside = bins == number
            assert np.allclose(flux[inside], numbers[inside].mean())
        assert bins[6, 4] == 11
        assert maps[0].header["BIN"] == 2
    with fits.open(f"{out}_MODEL.fits") as model:
        assert model["FLUX"].data.shape == (12, 4, 3)
        assert np.allclose(model["ERR"].data[0], [[1.0, 1.0, 2**0.5]] * 3 + [[2**0.5] * 2 + [2.0]])
        centre = WCS(model["FLUX"].header).celestial.wcs_pix2world(0, 0, 0)
        assert np.allclose(centre, cube.wcs.wcs_pix2world(0.5, 0.5, 0))


@pytest.mark.parametrize("failure", [RuntimeError("broke"), KeyboardInterrupt()])
def test_a_run_that_breaks_leaves_nothing(fake, cube, out, failure):
    fake.fail_at, fake.failure = 3, failure
    with pytest.raises(type(failure)):
        fit_cube(cube, FitConfig(), out, max_spaxels=5, table=True)
    assert names_in(out.parent) == set()


def test_a_run_that_breaks_does_not_touch_an_earlier_one(fake, cube, out):
    fit_cube(cube, FitConfig(), out)
    before = {path.name: path.read_bytes() for path in out.parent.iterdir()}
    fake.fail_at = fake.calls + 2
    with pytest.raises(RuntimeError):
        fit_cube(cube, FitConfig(velocity_range=(-1, 1)), out, max_spaxels=5)
    assert {path.name: path.read_bytes() for path in out.parent.iterdir()} == before


def test_an_interrupted_run_goes_on_where_it_stopped(fake, cube, out):
    fit_cube(cube, FitConfig(), out.with_name("whole"), max_spaxels=5, table=True)
    whole = Result.read(out.with_name("whole_MAPS.fits"))
    fake.calls, fake.fail_at, fake.failure = 0, 4, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        fit_cube(cube, FitConfig(), out, max_spaxels=5, resume=True, table=True)
    assert not [name for name in names_in(out.parent) if name.startswith("out")]
    assert any(name.endswith(".partial") for name in names_in(out.parent))
    fake.calls, fake.fail_at = 0, None
    fit_cube(cube, FitConfig(), out, max_spaxels=5, resume=True, table=True)
    assert fake.calls == 4  # of 7 blocks, 3 were done
    for name in ("MAPS", "MODEL", "TABLE"):
        with fits.open(f"{out}_{name}.fits", checksum=True) as hdus:
            hdus.verify("exception")
            hdus[0].header["DATE" if name != "TABLE" else "CREATOR"]
    again = Result.read(f"{out}_MAPS.fits")
    assert all(np.array_equal(again[name], whole[name]) for name in whole)
    assert not [name for name in names_in(out.parent) if name.startswith(".")]


@pytest.mark.parametrize("change", ["configuration", "input", "journal", "partial"])
def test_a_run_of_another_kind_starts_anew(fake, cube, out, caplog, change):
    fake.fail_at = 4
    with pytest.raises(RuntimeError):
        fit_cube(cube, FitConfig(), out, max_spaxels=5, resume=True)
    config = FitConfig()
    if change == "configuration":
        config = FitConfig(amplitudes="tied")
    elif change == "input":
        (out.parent / "input.fits").write_bytes(b"another")
    elif change == "journal":
        (out.parent / ".out.journal.json").write_text("{")
    else:
        (out.parent / ".out_MAPS.fits.partial").write_bytes(b"cut")
    fake.calls, fake.fail_at = 0, None
    assert caplog.text == ""
    with caplog.at_level(logging.WARNING):
        fit_cube(cube, config, out, max_spaxels=5, resume=True)
    assert fake.calls == 7
    assert "starting anew" in caplog.text


def test_outputs_that_cannot_be_are_refused_before_any_work(fake, cube, out, tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        fit_cube(cube, FitConfig(), tmp_path / "missing" / "out")
    with pytest.raises(UsageError, match="leave no spaxel"):
        fit_cube(cube, FitConfig(), out, mask=np.ones((7, 5)))
    with pytest.raises(InputError, match="one value a spaxel"):
        fit_cube(cube, FitConfig(), out, mask=np.ones((5, 7)))
    with pytest.raises(UsageError, match="read from a file"):
        fit_cube(replace(cube, meta={}), FitConfig(), out, resume=True)
    assert fake.calls == 0


def test_a_full_disk_is_said_before_it_is_full(fake, cube, out, monkeypatch):
    import shutil

    usage = shutil.disk_usage(out.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(NebulinesError, match="make room"):
        fit_cube(cube, FitConfig(), out)
    assert names_in(out.parent) == set()


def test_the_configuration_is_written_to_be_read_back(fake, cube, out):
    config = FitConfig(redshift=0.02, velocity_range=(-300, 300), catalogue=None)
    path = fit_cube(cube, config, out, bin=2).paths[-1]
    assert FitConfig.from_toml(path) == replace(config, lines=NAMES)
    assert tomllib.loads(path.read_text())["run"] == {"bin": 2}


@pytest.fixture
def spectra(axis) -> Spectra:
    flux = np.arange(1.0, 24.0)[:, None] * np.ones(12)
    return Spectra(flux.astype(">f4"), axis, redshift=np.linspace(0, 0.1, 23), unit="Jy")


@pytest.mark.parametrize("ending", ["fits", "ecsv"])
def test_spectra_go_into_one_table(fake, spectra, tmp_path, ending):
    path = tmp_path / f"table.{ending}"
    fit_spectra(spectra, FitConfig(), path, chunk=5)
    assert fake.calls == 5
    result = Result.read(path)
    assert np.array_equal(result["velocity"], np.arange(1.0, 24.0))
    assert np.array_equal(result["redshift"], spectra.redshift)
    assert result.meta["REDSHIFT"] == "column redshift"
    assert result.meta["METHOD"] == "fit"
    assert str(result.table()["HALPHA6563_flux"].unit) == "Angstrom Jy"
    assert names_in(tmp_path) == {path.name, "table_CONFIG.toml"}


def test_the_summary_reads_a_table_in_parts(fake, spectra, tmp_path, monkeypatch):
    path = tmp_path / "table.fits"
    fit_spectra(spectra, FitConfig(), path, chunk=5)
    monkeypatch.setattr(run_files, "ROWS_AT_ONCE", 3)
    found, whole = run_files.found_in_table(path), fits.getdata(path, "RESULT")
    assert set(found) == {"flags", "velocity", "broadening"} & set(whole.names)
    for name, values in found.items():
        np.testing.assert_array_equal(values, whole[name])


def test_a_table_of_spectra_is_resumed(fake, spectra, tmp_path):
    source = tmp_path / "input.fits"
    source.write_bytes(b"spectra")
    spectra = replace(spectra, meta={"source": str(source)})
    fake.fail_at = 3
    with pytest.raises(RuntimeError):
        fit_spectra(spectra, FitConfig(), tmp_path / "t.fits", chunk=5, resume=True)
    assert not (tmp_path / "t.fits").exists()
    fake.calls, fake.fail_at = 0, None
    fit_spectra(spectra, FitConfig(), tmp_path / "t.fits", chunk=5, resume=True)
    assert fake.calls == 3
    assert np.array_equal(Result.read(tmp_path / "t.fits")["velocity"], np.arange(1.0, 24.0))


def test_tables_of_another_kind_are_refused(fake, spectra, tmp_path):
    with pytest.raises(UsageError, match=r"\.fits or \.ecsv"):
        fit_spectra(spectra, FitConfig(), tmp_path / "table.csv")
    with pytest.raises(UsageError, match="cannot be resumed"):
        fit_spectra(spectra, FitConfig(), tmp_path / "table.ecsv", resume=True)
    with pytest.raises(InputError, match="no spectrum"):
        fit_spectra(spectra[:0], FitConfig(), tmp_path / "table.fits")
    assert names_in(tmp_path) == set()
