"""Several bands of the same objects: one truth, noise that fits, clear refusals."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.errors import UsageError
from nebulines.instruments.labels import band_labels
from nebulines.lines import load_catalogue
from nebulines.models import line_positions, line_spectrum, line_spread_width
from nebulines.synthetic import simulate, simulate_blocks

BANDS = ("sitelle-sn1", "sitelle-sn2", "sitelle-sn3")


@pytest.fixture(scope="module")
def objects():
    return simulate(BANDS, n=300, seed=4, prior="hii", ebv=(0.0, 0.5), snr=(5, 30))


def pulls(truth, spectra):
    """Spectra minus their truth, over the stated noise."""
    names = [c.removesuffix("_flux") for c in truth.colnames if c.endswith("_flux")]
    low, high = spectra.axis.wavelength_range()
    lines = load_catalogue().select(names).observed_in(low, high)
    wave = lines.wavelength(spectra.axis.medium)
    rest = line_positions(spectra.axis.kind, wave)
    model = line_spectrum(
        spectra.axis.values, wave, velocity_kms=np.asarray(truth["velocity"]),
        broadening_kms=np.asarray(truth["broadening"]),
        fluxes=np.stack([truth[f"{n}_flux"] for n in lines.names], axis=1),
        spread_width=line_spread_width(spectra.axis.kind, spectra.line_spread, rest),
        spread_shape=spectra.line_spread.shape, kind=spectra.axis.kind,
    )  # fmt: skip
    return (spectra.flux - np.asarray(model)) / np.sqrt(spectra.variance)


def test_every_band_shows_the_one_truth_in_white_noise(objects):
    truth, bands = objects
    assert [spectra.instrument for spectra in bands] == list(BANDS)
    for spectra in bands:
        rest = pulls(truth, spectra)
        assert rest.std() == pytest.approx(1.0, abs=0.02)
        assert abs(np.corrcoef(rest[:, :-1].ravel(), rest[:, 1:].ravel())[0, 1]) < 0.02


def test_unresolved_lines_have_the_same_depth_in_every_band(objects):
    _, bands = objects
    depth = []
    for spectra, line in zip(bands, ("OII3726", "OIII5007", "HALPHA6563"), strict=True):
        wave = load_catalogue().select([line]).wavelength("air")
        fwhm = spectra.line_spread.fwhm_angstrom(wave)[..., 0]
        depth.append(np.sqrt(spectra.variance[:, 0]) * fwhm)
    np.testing.assert_allclose(depth[0], depth[2], rtol=1e-3)
    np.testing.assert_allclose(depth[1], depth[2], rtol=1e-3)


def test_one_band_alone_is_the_plain_simulation():
    truth, (spectra,) = simulate(["sitelle-sn3"], n=20, seed=2)
    plain, alone = simulate("sitelle-sn3", n=20, seed=2)
    for name in plain.colnames:
        np.testing.assert_array_equal(truth[name], plain[name])
    np.testing.assert_allclose(spectra.variance, alone.variance, rtol=1e-5)


def test_the_seed_and_own_options_of_bands(objects):
    again, bands = simulate(BANDS, n=300, seed=4, prior="hii", ebv=(0.0, 0.5), snr=(5, 30))
    np.testing.assert_array_equal(again["velocity"], objects[0]["velocity"])
    np.testing.assert_array_equal(bands[1].flux, objects[1][1].flux)
    truth, _ = simulate(BANDS[1:], n=5, resolution={"sitelle-sn2": (700.0, 800.0)})
    assert truth["SN2_resolution"].max() <= 800
    assert truth["SN3_resolution"].min() >= 4800
    sizes = [len(part) for part, _ in simulate_blocks(BANDS[1:], n=5, block=3)]
    assert sizes == [3, 2]


def test_two_components_and_gaussian_instruments():
    truth, (blue, red) = simulate(
        ["sitelle-sn2", "muse"], n=6, seed=1, components=2, band={"muse": (6500.0, 6800.0)}
    )
    assert np.isfinite(truth["HBETA4861_2_flux"]).all()
    assert np.isfinite(truth["HALPHA6563_2_flux"]).all()
    assert blue.axis.kind == "wavenumber"
    assert red.axis.kind == "wavelength"


@pytest.mark.parametrize(
    ("instruments", "options", "message"),
    [
        ([], {}, "name each band once"),
        (["sitelle-sn3", "sitelle-sn3"], {}, "name each band once"),
        (["sitelle-sn3"], {"resolution": {"sitelle-sn2": 900.0}}, "not among the bands"),
        (["sitelle-sn1", "sitelle-sn3"], {"lines": ("HALPHA6563",)}, "leave the band out"),
        (["sitelle-sn1", "nonsense"], {}, "unknown instrument"),
    ],
)
def test_wrong_use_is_said(instruments, options, message):
    with pytest.raises(UsageError, match=message):
        simulate(instruments, n=3, **options)


def test_labels_are_short_and_differ():
    assert band_labels(["sitelle-sn1", "sitelle-sn3"]) == ("SN1", "SN3")
    assert len(set(band_labels(["muse", "muse", None, None]))) == 4


def test_cubes_of_one_seed_show_one_field(tmp_path):
    from nebulines.fitting.result import Result
    from nebulines.synthetic.config import SimulationConfig
    from nebulines.synthetic.cubes import write_cube

    config = SimulationConfig(snr=(5, 50), ebv=(0.0, 0.6))
    truths = []
    for band in BANDS:
        path = tmp_path / f"{band}.hdf5"
        _, truth = write_cube(path, band, (9, 11), seed=7, config=config)
        truths.append(Result.read(truth))
    for name in ("velocity", "broadening", "ebv", "snr", "region"):
        for other in truths[:2]:
            np.testing.assert_allclose(other[name], truths[2][name], rtol=1e-5)
    halpha, hbeta = truths[2]["HALPHA6563_flux"], truths[1]["HBETA4861_flux"]
    decrement = halpha / hbeta
    assert np.all((decrement > 2.6) & (decrement < 8.0))
    first = truths[2]["region"] < 3
    assert np.corrcoef(decrement[first], truths[2]["ebv"][first])[0, 1] > 0.9


def test_the_command_writes_a_file_a_band_and_one_truth(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from nebulines.cli.main import cli
    from nebulines.io import read

    monkeypatch.setattr("nebulines.runtime.configure", lambda: None)
    out = tmp_path / "mock.fits"
    done = CliRunner().invoke(cli, ["simulate", *BANDS[1:], "--n", "4", "-o", str(out), "-q"])
    assert done.exit_code == 0, done.output
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["mock_SN2.fits", "mock_SN3.fits", "mock_TRUTH.fits"]
    _, bands = simulate(BANDS[1:], n=4, seed=0)
    for label, spectra in zip(("SN2", "SN3"), bands, strict=True):
        back = read(tmp_path / f"mock_{label}.fits")
        assert back.instrument == spectra.instrument
        np.testing.assert_array_equal(back.flux, spectra.flux)
