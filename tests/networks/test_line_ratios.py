"""Line ratios from fluxes: exact parts against NumPy, the posterior against its own draws."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from nebulines.networks.line_ratios.ann import (
    CHANNELS,
    LAST_GAIN,
    LineRatioAnn,
    together,
    trimmed,
)
from nebulines.networks.line_ratios.ann import RATIOS as ANN_RATIOS
from nebulines.networks.line_ratios.answer import (
    EBV,
    RATIOS,
    Marginals,
    cumulative,
    draw,
    marginals,
    spread,
    value_of,
)
from nebulines.networks.line_ratios.levels import LEVELS
from nebulines.networks.line_ratios.network import PRIORS, LineRatios
from nebulines.networks.line_ratios.space import COORDINATES, LINES, Prior, coordinates
from nebulines.networks.line_ratios.space import centre as plain_centre
from nebulines.networks.small_matrices import (
    applied,
    batch_first,
    batch_last,
    cholesky,
    from_rows,
    inverse,
    inverse_lower,
    inverse_rows,
    times_lower,
)
from nebulines.networks.weights import FOLDER, load, save
from nebulines.training.line_ratios.ann import joined, true_ratios
from nebulines.training.line_ratios.spectra import paper_objects

N = 5
PER_EBV = 0.43
centre = eqx.filter_jit(plain_centre)


@eqx.filter_jit
def posterior_of(network, measured, kind):
    guess = network.centre(*measured, kind)
    return guess, network.posterior(guess, kind)


@pytest.fixture(scope="module")
def measured():
    """Fluxes of five sources of S/N about 30, with correlated errors."""
    generator = np.random.default_rng(4)
    log_flux = generator.normal(-0.5, 0.3, (N, 8))
    flux = 10.0**log_flux
    root = generator.normal(0.0, 0.02, (N, 8, 8)) + 0.03 * np.eye(8)
    covariance = root @ root.swapaxes(1, 2) * flux[:, :, None] * flux[:, None, :]
    return flux, covariance, np.ones((N, 8), bool)


@pytest.fixture(scope="module")
def prior():
    information = 4.0 * (np.eye(8) - np.ones((8, 8)) / 8.0)
    return Prior(np.full(8, -0.5), information, 0.456, 0.01)


@pytest.fixture(scope="module")
def network(prior):
    many = Prior(*(np.stack([np.asarray(p, np.float32)] * len(PRIORS)) for p in prior))
    many = Prior(*(jnp.asarray(p) for p in many))
    made = LineRatios(key=jax.random.key(1), width=16, depth=1, components=3, prior=many)
    return eqx.tree_at(lambda n: n.outward.weight, made, 5.0 * made.outward.weight)


def test_small_matrices_are_those_of_numpy():
    root = np.random.default_rng(0).normal(size=(20, 6, 6)).astype(np.float32)
    matrix = root @ root.swapaxes(1, 2) + np.eye(6, dtype=np.float32)
    lower = np.linalg.cholesky(matrix)

    @jax.jit
    def found(matrix, lower, root):
        first = (cholesky(batch_last(matrix)), inverse_lower(batch_last(lower)))
        rows = inverse_rows(batch_last(lower))
        first += (inverse(batch_last(matrix)), from_rows(times_lower(batch_last(lower), rows)))
        along = applied(batch_last(root), batch_last(root[:, 0], axes=1))
        return *(batch_first(part) for part in first), batch_first(along, axes=1)

    factor, inner, whole, both, along = found(matrix, lower, root)
    np.testing.assert_allclose(factor, lower, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(inner @ lower, np.tile(np.eye(6), (20, 1, 1)), atol=1e-4)
    np.testing.assert_allclose(whole, np.linalg.inv(matrix), rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(both, np.tile(np.eye(6), (20, 1, 1)), atol=1e-4)
    np.testing.assert_allclose(along, (root @ root[:, 0, :, None])[..., 0], rtol=1e-3, atol=1e-4)


def test_bright_lines_are_where_the_guess_is(measured, prior):
    flux, covariance, present = measured
    faint = Prior(prior.middle, 1e-6 * prior.information, prior.decrement, prior.decrement_width)
    found = centre(flux, covariance, present, faint)
    exact = coordinates(jnp.asarray(np.log10(flux)))
    guess = np.asarray(found.middle[:, :7])
    np.testing.assert_allclose(guess, exact, atol=0.02)
    spread_of_guess = np.einsum("nij,nkj->nik", found.lower, found.lower)
    balmer = COORDINATES.index("HALPHA6563/HBETA4861")
    hb, ha = LINES.index("HBETA4861"), LINES.index("HALPHA6563")
    relative = covariance / flux[:, :, None] / flux[:, None, :]
    variance = relative[:, hb, hb] + relative[:, ha, ha] - 2 * relative[:, ha, hb]
    np.testing.assert_allclose(
        spread_of_guess[:, balmer, balmer], variance / np.log(10) ** 2, rtol=0.05
    )


def test_the_unit_of_the_flux_does_not_matter(measured, prior):
    flux, covariance, present = measured
    one = centre(flux, covariance, present, prior)
    other = centre(1e4 * flux, 1e8 * covariance, present, prior)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=0.02, atol=0.02)  # float32


def test_what_was_not_observed_follows_the_prior(measured, prior):
    flux, covariance, _ = measured
    present = np.ones((N, 8), bool)
    present[:, :2] = False
    found = centre(np.where(present, flux, np.nan), covariance, present, prior)
    assert np.isfinite(found.features).all()
    doublet = COORDINATES.index("OII3729/OII3726")
    np.testing.assert_allclose(found.middle[:, doublet], 0.0, atol=1e-4)
    width = np.sqrt(np.einsum("nij,nij->ni", found.lower, found.lower))[:, doublet]
    np.testing.assert_allclose(width, np.sqrt(2.0 / 4.0), rtol=0.02)


def test_a_line_below_the_noise_is_a_limit(measured, prior):
    flux, covariance, present = measured
    dark = flux.copy()
    dark[:, 4] = -0.5 * np.sqrt(covariance[:, 4, 4])
    bright, faint = (centre(f, covariance, present, prior) for f in (flux, dark))
    nitrogen = COORDINATES.index("NII6583/HALPHA6563")
    widths = [np.linalg.norm(c.lower[:, nitrogen], axis=1) for c in (bright, faint)]
    assert (widths[1] > 3.0 * widths[0]).all()
    assert (faint.middle[:, nitrogen] < bright.middle[:, nitrogen] + widths[1]).all()


def test_the_density_is_that_of_the_mixture(network, measured):
    kind = jnp.zeros(N, int)
    guess, posterior = posterior_of(network, measured, kind)
    truth = np.asarray(posterior.mean[:, 0] + 0.3 * posterior.root[:, 0, :, 0])
    found = eqx.filter_jit(network.log_prob)(guess, kind, jnp.asarray(truth))
    for row in range(N):
        weights = np.exp(posterior.log_weight[row])
        densities = [
            multivariate_normal(m, r @ r.T + 1e-14 * np.eye(8), allow_singular=True).pdf(truth[row])
            for m, r in zip(np.float64(posterior.mean[row]), np.float64(posterior.root[row]),
                            strict=True)
        ]  # fmt: skip
        own_unit = np.log(np.diagonal(guess.lower[row])).sum()
        assert np.log(weights @ densities) + own_unit == pytest.approx(float(found[row]), abs=0.05)


def test_marginals_are_those_of_the_draws(network, measured):
    _, posterior = posterior_of(network, measured, jnp.zeros(N, int))
    names = (*RATIOS, EBV)

    @eqx.filter_jit
    def judged(posterior):
        found = marginals(posterior, names, PER_EBV)
        draws = draw(posterior, jax.random.key(0), 4000)
        values = jnp.stack([value_of(draws, name, PER_EBV) for name in names], axis=-1)
        return values, spread(found), cumulative(found, jnp.median(values, axis=1))

    values, said, below = judged(posterior)
    values = np.asarray(values)
    scale = values.std(axis=1)
    np.testing.assert_allclose(said.middle, np.median(values, axis=1), atol=0.09 * scale.max())
    width = 0.5 * (said.high - said.low)
    drawn = 0.5 * np.subtract(*np.percentile(values, [84.134, 15.866], axis=1))
    np.testing.assert_allclose(width, drawn, rtol=0.12)
    np.testing.assert_allclose(below, 0.5, atol=0.06)


def test_quantiles_of_lumpy_mixtures_are_found():
    """Of components that are narrow and far apart, where Newton's steps alone go astray."""
    generator = np.random.default_rng(2)
    log_weight = np.log(generator.dirichlet(np.ones(4), 400))
    mean = generator.normal(size=(400, 4, 2))
    sigma = 10.0 ** generator.uniform(-1.3, 0.0, (400, 4, 2))
    lumpy = Marginals(*(jnp.asarray(part) for part in (log_weight, mean, sigma)))
    found = eqx.filter_jit(spread)(lumpy)
    reached = [eqx.filter_jit(cumulative)(lumpy, part) for part in found[:3]]
    miss = np.abs(np.stack(reached) - np.array(LEVELS)[:, None, None])
    assert np.quantile(miss, 0.99) < 1e-4
    assert miss.max() < 5e-3


