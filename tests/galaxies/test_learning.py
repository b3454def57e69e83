"""The joint likelihood against direct integration, and learning on a toy whose truth is known."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nebulines.errors import InputError, UsageError
from nebulines.galaxies.widths.equivalent_widths import LINES, LineWidths, doublets, with_doublets
from nebulines.galaxies.widths.learning import equivalent_width_task, measured
from nebulines.galaxies.widths.likelihood import log_likelihood, solved
from nebulines.galaxies.widths.median_learning import with_learned_medians
from nebulines.galaxies.widths.network import EquivalentWidth
from nebulines.galaxies.widths.predictors import load_predictor
from nebulines.galaxies.widths.scores import coverage, line_scores
from nebulines.galaxies.widths.support import learned_region
from nebulines.galaxies.widths.width_mixture import WidthMixture, widened
from nebulines.networks.weights import save
from nebulines.training import TrainConfig, train

N_LINES = len(LINES)
WEAK = [weak for weak, _, _ in doublets()]
NOISE = 0.6  # median error of a width, whose median is 1.2


def integrated(mean: float, scatter: float, ew: float, error: float) -> float:
    """log of the integral of N(ew; sinh x, error) N(x; mean, scatter) over x."""
    x = np.linspace(mean - 9 * scatter, mean + 9 * scatter, 200_001)
    prior = np.exp(-0.5 * ((x - mean) / scatter) ** 2) / (np.sqrt(2 * np.pi) * scatter)
    seen = np.exp(-0.5 * ((ew - np.sinh(x)) / error) ** 2) / (np.sqrt(2 * np.pi) * error)
    return float(np.log(np.trapezoid(prior * seen, x)))


@pytest.mark.parametrize(
    ("mean", "scatter", "ew", "error", "tolerance"),
    [
        (3.0, 0.5, 20.0, 0.5, 0.01),  # detected
        (3.0, 0.5, 5.0, 0.3, 0.01),  # detected, far from what is predicted
        (0.3, 0.3, -1.0, 4.0, 0.02),  # not detected, negative
        (2.0, 0.5, -3.0, 4.0, 0.15),  # negative where a line is predicted
        (0.0, 0.4, 0.1, 0.05, 0.01),
    ],
)
def test_likelihood_of_one_line(double, mean, scatter, ew, error, tolerance):
    widths = LineWidths(
        jnp.full((1, N_LINES), mean), jnp.zeros((1, N_LINES, 1)), jnp.full((1, N_LINES), scatter)
    )
    ew_err = np.full((1, N_LINES), np.inf)
    ew_err[0, 3] = error
    got = log_likelihood(widths, jnp.full((1, N_LINES), ew), ew_err)
    assert float(got[0]) == pytest.approx(integrated(mean, scatter, ew, error), abs=tolerance)


def test_shared_scatter_couples_lines(double):
    """Two lines high together are likelier under shared scatter than one high, one low."""
    widths = LineWidths(
        jnp.full((1, N_LINES), 3.0), jnp.full((1, N_LINES, 1), 0.5), jnp.full((1, N_LINES), 0.1)
    )
    error = np.full((1, N_LINES), np.inf)
    error[0, :2] = 0.1
    together, apart = np.full((1, N_LINES), 10.0), np.full((1, N_LINES), 10.0)
    together[0, :2], apart[0, :2] = [20.0, 20.0], [20.0, 5.0]
    gap = log_likelihood(widths, together, error) - log_likelihood(widths, apart, error)
    assert float(gap[0]) > 10.0


def toy(n: int, seed: int, noise: float):
    """asinh EW linear in two colours, with shared scatter; true widths beside measured ones."""
    rng = np.random.default_rng([9, seed])
    colours = rng.normal(size=(n, 11)) * 0.05
    shared = 0.4 * rng.normal(size=(n, 1))
    x = 1.0 - 12.0 * colours[:, :1] + 6.0 * colours[:, 1:2] + shared
    x = x + 0.15 * rng.normal(size=(n, N_LINES))
    true = np.asarray(with_doublets(np.sinh(x)))
    error = noise * rng.uniform(0.5, 1.5, (n, N_LINES))
    return measured(colours, true + error * rng.normal(size=true.shape), error), true


def test_the_likelihood_is_largest_at_the_true_scatter():
    galaxies, _ = toy(4000, 8, NOISE)
    line = 1.0 - 12.0 * galaxies.colours[:, :1] + 6.0 * galaxies.colours[:, 1:2]
    mean = jnp.asarray(line) * jnp.ones((1, N_LINES))
    error = galaxies.ew_err.copy()
    error[:, WEAK] = np.inf

    def total(shared: float, own: float) -> float:
        factor, alone = jnp.full((*mean.shape, 1), shared), jnp.full(mean.shape, own)
        widths = LineWidths(mean, factor, alone)
        return float(jnp.sum(log_likelihood(widths, galaxies.ew, error)))

    best = total(0.4, 0.15)
    assert all(best > total(*other) for other in ((0.4, 0.19), (0.4, 0.11), (0.46, 0.15)))
    assert best > total(0.34, 0.15)


@pytest.fixture(scope="module")
def learned():
    training, validation = toy(20_000, 0, NOISE)[0], toy(2000, 1, NOISE)[0]
    task = equivalent_width_task(training, validation)
    options = {**task.learning, "steps": 500, "batch": 512, "warmup": 30, "validate_every": 250}
    config = TrainConfig(**options)
    return train(task, config, size={"width": 24, "rank": 2}, progress=False).network


def test_median_is_unbiased_although_many_lines_are_weak(learned):
    galaxies, true = toy(4000, 2, NOISE)
    assert (galaxies.ew < 0).mean() > 0.05
    colours = galaxies.colours
    expected = np.sinh(1.0 - 12.0 * colours[:, 0] + 6.0 * colours[:, 1])
    weak = expected < 1.0
    got = np.asarray(learned.predict(colours).ew())[:, 0]
    assert np.median(got[weak] - expected[weak]) == pytest.approx(0.0, abs=0.08)
    assert line_scores(got[:, None], true[:, :1]).spearman[0] > 0.8


def test_scatter_is_recovered_and_covers(learned):
    galaxies, _ = toy(4000, 3, NOISE)
    widths = learned.predict(galaxies.colours)
    scatter = np.median(np.asarray(widths.scatter()), axis=0)
    strong = np.setdiff1d(np.arange(N_LINES), WEAK)
    np.testing.assert_allclose(scatter[strong], np.hypot(0.4, 0.15), rtol=0.15)
    inside = coverage(widths, galaxies.ew, galaxies.ew_err)
    np.testing.assert_allclose(inside, 0.6827, atol=0.04)  # after 500 steps


def test_shared_scatter_is_recovered(learned):
    draws = np.arcsinh(learned.predict(np.zeros((4000, 11))).draw(jax.random.key(0)))
    expected = 0.4**2 / (0.4**2 + 0.15**2)
    assert np.corrcoef(draws[:, 0], draws[:, 1])[0, 1] == pytest.approx(
        expected, abs=0.13
    )  # after 500 steps


def test_doublets_keep_their_ratio_in_medians_and_draws(learned):
    widths = learned.predict(toy(50, 9, NOISE)[0].colours)
    for ew in (widths.ew(), widths.draw(jax.random.key(1)), learned.median(np.zeros((3, 11)))):
        for weak, strong, ratio in doublets():
            np.testing.assert_allclose(ew[:, weak] * ratio, ew[:, strong], rtol=1e-4, atol=1e-5)


def two_parts(shift: float) -> WidthMixture:
    """A fifth of the galaxies moved by ``shift`` in asinh EW."""
    mean = jnp.stack([jnp.zeros((1, N_LINES)), jnp.full((1, N_LINES), shift)], axis=1)
    scatter = jnp.full(mean.shape, 0.3)
    parts = LineWidths(mean, 0.2 * jnp.ones((*mean.shape, 1)), scatter)
    return WidthMixture(jnp.zeros((1, N_LINES)), jnp.log(jnp.array([[0.8, 0.2]])), parts)


def test_likelihood_of_a_mixture_adds_up_its_parts(double):
    mixture = two_parts(2.0)
    error = np.where(np.arange(N_LINES) == 3, 0.2, np.inf)[None]
    got = log_likelihood(mixture, np.full((1, N_LINES), 2.5), error)
    scatter = float(np.hypot(0.3, 0.2))
    parts = [integrated(mean, scatter, 2.5, 0.2) for mean in (0.0, 2.0)]
    assert float(got[0]) == pytest.approx(np.logaddexp(*(parts + np.log([0.8, 0.2]))), abs=0.02)


def test_quantiles_and_draws_of_a_mixture(double):
    mixture = two_parts(2.0)
    many = jax.tree.map(lambda part: jnp.repeat(part, 20_000, axis=0), mixture)
    drawn = np.arcsinh(many.draw(jax.random.key(3)))
    assert (drawn[:, 0] > 1.0).mean() == pytest.approx(0.2, abs=0.02)
    for share in (0.1, 0.5, 0.9):
        got = mixture.quantile(share)[0, 0]
        assert (drawn[:, 0] < got).mean() == pytest.approx(share, abs=0.01)
    assert drawn.std(axis=0) == pytest.approx(np.asarray(mixture.scatter())[0], rel=0.03)
    assert np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1] > 0.8  # both lines are of the same part
    low, high = (np.sinh(mixture.quantile(share)[0, 2]) for share in (0.158655, 0.841345))
    assert mixture.ew_err()[0, 2] == pytest.approx(0.5 * (high - low), rel=1e-4)


def test_quantiles_of_a_mixture_have_a_gradient(double):
    def moved(shift):
        return two_parts(shift).quantile(0.85)[0, 0]

    step = 1e-3
    slope = (moved(2.0 + step) - moved(2.0 - step)) / (2.0 * step)
    assert float(jax.grad(moved)(2.0)) == pytest.approx(float(slope), rel=1e-2)


def test_low_rank_systems_are_solved(double):
    rng = np.random.default_rng(1)
    factor, diagonal = rng.normal(size=(5, 10, 3)), rng.uniform(0.01, 1.0, (5, 10))
    z = rng.normal(size=(5, 10))
    x, log_det = solved(jnp.asarray(factor), jnp.asarray(diagonal), jnp.asarray(z))
    full = factor @ factor.swapaxes(1, 2) + diagonal[..., None] * np.eye(10)
    np.testing.assert_allclose(np.einsum("nij,nj->ni", full, x), z, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(full)[1], rtol=1e-9)


def test_the_stated_medians_agree_with_the_mixture(learned):
    widths = learned.predict(toy(500, 10, NOISE)[0].colours)
    gap = np.asarray(widths.mean - widths.quantile(0.5))
    assert np.sqrt(np.mean(gap**2)) < 0.1


def test_strange_colours_are_outside(learned):
    distance = learned.support.distance(np.stack([np.zeros(11), np.full(11, 0.5)]))
    assert distance[0] < 1 < distance[1]


def test_a_saved_network_gives_the_same(learned, tmp_path):
    path = tmp_path / "mine.safetensors"
    save(path, learned, {"architecture": "equivalent_width", "size": {"width": 24, "rank": 2}})
    loaded = load_predictor(path).network
    colours = jnp.asarray(toy(10, 4, 1.0)[0].colours)
    np.testing.assert_allclose(loaded(colours), learned(colours), rtol=1e-6)


def test_gradients_reach_every_layer():
    network = EquivalentWidth(key=jax.random.key(0), width=8)
    galaxies = toy(64, 5, 1.0)[0]
    task = equivalent_width_task(toy(200, 6, 1.0)[0], galaxies)
    gradient = eqx.filter_jit(eqx.filter_grad(lambda net: task.loss(net, galaxies, None)))(network)
    for layer in gradient.layers:
        assert np.isfinite(layer.weight).all()
        assert np.abs(layer.weight).max() > 0
    assert not np.any(gradient.mean)


def test_unmeasured_lines_do_not_matter():
    galaxies, _ = toy(50, 7, 1.0)
    error = np.array(galaxies.ew_err)
    error[:, 4] = np.nan
    one, two = np.array(galaxies.ew), np.array(galaxies.ew)
    two[:, 4] = 1e5
    network = EquivalentWidth(key=jax.random.key(1), width=8)
    widths = network.predict(galaxies.colours)
    values = [
        log_likelihood(widths, g.ew, g.ew_err)
        for g in (measured(galaxies.colours, ew, error) for ew in (one, two))
    ]
    np.testing.assert_array_equal(*values)


def test_wrong_training_data_are_refused():
    with pytest.raises(InputError, match="expected colours"):
        measured(np.zeros((3, 12)), np.zeros((3, 10)), np.ones((3, 10)))
    with pytest.raises(InputError, match="not finite"):
        measured(np.full((3, 11), np.nan), np.zeros((3, 10)), np.ones((3, 10)))


def test_the_shipped_network_says_how_it_was_made():
    card = load_predictor("equivalent_width").card
    assert card["trained_with"]["command"].startswith("nebulines train equivalent_width")
    assert "neither train nor validate" in card["held_out"]
    assert set(card["scores"]["coverage"]) == set(LINES)


def test_draws_need_a_stated_scatter():
    with pytest.raises(UsageError, match="scatter"):
        LineWidths(jnp.zeros((1, N_LINES))).draw(jax.random.key(0))


def test_widened_widths_scatter_more_together():
    mixture = two_parts(2.0)
    wide = widened(mixture, 0.8)
    np.testing.assert_allclose(
        np.square(wide.parts.scatter()), np.square(mixture.parts.scatter()) + 0.64, rtol=1e-5
    )
    np.testing.assert_array_equal(wide.mean, mixture.mean)
    assert widened(LineWidths(jnp.zeros((1, N_LINES))), 0.8).factor is None


def test_a_region_holds_the_share_asked_for_and_ends_at_the_strongest_line():
    colours = np.random.default_rng(3).normal(size=(20_000, 11)) @ np.diag(np.arange(1.0, 12.0))
    region, weak = learned_region(colours, share=0.98), np.ones((20_000, N_LINES))
    assert np.mean(region.outside(colours, weak)) == pytest.approx(0.02, abs=0.001)
    with_limit = eqx.tree_at(lambda one: one.strongest, region, jnp.asarray(50.0))
    strong = weak * np.where(np.arange(N_LINES) == LINES.index("HALPHA6563"), 60.0, 1.0)
    assert not np.any(region.outside(np.zeros((1, 11)), strong[:1]))
    assert np.all(with_limit.outside(np.zeros((1, 11)), strong[:1]))
    slope = jax.grad(lambda c: region.distance(c[None])[0])(jnp.zeros(11))
    assert np.isfinite(slope).all()


def test_medians_taught_by_the_mixture_come_closer_to_it(learned):
    inputs, others = toy(3000, 11, NOISE)[0].colours, toy(500, 12, NOISE)[0].colours
    taught = with_learned_medians(learned, inputs, steps=300, batch=256)

    def gap(network):
        widths = network.predict(others)
        return float(np.mean(np.abs(np.asarray(widths.mean - widths.quantile(0.5)))))

    assert gap(taught) < 0.8 * gap(learned)
    np.testing.assert_array_equal(
        taught.predict(others).log_share, learned.predict(others).log_share
    )
