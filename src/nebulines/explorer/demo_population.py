"""A population to look at: galaxies of the package, as a survey would measure their lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nebulines.explorer.galaxies import (
    Column,
    Population,
    basic_columns,
    continua,
    continuum_plane,
    latent_plane,
)
from nebulines.explorer.predictions import predicted_widths
from nebulines.explorer.rest_frame import BLOCK, grid_colours, resampled
from nebulines.galaxies.population.drawing import population_blocks
from nebulines.galaxies.population.population import CLASSES
from nebulines.galaxies.widths.equivalent_widths import LINES
from nebulines.galaxies.widths.errors import measure
from nebulines.spectral_axis import air_to_vacuum

_RANGE = (3350.0, 7050.0)
_COLUMNS = {
    "log_mass": ("log stellar mass formed", "M☉"),
    "log_sfr": ("log star-formation rate", "M☉/yr"),
    "mean_log_age": ("mean log age", "yr"),
    "oxygen_abundance": ("12 + log(O/H)", ""),
    "av": ("A_V, diffuse dust", "mag"),
    "d4000": ("D4000", ""),
    "velocity_dispersion": ("velocity dispersion", "km/s"),
}


def population_colours(n: int, seed: int) -> np.ndarray:
    """Colours (n, 11) [dex] of the package's galaxy population, without noise."""
    found = []
    for part in population_blocks(n, seed, block=BLOCK, wavelength=_RANGE):
        wavelength = air_to_vacuum(part.wavelength_air)
        found.append(grid_colours(resampled(part.continuum, wavelength)))
    return np.concatenate(found)


def demo_population(n: int = 100_000, seed: int = 0, *, latent: bool = False) -> Population:
    """Galaxies with true widths and errors as a survey would measure them, and what the
    package's network predicts from their continua.

    Args:
        n: number of galaxies.
        seed: of galaxies, draws and noise.
        latent: add the plane of the network's latent space (needs umap-learn).

    Returns:
        `Population`.
    """
    from nebulines.galaxies.widths.predictors import default_predictor

    predictor = default_predictor()
    known: list[dict[str, np.ndarray]] = []
    spectra, colours = continua(_continua(n, seed, known))
    columns = {name: np.concatenate([part[name] for part in known]) for name in known[0]}
    seen, errors = measure(columns["ew"], np.random.default_rng([seed, 1]))
    widths = {
        "observed": seen,
        **predicted_widths(predictor.network, colours, seed=seed, errors=errors),
    }
    planes = [continuum_plane(colours)]
    if latent:
        planes.append(latent_plane(predictor.network, colours, seed=seed))
    return Population(
        spectra,
        colours,
        widths,
        planes,
        [*basic_columns(colours, widths, errors), *_known_columns(columns)],
        broadening_kms=columns["gas_dispersion"],
        unit="L_sun Angstrom-1",
        title="A population of galaxies",
        about=_about(predictor.card, spectra.loss, seed),
    )


def _continua(n: int, seed: int, known: list[dict[str, np.ndarray]]) -> Iterator[np.ndarray]:
    """Continua on the rest-frame grid; what else is known of them goes to ``known``."""
    for part in population_blocks(n, seed, block=BLOCK, wavelength=_RANGE):
        line_ew = part.line_ew
        known.append(
            {
                "ew": np.stack([line_ew[name] for name in LINES], axis=1),
                "kind": part.kind,
                "gas_dispersion": part.gas_dispersion,
                **{name: getattr(part, name) for name in _COLUMNS},
            }
        )
        yield resampled(part.continuum, air_to_vacuum(part.wavelength_air))


def _known_columns(columns: dict[str, np.ndarray]) -> list[Column]:
    classes = Column("kind", "class", columns["kind"], names=CLASSES)
    numbers = [Column(name, label, columns[name], unit) for name, (label, unit) in _COLUMNS.items()]
    return [classes, *numbers]


def _about(card: dict[str, Any], loss: float, seed: int) -> dict[str, str]:
    return {
        "galaxies": f"simulated by nebulines (docs/galaxies.md), seed {seed}",
        "observed": "their lines with measurement errors as DESI's bright galaxies have them",
        "predicted": f"by the network {card['name']} from eleven colours of the continuum",
        "predicted + noise": "drawn from the network's scatter, with the same measurement errors",
        "spectra": f"principal components; what they leave out: {100 * loss:.2g} % rms",
    }
