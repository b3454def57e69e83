"""Any FITS image with a spectral axis in its header: one spectrum, rows of spectra, a cube.

The noise is the image of the same shape called ERR, ERROR, SIGMA, STAT, VAR, VARIANCE or IVAR;
the mask the one called MASK or DQ (not zero is bad).
"""

from __future__ import annotations

from nebulines.errors import InputError, UsageError
from nebulines.io.fits_file import FitsFile, FitsHdu
from nebulines.io.image_formats import read_images, spectral_dimension
from nebulines.io.images import NoiseKind
from nebulines.io.spectral_wcs import is_celestial, is_spectral
from nebulines.spectra import Cube, Spectra

_NOISE: dict[str, NoiseKind] = {
    "ERR": "error",
    "ERROR": "error",
    "SIGMA": "error",
    "UNCERT": "error",
    "STAT": "variance",
    "VAR": "variance",
    "VARIANCE": "variance",
    "IVAR": "ivar",
}
_QUALITY = ("MASK", "DQ")


def matches(file: FitsFile) -> bool:
    """At least one image of numbers."""
    return any(hdu.kind == "image" for hdu in file.hdus)


def read(
    file: FitsFile, *, instrument: str | None = None, hdu: int | str | None = None
) -> Spectra | Cube:
    """Read the image ``hdu`` (number or name), or the first that holds spectra.

    Raises:
        InputError: no image has a spectral axis.
        UsageError: there is no such extension.
    """
    flux = _chosen(file, hdu) if hdu is not None else _first(file)
    noise, kind = None, "variance"
    for name in _NOISE:
        image = file.image(name)
        if image is not None and image is not flux and image.shape == flux.shape:
            noise, kind = image, _NOISE[name]
            break
    shapes = {flux.shape, flux.shape[1:], flux.shape[:1]}
    mask = file.image(*_QUALITY)
    if mask is flux or (mask is not None and mask.shape not in shapes):
        mask = None
    what = {1: "spectrum", 2: "rows of spectra"}.get(flux.ndim, "cube")
    return read_images(
        file,
        flux,
        title=f"FITS image: {what} (extension {flux.name or flux.index})",
        noise=noise,
        noise_kind=kind,  # type: ignore[arg-type]
        masks=((mask, None),) if mask else (),
        instrument=instrument,
    )


def _chosen(file: FitsFile, hdu: int | str) -> FitsHdu:
    text = str(hdu).strip()
    for candidate in file.hdus:
        if text.upper() == candidate.name or text == str(candidate.index):
            if candidate.kind != "image":
                raise UsageError(
                    f"{file.path}: extension {hdu} is no image; it has {file.summary()}"
                )
            return candidate
    raise UsageError(f"{file.path}: there is no extension {hdu}; it has {file.summary()}")


def _first(file: FitsFile) -> FitsHdu:
    images = [
        hdu
        for hdu in file.hdus
        if hdu.kind == "image" and hdu.name not in _NOISE and hdu.name not in _QUALITY
    ]
    for hdu in images:
        if any(is_spectral(hdu.header, axis) for axis in range(1, min(hdu.ndim, 3) + 1)):
            return hdu
    for hdu in images:
        if hdu.ndim <= 4 and not is_celestial(hdu.header, hdu.ndim - spectral_dimension(hdu)):
            return hdu
    raise InputError(
        f"{file.path}: no spectra found: expected an image with a spectral axis (CTYPE, CRVAL, "
        f"CDELT, CUNIT) or a WAVE extension; the file has {file.summary()}"
    )
