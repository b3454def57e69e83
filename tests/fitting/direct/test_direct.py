"""The compiled fit against automatic differentiation, eager evaluation and SciPy."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.special import wofz

import nebulines as nl
from nebulines.constants import ANGSTROM_PER_CM, SINC_FWHM_PER_WIDTH, SPEED_OF_LIGHT_KMS
from nebulines.fitting.direct.linearise import linearise
from nebulines.fitting.direct.tile import (
    VELOCITY_UNIT_KMS,
    FitOptions,
    Tile,
    broadening_of,
    shape_variable,
)
from nebulines.lines import load_catalogue
from nebulines.synthetic import simulate

PAIR = ("HALPHA6563", "NII6583")

POSITION = {"wavelength": 6563.0, "wavenumber": 15237.0}
SCALE_KMS = 60.0


def small_tile(kind, n_groups, n_templates, seed=0, noise=1.0, width=None):
    """Two spectra, two windows of 24 channels, two lines in each; the template count sets
    whether lines of a window are tied."""
    rng = np.random.default_rng(seed)
    n, windows, channels, lines = 2, 2, 24, 2
    at = POSITION[kind]
    offset = np.broadcast_to(np.arange(channels) - 11.5, (n, windows, channels)).copy()
    center = np.array([-4.0, 3.5]) + rng.uniform(-0.5, 0.5, (n, windows, lines))
    group = np.zeros((windows, lines, n_groups))
    group[:, 0, 0] = group[:, 1, -1] = 1.0
    templates = np.eye(2)[None].repeat(windows, 0)
    if n_templates == 1:
        templates = np.array([[[1.0, 0.4]], [[0.3, 1.0]]])
    weight = rng.uniform(0.5, 2.0, offset.shape)
    weight[0, 0, 5] = 0.0
    tile = Tile(
        data=np.zeros(offset.shape),
        weight=weight,
        offset=offset,
        position=at + center,
        center=center,
        lsf=np.full(center.shape, width or 1.6),
        templates=templates,
        group=group,
        broadening_scale=np.full(n, SCALE_KMS),
        lower=np.array([[-10.0] * n_groups + [0.05] * n_groups] * n),
        upper=np.array([[10.0] * n_groups + [1.0] * n_groups] * n),
    )
    data = 3.0 + 0.02 * offset + noise * rng.normal(size=offset.shape)
    for j, height in enumerate((12.0, 7.0)):
        data += height * np.exp(-0.5 * ((offset - center[:, :, j : j + 1]) / 2.2) ** 2)
    return tile._replace(data=data)


CASES = [
    ("wavelength", "gaussian", 1, 2),
    ("wavelength", "gaussian", 2, 1),
    ("wavenumber", "sincgauss", 1, 2),
]


def theta_of(n_groups):
    return np.array([[0.2, -0.1][:n_groups] + [0.7, 0.8][:n_groups]] * 2)


@functools.cache
def _compiled(options):
    def work(theta, direction, tile):
        def at(t):
            return linearise(t, tile, options)

        here, slope = jax.jvp(at, (theta,), (direction,))
        return here, slope.chi2

    return jax.jit(work)


def evaluate(theta, tile, options, direction=None):
    """chi2, gradient, curvature, and the slope of chi2 along a direction by automatic
    differentiation, in float64."""
    direction = np.zeros_like(theta) if direction is None else direction
    with jax.enable_x64(True):
        at, slope = _compiled(options)(theta, direction, tile)
        return [np.asarray(part) for part in (*at, slope)]


@pytest.mark.parametrize(("kind", "shape", "n_groups", "n_templates"), CASES)
def test_gradient_is_that_of_the_reduced_chi2(kind, shape, n_groups, n_templates):
    """With linear parameters projected out, d chi2 / d theta = -2 J^T r exactly (Golub &
    Pereyra 1973), although Kaufman's Jacobian drops a term."""
    options = FitOptions(kind, shape, 1, False, mixed=n_templates == 1)
    tile = small_tile(kind, n_groups, n_templates)
    theta = theta_of(n_groups)
    for direction in np.eye(theta.shape[1]):
        along = np.broadcast_to(direction, theta.shape)
        _, gradient, _, slope = evaluate(theta, tile, options, along)
        np.testing.assert_allclose(slope, -2.0 * gradient @ direction, rtol=1e-6, atol=1e-6)
        assert np.abs(slope).min() > 1e-3  # not at a minimum, so the comparison means something


@pytest.mark.parametrize(("kind", "shape", "n_groups", "n_templates"), CASES[:2])
def test_curvature_is_half_the_hessian_where_the_fit_is_perfect(kind, shape, n_groups, n_templates):
    options = FitOptions(kind, shape, 1, False, mixed=n_templates == 1)
    theta = theta_of(n_groups)
    tile = noise_free(small_tile(kind, n_groups, n_templates), theta)
    chi2, _, curvature, _ = evaluate(theta, tile, options)
    assert np.all(chi2 < 1e-16)
    hessian = np.zeros_like(curvature)
    step = 1e-4
    for k in range(theta.shape[1]):
        slopes = []
        for sign in (1, -1):
            moved = theta.copy()
            moved[:, k] += sign * step
            slopes.append(-2.0 * evaluate(moved, tile, options)[1])
        hessian[:, k] = (slopes[0] - slopes[1]) / (2 * step)
    np.testing.assert_allclose(hessian, 2.0 * curvature, rtol=1e-4, atol=1e-4)
    assert np.all(np.linalg.eigvalsh(curvature) > 0)


