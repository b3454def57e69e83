"""Fit spectra: decide what to fit, find the lines, fit them, say how sure the answer is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from nebulines.errors import InputError, UsageError
from nebulines.fitting.bank.path import bank_applies, fit_with_bank
from nebulines.fitting.columns import build_columns
from nebulines.fitting.components.second_component import add_second_component
from nebulines.fitting.config import FitConfig
from nebulines.fitting.direct.path import HARD_ROUNDS, fit_directly
from nebulines.fitting.fitted import Fitted
from nebulines.fitting.line_spread import usable_line_spread
from nebulines.fitting.normalise import Normalised
from nebulines.fitting.prepared import Prepared, prepare
from nebulines.fitting.problem import (
    Geometry,
    LineModel,
    usable_redshift,
)
from nebulines.fitting.redshift import find_redshift
from nebulines.fitting.sample import brightest_spaxels, middle_spaxel
from nebulines.fitting.start import Start, find_start, plan_search
from nebulines.fitting.tiles import map_tiles
from nebulines.fitting.warm_up import load_direct_fit
from nebulines.instruments import get_instrument
from nebulines.lines import LineCatalogue, load_catalogue
from nebulines.spectra import Cube, Flag, Spectra

COLUMN_ROWS = 8192
"""Rows whose columns are worked out at once."""
MODEL_ROWS = 512
"""Rows whose models are."""


class FittedBlock(NamedTuple):
    """The fit of n spectra.

    Attributes:
        columns: name -> (n,), in the order of the result table.
        model: (n, channel) float32 best fit in the unit of the data, NaN outside the fitted
            windows.
        notes: facts for headers.
    """

    columns: dict[str, np.ndarray]
    model: np.ndarray
    notes: dict[str, str]


def resolve(data: Spectra | Cube, config: FitConfig) -> FitConfig:
    """Settle what the options leave open: which lines, and the redshift when it is ``auto``.

    Args:
        data: spectra, or a cube (whose brightest spaxels decide the redshift).
        config: options.

    Returns:
        Options with explicit lines and a redshift that is a number, or None when the data
        bring their own.

    Raises:
        UsageError: no line of the catalogue falls in the band, or an unknown line is named.
    """
    sample = data if isinstance(data, Spectra) else middle_spaxel(data)
    if len(sample) == 0:
        raise InputError("there is no spectrum to fit (the input has 0 rows)")
    catalogue = load_catalogue(config.catalogue)
    if config.redshift == "auto":
        bright = data if isinstance(data, Spectra) else brightest_spaxels(data)
        comb = config.lines or catalogue.defaults().names
        redshift, _ = find_redshift(bright, catalogue.select(comb), config)
        config = replace(config, redshift=redshift)
    if config.lines is not None:
        catalogue.select(config.lines)
        return config
    names = lines_in_band(sample, catalogue.defaults(), config)
    if not names:
        (low, high), shifts = _light(sample), _redshifts(sample, config)
        raise UsageError(
            f"no default line falls in the band {low:.0f}-{high:.0f} Angstrom at redshift "
            f"{shifts.min():.4f}: give --redshift, or name the lines with --lines"
        )
    return replace(config, lines=names)


def lines_in_band(spectra: Spectra, catalogue: LineCatalogue, config: FitConfig) -> tuple[str, ...]:
    """Names of the lines that fall in the band of the spectra at the redshift of any of them."""
    low, high = _light(spectra)
    shifts = _redshifts(spectra, config)
    rest = catalogue.wavelength(spectra.axis.medium)
    return tuple(
        name
        for name, wave in zip(catalogue.names, rest, strict=True)
        if np.any((wave * (1 + shifts) > low) & (wave * (1 + shifts) < high))
    )


def _light(spectra: Spectra) -> tuple[float, float]:
    """Wavelengths [Angstrom] that the data may show: those of the axis and, where a scan folds
    more into it than the filter lets through, of the instrument's band."""
    low, high = spectra.axis.wavelength_range()
    if spectra.axis.kind == "wavenumber" and spectra.instrument:
        first, last = get_instrument(spectra.instrument).band
        if max(low, first) < min(high, last):
            return max(low, first), min(high, last)
    return low, high


def _redshifts(spectra: Spectra, config: FitConfig) -> np.ndarray:
    if isinstance(config.redshift, int | float):
        return np.array([float(config.redshift)])
    if spectra.redshift is not None and usable_redshift(spectra.redshift).any():
        return spectra.redshift[usable_redshift(spectra.redshift)]
    return np.zeros(1)


