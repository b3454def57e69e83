"""Light of galaxies: dust before the stars, the stars' motion, continuum at the lines."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.galaxies.population.numbers import table
from nebulines.galaxies.population.properties import Galaxies
from nebulines.lines import load_catalogue

_VISUAL = 5500.0
_MARGIN = 50
_MAGNITUDE = np.float32(-0.4 * np.log(10.0))
_NEAR, _FAR = 25.0, 90.0
_BLOCK = 128


def attenuation(drawn: Galaxies, lines: tuple[str, ...]) -> np.ndarray:
    """Share (n, L) of the lines' light that both components of dust let through."""
    wave = load_catalogue().select(lines).wavelength_air / _VISUAL
    diffuse = drawn.av[:, None] * wave ** -drawn.dust_slope[:, None]
    clouds = drawn.av_clouds[:, None] * wave ** -table()["dust"]["slope_clouds"]
    return 10.0 ** (-0.4 * (diffuse + clouds))


def broadened(light: tuple[Any, Any], drawn: Galaxies, wave: np.ndarray) -> np.ndarray:
    """Starlight (n, m) behind the dust, broadened by the stars' velocity dispersion.

    Args:
        light: (n, m) of the young and of the old stars.
        drawn: dust and dispersion.
        wave: (m,) even in the logarithm [Angstrom].

    Returns:
        float32.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    step = SPEED_OF_LIGHT_KMS * np.log(wave[1] / wave[0])
    scaled = (wave / _VISUAL).astype(np.float32)
    clouds = scaled ** np.float32(-table()["dust"]["slope_clouds"])
    size = next_fast_len(len(wave) + 2 * _MARGIN, real=True)
    padding = ((0, 0), (_MARGIN, size - len(wave) - _MARGIN))
    frequency = 2.0 * np.pi * np.arange(size // 2 + 1) / size
    parts = []
    for rows in _blocks(len(drawn.av)):
        slope, av, in_clouds, sigma = (
            part[rows, None].astype(np.float32)
            for part in (drawn.dust_slope, drawn.av, drawn.av_clouds, drawn.velocity_dispersion)
        )
        behind = light[1][rows] + light[0][rows] * np.exp(_MAGNITUDE * in_clouds * clouds)
        behind *= np.exp(_MAGNITUDE * av * np.exp(-slope * np.log(scaled)))
        kernel = np.exp(-0.5 * np.square((sigma / step).astype(np.float32) * frequency))
        transformed = rfft(np.pad(behind, padding, mode="edge"), axis=1)
        transformed *= kernel.astype(np.float32)
        parts.append(irfft(transformed, size, axis=1)[:, _MARGIN : _MARGIN + len(wave)])
    return np.concatenate(parts)


def _blocks(n: int) -> list[slice]:
    """Rows in parts that stay in the processor's cache."""
    return [slice(start, start + _BLOCK) for start in range(0, n, _BLOCK)]


def continuum_level(wave: np.ndarray, continuum: np.ndarray, lines: tuple[str, ...]) -> np.ndarray:
    """Mean continuum (n, L) beside each line: 25 to 90 Angstrom away on both sides.

    Args:
        wave: (m,) [Angstrom, air].
        continuum: (n, m).
        lines: names of the catalogue.
    """
    return continuum @ _sides(wave.tobytes(), lines)


@functools.lru_cache(maxsize=4)
def _sides(wave: bytes, lines: tuple[str, ...]) -> np.ndarray:
    """Weights (m, L) of the channels beside each line, the two sides alike."""
    axis = np.frombuffer(wave)
    weights = []
    for centre in load_catalogue().select(lines).wavelength_air:
        offset = axis - centre
        blue = (offset > -_FAR) & (offset < -_NEAR)
        red = (offset < _FAR) & (offset > _NEAR)
        weights.append(0.5 * blue / max(blue.sum(), 1) + 0.5 * red / max(red.sum(), 1))
    return np.array(weights, np.float32).T


def d4000(wave: np.ndarray, continuum: np.ndarray) -> np.ndarray:
    """Break (n,) at 4000 Angstrom: F_nu of 4000-4100 over that of 3850-3950 A.

    Source: Balogh et al. 1999, ApJ 527, 54.

    Example:
        >>> wave = np.arange(3800.0, 4200.0)
        >>> d4000(wave, wave[None] ** -2.0).round(3)
        array([1.])
    """
    f_nu = continuum * np.square(wave)
    red = (wave >= 4000.0) & (wave < 4100.0)
    blue = (wave >= 3850.0) & (wave < 3950.0)
    return f_nu[:, red].mean(axis=1) / f_nu[:, blue].mean(axis=1)


def light_age(weights: np.ndarray, flux: np.ndarray, log_age: np.ndarray, wave: Any) -> np.ndarray:
    """Mean log10 age (n,) weighted by light near 5500 Angstrom, without dust.

    Args:
        weights: (n, k) mass of each stellar population.
        flux, log_age: of the populations, (k, m) and (k,).
        wave: (m,) [Angstrom].
    """
    near = np.abs(wave - _VISUAL) < 50.0
    light = weights * flux[:, near].mean(axis=1)
    return light @ log_age / light.sum(axis=1)
