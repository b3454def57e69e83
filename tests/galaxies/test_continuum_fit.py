"""The parts of the fit of starlight: non-negative solutions, the grid, the kernel, recovery."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls

from nebulines.errors import InputError, UsageError
from nebulines.galaxies.denoising.rest_grid import (
    CHANNEL_KMS,
    OnGrid,
    RestGrid,
    off_grid,
    onto_grid,
)
from nebulines.galaxies.starlight.continuum_fit import fit_starlight, locate
from nebulines.galaxies.starlight.indices import lick_index
from nebulines.galaxies.starlight.lines import line_places, line_profiles
from nebulines.galaxies.starlight.nnls import solve_nonnegative
from nebulines.galaxies.starlight.stellar_basis import grid_for, prepare_basis
from nebulines.galaxies.starlight.template_sources import load_templates
from nebulines.galaxies.starlight.templates import Templates
from nebulines.galaxies.starlight.velocity_kernel import (
    FEW_TAPS,
    TAPS,
    convolved,
    curvature,
    gathered,
    kernel,
    moved,
    shift_table,
    slope,
)
from nebulines.spectra import Spectra
from nebulines.spectral_axis import SpectralAxis

SNR = 30.0


@pytest.fixture(scope="module")
def basis():
    return prepare_basis(load_templates().between(3900.0, 5600.0), 4000.0, 5500.0)


def products(n=20, k=12, r=8):
    """Mixing (k, r), vectors (r, 200), and data (n, 200) of which some pull templates below 0."""
    rng = np.random.default_rng(1)
    vectors, mixing = rng.normal(size=(r, 200)), rng.normal(size=(k, r)) + 2.0 * (np.arange(r) == 0)
    weights = rng.dirichlet(np.full(k, 0.3), n)
    return mixing, vectors, weights @ mixing @ vectors + rng.normal(size=(n, 200))


def test_solutions_are_the_best_that_are_not_negative():
    mixing, vectors, data = products()
    gram = np.broadcast_to(vectors @ vectors.T, (20, 8, 8)).astype(np.float32)
    solved = solve_nonnegative(gram, (data @ vectors.T).astype(np.float32), mixing)
    expected = np.array([nnls((mixing @ vectors).T, row)[0] for row in data])
    assert np.abs((solved.x - expected) @ mixing).max() < 1e-4
    left = (data - solved.x @ mixing @ vectors) @ (mixing @ vectors).T
    assert (solved.x >= 0).all()
    assert (left < 1e-2).all()
    assert np.abs(left[solved.x > 0]).max() < 1e-2


def test_the_freedom_is_the_covariance_of_the_templates_that_take_part():
    mixing, vectors, data = products()
    gram = np.broadcast_to(vectors @ vectors.T, (20, 8, 8))
    solved = solve_nonnegative(gram, data @ vectors.T, mixing)
    for x, freedom in zip(solved.x, solved.freedom, strict=True):
        part = mixing[x > 0]
        expected = part.T @ np.linalg.inv(part @ gram[0] @ part.T) @ part
        assert np.allclose(freedom, expected, rtol=0.0, atol=0.02 * np.abs(expected).max())


def test_equations_without_an_answer_leave_nothing():
    gram = np.stack([np.eye(3), np.zeros((3, 3)), np.full((3, 3), np.nan), -np.eye(3)])
    moment = np.array([[1.0, 2.0, -1.0], [0.0] * 3, [1.0] * 3, [-1.0] * 3])
    solved = solve_nonnegative(gram, moment, np.eye(3))
    assert np.allclose(solved.x, [[1.0, 2.0, 0.0], [0.0] * 3, [0.0] * 3, [0.0] * 3], atol=1e-4)
    assert np.isfinite(solved.freedom).all()


def test_the_kernel_is_a_gaussian_with_the_given_moments():
    velocity, variance = jnp.array([0.0, 1.3, -2.4]), jnp.array([4.0, 9.0, 1.5])
    taps = np.asarray(kernel(velocity, variance))
    at = np.arange(TAPS) - TAPS // 2
    assert np.allclose(taps.sum(axis=1), 1.0, atol=1e-5)
    assert np.allclose(taps @ at, velocity, atol=1e-3)
    assert np.allclose(taps @ at**2 - (taps @ at) ** 2, variance, atol=5e-3)


def test_derivatives_along_the_channels():
    x = np.linspace(0.0, 6.0, 400, dtype=np.float32)
    step = x[1] - x[0]
    wave = jnp.sin(jnp.asarray(x))[None]
    assert np.allclose(slope(wave)[0, 5:-5] / step, np.cos(x)[5:-5], atol=1e-3)
    second = np.asarray(curvature(jnp.asarray(np.sin(x * 5.0))[None]))[0, 5:-5]
    assert np.allclose(second / (5.0 * step) ** 2, -np.sin(5.0 * x)[5:-5], atol=2e-2)


def smooth(wavelength):
    return 1.0 + 0.3 * np.sin(wavelength / 40.0) + 1e-4 * (wavelength - 5000.0)


@pytest.mark.parametrize("linear", [True, False])
def test_a_spectrum_returns_from_the_grid(linear):
    wave = np.arange(4500.0, 5600.0, 0.8) if linear else 10 ** np.arange(3.65, 3.75, 1e-4)
    z = np.array([0.03, 0.0312])
    flux = np.stack([smooth(wave / (1 + zi)) for zi in z])
    spectra = Spectra(flux, SpectralAxis(wave, "wavelength", "air"), variance=np.full_like(flux, 4))
    grid = RestGrid.covering(4400.0, 5300.0)
    data = onto_grid(spectra, z, grid).move(np.array([3, -2]))
    back = off_grid(data.flux, data, spectra, z)
    inside = slice(40, -160)
    assert np.abs(back - flux)[:, inside].max() < (2e-3 if linear else 1e-6)
    middle = slice(800, 1200)
    share = np.median(np.diff(grid.edges)[middle]) * (1 + z[0]) / np.median(np.diff(wave))
    assert np.isclose(np.median(data.weight[0, middle]), 0.25 * share, rtol=0.1)


def test_beyond_the_grid_a_model_stays_what_it_is_at_its_end():
    wave = 10 ** np.arange(3.65, 3.75, 1e-4)
    axis = SpectralAxis(wave, "wavelength", "vacuum")
    spectra = Spectra(np.ones((3, len(wave))), axis, variance=np.ones((3, len(wave))))
    z = np.array([0.0, 0.02, 9.0])
    data = onto_grid(spectra, z, RestGrid.covering(4600.0, 5000.0))
    model = np.broadcast_to(data.grid.wavelength, data.flux.shape).astype(np.float32)
    within = np.clip(wave / (1.0 + z[:, None]), *data.grid.wavelength[[0, -1]])
    assert np.abs(off_grid(model, data, spectra, z) / within - 1.0).max() < 2e-4
    assert (data.weight[:2] > 0).any(axis=1).all()
    assert not data.weight[2].any()


def test_masked_channels_have_no_weight_on_the_grid():
    wave = 10 ** np.arange(3.65, 3.75, 1e-4)
    flux = np.ones((1, len(wave)))
    mask = np.zeros_like(flux, bool)
    mask[0, 300:340] = True
    flux[0, 600] = np.nan
    axis = SpectralAxis(wave, "wavelength", "vacuum")
    spectra = Spectra(flux, axis, variance=np.ones_like(flux), mask=mask)
    data = onto_grid(spectra, np.zeros(1), RestGrid.covering(wave[0], wave[-1]))
    lost = (wave[0] <= data.grid.wavelength) & (data.grid.wavelength <= wave[-1])
    lost &= data.weight[0] == 0
    assert lost.sum() == 41
    assert np.isfinite(data.flux).all()


def mock(basis, n=16, seed=3):
    """Spectra on the grid from the templates, and what is in them."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(len(basis.mixing), 0.1), n)
    velocity, variance = rng.normal(0.0, 3.0, n), rng.uniform(1.0, 12.0, n)
    reddening = rng.uniform(0.0, 0.5, n)
    flux = np.pad(weights @ basis.mixing @ basis.vectors, ((0, 0), (128, 128)), mode="edge")
    omega = 2.0 * np.pi * np.fft.rfftfreq(flux.shape[1])
    transfer = np.exp(-0.5 * omega**2 * variance[:, None] - 1j * omega * velocity[:, None])
    flux = np.fft.irfft(np.fft.rfft(flux) * transfer, n=flux.shape[1])[:, 128:-128]
    flux *= np.exp(-reddening[:, None] * basis.dust)
    flux /= flux.mean(axis=1, keepdims=True)
    truth = {"velocity": velocity, "variance": variance, "reddening": reddening, "stars": flux}
    return flux, truth, rng


