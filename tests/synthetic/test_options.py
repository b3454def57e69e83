"""What a simulation can be asked for: components, dust, continua, noise; files of options."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.errors import UsageError
from nebulines.lines import load_catalogue
from nebulines.models import line_positions, line_spectrum, line_spread_width, transmission
from nebulines.synthetic import simulate, simulate_blocks
from nebulines.synthetic.config import SimulationConfig
from nebulines.synthetic.continua import CONTINUA, continuum_shape

MUSE = {"band": (6400.0, 6800.0)}


def lines_of_truth(truth, spectra):
    """Sum of the components that the truth states, by the unbatched forward model."""
    names = truth.meta["LINES"]
    wavelengths = load_catalogue().select(names).wavelength(spectra.axis.medium)
    kind = spectra.axis.kind
    rest = line_positions(kind, wavelengths, spectra.redshift)
    total = 0.0
    for suffix in ("", "_2") if "velocity_2" in truth.colnames else ("",):
        fluxes = np.stack([truth[f"{name}{suffix}_flux"] for name in names], axis=1)
        total = total + np.asarray(line_spectrum(
            spectra.axis.per_spectrum(len(spectra)), wavelengths,
            velocity_kms=np.nan_to_num(truth[f"velocity{suffix}"].value),
            broadening_kms=np.nan_to_num(truth[f"broadening{suffix}"].value), fluxes=fluxes,
            spread_width=line_spread_width(kind, spectra.line_spread, rest),
            spread_shape=spectra.line_spread.shape, kind=kind, redshift=spectra.redshift,
        ), float)  # fmt: skip
    return total


def pulls(truth, spectra):
    return (spectra.flux - lines_of_truth(truth, spectra)) / np.sqrt(spectra.variance)


@pytest.mark.parametrize("components", [2, "mixed"])
@pytest.mark.parametrize("instrument", ["sitelle-sn3", "muse"])
def test_two_components_are_what_the_truth_says(instrument, components):
    options = MUSE if instrument == "muse" else {}
    truth, spectra = simulate(
        instrument, n=200, seed=3, components=components, prior="shock", snr=(50, 200), **options
    )
    residuals = pulls(truth, spectra)
    assert residuals.std() == pytest.approx(1.0, abs=5 / np.sqrt(2 * residuals.size))
    second = np.asarray(truth["n_components"]) == 2
    assert second.all() if components == 2 else 60 < second.sum() < 140
    gap = np.abs(truth["velocity_2"] - truth["velocity"])[second]
    assert np.all((gap >= 30) & (gap <= 200))
    ratio = np.asarray(truth["HALPHA6563_2_flux"] / truth["HALPHA6563_flux"])
    assert np.all((ratio[second] >= 0.1) & (ratio[second] <= 1.0))
    assert np.all(ratio[~second] == 0)
    assert np.all(np.isnan(truth["velocity_2"][~second]))
    assert np.ptp(truth["NII6583_2_flux"][second] / truth["HALPHA6563_2_flux"][second]) > 0.1


def test_dust_reddens_the_lines():
    options = {"prior": "hii", "lines": ["HBETA4861", "HALPHA6563"], "n": 300, "seed": 5}
    clean, _ = simulate("muse", **options)
    dusty, _ = simulate("muse", ebv=(0.0, 1.0), extinction="Calzetti00", **options)
    wave = load_catalogue().select(["HBETA4861", "HALPHA6563"]).wavelength_vacuum
    left = transmission(wave, np.asarray(dusty["ebv"]), "Calzetti00")
    expected = clean["HBETA4861_flux"] * left[:, 0] / left[:, 1]
    np.testing.assert_allclose(dusty["HBETA4861_flux"], expected)
    assert np.all(dusty["HALPHA6563_flux"] == 1.0)
    assert np.ptp(dusty["ebv"]) > 0.9


@pytest.mark.parametrize("shape", ["polynomial", "stellar"])
def test_continuum_shapes(shape):
    options = {"n": 400, "seed": 7, "snr": (1000, 1000), "continuum": (2.0, 2.0)}
    truth, spectra = simulate("muse", continuum_shape=shape, **options)
    rest = (spectra.flux - lines_of_truth(truth, spectra)) / np.asarray(truth["continuum"])[:, None]
    wave = spectra.axis.values
    near = np.abs(wave - 6562.8) < 2
    np.testing.assert_allclose(rest[:, near].mean(axis=1), 1.0, atol=0.02)
    spread = rest.std(axis=0)
    assert spread[np.argmin(np.abs(wave - 9000.0))] > 0.1
    if shape == "stellar":
        dip = rest[:, np.argmin(np.abs(wave - 4861.3))]
        side = rest[:, np.argmin(np.abs(wave - 4910.0))]
        assert np.all(dip < side)


def test_every_continuum_is_one_at_its_reference():
    generator = np.random.default_rng(0)
    for name, shape in CONTINUA.items():
        parameters = shape.draw(generator, 50)
        values = continuum_shape(
            name, [3700.0, 5000.0, 6562.8, 9000.0], parameters, span=(3700, 9000), reference=6562.8
        )
        np.testing.assert_allclose(values[:, 2], 1.0, rtol=1e-6)
        assert values.min() > 0


@pytest.mark.parametrize("noise", ["wavelength", "photon", "wavelength,photon"])
def test_laws_of_noise_are_in_the_variance(noise):
    truth, spectra = simulate("muse", n=300, seed=1, noise=noise, snr=(20, 20), **MUSE)
    residuals = pulls(truth, spectra)
    assert residuals.std() == pytest.approx(1.0, abs=5 / np.sqrt(2 * residuals.size))
    spread = np.ptp(np.sqrt(spectra.variance), axis=1) / np.sqrt(spectra.variance.mean(axis=1))
    assert np.median(spread) > 0.2


def test_photon_noise_is_stated_at_the_peak():
    _, white = simulate("muse", n=50, seed=1, snr=(20, 20), **MUSE)
    _, photon = simulate("muse", n=50, seed=1, snr=(20, 20), noise="photon", **MUSE)
    top = np.asarray(white.variance).max(axis=1)
    np.testing.assert_allclose(np.asarray(photon.variance).max(axis=1), top, rtol=0.1)
    np.testing.assert_allclose(np.asarray(photon.variance).min(axis=1), 0.5 * top, rtol=0.05)


def test_spikes_are_single_channels_beyond_the_variance():
    truth, spectra = simulate("sitelle-sn3", n=1000, seed=2, noise=("white", "spikes"))
    residuals = pulls(truth, spectra)
    hot = residuals > 8
    assert 400 < hot.sum() < 600
    assert hot.sum(axis=1).var() == pytest.approx(0.5, abs=0.1)  # Poisson
    assert residuals[~hot].std() == pytest.approx(1.0, abs=0.01)


def test_sky_residuals_lie_at_sky_lines():
    truth, spectra = simulate(
        "muse", n=400, seed=2, noise=("white", "sky"), band=(5500.0, 6700.0), lines=["HALPHA6563"]
    )
    power = np.mean(pulls(truth, spectra) ** 2, axis=0)
    wave = spectra.axis.values
    assert power[np.argmin(np.abs(wave - 5577.3))] > 10
    assert np.median(power) == pytest.approx(1.0, abs=0.05)


def test_blocks_are_reproducible_and_differ():
    parts = list(simulate_blocks("sitelle-sn3", 50, 4, block=20, prior="mixed"))
    whole = simulate("sitelle-sn3", 20, 4, prior="mixed")
    assert [len(truth) for truth, _ in parts] == [20, 20, 10]
    np.testing.assert_array_equal(parts[0][1].flux, whole[1].flux)
    assert np.abs(parts[0][1].flux - parts[1][1].flux).max() > 0


def test_options_from_a_file(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('[simulate]\nsnr = [3, 9]\nnoise = ["white", "spikes"]\ncomponents = "mixed"\n')
    config = SimulationConfig.from_toml(path, snr=(4.0, 8.0))
    assert config.snr == (4.0, 8.0)
    assert config.noise == ("white", "spikes")
    path.write_text("[simulate]\nsrn = [3, 9]\n")
    with pytest.raises(UsageError, match="srn"):
        SimulationConfig.from_toml(path)
    path.write_text("[fit]\n")
    with pytest.raises(UsageError, match="simulate"):
        SimulationConfig.from_toml(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"components": 3}, "components"),
        ({"noise": "pink"}, "noise"),
        ({"noise": ()}, "noise"),
        ({"continuum_shape": "stars"}, "continuum_shape"),
        ({"extinction": "CCM98"}, "extinction law"),
        ({"rv": 9.0}, "R_V"),
        ({"ebv": (-0.1, 1.0)}, "ebv"),
        ({"flux_ratio": (0.0, 1.0)}, "flux_ratio"),
        ({"redshift": -1.0}, "redshift"),
        ({"velocity": (-4e5, 0.0)}, "velocity must start above"),
        ({"sn": (3, 4)}, "unknown option"),
        ({"lines": "HALPHA6563"}, "sequence"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(UsageError, match=message):
        simulate(**options)
