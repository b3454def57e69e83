"""From spectra and options to numbers: which lines, where they fall, how wide, in which windows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nebulines.constants import (
    ANGSTROM_PER_CM,
    FWHM_PER_SIGMA,
    SINC_FWHM_PER_WIDTH,
    SPEED_OF_LIGHT_KMS,
)
from nebulines.errors import UsageError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.line_spread import line_spread_of
from nebulines.instruments.line_spread import LineSpread
from nebulines.lines import LineCatalogue, amplitude_matrix, kinematic_groups, load_catalogue
from nebulines.spectra import Spectra
from nebulines.spectral_axis import Medium, SpectralAxis

WINDOW_MARGIN_KMS = 1200.0
"""Continuum on both sides of the outermost lines of a window."""
BAND_MARGIN_FWHM = 40.0
"""For a sinc, whose wings carry light far out: channels kept beyond the outermost lines."""


@dataclass(frozen=True)
class LineModel:
    """The lines of a fit and how they are tied.

    Attributes:
        catalogue: the L lines.
        medium: medium of the axis, whose rest wavelengths are used.
        templates: (T, L) flux of each line in each template (identity when amplitudes are free).
        group: (L,) kinematic group of each line.
        windows: line indices of each window.
        shape: ``gaussian`` or ``sincgauss``.
        frozen_width: True for a pure sinc (no broadening).
        continuum_order: polynomial order in each window.
        positive: amplitudes >= 0.
        band: True when one window spans all lines.
        groups: number of kinematic groups where other bands have more of them; None = those of
            these lines.
    """

    catalogue: LineCatalogue
    medium: Medium
    templates: np.ndarray
    group: np.ndarray
    windows: tuple[tuple[int, ...], ...]
    shape: str
    frozen_width: bool
    continuum_order: int
    positive: bool
    band: bool
    groups: int | None = None

    @property
    def n_groups(self) -> int:
        """Number of kinematic groups."""
        return self.groups or int(self.group.max()) + 1

    @property
    def rest(self) -> np.ndarray:
        """(L,) rest wavelengths [Angstrom] in the axis's medium."""
        return self.catalogue.wavelength(self.medium)

    @property
    def reference(self) -> int:
        """Line whose window gives the ``continuum`` column: H-alpha, or the first."""
        names = list(self.catalogue.names)
        return names.index("HALPHA6563") if "HALPHA6563" in names else 0


def build_line_model(config: FitConfig, axis: SpectralAxis, spread: LineSpread) -> LineModel:
    """The line model of a resolved configuration (explicit lines)."""
    if config.lines is None:
        raise UsageError("the configuration has no lines yet: call resolve() first")
    catalogue = load_catalogue(config.catalogue).select(config.lines)
    order = np.argsort(catalogue.wavelength_air)
    catalogue = catalogue.select([catalogue.names[i] for i in order])
    shape = config.shape
    if shape == "auto":
        shape = "gaussian" if spread.shape == "gaussian" else "sincgauss"
    sinc_like = shape != "gaussian"
    scope = config.continuum
    if scope == "auto":
        scope = "band" if sinc_like else "window"
    tied = config.amplitudes != "free"
    templates = amplitude_matrix(catalogue.names, tied=tied)
    continuum_order = config.continuum_order
    if continuum_order is None:
        continuum_order = 0 if sinc_like else 1
    return LineModel(
        catalogue=catalogue,
        medium=axis.medium,
        templates=templates,
        group=np.asarray(
            kinematic_groups(
                catalogue.names, config.ties, known=load_catalogue(config.catalogue).names
            )
        ),
        windows=_windows(catalogue.wavelength_air, templates, scope == "band"),
        shape="sincgauss" if sinc_like else "gaussian",
        frozen_width=shape == "sinc",
        continuum_order=continuum_order,
        positive=config.amplitudes == "positive",
        band=scope == "band",
    )


def _windows(rest: np.ndarray, templates: np.ndarray, band: bool) -> tuple[tuple[int, ...], ...]:
    """Neighbouring lines whose margins meet, and lines of one template, share a window."""
    if band:
        return (tuple(range(len(rest))),)
    gap_kms = SPEED_OF_LIGHT_KMS * np.diff(np.log(rest))
    windows = [[0]]
    for line, gap in enumerate(gap_kms, start=1):
        # a template that began in the open window must end in it
        open_template = np.any(templates[:, :line].any(1) & templates[:, line:].any(1))
        if gap < 2.0 * WINDOW_MARGIN_KMS or open_template:
            windows[-1].append(line)
        else:
            windows.append([line])
    return tuple(tuple(w) for w in windows)


