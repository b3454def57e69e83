"""Images in the Gemini and JWST manner: SCI with ERR (or VAR) and MASK (or DQ).

MASK may have the cube's shape or the sky's; not zero is bad. JWST's DQ marks a bad pixel with
bit 1 (DO_NOT_USE), its other bits are remarks.
"""

from __future__ import annotations

from nebulines.io.fits_file import FitsFile
from nebulines.io.image_formats import read_images, require_numbers
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
    )
