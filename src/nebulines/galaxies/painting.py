"""The verb ``paint``: continua in, continua with lines and equivalent widths out."""

from __future__ import annotations

import functools
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from nebulines.errors import InputError, UsageError
from nebulines.galaxies.config import PaintConfig
from nebulines.galaxies.inputs import as_arrays, require_per_wavelength, rest_wavelength, spread_of
from nebulines.galaxies.painter import Painted, Painter
from nebulines.galaxies.predictors import Predictor, default_predictor, load_predictor
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
            seed, snr, oii_ratio, mask_kms, frame.

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
    return _painted(flux, wavelength, config, spread_of(config, None))


def paint_spectra(spectra: Spectra, config: PaintConfig) -> tuple[Spectra, Painted]:
    """Paint lines on `Spectra`.

    Args:
        spectra: continua; masked channels do not count.
        config: options; ``medium`` is that of the spectra.

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
    painted = _painted(flux, wavelength, config, spread_of(config, spectra.line_spread), usable)
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


def _painted(
    flux: Any,
    wavelength: np.ndarray,
    config: PaintConfig,
    spread: LineSpread | None,
    usable: np.ndarray | None = None,
) -> Painted:
    if not isinstance(flux, jax.core.Tracer):
        return _in_blocks(flux, wavelength, config, spread, usable)
    if config.snr is not None:
        raise UsageError("noise is not added inside a compiled function: add it to the result")
    painter, key = _painter(wavelength, config, spread), None
    if config.scatter:
        key = jax.random.key(config.seed)
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
        )


def _in_blocks(
    flux: np.ndarray,
    wavelength: np.ndarray,
    config: PaintConfig,
    spread: LineSpread | None,
    usable: np.ndarray | None,
) -> Painted:
    """Blocks of equal size (the last one padded), so that one program serves all."""
    n, channels = flux.shape
    broadening = np.asarray(config.broadening_kms, float)
    if broadening.ndim == 1 and len(broadening) != n:
        raise InputError(f"{len(broadening)} broadenings for {n} continua: give one, or one each")
    wide = wavelength.ndim == 2 or broadening.ndim == 1
    block = int(min(n, max(1, _BLOCK_VALUES // (channels * (24 if wide else 2)))))
    painter = _painter(wavelength, config, spread) if wavelength.ndim == 1 else None
    parts = []
    for k, start in enumerate(range(0, n, block)):
        rows = np.minimum(np.arange(start, start + block), n - 1)
        here = painter or _painter(wavelength[rows], config, spread)
        key = jax.random.fold_in(jax.random.key(config.seed), k) if config.scatter else None
        part = _compiled(
            here,
            np.asarray(flux[rows]),
            broadening[rows] if broadening.ndim else broadening,
            key,
            None if usable is None else usable[rows],
        )
        parts.append([np.asarray(values)[: n - start] for values in part])
    painted = Painted(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    return painted if config.snr is None else _noisy(painted, flux, config)


@eqx.filter_jit
def _compiled(painter: Painter, flux: Any, broadening: Any, key: Any, usable: Any) -> Painted:
    return painter(flux, broadening_kms=broadening, key=key, usable=usable)


def _noisy(painted: Painted, continuum: np.ndarray, config: PaintConfig) -> Painted:
    assert config.snr is not None
    sigma = _noise_level(continuum, config.snr)[:, None]
    noise = np.random.default_rng([config.seed, 1]).normal(size=painted.flux.shape)
    return painted._replace(flux=painted.flux + (sigma * noise).astype(painted.flux.dtype))


def _noise_level(continuum: np.ndarray, snr: float) -> np.ndarray:
    """Standard deviation (n,): the median of the finite continuum / snr; 0 without one."""
    finite = np.isfinite(continuum)
    middle = np.zeros(len(continuum))
    for row in np.flatnonzero(finite.any(axis=1)):
        middle[row] = np.median(continuum[row][finite[row]])
    return np.abs(middle) / snr
