"""The verb ``paint``: continua in, continua with lines and equivalent widths out."""

from __future__ import annotations

import functools
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from nebulines.errors import InputError, UsageError
from nebulines.galaxies.widths.config import PaintConfig
from nebulines.galaxies.widths.inputs import (
    as_arrays,
    require_per_wavelength,
    rest_wavelength,
    spread_of,
)
from nebulines.galaxies.widths.painter import Painted, Painter
from nebulines.galaxies.widths.predictors import Predictor, default_predictor, load_predictor
from nebulines.instruments.line_spread import LineSpread
from nebulines.spectra import Spectra

_BLOCK_VALUES = 4_000_000


def paint(continuum: Any, wavelength: Any = None, **options: Any) -> Painted:
    """Predict the emission lines of galaxies from their stellar continua, and paint them.

    Args:
        continuum: (n, channel) or (channel,) flux per Angstrom in the rest frame, or `Spectra`.
            Inside ``jax.jit`` and ``jax.grad`` it may be traced.
        wavelength: (channel,) or (n, channel) increasing [Angstrom] or an astropy quantity; left
            out for `Spectra`.
        **options: of `PaintConfig`: weights, medium, broadening_kms, resolution, scatter,
            seed, snr, oii_ratio, mask_kms, model_scatter, frame.

    Returns:
        `Painted`: flux with lines, equivalent widths and errors of ten lines, flags. Continua
        with missing, zero or negative bins get NaN and the flag NO_DATA; colours that the
        network never met get OUT_OF_RANGE.

    Raises:
        UsageError: an unknown or impossible option, or no weights.
        InputError: wavelengths that do not cover 3400 to 7000 Angstrom, shapes that do not fit,
            flux per frequency, or observed-frame spectra that are not said to be so.

    Example:
        >>> wave = np.arange(3300.0, 7100.0, 2.0)
        >>> painted = paint((wave / 5500.0)[None] ** [[-1.0], [0.5]], wave)
        >>> painted.flux.shape, painted.ew.shape
        ((2, 1900), (2, 10))
    """
    known = {field.name for field in fields(PaintConfig)}
    if unknown := sorted(set(options) - known):
        raise UsageError(f"paint: unknown {', '.join(unknown)}; there are {', '.join(known)}")
    config = PaintConfig(**options)
    if isinstance(continuum, Spectra):
        return paint_spectra(continuum, config)[1]
    if wavelength is None:
        raise UsageError("paint needs the wavelengths of an array: paint(continuum, wavelength)")
    flux, wavelength = as_arrays(continuum, wavelength)
    spread = spread_of(config, None)
    if isinstance(flux, jax.core.Tracer):
        return _traced(flux, wavelength, config, spread)
    return _in_blocks(_Job(flux, wavelength, config, spread))


def paint_spectra(
    spectra: Spectra, config: PaintConfig, *, first_row: int = 0
) -> tuple[Spectra, Painted]:
    """Paint lines on `Spectra`.

    Args:
        spectra: continua; masked channels do not count.
        config: options; ``medium`` is that of the spectra.
        first_row: number of the first continuum in a larger set; draws and noise of a row depend
            on its number and the seed alone, so that blocks do not change them.

    Returns:
        The spectra with the lines added (and noise, with its variance), and `Painted`.

    Raises:
        InputError, UsageError: as for `paint`.
    """
    require_per_wavelength(spectra.unit)
    wavelength, flip = rest_wavelength(spectra, config)
    order = slice(None, None, -1) if flip else slice(None)
    flux = np.asarray(spectra.flux)[:, order]
    usable = None if spectra.mask is None else ~np.asarray(spectra.mask, bool)[:, order]
    config = replace(config, medium=spectra.axis.medium)
    job = _Job(flux, wavelength, config, spread_of(config, spectra.line_spread), usable, first_row)
    painted = _in_blocks(job)
    painted = painted._replace(flux=painted.flux[:, order])
    variance = spectra.variance
    if config.snr is not None:
        noise = np.broadcast_to(_noise_level(flux, config.snr)[:, None] ** 2, flux.shape)
        variance = noise if variance is None else np.asarray(variance) + noise
    return replace(spectra, flux=painted.flux, variance=variance), painted


