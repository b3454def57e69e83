"""The fit of starlight to spectra on the rest-frame grid: search, steps, clipping."""

from __future__ import annotations

import itertools
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nebulines.fitting.tiles import as_slice
from nebulines.galaxies.denoising.rest_grid import OnGrid
from nebulines.galaxies.starlight.continuum_linear import Shape, Tables
from nebulines.galaxies.starlight.continuum_search import find_shift
from nebulines.galaxies.starlight.continuum_step import (
    POLYNOMIAL_ORDER,
    Moving,
    Stepped,
    take_step,
)
from nebulines.galaxies.starlight.in_turn import tiles
from nebulines.galaxies.starlight.lines import LinePlaces, line_profiles
from nebulines.galaxies.starlight.stellar_basis import StellarBasis
from nebulines.galaxies.starlight.velocity_kernel import shift_table, taps_for
from nebulines.models.continuum import legendre_basis

_SAMPLED = 4  # every so many channels are enough for a median
START_VARIANCE = 4.0
START_REDDENING = 0.1
PIECE_CHANNELS = 384
"""Channels whose vectors a tile moves at once: they stay in the cache."""
FIRST_REACH = 7200.0
FIRST_VECTORS = 14
FIRST_TEMPLATES = 32
"""The first fit goes up to this rest wavelength [Angstrom] with this many vectors of the basis and
at most so many templates, which is enough for kinematics and reddening and takes a third of the
time."""
LEFT_UNDER_LINES, LINE_EDGE = 0.01, 0.01
"""Of the weight of a channel that is clipped under a gas line, out to this share of its peak. A
bright line is not quite its Gaussian; left out altogether its flux would be free, and with it the
variance that starlight adds to it."""
Plan = tuple[tuple[str, int], ...]

if TYPE_CHECKING:
    from collections.abc import Callable


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


def no_starlight(data: OnGrid, basis: StellarBasis, n_lines: int) -> Starlight:
    """What stands for the starlight of spectra that are too short for any."""
    n, p = data.flux.shape
    return Starlight(
        np.zeros((n, p), np.float32),
        np.zeros((n, p), np.float32),
        np.zeros((n, 3 + POLYNOMIAL_ORDER), np.float32),
        np.zeros((n, 3), np.float32),
        np.zeros((n, n_lines)),
        np.zeros((n, len(basis.mixing)), np.float32),
        np.zeros(n),
        np.zeros((n, p), bool),
    )


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
    first = start is None
    n, p = data.flux.shape
    reach_p = _first_channels(basis) if first else p
    tables = partial(_tables, basis, reach_p, first)
    near = np.arange(reach_p) if near is None else near
    reach = [jnp.asarray(x, jnp.float32) for x in (near, np.diff(basis.grid.edges)[near])]
    channels = jnp.asarray(near, jnp.int32)
    templates = _few(basis) if first else np.arange(len(basis.mixing))
    light = no_starlight(data, basis, 0 if places is None else places.centre.shape[1])
    if start is None:
        start = np.zeros((n, 3 + POLYNOMIAL_ORDER), np.float32)
        start[:, 1:3] = START_VARIANCE, START_REDDENING
        plan = _FROM_START
    else:
        plan = _REFINING

    def work(index: np.ndarray) -> None:
        rows = as_slice(index)
        gas = Gas(jnp.zeros((len(index), 0, len(near)), jnp.float32), channels)
        if places is not None:
            here = (jnp.asarray(x[rows], jnp.float32) for x in places)
            gas = Gas(line_profiles(*here, *reach), channels)
        weight = np.where(used[rows], data.weight[rows], np.float32(0.0))
        scale = _scale(weight)
        column = scale[:, None].astype(np.float32)
        weight = weight * column * column
        flux = data.flux[rows, :reach_p] / column
        done, kept = _run(_shape(start[rows]), tables, flux, weight[:, :reach_p], gas, plan)
        weight[:, :reach_p] = kept
        _fill(light, rows, done, weight > 0, scale)
        light.weights[index[:, None], templates] = np.asarray(done.weights) * column

    # spectra that need kernels of the same width share tiles
    order = np.argsort(start[:, 1], kind="stable")
    for tile in tiles(n):
        work(order[tile])
    return light


_FROM_START: Plan = (("kinematics", 2), ("clip", 6), ("kinematics", 1))
_REFINING: Plan = (("polynomial", 1), ("clip", 4), ("judge", 1))
"""What moves in how many steps: kinematics with reddening, kinematics with the polynomial; from
how many sigma channels are left out; the last step of all says how sure the answer is."""


_MOVING: dict[str, Moving] = {"kinematics": "dust", "polynomial": "polynomial", "judge": "dust"}


class Gas(NamedTuple):
    """Profiles (n, L, m) of gas lines on the channels ``near`` (m,)."""

    profiles: jax.Array
    near: jax.Array


