"""Galaxies to learn from, out of files: observed spectra and a catalogue of measured widths.

Spectra in any format that `nebulines.read` knows; a catalogue of FastSpecFit or MPA-JHU. Rows
are matched by TARGETID where both have it, else they must be as many and in the same order.
Emission lines are replaced by straight lines before the continuum is binned.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from nebulines.errors import InputError, UsageError
from nebulines.galaxies.widths.bins import (
    BIN_EDGES,
    FINE_EDGES,
    LEAST_COVERAGE,
    Binned,
    bin_rows,
    colours,
    filled,
    log_shape,
    twelve_of,
)
from nebulines.galaxies.widths.catalogues import WidthCatalogue, read_width_catalogue
from nebulines.galaxies.widths.learning import Measured, measured
from nebulines.galaxies.widths.line_masks import (
    HALF_WIDTH_KMS,
    line_mask,
    line_windows,
    replace_lines,
)
from nebulines.galaxies.widths.samples import View
from nebulines.spectra import Spectra
from nebulines.spectral_axis import Medium, air_to_vacuum

_BLOCK = 64


def read_galaxies(spectra: str | Path, catalogue: str | Path, *, view: View) -> Measured:
    """Galaxies of two files.

    Args:
        spectra: file of observed spectra.
        catalogue: file of measured widths.
        view: ``colours`` (12 bins) or ``spectrum`` (120 bins).

    Raises:
        UsageError, InputError: files that cannot be read or do not belong together.
    """
    from nebulines.io import read

    found = read(spectra)
    if not isinstance(found, Spectra):
        raise UsageError(f"{spectra} is a cube: training needs spectra, one a row")
    widths = read_width_catalogue(catalogue)
    rows, of_catalogue = _matched(Path(spectra), len(found), widths)
    widths = widths._replace(
        ew=widths.ew[of_catalogue],
        ew_err=widths.ew_err[of_catalogue],
        redshift=None if widths.redshift is None else widths.redshift[of_catalogue],
    )
    return galaxies_of(found, widths, rows=rows, view=view)


def galaxies_of(
    spectra: Spectra,
    widths: WidthCatalogue,
    *,
    rows: np.ndarray | None = None,
    view: View = "colours",
) -> Measured:
    """Galaxies of observed spectra with measured widths; those that do not cover 3400 to 7000
    Angstrom in the rest frame, or have a bin that is not positive, are left out.

    Args:
        spectra: observed.
        widths: of ``rows`` of the spectra, in their order.
        rows: indices into the spectra; None = all.
        view: ``colours`` or ``spectrum``.

    Raises:
        InputError: no redshifts, different numbers of rows, or no galaxy that can be used.
    """
    rows = np.arange(len(spectra)) if rows is None else rows
    redshift = widths.redshift
    if redshift is None and spectra.redshift is not None:
        redshift = spectra.redshift[rows]
    if redshift is None:
        raise InputError("neither the spectra nor the catalogue give redshifts: add a column Z")
    if len(widths.ew) != len(rows):
        raise InputError(f"{len(widths.ew)} rows of widths for {len(rows)} spectra: they must fit")
    parts = list(_binned(spectra, rows, np.asarray(redshift, float)))
    twelve = np.concatenate([part[0] for part in parts])
    inputs = np.concatenate([part[1] for part in parts])
    good = np.isfinite(twelve).all(axis=1)
    if not good.any():
        raise InputError(
            f"none of {len(rows)} spectra covers {BIN_EDGES[0]:.0f} to {BIN_EDGES[-1]:.0f} "
            "Angstrom in its rest frame with positive flux: check redshifts and wavelengths"
        )
    chosen = twelve if view == "colours" else inputs
    return measured(chosen[good], widths.ew[good], widths.ew_err[good])


def _binned(
    spectra: Spectra, rows: np.ndarray, redshift: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Colours (n, 11) and shapes (n, 120) block by block."""
    medium: Medium = spectra.axis.medium
    windows = line_windows(HALF_WIDTH_KMS, medium)
    for start in range(0, len(rows), _BLOCK):
        block = spectra[rows[start : start + _BLOCK]]
        wavelength = np.atleast_2d(block.axis.wavelength())
        rest = wavelength / (1.0 + redshift[start : start + _BLOCK, None])
        order = np.argsort(rest[0])
        flux = np.asarray(block.flux, np.float32)[:, order]
        rest = rest[:, order]
        good = np.isfinite(flux) & np.isfinite(rest)
        if block.mask is not None:
            good &= ~np.asarray(block.mask, bool)[:, order]
        flux = np.asarray(replace_lines(np.where(good, flux, 0.0), line_mask(rest, windows)))
        vacuum = air_to_vacuum(rest) if medium == "air" else rest
        yield _features(bin_rows(flux, vacuum, good, FINE_EDGES))


def _features(binned: Binned) -> tuple[np.ndarray, np.ndarray]:
    twelve = twelve_of(binned)
    usable = twelve.coverage >= LEAST_COVERAGE
    colour = colours(jnp.where(usable, twelve.flux, 0.0))
    return np.asarray(colour), np.asarray(log_shape(filled(binned, twelve)))


def _matched(path: Path, n: int, widths: WidthCatalogue) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the spectra and of the catalogue that belong together."""
    ids = _target_ids(path)
    if ids is not None and widths.ids is not None and len(ids) == n:
        _, first, second = np.intersect1d(ids, widths.ids, return_indices=True)
        if len(first):
            return first, second
    if len(widths.ew) != n:
        raise InputError(
            f"the catalogue has {len(widths.ew)} rows for {n} spectra, and no TARGETID in both "
            "files tells which belong together"
        )
    return np.arange(n), np.arange(n)


def _target_ids(path: Path) -> np.ndarray | None:
    """TARGETID of the spectra of a FITS file, or None."""
    from nebulines.io.fits_file import open_fits

    try:
        file = open_fits(path)
        for name in ("SPECTRA", "FIBERMAP"):
            hdu = file.get(name)
            if hdu is not None and hdu.kind == "table" and "TARGETID" in hdu.columns:
                return np.asarray(hdu.table()["TARGETID"])
    except (InputError, OSError):
        return None
    return None
