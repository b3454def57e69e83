"""Mock cubes: read back by the project's own readers, with truth maps that fit their spectra."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from nebulines.errors import InputError, UsageError
from nebulines.fitting.result import Result
from nebulines.io import read
from nebulines.lines import load_catalogue
from nebulines.models import line_positions, line_spectrum, line_spread_width
from nebulines.spectra.cube import Block
from nebulines.synthetic.config import SimulationConfig
from nebulines.synthetic.cubes import write_cube
from nebulines.synthetic.scene import Galaxy
from nebulines.synthetic.truth_maps import MapScene, read_truth_maps

NGC628 = Path(__file__).resolve().parents[3] / "shared" / "data" / "sitelle" / "ngc628_maps"
MUSE = {"band": (6500.0, 6800.0), "broadening": (30.0, 100.0)}


def residuals(cube_path, truth_path):
    """Spectra minus the lines and continuum of the truth maps, over the noise."""
    cube, truth = read(cube_path), Result.read(truth_path)
    spectra = cube[:, :]
    lines = load_catalogue().select(truth.lines)
    kind = spectra.axis.kind
    rest = line_positions(kind, lines.wavelength(spectra.axis.medium))
    width = line_spread_width(kind, spectra.line_spread, rest)
    model = np.nan_to_num(truth["continuum"])[:, None]
    for suffix in ("", "_2"):
        if f"velocity{suffix}" not in truth:
            continue
        fluxes = np.stack([truth[f"{name}{suffix}_flux"] for name in lines.names], axis=1)
        model = model + np.asarray(line_spectrum(
            spectra.axis.per_spectrum(len(spectra)), lines.wavelength(spectra.axis.medium),
            velocity_kms=np.nan_to_num(truth[f"velocity{suffix}"]).astype(float),
            broadening_kms=np.nan_to_num(truth[f"broadening{suffix}"]).astype(float),
            fluxes=np.nan_to_num(fluxes).astype(float), spread_width=width,
            spread_shape=spectra.line_spread.shape, kind=kind,
        ), float)  # fmt: skip
    return cube, truth, spectra.flux - model


@pytest.fixture(scope="module")
def sitelle(tmp_path_factory):
    path = tmp_path_factory.mktemp("cube") / "mock.hdf5"
    return write_cube(path, "sitelle-sn3", (40, 32), seed=3, config=SimulationConfig(snr=(5, 60)))


def test_sitelle_cube_is_its_truth_and_white_noise(sitelle):
    cube, _, rest = residuals(*sitelle)
    assert cube.shape == (40, 32, 842)
    assert cube.instrument == "sitelle-sn3"
    sigma = rest.std()
    assert sigma == pytest.approx(1e-18, rel=0.01)
    rows = rest.std(axis=1) / sigma
    assert np.abs(rows - 1).max() < 6 / np.sqrt(2 * 842)
    np.testing.assert_allclose(rest.mean(axis=0), 0.0, atol=6 * sigma / np.sqrt(1280))
    axis = cube[:, :].axis
    assert np.ptp(axis.scale) > 0.02  # the field angle varies over the cube


def test_scene_has_what_it_should(sitelle):
    truth = Result.read(sitelle[1])
    assert truth.shape == (40, 32)
    assert truth.wcs is not None
    velocity = truth["velocity"]
    assert velocity.min() < -80
    assert velocity.max() > 80
    assert np.all((truth["broadening"] >= 10) & (truth["broadening"] <= 50))
    assert np.all((truth["snr"] >= 5) & (truth["snr"] <= 60))
    two = truth["n_components"] == 2
    assert 5 < two.sum() < 600
    gap = (truth["velocity_2"] - truth["velocity"])[two]
    assert np.all(gap > 2 * 15 - 1)
    assert set(np.unique(truth["region"])) == {1, 2, 3}
    named = json.loads(truth.meta["REGIONS"])
    assert named == {"UNKNOWN": 0, "DIFFUSE_GAS": 1, "HII_REGION": 2, "SHELL": 3}
    assert truth["continuum"].max() > 1e-18  # foreground stars
    nitrogen = truth["NII6583_flux"] / truth["HALPHA6563_flux"]
    assert np.median(nitrogen[two]) > 2 * np.median(nitrogen[truth["region"] == 2])


def test_muse_cube_is_its_truth(tmp_path):
    config = SimulationConfig(noise=("photon",), ebv=(0.1, 0.6), **MUSE)
    paths = write_cube(tmp_path / "mock.fits", "muse", (12, 10), seed=2, config=config)
    cube, truth, rest = residuals(*paths)
    spectra = cube[:, :]
    pulls = rest / np.sqrt(spectra.variance)
    assert pulls.std() == pytest.approx(1.0, abs=0.02)
    assert np.ptp(truth["ebv"]) > 0.02
    with fits.open(paths[1]) as file:
        names = {hdu.name for hdu in file}
    assert {"HA6562_FLUX", "HA6562_VEL", "HA6562_2_VEL", "NII6583_FLUX", "EBV"} <= names


def test_blocks_do_not_depend_on_each_other():
    galaxy = Galaxy((30, 20), ("HALPHA6563", "NII6583"), SimulationConfig(ebv=(0, 1)), seed=4)
    whole = galaxy.spaxels(Block(0, 30, 0, 20))
    part = galaxy.spaxels(Block(10, 15, 3, 20))
    chosen = np.arange(600).reshape(30, 20)[10:15, 3:20].ravel()
    np.testing.assert_allclose(part.first.fluxes, whole.first.fluxes[chosen], rtol=1e-3)
    np.testing.assert_allclose(part.first.velocity, whole.first.velocity[chosen], atol=0.05)
    np.testing.assert_allclose(part.snr, whole.snr[chosen], rtol=1e-3)


def test_shorter_scan_for_a_lower_resolution(tmp_path):
    config = SimulationConfig(resolution=2500.0)
    path, _ = write_cube(tmp_path / "mock.hdf5", "sitelle-sn3", (3, 3), config=config)
    cube = read(path)
    assert cube.shape[2] == 421
    spread = cube[1, 1].line_spread.sinc_fwhm_cm1()
    assert 1e8 / 6562.8 / spread[0] == pytest.approx(2500, rel=0.05)


def small_maps():
    y, x = np.mgrid[:6, :5].astype(float)
    maps = {"velocity": 20.0 * x - 40.0, "broadening": 20.0 + y}
    maps |= {"HALPHA6563_flux": 1e-16 * (1 + x + y), "NII6583_flux": 3e-17 * (1 + x)}
    maps["HALPHA6563_flux"][2, 3] = np.nan
    maps["velocity"][4, 4] = 3e5
    maps["NII6583_flux"][0, 0] = -1e-17
    return maps


def test_maps_become_the_truth(tmp_path):
    scene = MapScene(small_maps(), ("HALPHA6563", "NII6583"))
    config = SimulationConfig(lines=("HALPHA6563", "NII6583"), snr=(5, 50))
    paths = write_cube(tmp_path / "mock.hdf5", "sitelle-sn3", config=config, scene=scene)
    _, truth, rest = residuals(*paths)
    assert truth.shape == (6, 5)
    lost = np.isnan(truth["velocity"]).reshape(6, 5)
    assert lost[2, 3]
    assert lost[4, 4]
    assert lost.sum() == 2
    expected = small_maps()["HALPHA6563_flux"]
    got = truth["HALPHA6563_flux"].reshape(6, 5)
    np.testing.assert_allclose(got[~lost], expected[~lost], rtol=1e-6)
    assert truth["NII6583_flux"][0] == 0
    spread = rest.std(axis=1)
    np.testing.assert_allclose(spread / np.median(spread), 1.0, atol=0.15)


def test_maps_are_found_by_name(tmp_path):
    for name, image in small_maps().items():
        shown = {"HALPHA6563_flux": "Halpha_flux"}.get(name, name)
        fits.PrimaryHDU(image).writeto(tmp_path / f"{shown}.fits")
    fits.PrimaryHDU(np.ones((2, 2))).writeto(tmp_path / "filter_image.fits")
    assert set(read_truth_maps(tmp_path)) == set(small_maps())
    with pytest.raises(InputError, match="no map"):
        read_truth_maps(tmp_path / "filter_image.fits")


def test_truth_maps_can_be_the_truth_again(sitelle):
    maps = read_truth_maps(sitelle[1])
    assert {"velocity", "broadening", "HALPHA6563_flux", "SII6731_flux"} <= set(maps)


def test_maps_of_ngc628():
    if not NGC628.is_dir():
        pytest.skip(f"the maps of NGC 628 are not in {NGC628}")
    maps = read_truth_maps(NGC628)
    names = ("NII6548", "HALPHA6563", "NII6583", "SII6716", "SII6731")
    assert {f"{name}_flux" for name in names} <= set(maps)
    scene = MapScene(maps, names)
    assert scene.shape == (200, 150)
    seen = scene.spaxels(Block(0, 200, 0, 150))
    assert 0.3 < seen.valid.mean() < 1.0
    assert np.all(np.isfinite(seen.first.fluxes))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mock.fits", "sitelle-sn3", (3, 3)), "ends in .hdf5"),
        (("mock.hdf5", "muse", (3, 3)), "ends in .fits"),
        (("mock.fits", "desi", (3, 3)), "SITELLE and for muse"),
        (("mock.fits", "muse", None), "size"),
        (("mock.fits", "muse", (0, 3)), "at least one spaxel"),
    ],
)
def test_refusals(tmp_path, arguments, message):
    with pytest.raises(UsageError, match=message):
        write_cube(tmp_path / arguments[0], *arguments[1:])
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_run_that_fails(tmp_path):
    def stop(size):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_cube(tmp_path / "mock.hdf5", "sitelle-sn3", (4, 4), advance=stop)
    assert list(tmp_path.iterdir()) == []