def fit_block(
    spectra: Spectra,
    config: FitConfig,
    *,
    with_model: bool = True,
    find: Callable[[Prepared], Start] | None = None,
) -> FittedBlock:
    """Fit n spectra at once.

    Args:
        spectra: the data, n >= 1.
        config: options as `resolve` returns them (explicit lines, no ``auto`` redshift).
        with_model: False leaves the model out (n, 0), which saves time and memory.
        find: says where to begin, row by row; None = a search of the configuration's velocity
            range, `search_start`.

    Returns:
        Columns, model and notes. A row that cannot be fitted is NaN and flagged.
    """
    prepared = prepare(spectra, config)
    data, geometry, model, _, channels, known = prepared
    load_direct_fit(prepared)
    start = (find or search_start)(prepared)
    several = config.components != 1
    fitted, path = _dispatch(data, geometry, model, config, start, with_model or several)
    flags = input_flags(spectra, data, config)
    columns = _columns(fitted, prepared, start, flags)
    if several:
        fitted, columns = add_second_component(
            fitted, columns, data, geometry, model, config, start, flags, with_model=with_model
        )
    notes = {
        "NOISE": "estimated" if data.estimated else "file",
        "METHOD": "fit",
        "FITPATH": path,
        "VELCONV": config.velocity_convention,
        "AIRORVAC": "air" if spectra.axis.medium == "air" else "vac",
        "LSFCORR": "yes" if known else "no: line spread unknown, one channel assumed",
        "LINETIES": config.ties,
        "AMPLITUD": config.amplitudes,
        "FLUXUNIT": spectra.unit,
    }
    return FittedBlock(columns, model_flux(fitted, data, channels, spectra), notes)


def _columns(
    fitted: Fitted, prepared: Prepared, start: Start, flags: np.ndarray
) -> dict[str, np.ndarray]:
    """The columns of all rows, some thousand of them at a time."""
    data, geometry, model, config, *_ = prepared

    def of(rows: slice) -> dict[str, np.ndarray]:
        part = Fitted(*(values[rows] for values in fitted))
        begin = Start(*(values[rows] for values in start))
        return build_columns(
            part, geometry.rows(rows), model, config, data.rows(rows), begin, flags[rows]
        )

    n = len(flags)
    # one after another: short operations of two threads wait for each other
    pieces = [of(slice(k, k + COLUMN_ROWS)) for k in range(0, n, COLUMN_ROWS)]
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def search_start(prepared: Prepared) -> Start:
    """Start values by the fit's own velocity search."""
    data, geometry, model, config, *_ = prepared
    return find_start(data, geometry, plan_search(geometry, model, config))


def model_flux(fitted: Fitted, data: Normalised, channels: slice, spectra: Spectra) -> np.ndarray:
    """The model in the unit of the data on the whole axis, or (n, 0) when it was not kept."""
    if fitted.model.shape[1] == 0:
        return fitted.model
    scale, level = (part[:, None].astype(np.float32) for part in (data.scale, data.level))
    whole = np.empty((len(scale), spectra.axis.n_channels), np.float32)

    def fill(rows: slice) -> None:
        whole[rows, : channels.start] = np.nan
        whole[rows, channels.stop :] = np.nan
        inside = whole[rows, channels]
        np.multiply(fitted.model[rows], scale[rows], out=inside)
        inside += level[rows]

    map_tiles(fill, [slice(k, k + MODEL_ROWS) for k in range(0, len(whole), MODEL_ROWS)])
    return whole


def _dispatch(
    data: Normalised,
    geometry: Geometry,
    model: LineModel,
    config: FitConfig,
    start: Start,
    with_model: bool,
) -> tuple[Fitted, str]:
    """The filter bank where it serves, the direct path for everything else."""
    if not bank_applies(data, geometry, model, config):
        return fit_directly(data, geometry, model, config, start, with_model), "direct"
    fitted, left = fit_with_bank(data, geometry, model, config, start, with_model)
    rows = np.flatnonzero(left)
    if len(rows):
        again = fit_directly(
            data, geometry, model, config, start, with_model, rows=rows, rounds=HARD_ROUNDS
        )
        for mine, other in zip(fitted, again, strict=True):
            mine[rows] = other
    return fitted, f"filter bank ({len(left) - len(rows)}), direct ({len(rows)})"


def input_flags(spectra: Spectra, data: Normalised, config: FitConfig) -> np.ndarray:
    """(n,) flags that do not depend on the fit."""
    flags = np.zeros(len(spectra), np.int64)
    flags[data.bad_variance] |= int(Flag.BAD_VARIANCE)
    flags[data.constant()] |= int(Flag.NO_DATA)
    if spectra.redshift is not None and not isinstance(config.redshift, int | float):
        flags[~usable_redshift(spectra.redshift)] |= int(Flag.BAD_REDSHIFT | Flag.NO_DATA)
    flags[~usable_line_spread(spectra, config)] |= int(Flag.NO_DATA)
    scale = spectra.axis.scale
    if scale is not None:
        flags[~(np.isfinite(scale) & (scale > 0))] |= int(Flag.NO_DATA)
    return flags
