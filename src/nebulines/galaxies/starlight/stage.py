"""Lines measured above starlight: starlight first without the lines, then with them, then the
lines on what is left.

1. Channels that lines may reach are left out; templates, kinematics, reddening and a polynomial
   are fitted to the others (`continuum_fit`).
2. The gas is fitted to the rest by the engine, which tells where the lines are and how wide.
3. Starlight and lines are fitted at the same time, the lines with those places and widths.
4. The engine measures the lines above that starlight, from where the gas was seen, with a low
   polynomial in each window for what templates cannot describe; what the freedom of the starlight
   adds to the variance of a flux is added to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nebulines.fitting.column_names import follows_flux
from nebulines.fitting.config import FitConfig
from nebulines.fitting.fit import FittedBlock, fit_block
from nebulines.fitting.tiles import SMALL_TILE, even_rows, map_tiles
from nebulines.galaxies.denoising.rest_grid import CHANNEL_KMS, OnGrid, off_grid, onto_grid
from nebulines.galaxies.flux_units import far_from_one, in_units
from nebulines.galaxies.starlight.columns import Judged, add_stellar_columns, judge, missing
from nebulines.galaxies.starlight.continuum_fit import (
    Starlight,
    fit_starlight,
    locate,
    no_starlight,
)
from nebulines.galaxies.starlight.gas import Gas, look_for_gas
from nebulines.galaxies.starlight.in_turn import TILE_ROWS
from nebulines.galaxies.starlight.lines import known_lines, line_places, reached_by
from nebulines.galaxies.starlight.setup import (
    LEAST_CHANNELS,
    StellarSetup,
    basis_for,
    line_sigma,
    noise_known,
)
from nebulines.lines import load_catalogue
from nebulines.spectra import Spectra

SLAB_ROWS = 528
SEARCH_KMS = 700.0
NEAR_KMS = 1000.0
"""Reach of the profiles of gas lines beside the starlight."""


class Stars(NamedTuple):
    """Starlight of n spectra and how it was found; what was seen of the gas, None where no
    spectrum has starlight."""

    data: OnGrid
    light: Starlight
    judged: Judged
    setup: StellarSetup
    on_axis: np.ndarray
    gas: Gas | None


def fit_above_starlight(
    spectra: Spectra,
    config: FitConfig,
    *,
    with_model: bool = True,
    measure: Callable[..., FittedBlock] = fit_block,
) -> FittedBlock:
    """Fit the lines of n spectra above their starlight.

    Args:
        spectra: the data.
        config: resolved options with ``continuum = "stellar"``.
        with_model: keep the model: starlight, with the lines and what lies between.
        measure: fits the lines in the end: (spectra, config, with_model=) -> `FittedBlock`.

    Returns:
        Columns of the fit with those of the starlight, model and notes. A spectrum whose
        starlight cannot be fitted is measured above a polynomial, and flagged.
    """
    gas_config = replace(config, continuum="window", templates=None)
    if (unit := far_from_one(spectra)) is not None:
        options: Any = {"with_model": with_model, "measure": measure}
        return _times(fit_above_starlight(in_units(spectra, unit), config, **options), unit)
    setup = basis_for(spectra, config)

    def work(start: int) -> FittedBlock:
        rows = slice(start, min(start + slab, len(spectra)))
        stars = find_stars(spectra[rows], config, gas_config, setup.rows(rows))
        return _above(stars, spectra[rows], config, gas_config, measure, with_model)

    # a part more than cores: what one does in Python, others spend in compiled code
    tile = TILE_ROWS if len(spectra) >= 2 * TILE_ROWS else SMALL_TILE
    slab = even_rows(len(spectra), SLAB_ROWS, tile, spare=1)
    pieces = map_tiles(work, list(range(0, len(spectra), slab)))
    names = pieces[0].columns
    columns = {name: np.concatenate([p.columns[name] for p in pieces]) for name in names}
    model = np.concatenate([piece.model for piece in pieces])
    return FittedBlock(columns, model, pieces[0].notes)


def _times(block: FittedBlock, unit: np.ndarray) -> FittedBlock:
    """What was measured in units (n,), in that of the data."""
    columns = {
        name: (values * unit).astype(values.dtype) if follows_flux(name) else values
        for name, values in block.columns.items()
    }
    model = (block.model * unit[:, None]).astype(block.model.dtype)
    return block._replace(columns=columns, model=model)


def _above(
    stars: Stars,
    spectra: Spectra,
    config: FitConfig,
    gas_config: FitConfig,
    measure: Callable[..., FittedBlock],
    with_model: bool,
) -> FittedBlock:
    """The lines of n spectra above their starlight."""
    rest = replace(spectra, flux=(spectra.flux - stars.on_axis).astype(np.float32))
    if measure is fit_block and stars.gas is not None:
        measure = partial(fit_block, find=stars.gas.find)
    fitted = measure(rest, gas_config, with_model=with_model)
    columns = add_stellar_columns(fitted.columns, stars, spectra, config)
    model = fitted.model
    if model.shape[1]:
        lines = np.where(np.isfinite(model), model, 0.0)
        model = (stars.on_axis + lines).astype(np.float32)
    notes = {**fitted.notes, "STELLAR": stars.setup.basis.templates.name}
    return fitted._replace(columns=columns, model=model, notes=notes)


def find_stars(
    spectra: Spectra, config: FitConfig, gas_config: FitConfig, setup: StellarSetup
) -> Stars:
    """Starlight of n spectra.

    Args:
        spectra: the data.
        config: resolved options.
        gas_config: those of the fit of the lines.
        setup: of the spectra, `basis_for`.
    """
    spectra = noise_known(spectra, config)
    data = onto_grid(spectra, setup.redshift, setup.basis.grid)
    data.weight[~setup.usable] = 0.0
    catalogue = load_catalogue(config.catalogue).select(config.lines or ())
    rest = catalogue.wavelength(spectra.axis.medium)
    fitted = reached_by(setup.basis.grid, rest)
    free = ~(fitted | reached_by(setup.basis.grid, known_lines(spectra.axis.medium)))
    if not (((data.weight > 0) & free).sum(axis=1) >= LEAST_CHANNELS).any():
        dark = no_starlight(data, setup.basis, len(rest))
        return Stars(
            data, dark, judge(data, dark, setup), setup, np.zeros(spectra.flux.shape), None
        )
    data = locate(data, np.broadcast_to(free, data.flux.shape), setup.basis, most=_most(config))
    free, fitted = (np.stack([np.roll(part, -k) for k in data.moved]) for part in (free, fitted))
    first = fit_starlight(data, free, setup.basis)
    on_axis = _on_axis(first, missing(data, first, setup), data, spectra, setup)
    gas = look_for_gas(spectra, on_axis, config, gas_config)
    places = line_places(
        setup.basis.grid,
        rest,
        **gas.kinematics((first.shape[:, 0] + data.offset) * CHANNEL_KMS),
        spread=line_sigma(spectra, config, setup, catalogue),
        offset=data.offset,
    )
    used = first.used | (fitted & (data.weight > 0))
    near = np.flatnonzero(reached_by(setup.basis.grid, rest, half_width_kms=NEAR_KMS))
    light = fit_starlight(data, used, setup.basis, start=first.shape, places=places, near=near)
    judged = judge(data, light, setup)
    on_axis = _on_axis(light, judged.none, data, spectra, setup)
    return Stars(data, light, judged, setup, on_axis, gas)


def _most(config: FitConfig) -> int:
    """Channels that the search of starlight covers either way."""
    reach = min(max(np.abs(config.velocity_range)), SEARCH_KMS)
    return max(int(np.ceil(reach / CHANNEL_KMS)), 2)


def _on_axis(
    light: Starlight, none: np.ndarray, data: OnGrid, spectra: Spectra, setup: StellarSetup
) -> np.ndarray:
    """Starlight (n, channel) at the channels of the spectra; 0 where none is believed."""
    stars = np.where(none[:, None], 0.0, light.stars).astype(np.float32)
    return off_grid(stars, data, spectra, setup.redshift)
