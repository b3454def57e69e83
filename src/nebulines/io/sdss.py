"""One SDSS, BOSS or eBOSS spectrum (``spec-PLATE-MJD-FIBER.fits``, full or lite).

Table COADD: flux [1e-17 erg/s/cm2/A], loglam (log10 of the vacuum wavelength), ivar, and_mask,
wdisp (Gaussian sigma of the line spread in channels of 1e-4 dex); the redshift Z stands in the
table SPECOBJ or SPALL.

Source: https://data.sdss.org/datamodel/files/BOSS_SPECTRO_REDUX/RUN2D/spectra/PLATE4/spec.html
"""

from __future__ import annotations

import numpy as np

from nebulines.constants import FWHM_PER_SIGMA
from nebulines.instruments.line_spread import LineSpread
from nebulines.io.axes import axis_from_values, medium_of
from nebulines.io.fits_file import FitsFile, FitsHdu
from nebulines.io.images import float32, variance_from
from nebulines.spectra import Spectra

UNUSABLE = 1 << 18 | 1 << 22 | 1 << 23 | 1 << 24
"""Bits of and_mask that spoil a channel: FULLREJECT, NOSKY, BRIGHTSKY, NODATA. The others are
remarks (a neighbour was bad, a trace was shifted) on channels that ivar already judges."""
_NEEDED = {"FLUX", "LOGLAM", "IVAR"}
_UNIT = "10**-17 erg Angstrom-1 s-1 cm-2"


def matches(file: FitsFile) -> bool:
    """A table with flux, loglam and ivar, one row a channel."""
    return _coadd(file) is not None


def read(file: FitsFile, *, instrument: str | None = None) -> Spectra:
    """Read the co-added spectrum, its line spread and its redshift."""
    hdu = _coadd(file)
    assert hdu is not None
    table = hdu.table()
    medium = medium_of(hdu.header) or medium_of(file.primary) or "vacuum"
    wavelength = 10.0 ** table["LOGLAM"].astype(float)
    found = axis_from_values(wavelength, "wavelength", medium, where=hdu.label)
    ivar = found.ordered(table["IVAR"])[None]
    bad = ~(ivar > 0)
    if "AND_MASK" in table:
        bad |= (found.ordered(table["AND_MASK"])[None].astype(np.int64) & UNUSABLE) != 0
    spread = None
    if "WDISP" in table:
        step = np.log(10.0) * 1e-4
        sigma = found.ordered(table["WDISP"]).astype(float) * found.axis.values * step
        spread = LineSpread("gaussian", fwhm_table=_positive(found.axis.values, sigma))
    return Spectra(
        float32(found.ordered(table["FLUX"])[None]),
        found.axis,
        variance_from(ivar, "ivar"),
        bad,
        spread,
        redshift=_redshift(file),
        instrument=instrument or "sdss",
        unit=_UNIT,
        meta=file.facts()
        | found.meta()
        | {
            "format": "SDSS spectrum (table COADD)",
            "noise": "inverse variance (ivar)",
            "mask": f"ivar 0, and_mask bits {UNUSABLE}",
        },
    )


def _positive(wavelength: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    good = np.isfinite(sigma) & (sigma > 0)
    if not good.any():
        return wavelength, np.full(wavelength.shape, np.nan)
    return wavelength[good], FWHM_PER_SIGMA * sigma[good]


def _coadd(file: FitsFile) -> FitsHdu | None:
    for hdu in file.hdus:
        if hdu.kind == "table" and set(hdu.columns) >= _NEEDED:
            return hdu
    return None


def _redshift(file: FitsFile) -> np.ndarray | None:
    for hdu in file.hdus:
        if hdu.kind == "table" and hdu.n_rows == 1 and "Z" in hdu.columns:
            return np.asarray(hdu.table()["Z"], float).reshape(1)
    return None
