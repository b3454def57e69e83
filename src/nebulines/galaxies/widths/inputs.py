"""What `paint` accepts: arrays, quantities and `Spectra`, checked and brought to one form."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from nebulines.errors import InputError
from nebulines.galaxies.widths.config import PaintConfig
from nebulines.instruments.line_spread import LineSpread
from nebulines.spectra import Spectra


def as_arrays(continuum: Any, wavelength: Any) -> tuple[Any, np.ndarray]:
    """Continua (n, channel) and wavelengths [Angstrom] that fit each other; quantities are
    converted.

    Raises:
        InputError: shapes that do not fit, wavelengths that are no lengths, or flux that is not per
            wavelength.

    Example:
        >>> flux, wavelength = as_arrays([1, 2], [5000.0, 5001.0])
        >>> flux.shape, wavelength.shape
        ((1, 2), (2,))
    """
    if hasattr(wavelength, "to_value"):
        wavelength = _in_angstrom(wavelength)
    if hasattr(continuum, "to_value"):
        require_per_wavelength(continuum.unit.to_string("fits"))
        continuum = continuum.value
    flux: Any = continuum if isinstance(continuum, jax.core.Tracer) else np.asarray(continuum)
    flux, wavelength = flux[None] if flux.ndim == 1 else flux, np.asarray(wavelength, float)
    if flux.ndim != 2 or wavelength.shape not in (flux.shape, flux.shape[1:]):
        raise InputError(
            f"continua {flux.shape} and wavelengths {wavelength.shape} do not fit: expected "
            "(n, channel) and (channel,) or (n, channel)"
        )
    if len(flux) == 0:
        raise InputError("there are no continua to paint: the array has no rows")
    if flux.dtype.kind not in "fiu":
        raise InputError(f"continua must be real numbers, not {flux.dtype}")
    if not isinstance(flux, jax.core.Tracer) and flux.dtype.kind != "f":
        flux = flux.astype(np.float32)
    return flux, wavelength


def _in_angstrom(wavelength: Any) -> Any:
    from astropy.units import UnitConversionError

    try:
        return wavelength.to_value("Angstrom")
    except UnitConversionError:
        raise InputError(
            f"wavelengths must be lengths, such as Angstrom or nm, not {wavelength.unit}"
        ) from None


def spread_of(config: PaintConfig, stated: LineSpread | None) -> LineSpread | None:
    """The line spread to paint with: of the options, else the stated one; where R differs from
    spectrum to spectrum, its median."""
    if config.resolution is not None:
        return LineSpread("gaussian", resolution=config.resolution)
    if stated is None or stated.resolution is None or stated.resolution.ndim == 0:
        return stated
    return LineSpread("gaussian", resolution=float(np.nanmedian(stated.resolution)))


def rest_wavelength(spectra: Spectra, config: PaintConfig) -> tuple[np.ndarray, bool]:
    """Rest-frame wavelengths, increasing, and whether the channels had to be reversed.

    Raises:
        InputError: redshifts other than 0 without ``frame``, or missing ones.
    """
    wavelength = spectra.axis.wavelength()
    flip = spectra.axis.kind == "wavenumber"
    wavelength = wavelength[..., ::-1] if flip else wavelength
    redshift = spectra.redshift
    unmoved = redshift is None or not np.any(np.nan_to_num(redshift) != 0.0)
    if redshift is None or unmoved or config.frame == "rest":
        return wavelength, flip
    if config.frame is None:
        raise InputError(
            "continua must be in the rest frame, but the file gives redshifts up to "
            f"{np.nanmax(redshift):.4g}: say --frame rest if its wavelengths are rest-frame "
            "ones, or --frame observed to divide them by 1 + z"
        )
    if not np.isfinite(redshift).all():
        raise InputError("a redshift is missing: give one a spectrum, or rest-frame wavelengths")
    return np.atleast_2d(wavelength) / (1.0 + redshift[:, None]), flip


def require_per_wavelength(unit: str) -> None:
    """Refuse units of flux per frequency, in which colours mean something else, magnitudes, and
    units of other quantities. Counts, and words that are no units, may be relative fluxes.

    Raises:
        InputError: such a unit.

    Example:
        >>> require_per_wavelength("erg / (s cm2 Angstrom)")
    """
    from astropy import units

    try:
        parsed = units.Unit(unit)
    except (ValueError, TypeError):
        return
    per_frequency = [units.Jy, units.Unit("W / Hz"), units.Unit("L_sun / Hz")]
    if any(parsed.is_equivalent(other) for other in per_frequency):
        raise InputError(
            f"continua must be a flux per wavelength, these are per frequency ({unit}): multiply "
            "them by c / wavelength^2"
        )
    if not (_relative(parsed) or any(_per_wavelength(parsed, part) for part in _POWERS)):
        raise InputError(
            f"continua must be a flux per wavelength, such as erg / (s cm2 Angstrom), not {unit}"
        )


_POWERS = ("W", "W / m2", "W / (m2 sr)")
_MECHANICAL = {"kg", "m", "s", "rad", "dex"}


def _per_wavelength(unit: Any, power: str) -> bool:
    from astropy import units

    return bool((unit * units.m).is_equivalent(units.Unit(power)))


def _relative(unit: Any) -> bool:
    """No unit at all, or one that holds counts or the like."""
    bases = {base.to_string() for base in unit.decompose().bases}
    return not bases or not bases <= _MECHANICAL