def predictor_of(config: PaintConfig) -> Predictor:
    """The network that a configuration names."""
    with jax.ensure_compile_time_eval():
        return _load(config.weights, bool(jax.config.read("jax_enable_x64")))


@functools.lru_cache(maxsize=8)
def _load(path: str | Path | None, double: bool) -> Predictor:
    """One network, in the precision that JAX has at the time."""
    return default_predictor() if path is None else load_predictor(path)


class _Job(NamedTuple):
    """Continua (n, channel) to paint, and how."""

    flux: Any
    wavelength: np.ndarray
    config: PaintConfig
    spread: LineSpread | None
    usable: np.ndarray | None = None
    first_row: int = 0


def _traced(
    flux: Any, wavelength: np.ndarray, config: PaintConfig, spread: LineSpread | None
) -> Painted:
    """Inside a compiled function."""
    if config.snr is not None:
        raise UsageError("noise is not added inside a compiled function: add it to the result")
    painter, key = _painter(wavelength, config, spread), None
    if config.scatter:
        key = row_keys(config.seed, np.arange(len(flux)))
    return painter(flux, broadening_kms=config.broadening_kms, key=key)


def _painter(wavelength: np.ndarray, config: PaintConfig, spread: LineSpread | None) -> Painter:
    network = predictor_of(config).network
    with jax.ensure_compile_time_eval():
        return Painter(
            wavelength,
            network,
            medium=config.medium,
            line_spread=spread,
            oii_ratio=config.oii_ratio,
            mask_kms=config.mask_kms,
            model_scatter=config.added_scatter,
        )


def _in_blocks(job: _Job) -> Painted:
    """Blocks of equal size (the last one padded), so that one program serves all."""
    config, (n, channels) = job.config, job.flux.shape
    broadening = np.asarray(config.broadening_kms, float)
    if broadening.ndim == 1 and len(broadening) != n:
        raise InputError(f"{len(broadening)} broadenings for {n} continua: give one, or one each")
    wide = job.wavelength.ndim == 2 or broadening.ndim == 1
    block = int(min(n, max(1, _BLOCK_VALUES // (channels * (24 if wide else 2)))))
    shared = _painter(job.wavelength, config, job.spread) if job.wavelength.ndim == 1 else None
    sigma = None if config.snr is None else _noise_level(job.flux, config.snr)
    parts = []
    for start in range(0, n, block):
        rows = np.minimum(np.arange(start, start + block), n - 1)
        part = _compiled(
            shared or _painter(job.wavelength[rows], config, job.spread),
            np.asarray(job.flux[rows]),
            broadening[rows] if broadening.ndim else broadening,
            row_keys(config.seed, job.first_row + rows) if config.scatter else None,
            None if job.usable is None else job.usable[rows],
        )
        if sigma is not None:
            keys = row_keys(config.seed, job.first_row + rows, stream=1)
            part = part._replace(flux=_with_noise(part.flux, sigma[rows], keys))
        parts.append([np.asarray(values)[: n - start] for values in part])
    return Painted(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def row_keys(seed: int, rows: Any, *, stream: int = 0) -> jax.Array:
    """Random keys (n,) of rows by their numbers.

    Example:
        >>> row_keys(0, np.arange(3)).shape
        (3,)
    """
    key = jax.random.fold_in(jax.random.key(seed), stream)
    return jax.vmap(lambda row: jax.random.fold_in(key, row))(np.asarray(rows, np.uint32))


@eqx.filter_jit
def _compiled(painter: Painter, flux: Any, broadening: Any, key: Any, usable: Any) -> Painted:
    return painter(flux, broadening_kms=broadening, key=key, usable=usable)


@jax.jit
def _with_noise(flux: Any, sigma: Any, keys: Any) -> jax.Array:
    normal = jax.vmap(lambda key: jax.random.normal(key, flux.shape[1:], flux.dtype))(keys)
    return flux + jnp.asarray(sigma, flux.dtype)[:, None] * normal


def _noise_level(continuum: np.ndarray, snr: float) -> np.ndarray:
    """Standard deviation (n,): the median of the finite continuum / snr; 0 without one."""
    finite = np.isfinite(continuum)
    middle = np.zeros(len(continuum))
    for row in np.flatnonzero(finite.any(axis=1)):
        middle[row] = np.median(continuum[row][finite[row]])
    return np.abs(middle) / snr
