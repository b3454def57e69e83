"""Bring one spectrum, its fit and its lines together for drawing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.constants import ANGSTROM_PER_CM
from nebulines.errors import InputError
from nebulines.plots.measured import measured, rest_wavelengths
from nebulines.plots.spectra import FittedSpectrum, line_windows
from nebulines.spectra import Flag, Spectra
from nebulines.spectral_axis import Medium, air_to_vacuum, doppler_factor

if TYPE_CHECKING:
    from nebulines.fitting.result import Result


def model_reader(
    model: np.ndarray | str | Path, shape: tuple[int, int] | None
) -> Callable[[int], np.ndarray]:
    """A function that gives the model (channel,) of one row of a result.

    Args:
        model: (n, channel), or the path of a model cube with extension ``FLUX``
            (channel, y, x), from which only the rows asked for are read.
        shape: (ny, nx) of the cube, needed with a path.

    Raises:
        InputError: the file cannot be read or is no model cube of this shape.

    Example:
        >>> model_reader(np.array([[1.0, 2.0], [3.0, 4.0]]), None)(1)
        array([3., 4.])
    """
    if not isinstance(model, str | Path):
        return lambda row: np.asarray(model[row], float)
    from astropy.io import fits

    def read(row: int) -> np.ndarray:
        assert shape is not None
        try:
            with fits.open(model, memmap=True) as file:
                return np.array(file["FLUX"].data[:, row // shape[1], row % shape[1]], float)
        except (OSError, KeyError, IndexError, TypeError) as error:
            raise InputError(
                f"{model} is not a model cube of {shape[0]} x {shape[1]} spaxels with an "
                f"extension FLUX (channel, y, x): {error}"
            ) from error

    return read


def fitted_spectrum(
    result: Result, row: int, spectra: Spectra, model: np.ndarray, *, title: str = ""
) -> FittedSpectrum:
    """One row of a result with its data.

    Args:
        result: the result.
        row: of the result.
        spectra: a set of one: the data of that row.
        model: (channel,).
        title: its beginning; S/N, velocity, broadening, chi2 and flags are added.

    Returns:
        Data in wavelength order; windows are those of the whole result (its median velocity)
        where all rows share a redshift, with the lines marked at this row's velocity.
    """
    wavelength, flux, error = _in_wavelength(spectra)
    order = slice(None, None, -1) if spectra.axis.kind == "wavenumber" else slice(None)
    medium = spectra.axis.medium
    band = (float(wavelength[0]), float(wavelength[-1]))
    marks = observed_lines(result, row, medium=medium)
    windows = line_windows(_frame_lines(result, row, medium), band, marks=marks)
    if "noise" in result and not np.isfinite(error).any():
        error = np.full_like(flux, result["noise"][row])
    return FittedSpectrum(
        wavelength, flux, error, model[order], windows, title + _facts(result, row)
    )


def _in_wavelength(spectra: Spectra) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wavelength [Angstrom], flux and error of a set of one, in order of wavelength."""
    values = spectra.axis.per_spectrum(1)[0]
    flux = np.array(spectra.flux[0], float)
    variance = np.full_like(flux, np.nan)
    if spectra.variance is not None:
        variance = np.where(spectra.variance[0] > 0, spectra.variance[0], np.nan).astype(float)
    if spectra.mask is not None:
        flux = np.where(spectra.mask[0], np.nan, flux)
    error = np.sqrt(variance)
    if spectra.axis.kind == "wavenumber":
        return ANGSTROM_PER_CM / values[::-1], flux[::-1], error[::-1]
    return values, flux, error


def observed_lines(
    result: Result, row: int, *, medium: Medium, velocity: float | None = None
) -> dict[str, float]:
    """Observed wavelength [Angstrom] of every fitted line of one row.

    lambda = lambda0 (1 + z) doppler(v), with lambda0 in ``medium``.

    Args:
        result: the result.
        row: of the result.
        medium: of the data's wavelengths.
        velocity: [km/s]; None = that of the row, 0 where it is not measured.
    """
    velocity = float(result["velocity"][row]) if velocity is None else velocity
    convention: Any = result.meta.get("VELCONV", "optical")
    shift = float(doppler_factor(velocity if np.isfinite(velocity) else 0.0, convention))
    rest = rest_wavelengths(result)
    in_medium = {n: float(air_to_vacuum(w)) if medium == "vacuum" else w for n, w in rest.items()}
    return {n: w * (1.0 + _redshift(result, row)) * shift for n, w in in_medium.items()}


def _redshift(result: Result, row: int) -> float:
    if "redshift" in result:
        return float(result["redshift"][row])
    redshift = result.meta.get("REDSHIFT", 0.0)
    return float(redshift) if isinstance(redshift, int | float) else 0.0


def _frame_lines(result: Result, row: int, medium: Medium) -> dict[str, float]:
    """Where the windows are centred: at the median velocity of a cube, so that its spectra
    share their axes; at the row's own velocity otherwise."""
    if result.shape is None:
        return observed_lines(result, row, medium=medium)
    velocities = result["velocity"][measured(result)]
    typical = float(np.nanmedian(velocities)) if np.isfinite(velocities).any() else 0.0
    return observed_lines(result, row, medium=medium, velocity=typical)


def _facts(result: Result, row: int) -> str:
    parts = []
    if "snr" in result:
        parts.append(f"S/N {result['snr'][row]:.0f}")
    parts.append(f"v {_with_error(result, 'velocity', row)}")
    parts.append(f"σ {_with_error(result, 'broadening', row)} km s$^{{-1}}$")
    if "chi2" in result:
        parts.append(f"χ² {result['chi2'][row]:.2f}")
    raised = Flag.describe(int(result["flags"][row])) if "flags" in result else []
    parts += [", ".join(name.lower().replace("_", " ") for name in raised)] if raised else []
    return "   ".join(["", *parts])


def _with_error(result: Result, column: str, row: int) -> str:
    value, error = result[column][row], result[f"{column}_err"][row]
    if not np.isfinite(value):
        return "unknown"
    text = f"{value:.0f}" + (f" ± {error:.0f}" if np.isfinite(error) else "")
    return text.replace("-", "−")
