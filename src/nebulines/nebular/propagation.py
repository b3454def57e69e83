"""Errors of what is computed from line fluxes, by linear propagation.

Every function of this room takes fluxes as a mapping {line: array} and works element by
element, so it gives posterior draws of its answer when it is given posterior draws of the
fluxes. Where only 1-sigma errors are known, `propagate` carries them through any of these
functions, or through a chain of them: what the steps share is then counted once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

Fluxes = Mapping[str, Any]
"""Flux of each line or sum of lines, by name; arrays of one shape, any common unit."""

_STEP = 0.02
"""Step of the numerical derivative in units of the error."""


class Measured(NamedTuple):
    """A value and its 1-sigma error, arrays of one shape.

    Attributes:
        value: what was computed; NaN where it is not defined.
        error: 1-sigma error; NaN where it is not known.
    """

    value: np.ndarray
    error: np.ndarray


def propagate(
    function: Callable[..., Any],
    fluxes: Fluxes,
    errors: Fluxes,
    *arguments: Any,
    correlations: Mapping[tuple[str, str], Any] | None = None,
    **options: Any,
) -> Measured:
    """A function of fluxes with its 1-sigma error.

    error^2 = sum over lines i, j of d_i d_j rho_ij, with d_i = (dfunction / dflux_i) error(flux_i),
    derivatives by central differences.

    Args:
        function: ``function(fluxes, *arguments, **options)``, element by element.
        fluxes: {line: (...)}.
        errors: {line: (...)} 1-sigma, in the unit of the fluxes; a line that is missing is exact.
        arguments, options: handed on.
        correlations: {(line, line): (...)} of the errors; what is not there is independent.

    Returns:
        `Measured`.

    Example:
        >>> fluxes, errors = {"A": [10.0], "B": [5.0]}, {"A": [1.0], "B": [0.5]}
        >>> value, error = propagate(lambda f: f["A"] / f["B"], fluxes, errors)
        >>> value, error.round(3)
        (array([2.]), array([0.283]))
    """
    plain = {name: np.asarray(flux, float) for name, flux in fluxes.items()}
    with np.errstate(all="ignore"):
        value = np.asarray(function(plain, *arguments, **options), float)
        steps = {}
        for name in plain.keys() & errors.keys():
            error = np.asarray(errors[name], float)
            step = _STEP * error
            above, below = (
                np.asarray(function(plain | {name: flux}, *arguments, **options), float)
                for flux in (plain[name] + step, plain[name] - step)
            )
            steps[name] = np.where(above == below, 0.0, (above - below) / (2 * _STEP))
        variance = _variance(steps, correlations or {}, value.shape)
    return Measured(value, np.where(np.isfinite(value), np.sqrt(variance), np.nan))


def _variance(
    steps: dict[str, np.ndarray],
    correlations: Mapping[tuple[str, str], Any],
    shape: tuple[int, ...],
) -> np.ndarray:
    """Sum of d_i d_j rho_ij; that of independent lines where pairs known one by one leave none."""
    alone = sum((step**2 for step in steps.values()), np.zeros(shape))
    both = sum(
        (2.0 * rho * steps[a] * steps[b] for (a, b), rho in correlations.items()
         if a in steps and b in steps),
        np.zeros(shape),
    )  # fmt: skip
    return np.where(both > -alone, alone + both, alone)