def test_ratios_are_what_their_names_say():
    flux = dict(zip(LINES, np.linspace(0.2, 1.7, 8), strict=True))
    at = np.append(np.asarray(coordinates(jnp.log10(jnp.array([*flux.values()])))), 0.456)
    flux |= {"SII": flux["SII6716"] + flux["SII6731"], "OII": flux["OII3726"] + flux["OII3729"]}
    for name in RATIOS:
        top, bottom = name.split("/")
        said = float(value_of(jnp.asarray(at), name, PER_EBV))
        assert said == pytest.approx(np.log10(flux[top] / flux[bottom]), abs=2e-4)
    dust = (np.log10(flux["HALPHA6563"] / flux["HBETA4861"]) - 0.456) / PER_EBV
    assert float(value_of(jnp.asarray(at), EBV, PER_EBV)) == pytest.approx(dust, abs=2e-3)


def test_a_saved_network_gives_the_same_answer(network, measured, tmp_path):
    size = {"width": 16, "depth": 1, "components": 3}
    save(tmp_path / "n.safetensors", network, {"architecture": "line_ratios", "size": size})
    again = load(str(tmp_path / "n.safetensors")).network
    kind = jnp.zeros(N, int)
    (one, first), (two, second) = (posterior_of(n, measured, kind) for n in (network, again))
    np.testing.assert_array_equal(one.features, two.features)
    np.testing.assert_array_equal(first.mean, second.mean)


