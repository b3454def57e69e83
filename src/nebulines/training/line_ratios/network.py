"""How the network ``line_ratios`` learns: measured fluxes of mock sources, whatever measured them.

A source is seen by bands that leave a Gaussian error on its fluxes: lines of one band have like
errors, blended lines correlated ones, and the error of the broadening, common to all bands,
changes all fluxes of a band by one factor. Bands and single lines may be missing. The ranges
are in ``data/line_ratios.toml``.
"""

from __future__ import annotations

import functools
import tomllib
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.networks.line_ratios.network import PRIORS, LineRatios
from nebulines.networks.line_ratios.network import Prior as Gaussians
from nebulines.networks.line_ratios.space import COORDINATES, LINES, coordinates
from nebulines.networks.small_matrices import (
    applied,
    batch_first,
    batch_last,
    cholesky,
    inverse,
    inverse_lower,
)
from nebulines.training.line_ratios.priors import EBV, Library, gaussians, library
from nebulines.training.task import Task

BAND = np.array([0, 0, 1, 1, 2, 2, 2, 2])
"""Band of each line of `LINES`."""
_BLENDED = (0, 1)
_HALPHA = LINES.index("HALPHA6563")


class Example(NamedTuple):
    """Measured fluxes of n sources, and the answer.

    Attributes:
        flux, covariance, present: (n, 8), (n, 8, 8), (n, 8) as of `line_ratio_space.centre`.
        kind: (n,) number of `PRIORS`.
        truth: (n, 8) coordinates.
    """

    flux: Array
    covariance: Array
    present: Array
    kind: Array
    truth: Array