def _run(
    shape: Shape,
    tables: Callable[[int], Tables],
    flux: Any,
    weight: Any,
    gas: Gas,
    plan: Plan,
) -> tuple[Stepped, np.ndarray]:
    """The steps of a plan; returns the last one with the latest shape, and the weights it used."""
    step: Any = None
    for what, times in plan:
        if what == "clip":
            weight = _clipped(weight, np.asarray(step.residual), times, _under_lines(gas, weight))
            continue
        for _ in range(times):
            here = tables(taps_for(np.asarray(shape.velocity), np.asarray(shape.variance)))
            step = take_step(shape, here, flux, weight, *gas, moving=_MOVING[what])
            shape = shape if what == "judge" else step.shape
    return step._replace(shape=shape), weight


def _clipped(
    weight: np.ndarray, residual: np.ndarray, sigma: float, left: np.ndarray
) -> np.ndarray:
    """Weights with only a share ``left`` (n, p) of channels whose residual, in units of the noise,
    is beyond ``sigma``, and of their neighbours."""
    spread = 1.4826 * np.median(np.abs(residual[:, ::_SAMPLED]), axis=1, keepdims=True)
    row, channel = np.nonzero(np.abs(residual) > sigma * np.maximum(spread, 1.0))
    clipped = weight.copy()
    for beside in (-1, 0, 1):
        where = row, np.clip(channel + beside, 0, weight.shape[1] - 1)
        clipped[where] = left[where] * weight[where]
    return clipped


def _under_lines(gas: Gas, weight: np.ndarray) -> np.ndarray:
    """`LEFT_UNDER_LINES` of the channels (n, p) of gas lines, 0 of the others."""
    left = np.zeros_like(weight)
    if gas.profiles.shape[1]:
        height = np.asarray(gas.profiles)
        inside = height > LINE_EDGE * np.max(height, axis=2, keepdims=True)
        left[:, np.asarray(gas.near)] = LEFT_UNDER_LINES * inside.any(axis=1)
    return left


def _scale(weight: np.ndarray) -> np.ndarray:
    """(n,) typical noise of each spectrum."""
    count = np.maximum((weight > 0).sum(axis=1), 1)
    mean = weight.sum(axis=1, dtype=np.float64) / count
    return 1.0 / np.sqrt(np.where(mean > 0, mean, 1.0))


def _shape(flat: np.ndarray) -> Shape:
    values = jnp.asarray(flat, jnp.float32)
    return Shape(values[:, 0], values[:, 1], values[:, 2], values[:, 3:])


def _fill(
    light: Starlight, rows: slice | np.ndarray, step: Stepped, used: np.ndarray, scale: np.ndarray
) -> None:
    """Write a step that was taken in units ``scale`` (n,) into rows of the starlight, spectra
    continued with their last value."""
    column = scale[:, None].astype(np.float32)
    for whole, part in ((light.stars, step.stars), (light.gas, step.gas)):
        values, reached = np.asarray(part) * column, part.shape[1]
        whole[rows, :reached], whole[rows, reached:] = values, values[:, -1:]
    first = np.stack([np.asarray(step.shape[i]) for i in range(3)], axis=1)
    light.shape[rows] = np.concatenate([first, np.asarray(step.shape.polynomial)], axis=1)
    light.errors[rows] = np.sqrt(np.maximum(np.asarray(step.covariance), 0.0))
    light.amplitude_variance[rows] = np.asarray(step.amplitude_variance) * scale[:, None] ** 2
    light.chi2[rows] = np.asarray(step.chi2) / np.maximum(used.sum(axis=1) - 20, 1)
    light.used[rows] = used


def _first_channels(basis: StellarBasis) -> int:
    """Channels up to `FIRST_REACH`, or all where few lie below it."""
    last = int(basis.grid.channel(np.array(FIRST_REACH)))
    return last if basis.grid.size > last > 0.5 * basis.grid.size else basis.grid.size


def _few(basis: StellarBasis) -> np.ndarray:
    """Numbers of the templates of the first fit: every second, third ... of the basis, the last
    among them (of the package's own these are both ends and the middle in metallicity)."""
    k = len(basis.mixing)
    step = -(-k // FIRST_TEMPLATES)
    return np.arange((k - 1) % step, k, step)


@lru_cache(maxsize=8)
def _tables(basis: StellarBasis, p: int, first: bool, taps: int) -> Tables:
    """What the compiled step needs of the first p channels, for a kernel of some taps; ``first``:
    with the few vectors and templates of the first fit."""
    along = np.linspace(-1.0, 1.0, basis.grid.size)
    polynomials = legendre_basis(along, POLYNOMIAL_ORDER)[1:, :p]
    r = FIRST_VECTORS if first else len(basis.vectors)
    mixing = basis.mixing[_few(basis), :r] if first else basis.mixing
    single = [basis.vectors[:r, :p], mixing, basis.dust[:p], polynomials]
    vectors, mixed, dust, rows = (jnp.asarray(part, jnp.float32) for part in single)
    table, ends = shift_table(vectors, taps), _piece_ends(p)
    pieces = [jnp.array(table[:, :, a:b]) for a, b in itertools.pairwise(ends)]
    around = ((0, 0), (taps // 2, taps // 2))
    return Tables(tuple(pieces), jnp.pad(vectors, around, mode="edge"), mixed, dust, rows)


def _piece_ends(p: int) -> np.ndarray:
    """Borders of pieces of p channels, `PIECE_CHANNELS` or a little more each."""
    return np.linspace(0, p, max(p // PIECE_CHANNELS, 1) + 1).round().astype(int)