def observed(basis, flux, rng):
    noisy = (flux + rng.normal(size=flux.shape) / SNR).astype(np.float32)
    none = np.zeros(len(flux), int)
    return OnGrid(basis.grid, noisy, np.full(flux.shape, SNR**2, np.float32), 0.0 * none, none)


def test_kinematics_dust_and_index_are_recovered(basis):
    flux, truth, rng = mock(basis)
    data = observed(basis, flux, rng)
    everywhere = np.ones(flux.shape, bool)
    placed = locate(data, everywhere, basis, most=10)
    light = fit_starlight(placed, everywhere, basis)
    velocity = (light.shape[:, 0] + placed.offset - truth["velocity"]) / light.errors[:, 0]
    variance = (light.shape[:, 1] - truth["variance"]) / light.errors[:, 1]
    for pull in (velocity, variance):
        assert abs(np.median(pull)) < 0.8
        assert 0.5 < np.sqrt(np.mean(pull**2)) < 1.7
    assert np.abs(light.shape[:, 0] + placed.offset - truth["velocity"]).max() < 60 / CHANNEL_KMS
    assert np.median(np.abs(light.shape[:, 2] - truth["reddening"])) < 0.08
    assert 0.85 < np.median(light.chi2) < 1.1
    stars = np.stack([np.roll(row, k) for row, k in zip(light.stars, placed.moved, strict=True)])
    wave = basis.grid.wavelength
    miss = lick_index(wave, stars, "Hbeta") - lick_index(wave, truth["stars"], "Hbeta")
    assert np.sqrt(np.mean(miss**2)) < 0.15  # Angstrom; an index measured on the noise: 0.25


