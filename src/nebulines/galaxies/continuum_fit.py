"""The fit of starlight to spectra on the rest-frame grid: search, steps, clipping."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nebulines.fitting.tiles import run_tiles, tile_indices, tile_size
from nebulines.galaxies.continuum_search import find_shift
from nebulines.galaxies.continuum_step import Shape, Stepped, Tables, take_step
from nebulines.galaxies.rest_grid import OnGrid
from nebulines.galaxies.stellar_basis import StellarBasis
from nebulines.galaxies.stellar_lines import LinePlaces, line_profiles
from nebulines.galaxies.velocity_kernel import shift_table
from nebulines.models.continuum import legendre_basis

POLYNOMIAL_ORDER = 6
"""Of the multiplicative polynomial that stands for errors of the flux calibration."""
CLIP_SIGMA = 4.0
START_VARIANCE = 4.0
START_REDDENING = 0.1
TILE_ROWS = 32
Plan = tuple[tuple[str, int], ...]


class Starlight(NamedTuple):
    """The stellar continuum of n spectra, in the unit of the data and channels of the grid.

    Attributes:
        stars: (n, p) model, without gas.
        gas: (n, p) gas lines that were fitted at the same time.
        shape: (n, 3 + P) velocity [channels], variance [channels^2], E(B-V), polynomial.
        errors: (n, 3) 1-sigma errors of the first three, for the noise of the data.
        amplitude_variance: (n, L) what the freedom of the starlight adds to gas fluxes.
        weights: (n, k) of the templates (light at the mean of the grid).
        chi2: (n,) reduced, over the used channels.
        used: (n, p) bool, channels that took part.
    """

    stars: np.ndarray
    gas: np.ndarray
    shape: np.ndarray
    errors: np.ndarray
    amplitude_variance: np.ndarray
    weights: np.ndarray
    chi2: np.ndarray
    used: np.ndarray


def locate(data: OnGrid, used: np.ndarray, basis: StellarBasis, *, most: int) -> OnGrid:
    """The spectra moved by whole channels so that their starlight lies near zero velocity."""
    return data.move(find_shift(data, used, basis, most=most).shift)


def fit_starlight(
    data: OnGrid,
    used: np.ndarray,
    basis: StellarBasis,
    *,
    start: np.ndarray | None = None,
    places: LinePlaces | None = None,
    near: np.ndarray | None = None,
) -> Starlight:
    """Fit starlight, with or without gas lines.

    Args:
        data: n spectra, moved close to zero velocity by `locate`.
        used: (n, p) bool; channels with gas lines only where ``places`` are given.
        basis: stellar templates.
        start: (n, 3 + P) shape of an earlier fit, which is then only refined.
        places: of the gas lines.
        near: numbers (m,) of the channels that these may reach; None = all.

    Returns:
        `Starlight`.
    """
    tables = _tables(basis)
    n, p = data.flux.shape
    weight = np.where(used, data.weight, 0.0)
    scale = _scale(weight)
    flux = (data.flux / scale[:, None]).astype(np.float32)
    weight = (weight * scale[:, None] ** 2).astype(np.float32)
    near = np.arange(p) if near is None else near
    reach = [jnp.asarray(x, jnp.float32) for x in (near, np.diff(basis.grid.edges)[near])]
    if start is None:
        start = np.zeros((n, 3 + POLYNOMIAL_ORDER), np.float32)
        start[:, 1:3] = START_VARIANCE, START_REDDENING
        plan = _FROM_START
    else:
        plan = _REFINING

    def work(rows: np.ndarray) -> tuple[np.ndarray, ...]:
        gas = Gas(jnp.zeros((len(rows), 0, len(near)), jnp.float32), near)
        if places is not None:
            here = (jnp.asarray(x[rows], jnp.float32) for x in places)
            gas = Gas(line_profiles(*here, *reach), near)
        done, kept = _run(_shape(start[rows]), tables, flux[rows], weight[rows], gas, plan)
        return (*_arrays(done), np.asarray(kept))

    parts = _in_tiles(work, n)
    return _in_units(parts, scale)


def _in_tiles(work: Callable[[np.ndarray], tuple[np.ndarray, ...]], n: int) -> list[Any]:
    """`run_tiles`, one after the other where JAX queues programs of several threads (they would
    wait for each other for ever)."""
    size = tile_size(n, TILE_ROWS)
    if not jax.config.read("jax_cpu_enable_async_dispatch"):
        return run_tiles(work, n, size)
    pieces = [work(rows) for rows in tile_indices(n, size)]
    return [np.concatenate(part)[:n] for part in zip(*pieces, strict=True)]


_FROM_START: Plan = (("kinematics", 2), ("clip", 1), ("kinematics", 1), ("polynomial", 2))
_REFINING: Plan = (("polynomial", 1), ("clip", 1), ("judge", 1))
"""What moves in how many steps: kinematics with reddening, kinematics with the polynomial; the
last step of all says how sure the answer is."""


class Gas(NamedTuple):
    """Profiles (n, L, m) of gas lines on the channels ``near`` (m,)."""

    profiles: jax.Array
    near: np.ndarray


def _run(
    shape: Shape, tables: Tables, flux: Any, weight: Any, gas: Gas, plan: Plan
) -> tuple[Stepped, np.ndarray]:
    """The steps of a plan; returns the last one with the latest shape, and the weights it used."""
    with_gas = gas.profiles.shape[1] > 0
    step: Any = None
    for what, times in plan:
        if what == "clip":
            weight = _clipped(flux, weight, step)
            continue
        for _ in range(times):
            step = take_step(shape, tables, flux, weight, *gas, _free(what), with_gas=with_gas)
            shape = shape if what == "judge" else step.shape
    return step._replace(shape=shape), weight


def _free(what: str) -> jnp.ndarray:
    kinematics = [1.0, 1.0]
    dust = [float(what in ("kinematics", "judge"))]
    polynomial = [float(what in ("polynomial",))] * POLYNOMIAL_ORDER
    return jnp.array(kinematics + dust + polynomial, jnp.float32)


def _clipped(flux: Any, weight: Any, step: Stepped) -> np.ndarray:
    """Weights without channels whose residual is beyond `CLIP_SIGMA`, and their neighbours."""
    weight = np.asarray(weight)
    residual = (flux - np.asarray(step.stars) - np.asarray(step.gas)) * np.sqrt(weight)
    spread = 1.4826 * np.median(np.abs(residual), axis=1, keepdims=True)
    bad = np.abs(residual) > CLIP_SIGMA * np.maximum(spread, 1.0)
    wide = bad.copy()
    wide[:, 1:] |= bad[:, :-1]
    wide[:, :-1] |= bad[:, 1:]
    return np.where(wide, 0.0, weight).astype(np.float32)


def _scale(weight: np.ndarray) -> np.ndarray:
    """(n,) typical noise of each spectrum."""
    count = np.maximum((weight > 0).sum(axis=1), 1)
    mean = weight.sum(axis=1, dtype=np.float64) / count
    return 1.0 / np.sqrt(np.where(mean > 0, mean, 1.0))


def _shape(flat: np.ndarray) -> Shape:
    values = jnp.asarray(flat, jnp.float32)
    return Shape(values[:, 0], values[:, 1], values[:, 2], values[:, 3:])


def _arrays(step: Stepped) -> tuple[np.ndarray, ...]:
    first = np.stack([np.asarray(step.shape[i]) for i in range(3)], axis=1)
    flat = np.concatenate([first, np.asarray(step.shape.polynomial)], axis=1)
    rest = [step.stars, step.gas, step.covariance, step.amplitude_variance, step.weights, step.chi2]
    return (flat, *(np.asarray(part) for part in rest))


def _in_units(parts: list[np.ndarray], scale: np.ndarray) -> Starlight:
    shape, stars, gas, variance, added, weights, chi2, kept = parts
    column = scale[:, None]
    used = kept > 0
    freedom = np.maximum(used.sum(axis=1) - 20, 1)
    return Starlight(
        stars * column,
        gas * column,
        shape,
        np.sqrt(np.maximum(variance, 0.0)),
        added * column**2,
        weights * column,
        chi2 / freedom,
        used,
    )


@lru_cache(maxsize=4)
def _tables(basis: StellarBasis) -> Tables:
    """What the compiled step needs of a basis."""
    along = np.linspace(-1.0, 1.0, basis.grid.size)
    polynomials = legendre_basis(along, POLYNOMIAL_ORDER)[1:]
    single = [basis.vectors, basis.mixing, basis.dust, polynomials]
    vectors, mixing, dust, rows = (jnp.asarray(part, jnp.float32) for part in single)
    return Tables(shift_table(vectors), mixing, dust, rows)
