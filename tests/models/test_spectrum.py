"""The forward model: fluxes, positions, widths, units of axes, gradients."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nebulines.constants import FWHM_PER_SIGMA, SPEED_OF_LIGHT_KMS
from nebulines.errors import UsageError
from nebulines.instruments.line_spread import LineSpread
from nebulines.models import (
    continuum,
    legendre_basis,
    line_positions,
    line_spectrum,
    line_spread_width,
)
from nebulines.spectral_axis import doppler_factor

LINES = np.array([6548.05, 6562.80, 6583.45])
WAVELENGTH = np.arange(6450.0, 6700.0, 0.2)
WAVENUMBER = np.arange(14900.0, 15520.0, 0.5)
GAUSSIAN = LineSpread("gaussian", resolution=3000.0)
SINC = LineSpread("sinc", fwhm_cm1=3.0)


def model(axis, kind, spread, *, redshift=0.0, **options):
    values = {"velocity_kms": [120.0], "broadening_kms": [30.0], "fluxes": [[1.0, 3.0, 2.0]]}
    width = line_spread_width(kind, spread, line_positions(kind, LINES, redshift))
    return line_spectrum(
        axis, LINES, kind=kind, spread_width=width, spread_shape=spread.shape,
        redshift=redshift, **{**values, **options},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("axis", "kind", "spread", "tolerance"),
    [
        (WAVELENGTH, "wavelength", GAUSSIAN, 1e-5),
        (WAVENUMBER, "wavenumber", GAUSSIAN, 3e-4),
        (WAVENUMBER, "wavenumber", SINC, 3e-3),
    ],
)
def test_flux_is_the_integral_over_wavelength(axis, kind, spread, tolerance):
    density = np.asarray(model(axis, kind, spread)[0], float)
    wavelength = axis if kind == "wavelength" else 1e8 / axis[::-1]
    density = density if kind == "wavelength" else density[::-1]
    assert np.trapezoid(density, wavelength) == pytest.approx(6.0, rel=tolerance)


def test_both_kinds_of_axis_show_the_same_line():
    wavelength = np.asarray(model(WAVELENGTH, "wavelength", GAUSSIAN)[0])
    wavenumber = np.asarray(model(1e8 / WAVELENGTH[::-1], "wavenumber", GAUSSIAN)[0])[::-1]
    np.testing.assert_allclose(wavenumber, wavelength, atol=3e-3 * wavelength.max())


@pytest.mark.parametrize("convention", ["optical", "relativistic"])
@pytest.mark.parametrize("kind", ["wavelength", "wavenumber"])
def test_moments(kind, convention):
    """The centre is at rest (1 + z) D(v), the width is LSF and broadening in quadrature."""
    velocity, broadening, redshift = 5000.0, 40.0, 0.02
    place = 6562.80 * (1 + redshift) * doppler_factor(velocity, convention)
    centre = place if kind == "wavelength" else 1e8 / place
    axis = centre + np.linspace(-20.0, 20.0, 801)
    spread = LineSpread("gaussian", fwhm_polynomial=(2.0,))
    rest = line_positions(kind, [6562.80], redshift)
    width = line_spread_width(kind, spread, rest)
    density = line_spectrum(
        axis, [6562.80], velocity_kms=[velocity], broadening_kms=[broadening], fluxes=[[1.0]],
        spread_width=width, spread_shape="gaussian", kind=kind, redshift=redshift,
        convention=convention,
    )  # fmt: skip
    density = np.asarray(density[0], float)
    density /= density.sum()
    mean = np.sum(axis * density)
    per_angstrom = 1.0 if kind == "wavelength" else 1e8 / (6562.80 * (1 + redshift)) ** 2
    expected = np.hypot(
        2.0 / FWHM_PER_SIGMA * per_angstrom, centre * broadening / SPEED_OF_LIGHT_KMS
    )
    assert mean == pytest.approx(centre, abs=2e-3)
    assert np.sqrt(np.sum((axis - mean) ** 2 * density)) == pytest.approx(expected, rel=1e-4)


def test_single_precision_keeps_the_position():
    """Offsets are taken in float64, so float32 loses no velocity."""
    single = model(WAVENUMBER, "wavenumber", SINC)
    assert single.dtype == jnp.float32
    with jax.enable_x64(True):
        double = model(WAVENUMBER, "wavenumber", SINC)
        assert double.dtype == jnp.float64
        slope = jax.jacfwd(lambda v: model(WAVENUMBER, "wavenumber", SINC, velocity_kms=v))
        slope = np.asarray(slope(jnp.array([120.0]))[0, :, 0])
    moved = np.sum((np.asarray(single[0], float) - np.asarray(double[0])) * slope)
    assert abs(moved / np.sum(slope**2)) < 1e-3  # km/s


@pytest.mark.parametrize(("kind", "spread"), [("wavelength", GAUSSIAN), ("wavenumber", SINC)])
def test_gradients_agree_with_finite_differences(kind, spread):
    axis = WAVELENGTH if kind == "wavelength" else WAVENUMBER
    with jax.enable_x64(True):

        def spectrum(theta):
            return model(
                axis, kind, spread,
                velocity_kms=theta[:1], broadening_kms=theta[1:2], fluxes=theta[None, 2:],
            )[0]  # fmt: skip

        theta = jnp.array([120.0, 30.0, 1.0, 3.0, 2.0])
        compiled = jax.jit(spectrum)
        found = jax.jit(jax.jacfwd(spectrum))(theta)
        for k, step in enumerate([1e-3, 1e-3, 1e-4, 1e-4, 1e-4]):
            shift = step * jnp.eye(5)[k]
            numeric = (compiled(theta + shift) - compiled(theta - shift)) / (2 * step)
            np.testing.assert_allclose(
                found[:, k], numeric, rtol=0, atol=1e-6 * float(np.abs(numeric).max())
            )


def test_batch_with_own_axes_equals_loop():
    axes = WAVENUMBER * np.array([1.0, 1.0001, 0.9999])[:, None]
    options = {
        "velocity_kms": np.array([0.0, 90.0, -400.0]),
        "broadening_kms": np.array([0.0, 12.0, 300.0]),
        "fluxes": np.array([[1.0, 3.0, 2.0]] * 3),
    }
    batch = model(axes, "wavenumber", SINC, **options)
    for k in range(3):
        single = {name: value[k : k + 1] for name, value in options.items()}
        alone = model(axes[k], "wavenumber", SINC, **single)[0]
        np.testing.assert_allclose(batch[k], alone, atol=2e-6 * float(alone.max()))


def test_wrong_words_are_refused():
    with pytest.raises(UsageError, match="axis kind"):
        line_positions("frequency", [5000.0])
    with pytest.raises(UsageError, match="convention"):
        model(WAVELENGTH, "wavelength", GAUSSIAN, convention="radio")


def test_continuum():
    axis = np.stack([np.linspace(5000, 6000, 101), np.linspace(100, 101, 101)])
    basis = legendre_basis(axis, 3)
    assert basis.shape == (2, 4, 101)
    np.testing.assert_allclose(basis[0], basis[1], atol=1e-12)
    levels = continuum(axis, [[2.0, 0.5], [1.0, -1.0]])
    np.testing.assert_allclose(levels[:, [0, 50, 100]], [[1.5, 2.0, 2.5], [2.0, 1.0, 0.0]])
    assert legendre_basis([5000.0], 1).tolist() == [[1.0], [0.0]]
