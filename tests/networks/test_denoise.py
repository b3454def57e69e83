"""The networks of de-noising: statistics that suffice, posteriors that integrate, the paper's."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nebulines.errors import InputError
from nebulines.networks.denoise.any_noise import (
    _near,
    project,
    statistics,
    statistics_of_bins,
    sums_over_bins,
)
from nebulines.networks.denoise.autoencoder import Autoencoder
from nebulines.networks.denoise.basis import Basis, white_statistics
from nebulines.networks.denoise.grid import N_BINS
from nebulines.networks.denoise.inverse import inverse
from nebulines.networks.denoise.network import NOISE_KNOTS, POPULATION, WIDE, Denoise
from nebulines.networks.denoise.pca import PCA, fit_pca
from nebulines.networks.denoise.posterior import (
    draw,
    draw_lines,
    draw_y,
    errors,
    line_moments,
    log_prob,
    unwarp,
    warp,
)
from nebulines.networks.weights import load, save
from nebulines.training.denoise.basis import loose_prior

K, L, CHANNELS = 6, 2, 30
SIZE = {"basis": K, "lines": L, "width": 16, "depth": 1, "components": 2, "channels": CHANNELS}


def random_basis(seed: int = 0) -> Basis:
    rng = np.random.default_rng(seed)
    vectors = np.linalg.qr(rng.normal(size=(CHANNELS, K)))[0].T
    coordinates = np.eye(K) + 0.2 * rng.normal(size=(K, K))
    mean = np.array([0.9, 0.2, 0.1, 0.0, 0.0, 0.0])
    prior = np.geomspace(0.03, 1e-4, K)
    shapes = np.linalg.solve(coordinates[:L] @ coordinates[:L].T, coordinates[:L])
    loose = loose_prior(prior, shapes, np.full(L, 2.0))
    parts = (vectors, mean, prior, np.zeros(CHANNELS), coordinates,
             np.full(L, 0.02), *loose)  # fmt: skip
    return Basis(*(jnp.asarray(part, jnp.float32) for part in parts))


@pytest.fixture(scope="module")
def basis():
    return random_basis()


@pytest.fixture(scope="module")
def network(basis):
    blank = Denoise(key=jax.random.key(1), **SIZE)
    return eqx.tree_at(lambda net: net.basis, blank, basis)


@pytest.fixture(scope="module")
def spectra(basis):
    rng = np.random.default_rng(2)
    a = np.asarray(basis.mean) + np.sqrt(basis.variance) * rng.normal(size=(5, K))
    return (a @ np.asarray(basis.vectors) + 0.05 * rng.normal(size=(5, CHANNELS))).astype("f4")


def test_inverse_agrees_with_numpy():
    rng = np.random.default_rng(0)
    for size in (1, 3, 8):
        root = rng.normal(size=(4, size, 9))
        matrix = np.eye(size) + root @ root.transpose(0, 2, 1)
        found = inverse(jnp.asarray(np.moveaxis(matrix, 0, -1), jnp.float32))
        np.testing.assert_allclose(np.moveaxis(found, -1, 0), np.linalg.inv(matrix), atol=1e-5)


def test_white_noise_is_a_special_case_of_any_noise(basis, spectra):
    weight = np.full(spectra.shape, 400.0, np.float32)
    general = statistics(basis, *project(basis, spectra, weight))
    white = white_statistics(basis, 400.0 * (spectra @ basis.vectors.T), jnp.full(5, 400.0))
    for name, one, other in zip(general._fields, general, white, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-4, err_msg=name)


def test_statistics_are_the_posterior_of_a_normal_prior(basis, spectra):
    """Against the formula in double precision, noise and mask of every bin different."""
    rng = np.random.default_rng(4)
    weight = rng.uniform(100, 900, spectra.shape) * (rng.random(spectra.shape) > 0.2)
    found = statistics(basis, *project(basis, spectra, weight.astype("f4")))
    vectors, mean, prior = (np.asarray(x, float) for x in basis_parts(basis))
    for row in range(len(spectra)):
        first = float(found.first[row])
        covariance = np.linalg.inv(
            (vectors * weight[row]) @ vectors.T + np.diag(1 / prior) / first**2
        )
        best = covariance @ (vectors @ (weight[row] * spectra[row]) + mean / prior / first)
        scale = float(found.scale[row])
        np.testing.assert_allclose(scale * np.asarray(found.coefficients[row]), best, atol=2e-4)
        np.testing.assert_allclose(
            scale**2 * np.asarray(found.variance[row]), np.diag(covariance), rtol=5e-3
        )


@pytest.mark.parametrize("line_is_missing", [False, True])
def test_sums_by_patterns_are_those_over_bins(line_is_missing):
    """Noise that differs from bin to bin; where a line is missing no pattern may speak for it."""
    network = load("denoise").network
    basis, rng = network.basis, np.random.default_rng(7)
    flux = np.asarray(basis.mean @ basis.vectors) + 0.02 * rng.normal(size=(3, N_BINS))
    weight = rng.uniform(0.5, 1.5, flux.shape) / 0.02**2
    weight[:, 400:420] = 0.0
    if line_is_missing:
        middle = int(np.argmax(network.line_profile[-1]))
        weight[1, middle - 4 : middle + 5] = 0.0
    flux, weight = jnp.asarray(flux, jnp.float32), jnp.asarray(weight, jnp.float32)
    sums, profiles = sums_over_bins(basis), network.line_profile
    shares = sums.patterns @ weight.T
    assert bool(_near(sums, weight, shares)) != line_is_missing
    found, along = jax.jit(statistics_of_bins)(basis, sums, flux, weight, profiles)
    exact = statistics(basis, *project(basis, flux, weight))
    np.testing.assert_allclose(along, (weight * flux) @ profiles.T, rtol=1e-3, atol=1e-2)
    for name, error in (("coefficients", jnp.sqrt(exact.variance)), ("line", exact.sigma_line)):
        away = np.abs(getattr(found, name) - getattr(exact, name)) / error
        assert away.max() < 0.02, name
    for name in ("scale", "variance", "sigma_u", "sigma_line", "noise"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(exact, name), rtol=0.01, err_msg=name
        )


def basis_parts(basis):
    return basis.vectors, basis.mean, basis.variance


def test_statistics_follow_the_unit_of_the_data(basis, spectra):
    one = statistics(basis, *project(basis, spectra, np.full(spectra.shape, 400.0, "f4")))
    other = statistics(basis, *project(basis, 1e3 * spectra, np.full(spectra.shape, 4e-4, "f4")))
    np.testing.assert_allclose(other.scale, 1e3 * one.scale, rtol=1e-3)
    np.testing.assert_allclose(other.coefficients, one.coefficients, atol=1e-4)


def test_warp_is_undone(basis):
    flux = jnp.asarray(np.random.default_rng(0).normal(size=(9, L)), jnp.float32)
    np.testing.assert_allclose(unwarp(basis, warp(basis, flux)), flux, rtol=1e-4, atol=1e-5)


def seen(basis, spectra):
    return white_statistics(basis, 400.0 * (spectra @ basis.vectors.T), jnp.full(5, 400.0))


def wide_open(posterior):
    """The same where no range cuts the draws."""
    far = jnp.full(posterior.guess.y.shape, 1e3)
    return posterior._replace(guess=posterior.guess._replace(low=-far, high=far))


def test_draws_have_the_density_that_is_stated(basis, spectra):
    """Mean log density of own draws = -entropy; for a 1-component mixture it is analytic."""
    single = Denoise(key=jax.random.key(5), **{**SIZE, "components": 1})
    single = eqx.tree_at(lambda net: net.basis, single, basis)
    posterior = wide_open(single(seen(basis, spectra), WIDE))
    y = draw_y(posterior, jax.random.key(0), 4000)
    density = jax.vmap(lambda one: log_prob(posterior, one))(y).mean(axis=0)
    entropy = 0.5 * L * (1 + np.log(2 * np.pi)) + posterior.log_spread[:, 0].sum(axis=1)
    np.testing.assert_allclose(density, -entropy, atol=0.12)


def test_fluxes_are_not_negative(network, basis, spectra):
    flux = draw_lines(basis, network(seen(basis, spectra), WIDE), jax.random.key(2), 300)
    assert float(flux.min()) >= 0.0


def test_draws_have_the_lines_of_the_mixture(network, basis, spectra):
    """and the errors that are stated are those of the draws."""
    posterior, key = network(seen(basis, spectra), POPULATION), jax.random.key(3)
    profiles = np.zeros((L, CHANNELS))
    profiles[0, 3:6], profiles[1, 20:23] = 0.3, 0.3
    profiles = jnp.asarray(profiles, jnp.float32)
    drawn = draw(basis, profiles, posterior, key, 4000)
    lines = draw_lines(basis, posterior, jax.random.split(key)[0], 4000)
    np.testing.assert_allclose(drawn @ basis.coordinates[:L].T, lines, atol=2e-4)
    mean, variance = line_moments(basis, posterior)
    np.testing.assert_allclose(mean, lines.mean(axis=0), rtol=0.15)
    np.testing.assert_allclose(jnp.sqrt(variance), lines.std(axis=0), rtol=0.15)
    stated = errors(basis, profiles, posterior, variance)
    found = (drawn @ basis.vectors).std(axis=0)
    assert abs(float(jnp.median(stated / found)) - 1.0) < 0.1


def test_priors_differ_and_widths_follow_the_noise(basis, spectra):
    network = Denoise(key=jax.random.key(1), **SIZE)
    table = jnp.ones((2, len(NOISE_KNOTS), L)).at[1].set(2.0).at[0, -1].set(3.0)
    network = eqx.tree_at(lambda net: (net.basis, net.widening), network, (basis, table))
    found = seen(basis, spectra)._replace(noise=jnp.array([0.002, 0.01, 0.02, 0.15, 1.0]))
    population, wide = network(found, POPULATION), network(found, WIDE)
    np.testing.assert_allclose(wide.widening, 2.0)
    np.testing.assert_allclose(population.widening[:, 0], [1.0, 1.0, 1.0, 3.0, 3.0], rtol=1e-5)
    assert not np.allclose(population.mean, wide.mean)


def test_batch_equals_loop(network, basis, spectra):
    found = seen(basis, spectra)
    whole = network(found, WIDE)
    for row in range(5):
        one = network(type(found)(*(part[row : row + 1] for part in found)), WIDE)
        np.testing.assert_allclose(one.mean[0], whole.mean[row], atol=1e-5)
        np.testing.assert_allclose(one.centre[0], whole.centre[row], atol=1e-5)
    np.testing.assert_allclose(network.means(found, WIDE), whole.mean, atol=1e-6)


@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_autoencoders(kind, tmp_path):
    size = {"latent": 3, "layers": [12, 8], "dropout": 0.5, "variational": kind == "vae",
            "channels": CHANNELS}  # fmt: skip
    network = Autoencoder(key=jax.random.key(0), **size)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, CHANNELS)), jnp.float32)
    latent, log_variance = network.encode(x)
    assert latent.shape == (4, 3)
    assert (log_variance is None) == (kind == "ae")
    assert network(x).shape == x.shape
    np.testing.assert_allclose(network(x), network.decode(latent), atol=1e-6)
    dropped = network.encode(x, key=jax.random.key(1))[0]
    assert not np.allclose(dropped, latent)
    path = tmp_path / "mine.safetensors"
    save(path, network, {"architecture": kind, "size": size})
    np.testing.assert_array_equal(load(str(path)).network(x), network(x))


def test_pca_is_the_best_plane():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3)) @ rng.normal(size=(3, CHANNELS)) + 5.0
    pca = fit_pca(x, 3)
    np.testing.assert_allclose(pca(jnp.asarray(x, jnp.float32)), x, atol=1e-3)
    np.testing.assert_allclose(pca.variance.sum(), pca.total, rtol=1e-4)
    assert PCA(latent=2, channels=CHANNELS).components.shape == (2, CHANNELS)
    with pytest.raises(InputError, match="components need more"):
        fit_pca(x[:2], 3)
