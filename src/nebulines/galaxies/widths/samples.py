"""Galaxies to learn from and to be judged on: the package's population, seen by a survey.

Continua of `draw_population` in bins of 30 Angstrom, with noise and errors of the calibration
(``data/observed_continua.toml``); widths with DESI's errors (`width_errors`). Training, validation
and test sets come from streams of random numbers of their own, so that no galaxy that judges was
ever learned from.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from nebulines.galaxies.widths.bins import (
    BIN_EDGES,
    FINE_EDGES,
    bin_weights,
    colours,
    log_shape,
)
from nebulines.galaxies.widths.equivalent_widths import LINES
from nebulines.galaxies.widths.errors import measure
from nebulines.galaxies.widths.learning import Measured, measured
from nebulines.spectral_axis import air_to_vacuum

TRAINING, VALIDATION, TEST = range(3)
"""Streams of random numbers."""
View = Literal["colours", "spectrum"]
"""What a network sees: 11 colours, or the shape in 120 bins."""
_RANGE = (3350.0, 7050.0)


class Sample(NamedTuple):
    """n galaxies.

    Attributes:
        galaxies: what a network sees: colours or shapes, and measured widths with errors.
        true_ew: (n, 10) before noise [Angstrom]; NaN where nobody knows.
        kind: (n,) number of the class in `population.CLASSES`, or None.
    """

    galaxies: Measured
    true_ew: np.ndarray
    kind: np.ndarray | None = None


def draw_sample(
    n: int, seed: int, stream: int, *, view: View = "colours", noise: bool = True
) -> Sample:
    """Galaxies of the package's population as a survey sees them.

    The same seed and stream give the same galaxies, noise included, in either view.

    Args:
        n: number of galaxies.
        seed: any whole number.
        stream: `TRAINING`, `VALIDATION` or `TEST`.
        view: what a network sees of the continua.
        noise: whether the continua have any; the widths always do.

    Example:
        >>> sample = draw_sample(20, 0, TEST)
        >>> sample.galaxies.colours.shape, sample.true_ew.shape
        ((20, 11), (20, 10))
    """
    flux, ew, error, true_ew, kind = _drawn(n, seed, stream, noise)
    return Sample(measured(features(flux, view), ew, error), true_ew, kind)


@functools.lru_cache(maxsize=3)
def _drawn(n: int, seed: int, stream: int, noise: bool) -> tuple[np.ndarray, ...]:
    """Fluxes (n, 120), measured widths and errors, true widths, classes; the last ones are kept,
    since both views of the same galaxies are often wanted."""
    state = np.random.SeedSequence([seed, stream]).generate_state(2)
    rng = np.random.default_rng(state)
    fluxes, widths, kinds = [], [], []
    for flux, ew, kind in true_blocks(n, int(state[0])):
        seen = observed(flux, rng)
        fluxes.append(seen if noise else flux)
        widths.append(ew)
        kinds.append(kind)
    true_ew = np.concatenate(widths).astype(float)
    ew, error = measure(true_ew, rng)
    return np.concatenate(fluxes), ew, error, true_ew, np.concatenate(kinds)


def true_blocks(n: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Galaxies of the population before any noise, block after block.

    Args:
        n: number of galaxies.
        seed: any whole number.

    Yields:
        Mean fluxes (k, 120) in bins of `FINE_EDGES`, widths (k, 10) [Angstrom], classes (k,).

    Example:
        >>> [flux.shape for flux, ew, kind in true_blocks(20, 0)]
        [(20, 120)]
    """
    from nebulines.galaxies.population.drawing import population_blocks

    for block in population_blocks(n, seed, wavelength=_RANGE):
        weights = bin_weights(air_to_vacuum(np.asarray(block.wavelength_air, float)), FINE_EDGES)
        widths = np.stack([block.line_ew[name] for name in LINES], axis=1)
        yield block.continuum @ weights.astype(np.float32), widths, block.kind


def features(fine_flux: np.ndarray, view: View) -> np.ndarray:
    """What a network sees of fluxes (n, 120): colours (n, 11) or shapes (n, 120) [dex]."""
    if view == "spectrum":
        return np.asarray(log_shape(fine_flux))
    return np.asarray(colours(fine_flux.reshape(len(fine_flux), len(BIN_EDGES) - 1, -1).mean(-1)))


def observed(flux: Any, rng: np.random.Generator) -> np.ndarray:
    """Mean fluxes in bins as a survey measures them.

    Args:
        flux: (n, k) true means in bins of `FINE_EDGES`.
        rng: generator.

    Example:
        >>> seen = observed(np.ones((500, 120)), np.random.default_rng(0))
        >>> bool(0.01 < seen.std() < 0.1)
        True
    """
    table, flux = survey_settings(), np.asarray(flux, np.float32)
    n, k = flux.shape
    low, high = np.log(table["snr"])
    snr = np.exp(rng.uniform(low, high, (n, 1)))
    noise = np.median(flux, axis=1, keepdims=True) / (snr * np.sqrt(np.diff(FINE_EDGES)[0]))
    bend = table["calibration"] * rng.normal(size=(n, 2)) @ calibration_shapes(k)
    seen = flux * (1.0 + bend) + noise * rng.normal(size=flux.shape)
    return np.maximum(seen, 1e-3 * flux).astype(np.float32)


def calibration_shapes(k: int) -> np.ndarray:
    """The straight and the curved error (2, k) of the calibration in k bins, of unit spread.

    Example:
        >>> calibration_shapes(3).tolist()
        [[-1.0, 0.0, 1.0], [1.0, -0.5, 1.0]]
    """
    x = np.linspace(-1.0, 1.0, k)
    return np.stack([x, 1.5 * x**2 - 0.5])


@functools.cache
def survey_settings() -> dict[str, Any]:
    """``snr`` and ``calibration`` of ``data/observed_continua.toml``."""
    path = Path(__file__).parent / "data" / "observed_continua.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))
