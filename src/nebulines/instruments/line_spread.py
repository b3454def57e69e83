"""The line-spread function of an instrument: how wide an infinitely narrow line appears."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from nebulines.constants import ANGSTROM_PER_CM
from nebulines.errors import UsageError

LineSpreadShape = Literal["gaussian", "sinc"]


@dataclass(frozen=True)
class LineSpread:
    """Shape and width of the instrument's response, for one or n spectra.

    Exactly one law is given:

    - ``resolution``: R, scalar or (n,). Gaussian: FWHM = wavelength / R at every wavelength.
      Sinc: FWHM = 1e8 / (reference_wavelength R) [cm-1], constant over the band.
    - ``fwhm_cm1``: FWHM [cm-1] of a sinc, scalar or (n,).
    - ``fwhm_polynomial``: coefficients c_k of FWHM [Angstrom] = sum_k c_k lambda^k
      (lambda observed, Angstrom).
    - ``fwhm_table``: (wavelength, fwhm), both [Angstrom]; wavelength (channel,) increasing,
      fwhm (channel,) or (n, channel).

    ``reference_wavelength`` [Angstrom, rest, air] defines R of a sinc instrument.

    Example:
        >>> LineSpread("gaussian", resolution=2000.0).fwhm_angstrom(np.array([6000.0]))
        array([3.])
        >>> sinc = LineSpread("sinc", resolution=5000.0, reference_wavelength=6562.80)
        >>> round(float(sinc.sinc_fwhm_cm1()), 3)
        3.047
    """

    shape: LineSpreadShape
    resolution: Any = None
    fwhm_cm1: Any = None
    fwhm_polynomial: tuple[float, ...] | None = None
    fwhm_table: tuple[np.ndarray, np.ndarray] | None = None
    reference_wavelength: float | None = None

    def __post_init__(self) -> None:
        laws = [self.resolution, self.fwhm_cm1, self.fwhm_polynomial, self.fwhm_table]
        if sum(law is not None for law in laws) != 1:
            raise UsageError(
                "a line spread needs exactly one of resolution, fwhm_cm1, fwhm_polynomial, "
                f"fwhm_table; got {sum(law is not None for law in laws)}"
            )
        if self.shape not in ("gaussian", "sinc"):
            raise UsageError(f"line-spread shape must be gaussian or sinc, not {self.shape!r}")
        incomplete = self.resolution is None or self.reference_wavelength is None
        if self.shape == "sinc" and self.fwhm_cm1 is None and incomplete:
            raise UsageError(
                "a sinc line spread needs fwhm_cm1, or resolution and reference_wavelength"
            )
        for name in ("resolution", "fwhm_cm1"):
            value = getattr(self, name)
            if value is not None:
                value = np.asarray(value, float)
                finite = value[np.isfinite(value)]
                if np.any(finite <= 0):
                    raise UsageError(f"{name} of a line spread must be positive")
                object.__setattr__(self, name, value)

    def rows(self, index: Any) -> LineSpread:
        """The line spread of a subset of the spectra."""
        changes: dict[str, Any] = {}
        if self.resolution is not None and self.resolution.ndim == 1:
            changes["resolution"] = self.resolution[index]
        if self.fwhm_cm1 is not None and self.fwhm_cm1.ndim == 1:
            changes["fwhm_cm1"] = self.fwhm_cm1[index]
        if self.fwhm_table is not None and self.fwhm_table[1].ndim == 2:
            changes["fwhm_table"] = (self.fwhm_table[0], self.fwhm_table[1][index])
        return replace(self, **changes) if changes else self

    def sinc_fwhm_cm1(self) -> np.ndarray:
        """FWHM of the sinc [cm-1], () or (n,)."""
        if self.shape != "sinc":
            raise UsageError("only a sinc line spread has a constant FWHM in cm-1")
        if self.fwhm_cm1 is not None:
            return self.fwhm_cm1
        assert self.reference_wavelength is not None
        return ANGSTROM_PER_CM / self.reference_wavelength / self.resolution

    def fwhm_angstrom(self, wavelength: np.ndarray) -> np.ndarray:
        """FWHM [Angstrom] at observed wavelengths [Angstrom].

        Args:
            wavelength: (k,) or (n, k).

        Returns:
            (k,) when one law serves all spectra, else (n, k).
        """
        wavelength = np.asarray(wavelength, float)
        if self.shape == "sinc":
            fwhm = self.sinc_fwhm_cm1()
            return (fwhm[..., None] if fwhm.ndim else fwhm) * wavelength**2 / ANGSTROM_PER_CM
        if self.fwhm_polynomial is not None:
            return np.polynomial.polynomial.polyval(wavelength, np.asarray(self.fwhm_polynomial))
        if self.resolution is not None:
            r = self.resolution[:, None] if self.resolution.ndim else self.resolution
            return wavelength / r
        assert self.fwhm_table is not None
        grid, fwhm = self.fwhm_table
        if fwhm.ndim == 1:
            return np.interp(wavelength, grid, fwhm)
        wavelength = np.broadcast_to(wavelength, (len(fwhm), wavelength.shape[-1]))
        return _interpolated(grid, fwhm, wavelength)


def _interpolated(grid: np.ndarray, table: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Rows (n, m) on a grid (m,), each at its own places (n, k), as by ``np.interp``."""
    last = len(grid) - 1
    right = np.clip(np.searchsorted(grid, at), min(1, last), last)
    left = np.maximum(right - 1, 0)
    step = grid[right] - grid[left]
    share = np.clip((at - grid[left]) / np.where(step > 0, step, 1.0), 0.0, 1.0)
    low, high = (np.take_along_axis(table, index, axis=1) for index in (left, right))
    between = low + share * (high - low)
    # an end does not ask for its neighbour, which may be missing
    return np.asarray(np.where(share == 0.0, low, np.where(share == 1.0, high, between)))
