"""Images in the Gemini and JWST manner: SCI with ERR (or VAR) and MASK (or DQ).

MASK may have the cube's shape or the sky's; not zero is bad. JWST's DQ marks a bad pixel with
bit 1 (DO_NOT_USE), its other bits are remarks. Some writers put variances into ERR; they are
taken for what they are where only their square root agrees with the scatter of the flux.
"""

from __future__ import annotations

import numpy as np

from nebulines.io.fits_file import FitsFile, FitsHdu
from nebulines.io.image_formats import read_images, require_numbers, spectral_dimension
from nebulines.io.images import NoiseKind
from nebulines.spectra import Cube, Spectra

JWST_DO_NOT_USE = 1


def matches(file: FitsFile) -> bool:
    """A SCI image."""
    return file.image("SCI") is not None


def read(file: FitsFile, *, instrument: str | None = None) -> Spectra | Cube:
    """Read the SCI image with its noise and mask."""
    flux, error, variance = file.image("SCI"), file.image("ERR"), file.image("VAR")
    assert flux is not None
    noise = error or variance
    kind: NoiseKind = "error" if error else "variance"
    more = {}
    if error is not None and _holds_variance(flux, error):
        kind = "variance"
        more["noise"] = f"variance ({error.name}, as its size beside the flux says)"
    mask = file.image("MASK", "DQ")
    jwst = str(file.card("TELESCOP") or "").strip().upper() == "JWST"
    names = [hdu.name for hdu in (flux, noise, mask) if hdu]
    return read_images(
        file,
        require_numbers(flux),
        title=f"FITS images ({'/'.join(names)})",
        noise=noise,
        noise_kind=kind,
        masks=((mask, JWST_DO_NOT_USE if jwst else None),) if mask else (),
        instrument=instrument,
        meta=more,
    )


def _holds_variance(flux: FitsHdu, error: FitsHdu) -> bool:
    """True when an image of errors is wrong by a factor of 1000 or more beside the scatter of the
    flux from channel to channel, and its square root is right within 30."""
    if flux.shape != error.shape or flux.kind != "image" or not 1 <= flux.ndim <= 4:
        return False
    spectral = spectral_dimension(flux)
    middle = tuple(slice(None) if i == spectral else n // 2 for i, n in enumerate(flux.shape))
    values, errors = (np.asarray(hdu.read(middle), float) for hdu in (flux, error))
    step = np.abs(np.diff(values))
    step, errors = step[np.isfinite(step) & (step > 0)], errors[np.isfinite(errors) & (errors > 0)]
    if step.size < 3 or errors.size < 3:
        return False
    scatter, typical = float(np.median(step)), float(np.median(errors))
    wrong = not 1e-3 < typical / scatter < 1e3
    return wrong and 1 / 30 < np.sqrt(typical) / scatter < 30