def test_tiles_at_once_in_any_order_give_the_same(basis):
    flux, _, rng = mock(basis, n=40, seed=5)
    everywhere = np.ones(flux.shape, bool)
    data = observed(basis, flux, rng)  # not moved: some lie far off and are hard to fit
    together = fit_starlight(data, everywhere, basis)
    again = fit_starlight(data, everywhere, basis, start=together.shape)
    few = slice(30, 40)
    alone = fit_starlight(data.rows(few), everywhere[few], basis, start=together.shape[few])
    assert np.isfinite(again.stars).all()
    assert np.abs(again.stars[few] - alone.stars).max() < 5e-3
    assert np.abs(again.shape[few] - alone.shape).max() < 0.05
    assert np.ptp(together.shape[:, 1]) > 4.0  # kernels of different widths


def test_moved_vectors_are_the_convolution_and_its_transpose():
    rng = np.random.default_rng(6)
    vectors = jnp.asarray(rng.normal(size=(3, 200)), jnp.float32)
    rows = jnp.asarray(rng.normal(size=(2, 1, 200)), jnp.float32)
    for taps in (FEW_TAPS, TAPS):
        kernels = kernel(jnp.array([0.4, -1.7]), jnp.array([3.0, 6.0]), taps)
        all_moved = np.asarray(moved(kernels, shift_table(vectors, taps)))
        one = np.asarray(convolved(kernels, jnp.broadcast_to(vectors[1], (2, 200))))
        assert np.allclose(all_moved[:, 1], one, atol=1e-5)
        around = jnp.pad(vectors, ((0, 0), (taps // 2, taps // 2)), mode="edge")
        padded = jnp.pad(rows, ((0, 0), (0, 0), (taps, taps)))
        back = np.asarray(gathered(kernels, padded) @ around.T)[:, 0]
        assert np.allclose(back, np.einsum("np,nrp->nr", rows[:, 0], all_moved), atol=1e-3)


def test_gas_fitted_beside_stars_takes_nothing_from_them(basis):
    flux, _, rng = mock(basis, seed=4)
    n, wave = len(flux), basis.grid.wavelength
    rest = np.array([4861.33, 4958.91, 5006.84])
    zero = np.zeros(n)
    places = line_places(
        basis.grid,
        rest,
        velocity_kms=zero,
        broadening_kms=zero + 120.0,
        spread=np.ones((n, 3)),
        offset=zero,
    )
    width = np.diff(basis.grid.edges)
    arrays = (*places, np.arange(len(width)), width)
    profiles = np.asarray(line_profiles(*(jnp.asarray(a, jnp.float32) for a in arrays)))
    assert np.allclose(profiles @ width, 1.0, atol=1e-4)
    amounts = rng.uniform(2.0, 20.0, (n, 3))
    data = observed(basis, flux + np.einsum("nl,nlp->np", amounts, profiles), rng)
    everywhere = np.ones(flux.shape, bool)
    far = np.abs(wave[:, None] / rest - 1.0).min(axis=1) > 0.003
    first = fit_starlight(data, everywhere & far, basis)
    near = np.flatnonzero(np.abs(wave[:, None] / rest - 1.0).min(axis=1) < 0.006)
    light = fit_starlight(data, everywhere, basis, start=first.shape, places=places, near=near)
    found = light.gas @ width
    noise = np.sqrt(3 * 6.0 * 1.15**2) / SNR + np.sqrt(light.amplitude_variance).sum(axis=1)
    assert np.abs(found - amounts.sum(axis=1)).max() < 5.0 * noise.max()
    assert abs(np.median(found / amounts.sum(axis=1)) - 1.0) < 0.01
    assert (light.amplitude_variance[:, 0] > light.amplitude_variance[:, 2]).mean() > 0.5


def test_templates_elsewhere_are_refused():
    with pytest.raises(UsageError, match="the spectra lie outside"):
        grid_for(load_templates(), 10000.0, 12000.0)


def test_templates_must_be_spectra():
    wave = np.linspace(4000.0, 5000.0, 11)
    with pytest.raises(InputError, match="positive on average"):
        Templates("dark", wave, -np.ones((2, 11)), np.ones(11))
    with pytest.raises(InputError, match="expected wavelength"):
        Templates("short", wave, np.ones((2, 10)), np.ones(11))
