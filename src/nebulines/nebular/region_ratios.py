"""Ratios of two lines as classes are told from them: corrected for dust, with all their errors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nebulines.nebular.correlation import correlation, sum_error
from nebulines.nebular.extinction import Dust, vacuum_wavelength
from nebulines.nebular.propagation import Measured, propagate
from nebulines.nebular.ratios import SUMS, has_line, line_flux

TOLERANCE_DEX = 0.05
"""How far the learned ratios may be off: published grids are no better."""
DETECTION = 3.0
"""S/N of H-alpha and of a ratio's lower line that a class needs."""

_LN10 = np.log(10.0)
_NEAR = 0.2  # difference of k below which dust changes a ratio little
_FAR = 1e9  # ratio beyond every grid
_USUAL_EBV = 0.3  # spread of E(B-V) that is assumed where nothing tells it


class Rows(NamedTuple):
    """Fluxes and errors of n sources, {line: (n,)}, and what is known of the correlations of the
    errors, {(line, line): (n,)}."""

    flux: dict[str, np.ndarray]
    error: dict[str, np.ndarray]
    correlations: dict[tuple[str, str], np.ndarray]

    def measured(self, name: str) -> Measured:
        """A line or sum of lines with its error; NaN where it is not there."""
        n = len(self.flux["HALPHA6563"])
        if not has_line(self.flux, name):
            return Measured(np.full(n, np.nan), np.full(n, np.nan))
        parts = (name,) if name in self.flux else SUMS.get(name, ())
        known = [self.error[part] for part in parts if part in self.error]
        if len(known) < max(len(parts), 1):
            return propagate(line_flux, self.flux, self.error, name)
        error = known[0]
        if len(known) == 2:
            error = sum_error(known[0], known[1], correlation(self.correlations, *parts))
        return Measured(line_flux(self.flux, name), error)

    def detected(self, name: str) -> np.ndarray:
        """Where a line or sum is above `DETECTION`."""
        value, error = self.measured(name)
        return (error > 0) & (value > DETECTION * error)


class Ratio(NamedTuple):
    """A ratio of n sources: F, B, their errors, the relative tolerance and the correlation of the
    errors, each (n,); NaN where it cannot be used."""

    top: np.ndarray
    top_error: np.ndarray
    bottom: np.ndarray
    bottom_error: np.ndarray
    tolerance: np.ndarray
    correlation: np.ndarray

    @classmethod
    def of(cls, rows: Rows, name: str, reddening: Measured, dust: Dust) -> Ratio:
        """Of one feature, corrected for dust."""
        above, below = name.split("/")
        top, bottom = rows.measured(above), rows.measured(below)
        k = float(dust.k(vacuum_wavelength(above)) - dust.k(vacuum_wavelength(below)))
        near = abs(k) < _NEAR
        slope = 0.4 * _LN10 * k
        ebv = np.where(np.isfinite(reddening.value), reddening.value, 0.0 if near else np.nan)
        spread = np.where(
            np.isfinite(reddening.error), reddening.error, _USUAL_EBV if near else np.nan
        )
        factor = np.exp(slope * ebv)
        tolerance = np.hypot(TOLERANCE_DEX * _LN10, slope * spread)
        together = correlation(rows.correlations, above, below) + 0.0 * top.value
        parts = [top.value * factor, top.error * factor, *bottom, tolerance, together]
        good = np.all(np.isfinite(parts), axis=0) & rows.detected(below) & (top.error > 0)
        return cls(*(np.where(good, part, np.nan) for part in parts))

    def rows(self, some: np.ndarray) -> Ratio:
        """Some of the sources."""
        return Ratio(*(column[some] for column in self))

    def seen(self) -> np.ndarray:
        """(n,) bool: the upper line is above `DETECTION` too."""
        return np.isfinite(self.top) & (self.top > DETECTION * self.top_error)

    def terms(self) -> np.ndarray:
        """(n, 4) the measured ratio, and a, b, c of its variance a + b r + c r^2 for a true
        ratio r; NaN where not used."""
        error = np.minimum(self.top_error / self.bottom, _FAR)
        below = self.bottom_error / self.bottom
        measured = np.clip(self.top / self.bottom, -_FAR, _FAR)
        linear = -2.0 * self.correlation * error * below
        return np.stack([measured, error**2, linear, below**2 + self.tolerance**2], axis=1)
