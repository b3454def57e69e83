"""Galaxies a second from colours to ten equivalent widths, every method in one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from nebulines.galaxies.widths.baselines import nearest_neighbours
from nebulines.galaxies.widths.painter import Painter
from nebulines.galaxies.widths.predictors import widths_of_colours
from nebulines.galaxies.widths.samples import Sample

COMPONENTS, NEIGHBOURS = 6, 50


class Rate(NamedTuple):
    """One measured speed.

    Attributes:
        what: was done.
        per_second: galaxies (or calls) a second of wall-clock time, in the shortest run.
        median_per_second: the same in the middle one.
        cpu_us: processor time a galaxy [microseconds], all cores added.
    """

    what: str
    per_second: float
    median_per_second: float
    cpu_us: float


def network_rates(network: Any, training: Sample, *, many: int, repeats: int) -> list[Rate]:
    """A network: one galaxy, many at once, its Jacobian, and painting.

    Args:
        network: of colours.
        training: galaxies whose colours are fed, again and again.
        many: galaxies of the largest batch.
        repeats: the shortest of so many times is taken.
    """
    colours = np.resize(np.asarray(training.galaxies.colours, np.float32), (many, 11))
    one, few = jnp.asarray(colours[:1]), min(many, 100_000)
    median = eqx.filter_jit(lambda net, c: net.median(c))
    slope = eqx.filter_jit(jax.jacrev(lambda c: network.median(c[None])[0]))
    painter = Painter(np.arange(3300.0, 7100.0, 2.0), network)
    painted = eqx.filter_jit(lambda paint, flux: paint(flux).flux)
    flux = jnp.ones((1000, 1900))
    return [
        _rate("one galaxy a call", lambda: median(network, one), 1, 20 * repeats),
        _rate("1000 at once", lambda: median(network, colours[:1000]), 1000, 10 * repeats),
        _rate(f"{many:,} in blocks, medians", lambda: widths_of_colours(
            network, colours, errors=False), many, repeats),
        _rate(f"{few:,} in blocks, medians and errors", lambda: widths_of_colours(
            network, colours[:few]), few, repeats),
        _rate("Jacobian of one galaxy", lambda: slope(one[0]), 1, 20 * repeats),
        _rate("painted spectra, 1900 channels", lambda: painted(painter, flux), 1000, repeats),
    ]  # fmt: skip


def neighbour_rates(training: Sample, test: Sample, *, repeats: int) -> list[Rate]:
    """PCA and k-NN on all cores: ten lines from one search, and ten searches."""
    colours, ew = training.galaxies.colours, training.galaxies.ew
    joint = nearest_neighbours(colours, ew, k=NEIGHBOURS, components=COMPONENTS)
    single = [
        nearest_neighbours(colours, ew[:, k : k + 1], k=NEIGHBOURS, components=COMPONENTS)
        for k in range(ew.shape[1])
    ]
    new = np.asarray(test.galaxies.colours)
    title = f"PCA {COMPONENTS} + k-NN {NEIGHBOURS} of {len(colours):,}"
    few = new[: max(1, len(new) // 5)]
    return [
        _rate(f"{title}, joint", lambda: joint(new), len(new), repeats),
        _rate(f"{title}, ten separate", lambda: [one(few) for one in single], len(few), repeats),
    ]


def _rate(what: str, call: Callable[[], Any], n: int, repeats: int) -> Rate:
    jax.block_until_ready(call())
    walls, cpus = [], []
    for _ in range(max(repeats, 1)):
        wall, cpu = time.perf_counter(), time.process_time()
        jax.block_until_ready(call())
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Rate(what, n / min(walls), n / float(np.median(walls)), 1e6 * min(cpus) / n)
