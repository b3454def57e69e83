"""Instruments as data: what a band observes, on which axis, with which line spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nebulines.constants import ANGSTROM_PER_CM
from nebulines.errors import UsageError
from nebulines.instruments import sitelle
from nebulines.instruments.line_spread import LineSpread
from nebulines.spectral_axis import AxisKind, Medium, SpectralAxis


@dataclass(frozen=True)
class Instrument:
    """One band of an instrument.

    Attributes:
        name, title, source: identifier, one line for people, where the numbers come from.
        axis: kind of its spectral axis, ``wavelength`` or ``wavenumber``.
        medium: ``air`` or ``vacuum``, what the axis of its data products means.
        unit: FITS unit of the flux density in its data products.
        band: (low, high) observed wavelengths [Angstrom] in ``medium``.
        line_spread: nominal `LineSpread`; used when a file does not carry its own.
        galaxies: True for a survey of galaxies, whose lines lie above starlight.
        lsf_from_file: True when its data products carry their own line spread.
        channel_angstrom: constant channel width [Angstrom], or None.
        log10_step: constant step of log10(wavelength), or None.
        step_nm, order, n_steps, zpd_index, correction: an imaging Fourier-transform scan
            (see `nebulines.instruments.sitelle`), or None.

    Example:
        >>> from nebulines.instruments import get_instrument
        >>> get_instrument("sitelle-sn3").axis_for().n_channels
        842
    """

    name: str
    title: str
    source: str
    axis: AxisKind
    medium: Medium
    unit: str
    band: tuple[float, float]
    line_spread: LineSpread
    lsf_from_file: bool = False
    galaxies: bool = False
    channel_angstrom: float | None = None
    log10_step: float | None = None
    step_nm: float | None = None
    order: int | None = None
    n_steps: int | None = None
    zpd_index: int | None = None
    correction: float | None = None

    @property
    def is_scan(self) -> bool:
        """True for an imaging Fourier-transform spectrometer."""
        return self.step_nm is not None

    def axis_for(
        self,
        *,
        low: float | None = None,
        high: float | None = None,
        n_steps: int | None = None,
        correction: Any = None,
    ) -> SpectralAxis:
        """A typical axis of the instrument.

        Args:
            low, high: observed wavelengths [Angstrom] to cover instead of the band; for a
                dispersive instrument only.
            n_steps: steps of the scan instead of the typical number; for a scan only.
            correction: 1 / cos(theta), scalar, or (n,) for one axis a spectrum; for a scan only.

        Returns:
            The full folding order of a scan, else the band in steps of the channel.

        Raises:
            UsageError: an argument that does not fit this kind of instrument.

        Example:
            >>> from nebulines.instruments import get_instrument
            >>> axis = get_instrument("muse").axis_for(low=6500.0, high=6600.0)
            >>> axis.n_channels, axis.medium
            (81, 'air')
        """
        if self.is_scan:
            if low is not None or high is not None:
                raise UsageError(
                    f"{self.name}: the axis of a scan is set by n_steps, not low, high"
                )
            return self._scan_axis(n_steps, correction)
        if n_steps is not None or correction is not None:
            raise UsageError(f"{self.name} is no scan: its axis is set by low and high")
        low = self.band[0] if low is None else low
        high = self.band[1] if high is None else high
        if not 0 < low < high:
            raise UsageError(f"an axis goes from low to high wavelength, not {low} to {high}")
        return SpectralAxis(self._channels(low, high), self.axis, self.medium)

    def _scan_axis(self, n_steps: int | None, correction: Any) -> SpectralAxis:
        assert self.step_nm is not None
        assert self.order is not None
        assert self.n_steps is not None
        correction = np.asarray(self.correction if correction is None else correction, float)
        n_steps = self.n_steps if n_steps is None else n_steps
        unit_axis = sitelle.wavenumber_axis(n_steps, self.step_nm, self.order)
        if correction.ndim:
            return SpectralAxis(unit_axis, self.axis, self.medium, scale=correction)
        return SpectralAxis(unit_axis * correction, self.axis, self.medium)

    def _channels(self, low: float, high: float) -> np.ndarray:
        if self.log10_step is not None:
            n = int(np.floor((np.log10(high / low)) / self.log10_step + 1e-6)) + 1
            return low * 10.0 ** (self.log10_step * np.arange(n))
        assert self.channel_angstrom is not None
        n = int(np.floor((high - low) / self.channel_angstrom + 1e-6)) + 1
        return low + self.channel_angstrom * np.arange(n)

    def line_spread_at(self, resolution: Any) -> LineSpread:
        """The instrument's line shape at another resolution R, scalar or (n,): at the reference
        wavelength for a sinc, at every wavelength for a Gaussian.

        Example:
            >>> from nebulines.instruments import get_instrument
            >>> spread = get_instrument("sitelle-sn3").line_spread_at(2000.0)
            >>> round(float(spread.sinc_fwhm_cm1()), 3)
            7.619
        """
        spread = self.line_spread
        return LineSpread(
            spread.shape,
            resolution=resolution,
            reference_wavelength=self.reference_wavelength if spread.shape == "sinc" else None,
        )

    def scan_line_spread(
        self,
        *,
        n_steps: int | None = None,
        zpd_index: int | None = None,
        correction: Any = None,
        apodization: float = 1.0,
    ) -> LineSpread:
        """Line spread that a scan implies; typical numbers where none are given.

        Example:
            >>> from nebulines.instruments import get_instrument
            >>> spread = get_instrument("sitelle-sn3").scan_line_spread(correction=1.05)
            >>> round(float(spread.sinc_fwhm_cm1()), 3)
            3.084
        """
        if self.step_nm is None or self.n_steps is None or self.zpd_index is None:
            raise UsageError(f"{self.name} is no scan: it has no step and no zero path difference")
        fwhm = sitelle.sinc_fwhm_cm1(
            self.n_steps if n_steps is None else n_steps,
            self.zpd_index if zpd_index is None else zpd_index,
            self.step_nm,
            self.correction if correction is None else correction,
            apodization,
        )
        return LineSpread(
            "sinc", fwhm_cm1=fwhm, reference_wavelength=self.line_spread.reference_wavelength
        )

    @property
    def reference_wavelength(self) -> float:
        """Rest wavelength [Angstrom, air] at which R is stated: the row's own, else mid-band."""
        own = self.line_spread.reference_wavelength
        return own if own is not None else 0.5 * (self.band[0] + self.band[1])

    @property
    def resolution(self) -> float:
        """Nominal R at the reference wavelength (its wavelength over its FWHM there)."""
        wavelength = self.reference_wavelength
        if self.line_spread.shape == "sinc":
            return ANGSTROM_PER_CM / wavelength / float(self.line_spread.sinc_fwhm_cm1())
        return wavelength / float(self.line_spread.fwhm_angstrom(np.array([wavelength]))[0])