@dataclass(frozen=True)
class Geometry:
    """Where the lines of n spectra fall on their (unscaled) axes.

    Attributes:
        axis: the axis; positions below are in units of ``axis.values`` (scale divided out).
        rest: (L,) rest wavelengths [Angstrom].
        stretch: (n,) position of rest wavelength 1 at zero velocity: (1 + z)/scale, or for
            wavenumbers 1/((1 + z) scale).
        redshift: (n,).
        spread: the line spread.
        sinc: True when widths are first zeros of a sinc, False when Gaussian sigmas.
    """

    axis: SpectralAxis
    rest: np.ndarray
    stretch: np.ndarray
    redshift: np.ndarray
    spread: LineSpread
    sinc: bool

    def rows(self, index: np.ndarray | slice) -> Geometry:
        """The geometry of a subset of the spectra."""
        return replace(
            self,
            axis=self.axis.rows(index),
            stretch=self.stretch[index],
            redshift=self.redshift[index],
            spread=self.spread.rows(index),
        )

    def positions(self, velocity_kms: np.ndarray) -> np.ndarray:
        """Line positions (n, L) [axis unit] at optical velocities (n,) or scalar [km/s]."""
        doppler = 1.0 + np.broadcast_to(velocity_kms, self.stretch.shape) / SPEED_OF_LIGHT_KMS
        if self.axis.kind == "wavelength":
            return self.rest[None, :] * (self.stretch * doppler)[:, None]
        return (ANGSTROM_PER_CM / self.rest)[None, :] * (self.stretch / doppler)[:, None]

    def observed_wavelength(self, velocity_kms: np.ndarray) -> np.ndarray:
        """Observed wavelengths (n, L) [Angstrom]."""
        doppler = 1.0 + np.broadcast_to(velocity_kms, self.stretch.shape) / SPEED_OF_LIGHT_KMS
        return self.rest[None, :] * ((1.0 + self.redshift) * doppler)[:, None]

    def widths(self, velocity_kms: np.ndarray) -> np.ndarray:
        """LSF width (n, L) [axis unit]: Gaussian sigma, or first zero of the sinc."""
        observed = self.observed_wavelength(velocity_kms)
        fwhm = np.broadcast_to(self.spread.fwhm_angstrom(observed), observed.shape)
        if self.axis.kind == "wavenumber":
            if self.spread.shape == "sinc":
                fwhm = np.broadcast_to(
                    np.reshape(self.spread.sinc_fwhm_cm1(), (-1, 1)), observed.shape
                )
            else:
                fwhm = fwhm * ANGSTROM_PER_CM / observed**2
        if self.axis.scale is not None:
            fwhm = fwhm / self.axis.scale[:, None]
        return fwhm / (SINC_FWHM_PER_WIDTH if self.sinc else FWHM_PER_SIGMA)

    def fwhm_kms(self) -> np.ndarray:
        """(L,) median LSF FWHM of each line [km/s], over some thousand of the spectra."""
        sample = self.rows(slice(None, None, 1 + len(self.stretch) // 2000))
        fwhm = sample._fwhm_kms()
        if not np.isfinite(fwhm).any(axis=0).all():
            fwhm = self._fwhm_kms()  # none of the sample has one
        return np.nanmedian(fwhm, axis=0)

    def _fwhm_kms(self) -> np.ndarray:
        observed = self.observed_wavelength(np.zeros(1))
        with np.errstate(invalid="ignore"):
            return SPEED_OF_LIGHT_KMS * (self.spread.fwhm_angstrom(observed) / observed)


def build_geometry(spectra: Spectra, model: LineModel, config: FitConfig) -> Geometry:
    """Line positions and widths of the spectra; rows without a usable redshift or axis scale
    get the value 0 or 1 and are flagged by the caller."""
    n = len(spectra)
    redshift = np.zeros(n)
    if isinstance(config.redshift, int | float):
        redshift = np.full(n, float(config.redshift))
    elif spectra.redshift is not None:
        redshift = np.where(usable_redshift(spectra.redshift), spectra.redshift, 0.0)
    spread, _ = line_spread_of(spectra, config)
    axis = spectra.axis
    scale = np.ones(n)
    if axis.scale is not None:
        scale = np.where(np.isfinite(axis.scale) & (axis.scale > 0), axis.scale, 1.0)
        axis = replace(axis, scale=scale)
    if axis.kind == "wavelength":
        stretch = (1.0 + redshift) / scale
    else:
        stretch = 1.0 / ((1.0 + redshift) * scale)
    return Geometry(axis, model.rest, stretch, redshift, spread, model.shape == "sincgauss")


def usable_redshift(redshift: np.ndarray) -> np.ndarray:
    """Which redshifts can be used: finite, above -0.1 and below 20."""
    with np.errstate(invalid="ignore"):
        return np.isfinite(redshift) & (redshift > -0.1) & (redshift < 20.0)


def fractional_channel(axis_values: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Fractional channel index of positions on an increasing axis (channel,), clamped to it.

    Example:
        >>> fractional_channel(np.array([10.0, 12.0, 14.0]), np.array([11.0, 14.0, 99.0]))
        array([0.5, 2. , 2. ])
    """
    if len(axis_values) < 2:
        return np.zeros(np.shape(position))
    step = np.diff(axis_values)
    last = len(axis_values) - 1.0
    if np.ptp(step) <= 1e-6 * step[0]:
        return np.clip((position - axis_values[0]) / step.mean(), 0.0, last)
    return np.interp(position, axis_values, np.arange(len(axis_values)))