def noise_free(tile, theta):
    """The tile with a straight continuum and Gaussian lines exactly at theta."""
    n_groups = theta.shape[1] // 2
    speed, y = theta[0, :n_groups] * VELOCITY_UNIT_KMS, theta[0, n_groups:]
    broadening = SCALE_KMS * np.sqrt(1.0 / y**2 - 1.0)
    data = 3.0 + 0.02 * tile.offset
    strength = 30.0 * tile.templates.sum(axis=1)
    for j in range(2):
        group = tile.group[:, j].argmax(axis=-1)
        at = tile.position[:, :, j] * (1.0 + speed[group] / SPEED_OF_LIGHT_KMS)
        shift = tile.center[:, :, j] + at - tile.position[:, :, j]
        sigma = np.hypot(tile.lsf[:, :, j], at * broadening[group] / SPEED_OF_LIGHT_KMS)
        x = (tile.offset - shift[..., None]) / sigma[..., None]
        data = data + (strength[:, j] / sigma)[..., None] * np.exp(-0.5 * x**2)
    return tile._replace(data=data)


def test_compiled_equals_eager():
    options = FitOptions("wavelength", "gaussian", 0, False, mixed=True)
    tile = jax.tree.map(lambda a: np.asarray(a, np.float32), small_tile("wavelength", 1, 1))
    theta = theta_of(1).astype(np.float32)
    eager = linearise(theta, tile, options)
    compiled = jax.jit(linearise, static_argnames="options")(theta, tile, options)
    for a, b in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-3)


def test_shape_variable_and_broadening_are_inverse():
    speed = np.array([0.0, 1.0, 60.0, 900.0])
    y = shape_variable(speed, SCALE_KMS)
    np.testing.assert_allclose(broadening_of(y, SCALE_KMS), speed, rtol=1e-4, atol=2e-2)
    assert np.all(np.diff(y) < 0)
    assert y[0] == 1


def gaussian_profile(x, position, width, sigma):
    total = np.hypot(width, sigma)
    return np.exp(-0.5 * ((x - position) / total) ** 2) / np.sqrt(2 * np.pi) / total


def sincgauss_profile(x, position, width, sigma):
    """Martin et al. 2016, MNRAS 463, 4223, with unit area and in terms of the Faddeeva
    function."""
    a, b = np.pi * sigma / (np.sqrt(2) * width), (x - position) / (np.sqrt(2) * sigma)
    core = np.exp(-(b**2)) - np.exp(-(a**2)) * (np.exp(2j * a * b) * wofz(b + 1j * a)).real
    return core / (np.sqrt(2 * np.pi) * sigma)


def scipy_fit(spectra, row, used, rest, start, order, kind, lsf, profile):
    """All parameters free in float64: values and errors of velocity, broadening, fluxes."""
    x, y = spectra.axis.values[used], np.asarray(spectra.flux[row][used], float)
    error = np.sqrt(spectra.variance[row][used])
    t = np.linspace(-1, 1, len(x))

    def residual(p):
        observed = rest * (1 + p[0] / SPEED_OF_LIGHT_KMS)
        position = observed if kind == "wavelength" else ANGSTROM_PER_CM / observed
        area = p[2 : 2 + len(rest)]
        if kind == "wavenumber":
            area = area * ANGSTROM_PER_CM / observed**2
        sigma = position * p[1] / SPEED_OF_LIGHT_KMS
        model = np.polynomial.legendre.legval(t, p[2 + len(rest) :])
        for k in range(len(rest)):
            model = model + area[k] * profile(x, position[k], lsf(observed[k]), sigma[k])
        return (model - y) / error

    p0 = np.concatenate([start, [y.min()], np.zeros(order)])
    found = least_squares(residual, p0, x_scale=np.maximum(np.abs(p0), 0.1), xtol=1e-12)
    covariance = np.linalg.inv(found.jac.T @ found.jac)
    size = 2 + len(rest)
    return found.x[:size], np.sqrt(np.diag(covariance))[:size], 2 * found.cost


def compare_with_scipy(spectra, result, lines, order, kind, lsf, profile):
    rest = load_catalogue().select(lines).wavelength(spectra.axis.medium)
    names = ["velocity", "broadening", *(f"{line}_flux" for line in lines)]
    for row in range(len(spectra)):
        used = np.isfinite(result.model[row])
        start = np.array([float(result[name][row]) for name in names])
        error = np.array([float(result[f"{name}_err"][row]) for name in names])
        # away from the answer, so that agreement is no consequence of starting there
        begin = start + 0.7 * error
        values, errors, chi2 = scipy_fit(spectra, row, used, rest, begin, order, kind, lsf, profile)
        np.testing.assert_array_less(np.abs(start - values) / errors, 0.03)
        np.testing.assert_allclose(error, errors, rtol=0.02)
        dof = used.sum() - len(names) - 1 - order
        assert float(result["chi2"][row]) == pytest.approx(chi2 / dof, rel=1e-3)


def test_gaussian_fit_is_that_of_scipy(pair_of_lines):
    known = pair_of_lines(n=4, seed=3)
    result = nl.fit(known.spectra, lines=PAIR)
    compare_with_scipy(
        known.spectra, result, PAIR, 1, "wavelength",
        lambda observed: observed / 3000 / 2.3548200450309493, gaussian_profile,
    )  # fmt: skip


def test_sincgauss_fit_is_that_of_scipy():
    lines = ("NII6548", "HALPHA6563", "NII6583", "SII6716", "SII6731")
    _, spectra = simulate(
        "sitelle-sn3", n=3, seed=3, lines=lines, snr=(20, 30), broadening=(30, 50), resolution=5000
    )
    result = nl.fit(spectra, lines=lines)
    width = ANGSTROM_PER_CM / 6562.80 / 5000 / SINC_FWHM_PER_WIDTH
    compare_with_scipy(
        spectra, result, lines, 0, "wavenumber", lambda observed: width, sincgauss_profile
    )
