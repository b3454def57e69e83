"""MUSE cubes and spectra (DATA, STAT, DQ), as the ESO pipeline and mpdaf write them.

STAT is a variance; DQ is not zero in bad pixels, and may be absent when those are NaN.
Wavelengths are air (CTYPE3 AWAV).
"""

from __future__ import annotations

from nebulines.io.fits_file import FitsFile
from nebulines.io.image_formats import read_images, require_numbers
from nebulines.spectra import Cube, Spectra


def matches(file: FitsFile) -> bool:
    """A DATA image with a STAT image, or one taken by MUSE."""
    return file.image("DATA") is not None and (file.image("STAT") is not None or _by_muse(file))


def _by_muse(file: FitsFile) -> bool:
    return str(file.card("INSTRUME") or "").strip().upper() == "MUSE"


def read(file: FitsFile, *, instrument: str | None = None) -> Spectra | Cube:
    """Read the DATA image with its variance and quality.

    Args:
        file: the opened file.
        instrument: name that replaces the header's.
    """
    flux, quality, statistics = file.image("DATA"), file.image("DQ"), file.image("STAT")
    assert flux is not None
    shape = "cube" if flux.ndim >= 3 else "spectra"
    maker = "MUSE" if _by_muse(file) else "FITS"
    found = [name for name, hdu in (("DATA", flux), ("STAT", statistics), ("DQ", quality)) if hdu]
    return read_images(
        file,
        require_numbers(flux),
        title=f"{maker} {shape} ({'/'.join(found)})",
        noise=statistics,
        masks=((quality, None),) if quality else (),
        instrument=instrument,
    )