def test_the_dense_ensemble_has_members_dropout_and_a_spread():
    network = LineRatioAnn(key=jax.random.key(0), channels=40, hidden=(16, 16, 8), members=3)
    spectra = 1.0 + jax.random.uniform(jax.random.key(1), (4, 40))
    mean, deviation = network(spectra)
    assert mean.shape == deviation.shape == (4, len(ANN_RATIOS))
    assert (deviation > 0).all()
    raw = network.raw(spectra)
    assert raw.shape == (3, 4, 9)
    np.testing.assert_allclose(raw, network.raw(7.0 * spectra), rtol=1e-4, atol=1e-5)
    assert not np.allclose(raw, network.raw(spectra, key=jax.random.key(2)))
    whole = eqx.filter_eval_shape(LineRatioAnn, key=jax.random.key(0))
    sizes = [(10, *shape) for shape in ((1024, 1231), (1024, 1024), (512, 1024), (9, 512))]
    assert [w.shape for w in whole.weight] == sizes


def test_hidden_layers_begin_small_and_the_last_makes_up_for_it():
    network = LineRatioAnn(key=jax.random.key(0), channels=300, hidden=(128, 96, 64), members=4)
    sizes = (300, 128, 96, 64)
    gains = [
        float(np.std(w) / np.sqrt(2.0 / n)) for w, n in zip(network.weight, sizes, strict=True)
    ]
    assert gains == pytest.approx([LAST_GAIN ** (-1 / 3)] * 3 + [1.0], rel=0.06)
    spectra = jax.random.normal(jax.random.key(1), (200, 300))
    assert 0.3 < float(jnp.std(network.raw(spectra))) < 3.0


