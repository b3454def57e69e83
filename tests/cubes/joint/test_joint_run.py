"""Joint runs on cubes and on spectra: files, blocks, resume, wrong use. The fit itself is replaced
by one that answers with the data, so that every value tells where it is from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

import nebulines as nl
from nebulines.cubes.joint import spectra as joint_spectra
from nebulines.cubes.joint.run import fit_band_spectra, fit_cubes
from nebulines.errors import UsageError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.joint.block import JointBlock
from nebulines.fitting.result import Result
from nebulines.io import write_row_stacked
from nebulines.spectra import Cube, Flag, Spectra
from nebulines.spectral_axis import SpectralAxis

NY, NX = 6, 4
UNIT = "erg/(s cm2 Angstrom)"
BLUE = SpectralAxis(np.linspace(4800.0, 5060.0, 14), "wavelength", "air")
RED = SpectralAxis(np.linspace(6500.0, 6650.0, 16), "wavelength", "air")


class Answers:
    """Counts its calls, and breaks when told."""

    def __init__(self):
        self.calls, self.fail_at = 0, None

    def __call__(self, bands, plan, *, with_model=True):
        self.calls += 1
        if self.calls == self.fail_at:
            raise RuntimeError("the fit broke")
        n = len(bands[0])
        first = [np.asarray(spectra.flux[:, 0], np.float32) for spectra in bands]
        columns = {"velocity": first[0], "velocity_err": first[0] / 10}
        for name in plan.config.lines:
            band = next(k for k, shown in enumerate(plan.lines) if name in shown)
            columns |= {f"{name}_flux": first[band], f"{name}_flux_err": first[band] / 5}
        columns |= {"noise": np.ones(n, np.float32), "flags": np.zeros(n, np.int32)}
        columns |= {f"{label}_noise": np.full(n, k + 1.0) for k, label in enumerate(plan.labels)}
        models = tuple(np.asarray(s.flux, np.float32) + 0.5 for s in bands)
        if not with_model:
            models = tuple(model[:, :0] for model in models)
        return JointBlock(columns, models, {"METHOD": "fit", "FITPATH": "joint"})


@pytest.fixture
def answers(monkeypatch):
    one = Answers()
    monkeypatch.setattr(joint_spectra, "fit_joint_block", one)
    return one


def image(offset):
    return offset + np.arange(float(NY * NX)).reshape(NY, NX)


def cube_of(offset, axis, tmp_path=None):
    values = image(offset)

    def read(block):
        part = values[block.y0 : block.y1, block.x0 : block.x1].reshape(-1, 1)
        flux = np.repeat(part, axis.n_channels, axis=1)
        return Spectra(flux, axis, np.ones(flux.shape), unit=UNIT)

    meta = {}
    if tmp_path is not None:
        source = tmp_path / f"cube{offset}.dat"
        source.write_text(str(offset))
        meta = {"source": str(source)}
    return Cube((NY, NX, axis.n_channels), read, None, UNIT, None, meta)


@pytest.fixture
def cubes(tmp_path):
    return [cube_of(100, BLUE, tmp_path), cube_of(500, RED, tmp_path)]


def test_maps_and_a_model_for_each_band(answers, cubes, tmp_path):
    done = fit_cubes(cubes, FitConfig(), tmp_path / "out", max_spaxels=8, table=True)
    assert answers.calls == 3
    names = [path.name for path in done.paths]
    assert names == [
        "out_MAPS.fits", "out_MODEL_BAND1.fits", "out_MODEL_BAND2.fits", "out_TABLE.fits",
        "out_CONFIG.toml",
    ]  # fmt: skip
    found = Result.read(tmp_path / "out_MAPS.fits")
    np.testing.assert_allclose(found["velocity"], image(100).ravel())
    np.testing.assert_allclose(found["HBETA4861_flux"], image(100).ravel())
    np.testing.assert_allclose(found["HALPHA6563_flux"], image(500).ravel())
    assert found.meta["BANDS"] == "BAND1, BAND2"
    with fits.open(tmp_path / "out_MODEL_BAND2.fits") as file:
        np.testing.assert_allclose(file["FLUX"].data[3], image(500) + 0.5)
        assert file["FLUX"].data.shape == (16, NY, NX)
    with fits.open(tmp_path / "out_MODEL_BAND1.fits") as file:
        np.testing.assert_allclose(file["FLUX"].data[0], image(100) + 0.5)
    in_memory = nl.fit(cubes)
    np.testing.assert_array_equal(in_memory["HALPHA6563_flux"], found["HALPHA6563_flux"])
    assert set(in_memory) == set(found)


def test_an_interrupted_run_goes_on(answers, cubes, tmp_path):
    answers.fail_at = 3
    with pytest.raises(RuntimeError):
        fit_cubes(cubes, FitConfig(), tmp_path / "out", max_spaxels=8, resume=True)
    assert not (tmp_path / "out_MAPS.fits").exists()
    answers.fail_at = None
    fit_cubes(cubes, FitConfig(), tmp_path / "out", max_spaxels=8, resume=True)
    assert answers.calls == 4
    found = Result.read(tmp_path / "out_MAPS.fits")
    np.testing.assert_allclose(found["HALPHA6563_flux"], image(500).ravel())
    answers.fail_at = 5
    with pytest.raises(RuntimeError):
        fit_cubes(cubes, FitConfig(), tmp_path / "other", max_spaxels=8)
    assert not list(tmp_path.glob(".other*"))


def test_another_method_does_not_go_on(answers, cubes, tmp_path):
    answers.fail_at = 3
    with pytest.raises(RuntimeError):
        fit_cubes(cubes, FitConfig(), tmp_path / "out", max_spaxels=8, resume=True)
    answers.fail_at = None
    options = {"max_spaxels": 8, "resume": True, "method": "fit"}
    fit_cubes(cubes, FitConfig(), tmp_path / "out", **options)
    assert answers.calls == 6  # all three blocks again


def test_bins_and_masks(answers, cubes):
    mask = np.zeros((NY, NX))
    mask[0, 0] = 1
    found = nl.fit(cubes, bin=2, mask=mask)
    flags = found.image("flags")
    assert flags[0, 0] & Flag.NO_DATA
    expected = image(500)[2:4, 2:4].mean()
    np.testing.assert_allclose(found.image("HALPHA6563_flux")[2:4, 2:4], expected)


def rows(n=9):
    first, second = np.arange(1.0, n + 1), np.arange(1.0, n + 1) * 10
    return [
        Spectra(np.repeat(v[:, None], a.n_channels, 1), a, np.ones((n, a.n_channels)), unit=UNIT)
        for v, a in ((first, BLUE), (second, RED))
    ]


def test_spectra_into_a_table_and_in_memory(answers, tmp_path):
    bands = rows()
    for name in ("out.fits", "out.ecsv"):
        fit_band_spectra(bands, FitConfig(), tmp_path / name, chunk=4)
        found = Result.read(tmp_path / name)
        np.testing.assert_allclose(found["HALPHA6563_flux"], np.arange(1, 10) * 10)
    result = nl.fit(bands)
    assert [model.shape for model in result.models] == [(9, 14), (9, 16)]
    np.testing.assert_allclose(result.models[1][4], 50.5)
    assert nl.fit(bands, keep_model=False).models is None


def test_the_command_takes_several_inputs(answers, tmp_path, monkeypatch):
    from click.testing import CliRunner

    from nebulines.cli.main import cli

    monkeypatch.setattr("nebulines.runtime.configure", lambda: None)
    names = []
    for k, spectra in enumerate(rows()):
        names.append(str(tmp_path / f"band{k}.fits"))
        write_row_stacked(names[-1], spectra)
    out = tmp_path / "out.fits"
    done = CliRunner().invoke(cli, ["fit", *names, "-o", str(out), "-q"])
    assert done.exit_code == 0, done.output
    assert len(Result.read(out)) == 9
    assert "band0.fits, band1.fits" in fits.getheader(out, "RESULT")["INPUT"]
    again = CliRunner().invoke(cli, ["fit", *names, "-o", names[1]])
    assert again.exit_code == 2


def test_wrong_pairs_are_said(answers, cubes):
    bands = rows()
    with pytest.raises(UsageError, match="some bands are cubes"):
        nl.fit([cubes[0], bands[1]])
    with pytest.raises(UsageError, match="9, 8 rows"):
        nl.fit([bands[0], bands[1][:8]])
    with pytest.raises(UsageError, match="need cubes"):
        nl.fit(bands, bin=2)
    with pytest.raises(UsageError, match="no celestial WCS"):
        nl.fit([cubes[0], replace(cubes[1], shape=(NY, NX + 1, 16))])
