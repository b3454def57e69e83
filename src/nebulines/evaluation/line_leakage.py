"""How much of a predicted line was read from the line itself: an audit of the masks.

Galaxies of the population get their lines; colours are measured with the lines never there,
masked, partly masked and kept; neighbours among other galaxies predict the widths. What a
correlation exceeds that of the first case by comes from the lines, not from the stars.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from nebulines.galaxies.widths.baselines import nearest_neighbours
from nebulines.galaxies.widths.bins import bin_flux, bin_weights, colours
from nebulines.galaxies.widths.equivalent_widths import LINES
from nebulines.galaxies.widths.line_masks import (
    HALF_WIDTH_KMS,
    line_mask,
    line_windows,
    replace_lines,
)
from nebulines.galaxies.widths.painter import Painter
from nebulines.galaxies.widths.predictors import default_predictor
from nebulines.galaxies.widths.scores import line_scores
from nebulines.spectral_axis import air_to_vacuum

PARTLY_KMS = 150.0
"""Half width of windows that leave the wings of lines."""
_EVERY = 3


def leakage(n: int, seed: int) -> dict[str, np.ndarray]:
    """Rank correlation (10,) of predicted and true widths by what was done to the lines.

    Args:
        n: galaxies, half of which predict the other half.
        seed: any whole number.

    Returns:
        One array for ``never there``, ``masked (600 km/s)``, ``partly masked (150 km/s)`` and
        ``kept``.
    """
    from nebulines.galaxies.population.drawing import draw_population

    drawn = draw_population(n, [seed, 31], wavelength=(3350.0, 7050.0))
    m = drawn.continuum.shape[1] // _EVERY * _EVERY
    wave = air_to_vacuum(np.asarray(drawn.wavelength_air[:m], float)).reshape(-1, _EVERY).mean(1)
    stars = drawn.continuum[:, :m].reshape(n, -1, _EVERY).mean(axis=2)
    true = np.stack([drawn.line_ew[name] for name in LINES], axis=1)
    painter = Painter(wave, default_predictor().network)
    level = bin_flux(jnp.asarray(stars), painter.sides).flux
    fluxes = (jnp.asarray(true, jnp.float32) @ painter.shares) * level
    noisy = stars * (1.0 + 0.02 * np.random.default_rng([seed, 32]).normal(size=stars.shape))
    lines = np.asarray(painter.line_spectrum(fluxes, jnp.asarray(drawn.gas_dispersion)))
    spectra = (noisy + lines).astype(np.float32)
    cases = {
        "never there": (noisy.astype(np.float32), None),
        f"masked ({HALF_WIDTH_KMS:.0f} km/s)": (spectra, HALF_WIDTH_KMS),
        f"partly masked ({PARTLY_KMS:.0f} km/s)": (spectra, PARTLY_KMS),
        "kept": (spectra, None),
    }
    return {name: _ranks(flux, wave, true, kms) for name, (flux, kms) in cases.items()}


def _ranks(flux: np.ndarray, wave: np.ndarray, true: np.ndarray, kms: float | None) -> np.ndarray:
    seen = jnp.asarray(flux)
    if kms is not None:
        seen = replace_lines(seen, line_mask(wave, line_windows(kms)))
    colour = np.asarray(colours(bin_flux(seen, bin_weights(wave)).flux))
    half = len(true) // 2
    predicted = nearest_neighbours(colour[:half], true[:half], k=20)(colour[half:])
    return line_scores(predicted, true[half:]).spearman
