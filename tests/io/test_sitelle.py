"""SITELLE cubes: every layout and level read back, axis and width of every pixel."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from nebulines.errors import InputError, UsageError
from nebulines.io import Scan, describe, read, write_sitelle
from nebulines.spectra.cube import Block

SCAN = Scan.of("sitelle-sn3", n_steps=60, zpd_index=12)
NY, NX = 7, 10


def flux_cube() -> np.ndarray:
    """Every spaxel and channel has its own value: y, x and channel can be read off."""
    y, x, k = np.meshgrid(np.arange(NY), np.arange(NX), np.arange(60), indexing="ij")
    return (1.0 + 100.0 * y + x + 1e-3 * k) * 1e-17


def calibration() -> np.ndarray:
    y, x = np.meshgrid(np.arange(NY), np.arange(NX), indexing="ij")
    return 543.5 * (1.02 + 0.002 * y + 0.0005 * x)


LAYOUTS = [("new", 1), ("new", 2), ("new", 2.5), ("new", 3), ("legacy", 1), ("frames", 1)]


@pytest.mark.parametrize(("layout", "level"), LAYOUTS)
def test_round_trip_of_every_layout(tmp_path, layout, level):
    path = tmp_path / "cube.dat"  # the name says nothing: content decides
    write_sitelle(path, flux_cube(), scan=SCAN, calib_map=calibration(), layout=layout, level=level)
    cube = read(path)
    assert cube.shape == (NY, NX, 60)
    assert cube.instrument == "sitelle-sn3"
    block = Block(1, 6, 2, 9)  # across quadrant borders
    spectra = cube.read_block(block)
    expected = flux_cube()[1:6, 2:9].reshape(-1, 60)
    np.testing.assert_allclose(spectra.flux, expected, rtol=3e-7)
    assert spectra.flux.dtype == np.float32
    assert spectra.variance is None
    np.testing.assert_allclose(
        spectra.axis.scale, calibration()[1:6, 2:9].ravel() / 543.5, rtol=1e-12
    )
    assert layout in cube.meta["format"]


def test_blocks_of_any_size_write_the_same_cube(tmp_path):
    whole, parts = tmp_path / "a.hdf5", tmp_path / "b.hdf5"
    data = flux_cube()
    blocks = [Block(y, min(y + 3, NY), x, min(x + 4, NX)) for y in (0, 3, 6) for x in (0, 4, 8)]
    for layout in ("new", "legacy", "frames"):
        write_sitelle(whole, data, scan=SCAN, layout=layout)
        stream = ((b, data[b.y0 : b.y1, b.x0 : b.x1].reshape(-1, 60)) for b in blocks)
        write_sitelle(parts, stream, scan=SCAN, layout=layout, shape=(NY, NX))
        np.testing.assert_array_equal(read(whole)[:, :].flux, read(parts)[:, :].flux)


def test_axis_and_width_by_the_published_formula(tmp_path):
    """sigma_k = corr (order 1e7/2s + k 1e7/2ns), FWHM = 1.20671 corr 1e7 / (2 (n - z) s)."""
    path = tmp_path / "cube.hdf5"
    write_sitelle(path, flux_cube(), scan=SCAN, calib_map=calibration())
    spectra = read(path)[3, 4]
    corr = calibration()[3, 4] / 543.5
    k = np.arange(60)
    sigma = corr * (8 * 1e7 / (2 * 2943.0) + k * 1e7 / (2 * 60 * 2943.0))
    np.testing.assert_allclose(spectra.axis.per_spectrum(1)[0], sigma, rtol=1e-12)
    fwhm = 1.20671 * corr * 1e7 / (2 * (60 - 12) * 2943.0)
    np.testing.assert_allclose(spectra.line_spread.sinc_fwhm_cm1(), [fwhm], rtol=1e-5)
    assert spectra.axis.kind == "wavenumber"
    assert spectra.axis.medium == "air"


def test_calibrated_cubes_share_the_axis_but_not_the_width(tmp_path):
    path = tmp_path / "cube.hdf5"
    scan = Scan.of("sitelle-sn3", n_steps=60, zpd_index=12, calibrated=True, axis_corr=1.0374)
    write_sitelle(path, flux_cube(), scan=scan, calib_map=calibration())
    spectra = read(path)[:, :]
    assert spectra.axis.shared
    assert spectra.axis.values[0] == pytest.approx(1.0374 * 8 * 1e7 / (2 * 2943.0))
    assert np.ptp(spectra.line_spread.sinc_fwhm_cm1()) > 0
    assert spectra.mask.strides[0] == 0  # one row of mask for all spaxels


def test_channels_outside_the_filter_are_masked_per_pixel(tmp_path):
    path = tmp_path / "cube.hdf5"
    write_sitelle(path, flux_cube(), scan=SCAN, calib_map=calibration())
    spectra = read(path)[:, :]
    wavelength = spectra.axis.wavelength()
    np.testing.assert_array_equal(spectra.mask, (wavelength < 6477.0) | (wavelength > 6850.0))
    assert 0.2 < spectra.mask.mean() < 0.8


def test_lost_and_masked_spaxels_are_masked(tmp_path):
    path = tmp_path / "cube.hdf5"
    lost, mask = calibration(), np.ones((NY, NX))
    lost[0, 1], mask[2, 3] = np.nan, 0
    write_sitelle(path, flux_cube(), scan=SCAN, calib_map=lost, mask=mask)
    spectra = read(path)[:, :]
    dead = np.flatnonzero(spectra.mask.all(axis=1))
    assert dead.tolist() == [1, 2 * NX + 3]
    assert np.isfinite(spectra.axis.scale).all()


def test_flambda_may_depend_on_the_channel(tmp_path):
    path = tmp_path / "cube.hdf5"
    flambda = np.linspace(1e-16, 2e-16, 60)
    write_sitelle(path, flux_cube(), scan=SCAN, level=3, flambda=flambda, exposure_time=13.5)
    with h5py.File(path) as file:
        stored = file["data"][2, 1]
        assert stored.dtype == np.complex64
    np.testing.assert_allclose(
        read(path)[1, 2].flux[0], stored.real * flambda / (60 * 13.5), rtol=1e-6
    )


def test_odd_attributes(tmp_path):
    """float128, path-valued filter, text where a number is meant, upper-case twins only."""
    path = tmp_path / "cube.hdf5"
    write_sitelle(path, flux_cube(), scan=SCAN, calib_map=calibration())
    with h5py.File(path, "a") as file:
        for key in ("step", "order", "zpd_index", "filter_name", "FILTER"):
            del file.attrs[key]
        file.attrs["STEP"] = np.longdouble("2943.0")
        file.attrs["ORDER"] = "8"
        file.attrs["ZPDINDEX"] = np.array([12.0])
        file.attrs["filter_name"] = "/data/orb/filters/SN3_filter.dat"
        file.attrs["wavenumber_calibration"] = "F"
    cube = read(path)
    assert cube.instrument == "sitelle-sn3"
    assert cube[0, 0].axis.values[0] == pytest.approx(8 * 1e7 / (2 * 2943.0))


def test_description(tmp_path):
    path = tmp_path / "cube.hdf5"
    cards = {"OBJECT": "NGC 628"}
    write_sitelle(
        path, flux_cube(), scan=SCAN, calib_map=calibration(), layout="legacy", header=cards
    )
    text = "\n".join(describe(path))
    for word in ("SITELLE HDF5, legacy layout", "7 x 10 spaxels", "air, wavenumber", "NGC 628"):
        assert word in text
    assert "sinc" in text


def test_missing_calibration_map_is_said(tmp_path):
    path = tmp_path / "cube.hdf5"
    write_sitelle(path, flux_cube(), scan=SCAN)
    cube = read(path)
    assert any("calib_map" in note for note in cube.meta["assumed"])
    np.testing.assert_allclose(cube[0, 0].axis.scale, SCAN.axis_corr)


def test_a_block_reads_only_itself(tmp_path, monkeypatch):
    path = tmp_path / "cube.hdf5"
    write_sitelle(path, flux_cube(), scan=SCAN, calib_map=calibration())
    touched = []
    original = h5py.Dataset.__getitem__

    def watch(self, key, *args, **options):
        value = original(self, key, *args, **options)
        touched.append(np.size(value))
        return value

    cube = read(path)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", watch)
    cube[2, 3:5]
    assert sum(touched) == 2 * 60 + 2  # two spectra and two values of the calibration map


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: f.attrs.__delitem__("dimz"), "dimz"),
        (lambda f: f.__delitem__("quad004"), "quad004"),
        (lambda f: f.__delitem__("header"), "missing"),
    ],
)
def test_damaged_legacy_cubes(tmp_path, damage, words):
    path = tmp_path / "cube.hdf5"
    write_sitelle(path, flux_cube(), scan=SCAN, layout="legacy")
    with h5py.File(path, "a") as file:
        damage(file)
    with pytest.raises(InputError, match=words):
        read(path)


def test_truncated_and_foreign_hdf5(tmp_path):
    path = tmp_path / "cube.hdf5"
    write_sitelle(path, flux_cube(), scan=SCAN)
    (tmp_path / "cut.hdf5").write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="damaged"):
        read(tmp_path / "cut.hdf5")
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["table"] = np.zeros(3)
    with pytest.raises(InputError, match="expected a SITELLE cube"):
        read(tmp_path / "other.hdf5")


def test_cut_channels_are_refused(tmp_path):
    path = tmp_path / "cube.hdf5"
    write_sitelle(path, flux_cube(), scan=SCAN)
    with h5py.File(path, "a") as file:
        data = file["data"][:, :, :40]
        del file["data"]
        file["data"] = data
    with pytest.raises(InputError, match="40 channels, but step_nb is 60"):
        read(path)


def test_a_resolution_needs_the_band_it_refers_to(tmp_path):
    path = tmp_path / "cube.hdf5"
    scan = Scan.of("sitelle-sn3", n_steps=60, zpd_index=12, filter_name="")
    write_sitelle(path, flux_cube(), scan=scan, calib_map=calibration())
    assert read(path)[0, 0].mask is None  # no filter, no band
    with pytest.raises(UsageError, match="name the instrument"):
        read(path, resolution=3000.0)[0, 0]
    spectra = read(path, instrument="sitelle-sn3", resolution=3000.0)[0, 0]
    assert float(spectra.line_spread.sinc_fwhm_cm1()) == pytest.approx(1e8 / 6562.80 / 3000.0)


def test_another_band_than_the_axis_is_refused(tmp_path):
    path = tmp_path / "cube.hdf5"
    write_sitelle(path, flux_cube(), scan=SCAN, calib_map=calibration())
    for wrong in ("sitelle-sn2", "sitelle-c1"):
        with pytest.raises(UsageError, match="name the instrument that took"):
            read(path, instrument=wrong)
    with pytest.raises(UsageError, match="muse is no band of SITELLE"):
        read(path, instrument="muse")
    assert read(path, instrument="sitelle-sn4").instrument == "sitelle-sn4"  # inside the axis
    misnamed = tmp_path / "misnamed.hdf5"
    scan = replace(SCAN, filter_name="SN2")
    write_sitelle(misnamed, flux_cube(), scan=scan, calib_map=calibration())
    with pytest.raises(UsageError, match="sitelle-sn2 sees"):
        read(misnamed)
    assert read(misnamed, instrument="sitelle-sn3").instrument == "sitelle-sn3"
