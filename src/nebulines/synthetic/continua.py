"""Shapes of simulated continua, by name.

A shape is drawn as a small number of parameters a spectrum and evaluated on wavelengths, so
that spectra can be made in blocks. Every shape is 1 at the reference wavelength.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from nebulines.lines import load_catalogue

_SLOPE = 0.5
_BREAK_ANGSTROM = 4000.0
_BREAK_WIDTH = 60.0
_MAX_EW = 6.0
_ABSORPTION_SIGMA = 5.0
# equivalent width of each Balmer absorption relative to that of H-beta, in old to young stars
# alike within a factor of 1.5 (Gonzalez Delgado, Leitherer & Heckman 1999, ApJS 125, 489)
_BALMER = {
    "HALPHA6563": 0.6,
    "HBETA4861": 1.0,
    "HGAMMA4340": 1.0,
    "HDELTA4102": 1.1,
    "HEPSILON3970": 1.0,
    "H3889": 0.9,
    "H3835": 0.8,
}


class Shape(NamedTuple):
    """A way to draw and to evaluate a continuum.

    Attributes:
        draw: function (generator, n) -> parameters (n, p).
        evaluate: function (wavelength, parameters, span) -> (n, channel).
    """

    draw: Callable[[np.random.Generator, int], np.ndarray]
    evaluate: Callable[[np.ndarray, np.ndarray, tuple[float, float]], np.ndarray]


def continuum_shape(
    name: str,
    wavelength: Any,
    parameters: np.ndarray,
    *,
    span: tuple[float, float],
    reference: float,
) -> np.ndarray:
    """A continuum relative to its value at the reference wavelength.

    Args:
        name: ``flat``; ``polynomial``: 1 + a P1 + b P2 over the span; ``stellar``: a power law
            of the wavelength with a 4000 A break and Balmer absorption (Gaussians of 5 A
            1-sigma, equivalent widths up to 6 A).
        wavelength: (channel,) or (n, channel) [Angstrom], rest frame.
        parameters: (n, p), drawn by ``CONTINUA[name].draw``.
        span: wavelengths that the polynomial runs over.
        reference: wavelength where the shape is 1.

    Returns:
        (n, channel) float32.

    Example:
        >>> parameters = CONTINUA["flat"].draw(np.random.default_rng(0), 2)
        >>> wave = np.array([5000.0, 6000.0])
        >>> continuum_shape("flat", wave, parameters, span=(5000, 6000), reference=5500.0).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    evaluate = CONTINUA[name].evaluate
    values = evaluate(np.atleast_2d(np.asarray(wavelength, float)), parameters, span)
    at_line = evaluate(np.array([[float(reference)]]), parameters, span)
    return (values / at_line).astype(np.float32)


def _no_parameters(generator: np.random.Generator, n: int) -> np.ndarray:
    return np.empty((n, 0))


def _flat(wavelength: np.ndarray, parameters: np.ndarray, span: Any) -> np.ndarray:
    return np.ones((len(parameters), wavelength.shape[-1]))


def _slopes(generator: np.random.Generator, n: int) -> np.ndarray:
    return generator.uniform(-_SLOPE, _SLOPE, (n, 2)) * [1.0, 0.5]


def _polynomial(
    wavelength: np.ndarray, parameters: np.ndarray, span: tuple[float, float]
) -> np.ndarray:
    u = (2.0 * wavelength - sum(span)) / (span[1] - span[0])
    first, second = parameters[:, :1], parameters[:, 1:]
    return 1.0 + first * u + second * (1.5 * u * u - 0.5)


def _stars(generator: np.random.Generator, n: int) -> np.ndarray:
    """Power of the wavelength, depth of the 4000 A break, equivalent width of H-beta."""
    young = generator.uniform(0.0, 1.0, n)
    power = 1.0 - 3.0 * young + generator.normal(0.0, 0.2, n)
    depth = 0.5 * (1.0 - young)
    width = _MAX_EW * (0.2 + 0.8 * young) * generator.uniform(0.5, 1.0, n)
    return np.stack([power, depth, width], axis=1)


def _stellar(wavelength: np.ndarray, parameters: np.ndarray, span: Any) -> np.ndarray:
    power, depth, width = (parameters[:, k : k + 1] for k in range(3))
    smooth = (wavelength / 5500.0) ** power
    step = 0.5 * (1.0 + np.tanh((wavelength - _BREAK_ANGSTROM) / _BREAK_WIDTH))
    absorbed = width * _balmer_profile(wavelength)
    return smooth * (1.0 - depth * (1.0 - step)) * (1.0 - absorbed)


def _balmer_profile(wavelength: np.ndarray) -> np.ndarray:
    """Sum of unit-area Gaussians times the relative equivalent widths [1 / Angstrom]."""
    total = np.zeros_like(wavelength)
    for centre, weight in zip(*_balmer(), strict=True):
        u = (wavelength - centre) / _ABSORPTION_SIGMA
        total += weight * np.exp(-0.5 * u * u)
    return total / (np.sqrt(2.0 * np.pi) * _ABSORPTION_SIGMA)


@cache
def _balmer() -> tuple[np.ndarray, np.ndarray]:
    lines = load_catalogue().select(_BALMER)
    return lines.wavelength_air, np.array([_BALMER[name] for name in lines.names])


CONTINUA: dict[str, Shape] = {
    "flat": Shape(_no_parameters, _flat),
    "polynomial": Shape(_slopes, _polynomial),
    "stellar": Shape(_stars, _stellar),
}
"""Shapes by name."""
