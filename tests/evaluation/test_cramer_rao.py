"""The bound against closed forms, numerical derivatives and the published table."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from nebulines.errors import InputError
from nebulines.evaluation import cramer_rao
from nebulines.instruments.line_spread import LineSpread
from nebulines.lines import load_catalogue
from nebulines.models import (
    continuum,
    line_positions,
    line_spectrum,
    line_spread_width,
)
from nebulines.spectra import Spectra
from nebulines.spectral_axis import SpectralAxis
from nebulines.synthetic import simulate

SN3 = ("NII6548", "HALPHA6563", "NII6583", "SII6716", "SII6731")
HALPHA = 6562.80


def gaussian_case(step=0.2, noise=0.01, **changes):
    axis = SpectralAxis(np.arange(6450.0, 6680.0, step), "wavelength", "air")
    flux = np.zeros((1, axis.n_channels))
    options = {"variance": flux + noise**2, "line_spread": LineSpread("gaussian", resolution=3e3)}
    return Spectra(flux, axis, **{**options, **changes})


def bound_of(spectra, broadening=40.0, **options):
    return cramer_rao(
        spectra, [HALPHA], velocity_kms=0.0, broadening_kms=broadening, fluxes=[[2.0]], **options
    )


def test_closed_form_of_a_sampled_gaussian():
    """A well-sampled Gaussian of peak A: sigma_x = (n / A) sqrt(2 sigma dx / sqrt(pi)), and the
    same for its standard deviation when flux and width are free (Lenz & Ayres 1992, PASP 104,
    1104)."""
    step, noise = 0.2, 0.01
    bound = bound_of(gaussian_case(step, noise))
    lsf, intrinsic = HALPHA / 3000 / 2.35482, HALPHA * 40.0 / 299792.458
    sigma = np.hypot(lsf, intrinsic)
    snr = 2.0 / np.sqrt(2 * np.pi) / sigma / noise
    position = np.sqrt(2 * sigma * step / np.sqrt(np.pi)) / snr
    assert bound.velocity_kms[0] == pytest.approx(position / HALPHA * 299792.458, rel=2e-3)
    # the free continuum costs a little, a few percent over this band
    width = position * sigma / intrinsic / HALPHA * 299792.458
    assert width < bound.broadening_kms[0] < 1.05 * width
    flux = 2.0 / snr * np.sqrt(1.5 * step / np.sqrt(np.pi) / sigma)
    assert flux < bound.fluxes[0, 0] < 1.15 * flux


@pytest.mark.parametrize("instrument", ["sitelle-sn3", "muse"])
def test_information_agrees_with_autodiff_of_the_model(instrument):
    band = {"band": (6500.0, 6800.0)} if instrument == "muse" else {}
    truth, spectra = simulate(instrument, n=3, seed=4, lines=SN3, **band)
    catalogue = load_catalogue().select(SN3)
    wavelengths, kind = catalogue.wavelength(spectra.axis.medium), spectra.axis.kind
    fluxes = np.stack([truth[f"{name}_flux"] for name in SN3], axis=1)
    bound = cramer_rao(
        spectra, wavelengths, velocity_kms=truth["velocity"], broadening_kms=truth["broadening"],
        fluxes=fluxes, continuum_order=1,
    )  # fmt: skip
    rest = line_positions(kind, wavelengths)
    width = line_spread_width(kind, spectra.line_spread, rest)
    levels = [continuum(spectra.axis.values, [row])[0] for row in np.eye(2)]

    def model(theta, spread):
        return line_spectrum(
            spectra.axis.values, wavelengths, velocity_kms=theta[:1],
            broadening_kms=theta[1:2], fluxes=theta[None, 2:], spread_width=spread,
            spread_shape=spectra.line_spread.shape, kind=kind,
        )[0]  # fmt: skip

    with jax.enable_x64(True):
        slopes_of = jax.jit(jax.jacfwd(model))
        for k in range(3):
            spread = width[k] if width.ndim == 2 else width
            theta = np.r_[truth["velocity"][k], truth["broadening"][k], fluxes[k]]
            slopes = np.column_stack([np.asarray(slopes_of(theta, spread)), *levels])
            covariance = np.linalg.inv(slopes.T @ slopes / float(spectra.variance[k, 0]))
            np.testing.assert_allclose(
                np.sqrt(np.diag(bound.covariance[k])), np.sqrt(np.diag(covariance)), rtol=2e-3
            )


# set, medians of the bound: velocity, broadening [km/s], Ha flux [%]; five lines, R 5000 and
# 842 channels, or fewer channels with R as in a shorter scan
PUBLISHED = [
    ((5, 10), 5000, 4.5, 5.7, 13.5),
    ((10, 15), 5000, 2.6, 3.4, 7.9),
    ((15, 20), 5000, 1.9, 2.4, 5.6),
    ((20, 30), 5000, 1.3, 1.7, 4.0),
    ((100, 100), 5000, 0.32, 0.41, 1.0),
    ((5, 30), 2000, 3.6, 11.0, 6.8),
]


@pytest.mark.parametrize(("snr", "resolution", "velocity", "broadening", "flux"), PUBLISHED)
def test_medians_of_sn3(snr, resolution, velocity, broadening, flux):
    limits = (4800, 5000) if resolution == 5000 else resolution
    truth, spectra = simulate(
        "sitelle-sn3", n=256, seed=5, snr=snr, resolution=limits, n_steps=842 * resolution // 5000
    )
    bound = cramer_rao(
        spectra, load_catalogue().select(SN3).wavelength_air,
        velocity_kms=truth["velocity"], broadening_kms=truth["broadening"],
        fluxes=np.stack([truth[f"{name}_flux"] for name in SN3], axis=1),
    )  # fmt: skip
    assert np.median(bound.velocity_kms) == pytest.approx(velocity, rel=0.12)
    assert np.median(bound.broadening_kms) == pytest.approx(broadening, rel=0.12)
    assert 100 * np.median(bound.fluxes[:, 1]) == pytest.approx(flux, rel=0.12)


def test_limits_and_scaling():
    clear = bound_of(gaussian_case(noise=0.01))
    noisy = bound_of(gaussian_case(noise=0.03))
    np.testing.assert_allclose(noisy.covariance, 9 * clear.covariance, rtol=1e-9)
    narrow = bound_of(gaussian_case(), broadening=0.0)
    assert np.isinf(narrow.broadening_kms[0])
    assert np.isfinite([narrow.velocity_kms[0], narrow.fluxes[0, 0]]).all()


def test_masked_channels_carry_no_information():
    spectra = gaussian_case()
    wavelength = spectra.axis.values
    blank = (np.abs(wavelength - HALPHA) < 30)[None]
    hidden = bound_of(gaussian_case(mask=blank))
    assert np.isinf(hidden.velocity_kms[0]) or hidden.velocity_kms[0] > 1e6
    broken = np.where(blank, np.nan, spectra.variance)
    np.testing.assert_array_equal(
        bound_of(gaussian_case(variance=broken)).continuum, hidden.continuum
    )


def test_ratio_of_two_lines():
    axis = SpectralAxis(np.arange(6500.0, 6630.0, 0.5), "wavelength", "air")
    flux = np.zeros((2, axis.n_channels))
    spread = LineSpread("gaussian", resolution=3000.0)
    spectra = Spectra(flux, axis, variance=flux + 1e-4, line_spread=spread)
    values = np.array([[3.0, 1.5], [3.0, 0.1]])
    bound = cramer_rao(
        spectra, [HALPHA, 6583.45], velocity_kms=0.0, broadening_kms=30.0, fluxes=values
    )
    draws = np.stack(
        [
            np.random.default_rng(0).multivariate_normal(values[k], block, 20000)
            for k, block in enumerate(bound.covariance[:, 2:4, 2:4])
        ]
    )
    scatter = (draws[..., 1] / draws[..., 0]).std(axis=1)
    np.testing.assert_allclose(bound.ratio(1, 0), scatter, rtol=0.03)


def test_what_it_needs():
    with pytest.raises(InputError, match="variance"):
        bound_of(gaussian_case(variance=None))
    with pytest.raises(InputError, match="line spread"):
        bound_of(gaussian_case(line_spread=None))
    with pytest.raises(InputError, match="shape"):
        cramer_rao(
            gaussian_case(), [HALPHA], velocity_kms=0.0, broadening_kms=1.0, fluxes=[[1.0, 2.0]]
        )
