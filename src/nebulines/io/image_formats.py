"""What the image formats share: which extension holds what, and its spectral axis."""

from __future__ import annotations

from typing import Any

from nebulines.errors import InputError
from nebulines.io.axes import FoundAxis
from nebulines.io.fits_file import FitsFile, FitsHdu
from nebulines.io.images import ImageSet, NoiseKind
from nebulines.io.instrument_rows import instrument_in_header, medium_of_instrument
from nebulines.io.spectral_wcs import axis_from_header, is_spectral
from nebulines.io.units import normalise_unit
from nebulines.spectra import Cube, Spectra


def spectral_dimension(hdu: FitsHdu) -> int:
    """Numpy dimension of an image that is spectral: as CTYPE and CUNIT say, else FITS axis 3
    of a cube and FITS axis 1 of anything smaller."""
    usual = 3 if hdu.ndim >= 3 else 1
    candidates = [usual, *(i for i in range(1, min(hdu.ndim, 3) + 1) if i != usual)]
    for fits_axis in candidates:
        if is_spectral(hdu.header, fits_axis):
            return hdu.ndim - fits_axis
    return hdu.ndim - usual


def header_axis(file: FitsFile, hdu: FitsHdu, spectral: int, instrument: str | None) -> FoundAxis:
    """The axis that the image's header, or else the first header, describes."""
    fits_axis = hdu.ndim - spectral
    header = hdu.header
    if _number_of_keys(header, fits_axis) == 0 and _number_of_keys(file.primary, fits_axis):
        header = file.primary
    elif "AIRORVAC" not in header and "AIRORVAC" in file.primary:
        header = header.copy()
        header["AIRORVAC"] = file.primary["AIRORVAC"]
    return axis_from_header(
        header,
        hdu.shape[spectral],
        fits_axis,
        where=hdu.label,
        default_medium=medium_of_instrument(instrument),
    )


def _number_of_keys(header: Any, axis: int) -> int:
    keys = (f"CRVAL{axis}", f"CDELT{axis}", f"CD{axis}_{axis}", "COEFF0" if axis == 1 else "")
    return sum(key in header for key in keys if key)


def read_images(
    file: FitsFile,
    flux: FitsHdu,
    *,
    title: str,
    noise: FitsHdu | None = None,
    noise_kind: NoiseKind = "variance",
    masks: tuple[tuple[FitsHdu, int | None], ...] = (),
    instrument: str | None = None,
    found: FoundAxis | None = None,
    spectral: int | None = None,
    **more: Any,
) -> Spectra | Cube:
    """Spectra of a 1-D or 2-D flux image, a lazy cube of a larger one.

    Args:
        file, flux: the file and its flux image.
        title: the format's name, for `nebulines info`.
        noise, noise_kind, masks: see `ImageSet`.
        instrument: what the user says; otherwise the header's.
        found: the axis when it is not the header's.
        spectral: numpy dimension of the spectral axis when it is known.
        more: ``line_spread``, ``redshift``, ``unit`` for `ImageSet`, and ``meta``.
    """
    instrument = instrument or instrument_in_header(file, flux)
    spectral = spectral_dimension(flux) if spectral is None else spectral
    found = found or header_axis(file, flux, spectral, instrument)
    raw_unit = file.card("BUNIT", hdu=flux)
    meta = file.facts(flux) | {"format": title} | found.meta() | noise_words(noise, noise_kind)
    judged = [f"{image.name} ({_bits(bits)})" for image, bits in masks]
    judged += ["IVAR 0"] if noise is not None and noise_kind == "ivar" else []
    if judged:
        meta["mask"] = ", ".join(judged)
    if isinstance(raw_unit, str):
        meta["unit_in_file"] = raw_unit
    images = ImageSet(
        flux,
        found,
        spectral,
        noise,
        noise_kind,
        masks,
        line_spread=more.get("line_spread"),
        redshift=more.get("redshift"),
        unit=more.get("unit") or normalise_unit(raw_unit if isinstance(raw_unit, str) else ""),
        instrument=instrument,
        meta=meta | more.get("meta", {}),
    )
    return images.as_cube() if flux.ndim >= 3 else images.as_spectra()


def noise_words(noise: FitsHdu | None, kind: NoiseKind) -> dict[str, str]:
    """The ``noise`` entry of the metadata."""
    if noise is None:
        return {"noise": "none in the file"}
    return {"noise": f"{'inverse variance' if kind == 'ivar' else kind} ({noise.name})"}


def require_numbers(hdu: FitsHdu) -> FitsHdu:
    """The image itself, if it has one to four dimensions and more than one channel."""
    if hdu.kind != "image" or not 1 <= hdu.ndim <= 4:
        raise InputError(f"{hdu.label}: expected an image of spectra, found {hdu.kind}")
    return hdu


def _bits(bits: int | None) -> str:
    return "not zero is bad" if bits is None else f"bits {bits} are bad"
