"""Wavelength, wavenumber and velocity: conversions, and the axis of a set of spectra."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from nebulines.constants import ANGSTROM_PER_CM, SPEED_OF_LIGHT_KMS
from nebulines.errors import InputError, UsageError
from nebulines.quantities import bare

AxisKind = Literal["wavelength", "wavenumber"]
Medium = Literal["air", "vacuum"]
VelocityConvention = Literal["optical", "relativistic"]


def refractive_index(vacuum_wavelength: Any) -> Any:
    """Refractive index of standard air (15 C, 101325 Pa, 450 ppm CO2).

    n - 1 = 0.05792105 / (238.0185 - s^2) + 0.00167917 / (57.362 - s^2), s = 1e4 / lambda.

    Args:
        vacuum_wavelength: [Angstrom], any shape; valid 2000 - 17000 A.

    Returns:
        Refractive index, same shape.

    Source: Ciddor 1996, Appl. Opt. 35, 1566, eq. 1 (the IAU standard conversion).

    Example:
        >>> round(float(refractive_index(6564.6)), 8)
        1.00027625
    """
    s2 = (1e4 / np.asarray(vacuum_wavelength, float)) ** 2
    return 1.0 + 0.05792105 / (238.0185 - s2) + 0.00167917 / (57.362 - s2)


def vacuum_to_air(wavelength: Any) -> Any:
    """Air wavelength [Angstrom] of a vacuum wavelength [Angstrom] (Ciddor 1996).

    Example:
        >>> round(float(vacuum_to_air(6564.61)), 2)
        6562.8
    """
    wavelength = np.asarray(wavelength, float)
    return wavelength / refractive_index(wavelength)


def air_to_vacuum(wavelength: Any) -> Any:
    """Vacuum wavelength [Angstrom] of an air wavelength [Angstrom]: the exact inverse
    of `vacuum_to_air`, by fixed-point iteration.

    Example:
        >>> round(float(air_to_vacuum(6562.80)), 2)
        6564.61
    """
    wavelength = np.asarray(wavelength, float)
    vacuum = wavelength
    for _ in range(4):
        vacuum = wavelength * refractive_index(vacuum)
    return vacuum


def doppler_factor(velocity: Any, convention: VelocityConvention = "optical") -> Any:
    """Observed over emitted wavelength of a source receding at ``velocity`` [km/s].

    optical: 1 + v/c; relativistic: sqrt((1 + v/c) / (1 - v/c)).

    Example:
        >>> round(float(doppler_factor(300.0)), 6)
        1.001001
    """
    beta = np.asarray(velocity, float) / SPEED_OF_LIGHT_KMS
    if convention == "optical":
        return 1.0 + beta
    if convention == "relativistic":
        return np.sqrt((1.0 + beta) / (1.0 - beta))
    raise UsageError(f"velocity convention must be optical or relativistic, not {convention!r}")


def velocity_of(doppler: Any, convention: VelocityConvention = "optical") -> Any:
    """Velocity [km/s] of a Doppler factor: the inverse of `doppler_factor`.

    Example:
        >>> round(float(velocity_of(doppler_factor(300.0, "relativistic"), "relativistic")), 6)
        300.0
    """
    doppler = np.asarray(doppler, float)
    if convention == "optical":
        return SPEED_OF_LIGHT_KMS * (doppler - 1.0)
    if convention == "relativistic":
        return SPEED_OF_LIGHT_KMS * (doppler**2 - 1.0) / (doppler**2 + 1.0)
    raise UsageError(f"velocity convention must be optical or relativistic, not {convention!r}")


@dataclass(frozen=True)
class SpectralAxis:
    """Where the channels of a set of spectra lie.

    Attributes:
        values: (channel,) for a shared axis or (n, channel), strictly increasing;
            [Angstrom] for kind ``wavelength``, [cm-1] for kind ``wavenumber``; quantities
            are converted.
        kind: ``wavelength`` or ``wavenumber``.
        medium: ``air`` or ``vacuum``; a wavenumber x means wavelength 1e8/x in this medium.
        scale: (n,) or None; the axis of spectrum i is ``values * scale[i]`` (SITELLE's
            field angle, 1/cos(theta)), which keeps a cube's axes in one number a pixel.

    Example:
        >>> axis = SpectralAxis(np.array([5000.0, 5001.0]), "wavelength", "air")
        >>> axis.n_channels, axis.shared
        (2, True)
    """

    values: np.ndarray
    kind: AxisKind
    medium: Medium
    scale: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("wavelength", "wavenumber"):
            raise InputError(f"axis kind must be wavelength or wavenumber, not {self.kind!r}")
        unit = "Angstrom" if self.kind == "wavelength" else "cm-1"
        try:
            values = np.asarray(bare(self.values, unit, name=f"a {self.kind} axis"), float)
        except (TypeError, ValueError) as error:
            raise InputError(f"a spectral axis must hold numbers: {error}") from error
        object.__setattr__(self, "values", values)
        if self.medium not in ("air", "vacuum"):
            raise InputError(f"axis medium must be air or vacuum, not {self.medium!r}")
        if values.ndim not in (1, 2) or values.shape[-1] < 1:
            raise InputError(
                f"a spectral axis has shape (channel,) or (n, channel), not {values.shape}"
            )
        if not np.all(np.isfinite(values)) or np.any(values <= 0):
            raise InputError("a spectral axis must be finite and positive in every channel")
        if np.any(np.diff(values, axis=-1) <= 0):
            raise InputError(
                "a spectral axis must increase from channel to channel without repeats; "
                "sort the channels (and drop duplicates) first"
            )
        if self.scale is not None:
            object.__setattr__(self, "scale", np.asarray(self.scale, float))
            if values.ndim != 1 or self.scale.ndim != 1:
                raise InputError("an axis scale (n,) needs a shared axis (channel,)")

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return self.values.shape[-1]

    @property
    def shared(self) -> bool:
        """True when every spectrum has exactly the same axis."""
        return self.values.ndim == 1 and self.scale is None

    def rows(self, index: Any) -> SpectralAxis:
        """The axis of a subset of the spectra (any numpy index of the first dimension that
        keeps that dimension)."""
        if self.scale is not None:
            return replace(self, scale=self.scale[index])
        if self.values.ndim == 2:
            return replace(self, values=self.values[index])
        return self

    def per_spectrum(self, n: int) -> np.ndarray:
        """The axis as an array (n, channel) in the unit of ``kind``."""
        if self.scale is not None:
            return self.values[None, :] * self.scale[:, None]
        return np.broadcast_to(self.values, (n, self.n_channels))

    def wavelength(self) -> np.ndarray:
        """Wavelength [Angstrom] in ``medium``: (channel,) or (n, channel); for a wavenumber
        axis it decreases with channel."""
        values = self.values if self.scale is None else self.per_spectrum(len(self.scale))
        return values if self.kind == "wavelength" else ANGSTROM_PER_CM / values

    def wavelength_range(self) -> tuple[float, float]:
        """Shortest and longest wavelength [Angstrom] that any spectrum reaches."""
        low, high = float(self.values.min()), float(self.values.max())
        if self.scale is not None and np.isfinite(self.scale).any():
            low, high = low * np.nanmin(self.scale), high * np.nanmax(self.scale)
        if self.kind == "wavenumber":
            low, high = ANGSTROM_PER_CM / high, ANGSTROM_PER_CM / low
        return float(low), float(high)
