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
    **options: Any,
) -> Measured:
    """A function of fluxes with its 1-sigma error.

    error^2 = sum over lines of (dfunction / dflux)^2 error(flux)^2, derivatives by central
    differences; the errors of different lines are taken as independent.

    Args:
        function: ``function(fluxes, *arguments, **options)``, element by element.
        fluxes: {line: (...)}.
        errors: {line: (...)} 1-sigma, in the unit of the fluxes; a line that is missing is exact.
        arguments, options: handed on.

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
        variance = np.zeros(value.shape)
        for name in plain.keys() & errors.keys():
            error = np.asarray(errors[name], float)
            step = _STEP * error
            above, below = (
                np.asarray(function(plain | {name: flux}, *arguments, **options), float)
                for flux in (plain[name] + step, plain[name] - step)
            )
            variance = variance + np.where(above == below, 0.0, (above - below) / (2 * _STEP)) ** 2
    return Measured(value, np.where(np.isfinite(value), np.sqrt(variance), np.nan))
