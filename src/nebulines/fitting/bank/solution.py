"""What the filter bank says of a fitted spectrum: areas, errors, residuals, and their packing."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.fitting.bank.bases import bases_at, full_basis
from nebulines.fitting.bank.reduced import Point, restrict, two_by_two
from nebulines.fitting.bank.tables import (
    SHIFT_NODES,
    AnchorTables,
    BankShape,
    Ranges,
)
from nebulines.fitting.components.profile import shared_profile_score
from nebulines.fitting.direct.solve import CONVERGED
from nebulines.fitting.residuals import lonely_residual
from nebulines.fitting.small_solve import Rows


class BankSolution(NamedTuple):
    """The fit of n spectra; on the host the n come first, in the compiled code last.

    Attributes:
        theta: (n, 2) delta (log Doppler) and y.
        converged: (n, 1) 1 or 0; not where delta ends at the edge of its range.
        inverse_curvature: (n, 2, 2) covariance of theta.
        area: (n, T) template areas.
        area_covariance: (n, T, T); at fixed theta where bands share theta.
        response: (n, T, 2) by which the areas follow theta.
        continuum: (n, 1) at the reference line.
        chi2, outlier: (n, 1).
        line_free: (n, 2) sum of squared residuals and channel count.
        profile: (n, 4), see `profile`.
        n_used: (n, 1) channels.
        coverage: (n, L) share of each line's area inside the window.
    """

    theta: Any
    converged: Any
    inverse_curvature: Any
    area: Any
    area_covariance: Any
    response: Any
    continuum: Any
    chi2: Any
    outlier: Any
    line_free: Any
    profile: Any
    n_used: Any
    coverage: Any


def solution_width(n_templates: int, n_lines: int) -> int:
    """Numbers in a packed `BankSolution` of one spectrum."""
    return sum(int(np.prod(shape)) for shape in _shapes(n_templates, n_lines))


def _shapes(t: int, lines: int) -> BankSolution:
    return BankSolution(
        (2,), (1,), (2, 2), (t,), (t, t), (t, 2), (1,), (1,), (1,), (2,), (4,), (1,), (lines,)
    )


def unpack(packed: np.ndarray, n_templates: int, n_lines: int) -> BankSolution:
    """The parts of packed solutions (n, `solution_width`)."""
    shapes = _shapes(n_templates, n_lines)
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    parts = np.split(packed, ends[:-1], axis=1)
    return BankSolution(*(p.reshape(-1, *s) for p, s in zip(parts, shapes, strict=True)))


def linear_parts(s: BankSolution) -> dict[str, Any]:
    """What a `Fitted` takes of unpacked solutions as it is, in double precision."""
    return {
        "area": s.area.astype(float),
        "area_covariance": s.area_covariance.astype(float),
        "continuum": s.continuum[:, 0].astype(float),
        "chi2": s.chi2[:, 0].astype(float),
        "n_used": s.n_used[:, 0].astype(int),
        "line_free": s.line_free.astype(float),
        "outlier": s.outlier[:, 0].astype(float),
        "profile": s.profile.astype(float),
        "at_bound": np.zeros((len(s.chi2), 2), bool),
        "coverage": s.coverage.astype(float),
    }


def best_fit(
    theta: Array, point: Point, spread: Array, tables: AnchorTables, ranges: Ranges
) -> Array:
    """The model (K, n) times the root weight."""
    t, _, rank = tables.series.shape
    basis = full_basis(bases_at(theta, ranges), spread, SHIFT_NODES)
    series = jnp.moveaxis(tables.series, 1, 2).reshape(t * rank, -1)
    strength = jnp.stack(point.coefficients[:t])[:, None, :]
    coordinates = (series @ basis).reshape(t, rank, -1) * strength
    continuum = tables.continuum @ jnp.stack(point.coefficients[t:])
    return tables.directions.T @ coordinates.reshape(t * rank, -1) + continuum


def describe(
    theta: Array,
    point: Point,
    residual: Array,
    rho: Array,
    tables: AnchorTables,
    broadening_scale: Array,
    ranges: Ranges,
    facts: BankShape,
) -> BankSolution:
    gradient, curvature = restrict(theta, point.at, ranges)
    step = two_by_two(curvature).solve(list(gradient))
    decrease = gradient[0] * step[0] + gradient[1] * step[1]
    converged = (jnp.abs(theta[0]) < 0.999 * ranges.shift) & (decrease < CONVERGED)
    t = len(tables.series)
    area = jnp.stack(point.coefficients[:t])
    center, width = _centers_and_widths(theta, rho, tables, broadening_scale, facts)
    height = tables.templates.T @ area / width
    residual, center, width, height = jax.lax.optimization_barrier(
        (residual, center, width, height)
    )
    used = tables.root > 0
    squared = residual**2
    far = _far(center, width, tables) & used[:, None]
    inverse = point.gram.inverse()
    response = _response(inverse, point.cross, t)
    # the last small step, to first order
    last = jnp.where(converged, jnp.stack(step), 0.0)
    y = jnp.clip(theta[1] + last[1], ranges.y_low, 1.0)
    spread_of = two_by_two(point.at.curvature).inverse()
    unit = jnp.ones_like(decrease)
    return BankSolution(
        theta=jnp.stack([theta[0] + last[0], y]),
        converged=converged.astype(theta.dtype),
        inverse_curvature=jnp.stack([spread_of[i][j] for i in range(2) for j in range(2)]),
        area=area - jnp.sum(response * last, axis=1),
        area_covariance=jnp.stack([inverse[i][j] for i in range(t) for j in range(t)]),
        response=response,
        continuum=tables.at_reference @ jnp.stack(point.coefficients[t:]),
        chi2=jnp.sum(squared, axis=0),
        outlier=lonely_residual(residual, axis=0),
        line_free=_sum_and_count(squared, far),
        profile=shared_profile_score(
            residual, tables.root, tables.offset, tables.center, center, width, height
        ),
        n_used=jnp.sum(used) * unit,
        coverage=tables.coverage[:, None] * unit,
    )


def _response(inverse: Rows, cross: Array, n_templates: int) -> Array:
    """(T, 2, n): gram^-1 cross, for the templates."""
    size = range(len(inverse))
    return jnp.stack([sum(inverse[i][k] * cross[:, k] for k in size) for i in range(n_templates)])


def _centers_and_widths(
    theta: Array, rho: Array, tables: AnchorTables, broadening_scale: Array, facts: BankShape
) -> tuple[Array, Array]:
    """Positions of the lines (L, n) from the window's middle, and their Gaussian sigmas."""
    sign = 1.0 if facts.kind == "wavelength" else -1.0
    position = tables.position[:, None]
    center = tables.center[:, None] + position * jnp.expm1(sign * theta[0])
    broadening = broadening_scale * jnp.sqrt(jnp.maximum(1.0 / theta[1] ** 2 - 1.0, 0.0))
    sigma = position * jnp.exp(sign * theta[0]) * broadening / SPEED_OF_LIGHT_KMS
    lsf = tables.width[:, None] * rho * (1.0 if facts.shape == "gaussian" else 0.5)
    return center, jnp.sqrt(lsf**2 + sigma**2)


def _far(center: Array, width: Array, tables: AnchorTables) -> Array:
    """Channels (K, n) away from all lines (as in the direct path): away from the nearest, which
    is the same one wherever in the anchor's range the lines lie."""
    nearest = jnp.argmin(jnp.abs(tables.offset[:, None] - tables.center), axis=1)
    return jnp.abs(tables.offset[:, None] - center[nearest]) >= 4.0 * width[nearest]


def _sum_and_count(squared: Array, where: Array) -> Array:
    total = jnp.sum(jnp.where(where, squared, 0.0), axis=0)
    return jnp.stack([total, jnp.sum(where, axis=0).astype(total.dtype)])
