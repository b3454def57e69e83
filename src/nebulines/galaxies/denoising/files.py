"""De-noised spectra on disk, and real spectra to learn from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

import nebulines
from nebulines.errors import InputError
from nebulines.galaxies.denoising.axis import to_bins
from nebulines.galaxies.denoising.lines import beside_lines, line_rows
from nebulines.galaxies.denoising.training_sets import CleanSet
from nebulines.io.atomic import atomic_path
from nebulines.io.row_stacked import row_stacked_hdus
from nebulines.networks.denoise.grid import N_BINS
from nebulines.spectra import Cube, Flag, Spectra

LEAST_SNR = 10.0
"""In a bin, of real spectra that stand for clean ones."""


def write_denoised(path: str | PathLike[str], result: Any) -> None:
    """Write row-stacked ``FLUX`` (posterior mean), ``ERR``, the axis, the table ``SPECTRA`` (with
    ``redshift_other``), the image ``FLAGS`` (n), and with draws ``DRAWS`` (draw, n, channel) and
    the table ``LINES``.

    Args:
        path: the FITS file.
        result: `nebulines.galaxies.denoising.denoise.Denoised`.

    Raises:
        UsageError: the folder is missing or read-only.
    """
    from dataclasses import replace

    from astropy.io import fits

    source = result.spectra
    clean = replace(
        source,
        flux=result.flux,
        variance=np.square(result.err),
        mask=None,
        redshift=result.redshift,
    )
    hdus = row_stacked_hdus(clean)
    table = next(k for k, hdu in enumerate(hdus) if hdu.name == "SPECTRA")
    other = fits.Column("redshift_other", "D", array=result.redshift_other)
    hdus[table] = fits.BinTableHDU.from_columns(hdus[table].columns + other, name="SPECTRA")
    flags = fits.ImageHDU(np.asarray(result.flags, np.int32), name="FLAGS")
    for flag in Flag:
        if (np.asarray(result.flags) & int(flag)).any():
            flags.header[f"FLAG{int(flag)}"] = (flag.name, flag.meaning[:40])
    hdus.append(flags)
    if result.draws is not None:
        draws = fits.ImageHDU(np.asarray(result.draws, np.float32), name="DRAWS")
        draws.header["BUNIT"] = source.unit
        hdus += [draws, fits.BinTableHDU(result.lines(), name="LINES")]
    for key, value, comment in _header(result):
        hdus[1].header[key] = (value, comment)
    with atomic_path(path) as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        fits.HDUList(hdus).writeto(partial, overwrite=True, checksum=True)


def _header(result: Any) -> list[tuple[str, Any, str]]:
    estimated = result.spectra.variance is None
    return [
        ("CREATOR", "nebulines", "program"),
        ("NEBVERS", nebulines.__version__, "version"),
        ("NETWORK", str(result.card.get("name", "")), "that de-noised"),
        ("CONTENT", "posterior mean", "of the noise-free flux"),
        ("NOISE", "estimated" if estimated else "given", "noise of the input"),
        ("RESTLOW", 3700.0, "[Angstrom] rest frame, air: NaN below"),
        ("RESTHIGH", 7900.0, "[Angstrom] rest frame, air: NaN above"),
    ]


def read_clean(paths: Sequence[str | PathLike[str]]) -> CleanSet:
    """Real spectra of high S/N on the bins, of unit norm, to learn from.

    Spectra with a redshift, all bins seen and a S/N of 10 in their middle bin are kept. Line
    fluxes and equivalent widths are what the package's basis reads off them. They stand for both
    priors in turn.

    Args:
        paths: files that `nebulines.read` understands.

    Raises:
        InputError: a file without redshifts, or nothing that can be used.
    """
    parts = [_usable(path) for path in paths]
    spectra = np.concatenate(parts)
    if not len(spectra):
        raise InputError(
            f"none of the spectra covers 3700 to 7900 Angstrom (rest frame) with a S/N of "
            f"{LEAST_SNR:g} in a bin: give others"
        )
    from nebulines.networks.weights import load

    basis = load("denoise-wide").network.basis
    flux = spectra @ line_rows(basis).T
    ew = flux / (spectra @ beside_lines().T)
    nothing = np.full(len(spectra), np.nan)
    number = np.arange(len(spectra))
    return CleanSet(spectra, flux.astype(np.float32), ew, 0 * number, nothing, nothing, nothing,
                    number % 2 == 1)  # fmt: skip


def _usable(path: str | PathLike[str]) -> np.ndarray:
    from nebulines.io import read

    found = read(path)
    spectra: Spectra = found[:, :] if isinstance(found, Cube) else found
    if spectra.redshift is None:
        raise InputError(f"{Path(path).name} gives no redshifts: training needs one a spectrum")
    known = spectra[np.isfinite(spectra.redshift)]
    if not len(known) or known.redshift is None:
        return np.zeros((0, N_BINS), np.float32)
    binned = to_bins(known, known.redshift)
    snr = np.median(binned.flux * np.sqrt(binned.weight), axis=1)
    good = (binned.weight > 0).all(axis=1) & (snr > LEAST_SNR)
    flux = binned.flux[good]
    return flux / np.linalg.norm(flux, axis=1, keepdims=True)