def test_members_trained_one_by_one_make_one_ensemble():
    spectra = 1.0 + jax.random.uniform(jax.random.key(1), (4, 20))
    one, two = (
        LineRatioAnn(key=jax.random.key(k), channels=20, hidden=(6,), members=k) for k in (1, 2)
    )
    both = together([one, two]).raw(spectra)
    np.testing.assert_allclose(both[:1], one.raw(spectra), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(both[1:], two.raw(spectra), rtol=1e-5, atol=1e-6)


def test_the_shipped_network_is_small_and_says_what_it_is():
    card = load("line_ratios").card
    assert (FOLDER / "line_ratios.safetensors").stat().st_size < 5e6
    assert card["trained_with"]["command"].startswith("nebulines train line_ratios")
    assert set(card["trained_ranges"]["log_ratio"]) == set(PRIORS)
    assert card["scores"]["test_loss"] < card["scores"]["test_loss_of_guess"] - 3.0


def test_the_dense_network_is_shipped_small_and_knows_its_scores():
    found = load("line_ratio_ann")
    assert (FOLDER / "line_ratio_ann.safetensors").stat().st_size < 5e6
    card, network = found.card, found.network
    assert card["trained_with"]["command"].startswith("nebulines train line_ratio_ann")
    assert card["scores"]["moved_by_trimming_at_most_percent"] < 2.0
    assert network.weight[0].shape[2] == sum(CHANNELS)
    objects = paper_objects(200, 12_345)
    ratio, _ = network(joined(objects.bands))
    truth = true_ratios(objects.truth)
    miss = np.std(np.arcsinh(ratio) / np.arcsinh(truth), axis=0)[1:-1]
    guess = np.std(np.arcsinh(truth.mean(axis=0)) / np.arcsinh(truth), axis=0)[1:-1]
    assert (miss < guess).all()
    assert np.median(miss / guess) < 0.5
    stated = list(card["scores"]["arcsinh_scatter_percent"].values())[1:-1]
    np.testing.assert_allclose(100.0 * miss, stated, rtol=0.3)


def test_the_shipped_posterior_covers_what_it_says():
    """On mock measurements of sources that neither trained nor validated."""
    from nebulines.training.line_ratios.network import sample
    from nebulines.training.line_ratios.priors import library

    sources = jax.tree.map(jnp.asarray, library(2000, (77, 1)))
    batch = sample(sources, jax.random.key(5), 12_000)
    network = load("line_ratios").network

    @eqx.filter_jit
    def transform(network, batch):
        guess = network.centre(batch.flux, batch.covariance, batch.present, batch.kind)
        said = marginals(network.posterior(guess, batch.kind), RATIOS[:7], PER_EBV)
        truth = jnp.stack([value_of(batch.truth, name, PER_EBV) for name in RATIOS[:7]], axis=-1)
        return cumulative(said, truth)

    whole = np.asarray(transform(network, batch))
    for kind in ("mixed", "rhea2021"):
        rows = (np.asarray(batch.kind) == PRIORS.index(kind)) & batch.present.all(axis=1)
        pit, n = whole[rows], int(rows.sum())
        assert n > 600
        inside = (np.abs(pit - 0.5) <= 0.5 * 0.6827).mean(axis=0)
        assert (np.abs(inside - 0.6827) < 0.02 + 3.5 * np.sqrt(0.68 * 0.32 / n)).all()
        assert (np.abs(pit.mean(axis=0) - 0.5) < 0.015 + 3.5 * 0.29 / np.sqrt(n)).all()


def test_an_ensemble_is_trimmed_of_what_is_silent_and_kept_in_half_the_space(tmp_path):
    network = LineRatioAnn(key=jax.random.key(0), channels=40, hidden=(16, 12, 8), members=2)
    quiet = jnp.ones((2, 9, 8)).at[0, :, :3].set(1e-6).at[1, :, :2].set(1e-6)
    network = eqx.tree_at(lambda n: n.weight[3], network, network.weight[3] * quiet)
    spectra = jax.random.normal(jax.random.key(1), (30, 40))
    small = trimmed(network, 1e-3)
    # the member with two silent units keeps six, and so does the other
    assert [w.shape[1] for w in small.weight] == [16, 12, 6, 9]
    np.testing.assert_allclose(small.raw(spectra), network.raw(spectra), atol=1e-4)
    card = {"architecture": "line_ratio_ann",
            "size": {"channels": 40, "hidden": [16, 12, 6], "members": 2}}  # fmt: skip
    save(tmp_path / "half.safetensors", small, card, half=True)
    save(tmp_path / "full.safetensors", small, card)
    half, full = (load(str(tmp_path / f"{name}.safetensors")).network for name in ("half", "full"))
    assert {w.dtype for w in half.weight} == {jnp.dtype("float32")}
    np.testing.assert_array_equal(full.raw(spectra), small.raw(spectra))
    np.testing.assert_allclose(half.raw(spectra), small.raw(spectra), atol=0.01)
    size = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "full")]
    assert size[0] < 0.65 * size[1]