@functools.cache
def settings() -> dict[str, Any]:
    """Ranges of ``data/line_ratios.toml``."""
    path = Path(__file__).parents[1] / "data" / "line_ratios.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def line_ratios_task(seed: int) -> Task:
    """The task, with a library of sources drawn from a seed.

    Args:
        seed: of the library; the validation set has a library of its own.
    """
    count = settings()["library"]["sources"]
    learn = jax.tree.map(jnp.asarray, library(count, 2 * seed))
    judge = jax.tree.map(jnp.asarray, library(count // 4, 2 * seed + 1))
    prior = Gaussians(*(jnp.asarray(part) for part in gaussians(Library(*learn))))
    return Task(
        "line_ratios",
        partial(_build, prior),
        partial(sample, learn),
        loss,
        {"steps": 12_000, "batch": 1024, "learning_rate": 1.5e-3, "weight_decay": 0.0},
        partial(sample, judge),
        about={"data": _DATA, "trained_ranges": _trained_ranges(learn)},
        score=partial(_score, seed),
    )


_TEST, _TEST_STREAM = 32_768, 99
_DATA = (
    "fluxes of mock sources: line ratios of the simulator's priors (3MdB, Byler et al. 2017, "
    "NebulaBayes; see synthetic/data/line_priors.toml) behind CCM89 dust, with Gaussian errors "
    "by training/data/line_ratios.toml; training, validation and test sources from separate "
    "streams of seeds"
)


def _trained_ranges(sources: Library) -> dict[str, Any]:
    """What the network may be used for: S/N of the flux of H-alpha, and log10 of the ratios."""
    log_ratio = {}
    for name, flux in zip(PRIORS, sources.log_flux, strict=True):
        limits = np.quantile(np.asarray(coordinates(flux)), _TAILS, axis=0)
        pairs = zip(COORDINATES[:-1], limits.T, strict=True)
        log_ratio[name] = {ratio: np.round(both, 3).tolist() for ratio, both in pairs}
    return {"snr": settings()["noise"]["snr"], "ebv": list(EBV), "log_ratio": log_ratio}


_TAILS = (0.0005, 0.9995)


def _score(seed: int, network: LineRatios) -> dict[str, Any]:
    """Loss on sources that neither trained nor validated, and that of the first guess alone."""
    sources = jax.tree.map(jnp.asarray, library(_TEST // 4, (seed, _TEST_STREAM)))
    batch = sample(sources, jax.random.key(_TEST_STREAM), _TEST)
    guess = network.centre(batch.flux, batch.covariance, batch.present, batch.kind)
    inner = inverse_lower(batch_last(guess.lower))
    away = applied(inner, batch_last(batch.truth - guess.middle, axes=1))
    size = len(COORDINATES)
    alone = 0.5 * jnp.mean(jnp.sum(away**2, axis=0)) + 0.5 * size * np.log(2.0 * np.pi)
    return {"test_loss": float(loss(network, batch)), "test_loss_of_guess": float(alone)}


def _build(prior: Gaussians, key: Array, **size: Any) -> LineRatios:
    return LineRatios(key=key, prior=prior, **size)


@partial(jax.jit, static_argnames="n")
def sample(sources: Library, key: Array, n: int) -> Example:
    """n measured sources out of a library."""
    keys = iter(jax.random.split(key, 16))
    weights = jnp.asarray([settings()["kinds"][name] for name in PRIORS])
    kind = jax.random.categorical(next(keys), jnp.log(weights), shape=(n,))
    row = jax.random.randint(next(keys), (n,), 0, sources.decrement.shape[1])
    log_flux, decrement = sources.log_flux[kind, row], sources.decrement[kind, row]
    truth = jnp.concatenate([coordinates(log_flux), decrement[:, None]], axis=1)
    flux = 10.0**log_flux
    noise, common = mock_noise(keys, n, flux)
    scatter = cholesky(batch_last(noise))
    away = applied(scatter, jax.random.normal(next(keys), flux.shape).T).T
    seen = flux + away + common * flux * jax.random.normal(next(keys), (n, 1))
    stated = noise + (common * seen)[:, :, None] * (common * seen)[:, None, :]
    return Example(seen, stated, _present(keys, n), kind, truth)


def mock_noise(keys: Any, n: int, flux: Array) -> tuple[Array, Array]:
    """Covariance (n, 8, 8) of the fluxes, and the relative error (n, 8) that the broadening
    gives to all fluxes of a band together."""
    ranges = settings()["noise"]
    snr = jnp.exp(_uniform(next(keys), (n, 1), *np.log(ranges["snr"])))
    depth = ranges["depth_dex"] * jax.random.normal(next(keys), (n, 3))
    own = ranges["line_dex"] * jax.random.normal(next(keys), (n, len(LINES)))
    level = (depth.at[:, 2].set(0.0))[:, BAND] + own
    sigma = flux[:, _HALPHA, None] / snr * 10.0**level
    information = _blends(keys, n)
    noise = batch_first(inverse(batch_last(information))) * sigma[:, :, None] * sigma[:, None, :]
    share = _uniform(next(keys), (n, 3), 0.0, 1.0) ** 2
    share = share.at[:, 2].set(1.0) * _uniform(next(keys), (n, 1), *ranges["common"])
    return noise, share[:, BAND] / snr


def _blends(keys: Any, n: int) -> Array:
    """Overlaps (n, 8, 8) of the lines of a band: small, but for the [O II] doublet."""
    ranges = settings()["noise"]
    blend = _uniform(next(keys), (n,), *ranges["blend"])
    small = ranges["overlap"]
    overlap = _uniform(next(keys), (n, len(LINES), len(LINES)), -small, small)
    overlap = jnp.where(jnp.asarray(BAND[:, None] == BAND), jnp.tril(overlap, -1), 0.0)
    overlap = overlap.at[:, _BLENDED[1], _BLENDED[0]].set(blend)
    return overlap + jnp.swapaxes(overlap, 1, 2) + jnp.eye(len(LINES))


def _present(keys: Any, n: int) -> Array:
    """Which lines (n, 8) were observed; at least one band is."""
    chances = settings()["missing"]
    band = jax.random.uniform(next(keys), (n, 3)) > chances["band"]
    some = jax.nn.one_hot(jax.random.randint(next(keys), (n,), 0, 3), 3) > 0
    band = jnp.where(jnp.any(band, axis=1, keepdims=True), band, some)
    line = jax.random.uniform(next(keys), (n, len(LINES))) > chances["line"]
    seen = band[:, BAND] & line
    return jnp.where(jnp.any(seen, axis=1, keepdims=True), seen, True)


def _uniform(key: Array, shape: tuple[int, ...], low: Any, high: Any) -> Array:
    return jax.random.uniform(key, shape, minval=low, maxval=high)


def loss(network: LineRatios, batch: Example, key: Array | None = None) -> Array:
    """Mean of -log p(coordinates | fluxes), in units of the first guess."""
    guess = network.centre(batch.flux, batch.covariance, batch.present, batch.kind)
    return -jnp.mean(network.log_prob(guess, batch.kind, batch.truth))
