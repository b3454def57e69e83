"""The simulator: reproducible, noise as promised, truth that matches, clear refusals."""

from __future__ import annotations

import numpy as np
import pytest

from nebulines.errors import UsageError
from nebulines.instruments import get_instrument
from nebulines.lines import load_catalogue
from nebulines.models import line_positions, line_spectrum, line_spread_width
from nebulines.synthetic import simulate

SN3 = ("NII6548", "HALPHA6563", "NII6583", "SII6716", "SII6731")


def noise_free(truth, spectra):
    """The spectra that the truth table promises."""
    names = truth.meta["LINES"]
    wavelengths = load_catalogue().select(names).wavelength(spectra.axis.medium)
    kind = spectra.axis.kind
    rest = line_positions(kind, wavelengths, spectra.redshift)
    model = line_spectrum(
        spectra.axis.per_spectrum(len(spectra)), wavelengths,
        velocity_kms=truth["velocity"].value, broadening_kms=truth["broadening"].value,
        fluxes=np.stack([truth[f"{name}_flux"] for name in names], axis=1),
        spread_width=line_spread_width(kind, spectra.line_spread, rest),
        spread_shape=spectra.line_spread.shape, kind=kind, redshift=spectra.redshift,
        convention=truth.meta["VELCONV"],
    )  # fmt: skip
    return np.asarray(model, float) + np.asarray(truth["continuum"])[:, None]


@pytest.mark.parametrize(
    ("instrument", "options"),
    [
        ("sitelle-sn3", {"continuum": (0.1, 1.0)}),
        ("sitelle-sn3", {"correction": np.linspace(1.0, 1.06, 60), "convention": "relativistic"}),
        ("muse", {"band": (6750.0, 7050.0), "redshift": 0.04}),
    ],
)
def test_residuals_are_the_noise_of_the_variance(instrument, options):
    truth, spectra = simulate(instrument, n=60, seed=2, **options)
    pulls = (spectra.flux - noise_free(truth, spectra)) / np.sqrt(spectra.variance)
    size = pulls.size
    assert abs(pulls.mean()) < 5 / np.sqrt(size)
    assert pulls.std() == pytest.approx(1.0, abs=5 / np.sqrt(2 * size))
    neighbours = np.mean(pulls[:, 1:] * pulls[:, :-1])
    assert abs(neighbours) < 5 / np.sqrt(size)


def test_signal_to_noise_is_that_of_the_halpha_peak():
    """The peak by quadrature: flux sigma_0^2 / 1e8 x int_0^1 exp(-b^2 t^2 / 2) dt / width."""
    truth, spectra = simulate(n=40, seed=3, snr=(20, 20))
    position = 1e8 / 6562.80 / (1 + truth["velocity"].value / 299792.458)
    width = 1e8 / 6562.80 / np.asarray(truth["resolution"]) / 1.2067091288032284
    b = np.pi * position * truth["broadening"].value / 299792.458 / width
    t = (np.arange(2000) + 0.5) / 2000
    peak = np.exp(-0.5 * (b[:, None] * t) ** 2).mean(axis=1) / width * position**2 / 1e8
    np.testing.assert_allclose(peak / np.sqrt(spectra.variance[:, 0]), 20.0, rtol=1e-5)


def test_truth_of_sn3():
    truth, spectra = simulate("sitelle-sn3", n=500, seed=4)
    assert tuple(truth.meta["LINES"]) == SN3
    assert spectra.flux.shape == (500, 842)
    assert spectra.flux.dtype == np.float32
    assert spectra.axis.kind == "wavenumber"
    assert spectra.axis.medium == "air"
    for name, low, high in [
        ("velocity", -200, 200),
        ("broadening", 10, 50),
        ("snr", 5, 30),
        ("resolution", 4800, 5000),
    ]:
        column = np.asarray(truth[name])
        assert low <= column.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < column.max() <= high
    np.testing.assert_array_equal(truth["resolution"], spectra.line_spread.resolution)
    np.testing.assert_allclose(truth["NII6583_flux"] / truth["NII6548_flux"], 3.05)
    assert np.all(truth["HALPHA6563_flux"] == 1.0)


def test_same_seed_same_spectra():
    first, again, other = (simulate(n=30, seed=seed)[1].flux for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0


def test_ratios_and_brightest_line():
    truth, spectra = simulate(
        "sitelle-sn2", n=30, seed=1, ratios={"OIII5007": (4.0, 4.0)}, snr=(10, 10)
    )
    np.testing.assert_allclose(truth["OIII5007_flux"] / truth["HBETA4861_flux"], 4.0)
    flux = noise_free(truth, spectra).max(axis=1) / np.sqrt(spectra.variance[:, 0])
    assert np.all((flux > 7) & (flux < 12))


def test_instrument_keeps_its_own_line_spread():
    truth, spectra = simulate("muse", n=2, band=(6500.0, 6650.0))
    assert spectra.line_spread == get_instrument("muse").line_spread
    assert spectra.axis.n_channels == 121
    assert np.ptp(truth["resolution"]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "at least one"),
        ({"velocity": (10, -10)}, "velocity"),
        ({"snr": (0, 10)}, "snr"),
        ({"broadening": (-5, 10)}, "broadening"),
        ({"lines": ["HALFA"]}, "unknown line"),
        ({"ratios": {"OIII5007": (1, 2)}}, "OIII5007"),
        ({"redshift": 0.2}, "no default line"),
        ({"resolution": (-1, 5)}, "resolution"),
        ({"instrument": "hubble-space"}, "unknown instrument"),
        ({"snr": 5}, "two numbers"),
    ],
)
def test_wrong_use(options, message):
    with pytest.raises(UsageError, match=message):
        simulate(**options)
