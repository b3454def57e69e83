"""Images of flux, noise and quality joined into `Spectra` or a lazy `Cube`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from nebulines.errors import InputError
from nebulines.instruments.line_spread import LineSpread
from nebulines.io.axes import FoundAxis
from nebulines.io.fits_file import FitsHdu
from nebulines.spectra import Cube, Spectra
from nebulines.spectra.cube import Block
from nebulines.spectra.lazy import LazyArray

NoiseKind = Literal["variance", "error", "ivar"]
EAGER_BYTES = 32 * 2**20
"""Row-stacked images up to this size are read at once; larger ones by slices."""
_FLOAT32_SAFE = 1e-30


@dataclass(frozen=True)
class ImageSet:
    """The images of one data set, all of the flux image's shape unless said.

    Attributes:
        flux: 1-D (channel), 2-D (n, channel) or 3-D; further leading axes have length 1.
        found: the axis.
        spectral: numpy dimension of ``flux`` that is spectral.
        noise: image of variances, errors or inverse variances, or None.
        noise_kind: which of them.
        masks: (image, bits): bad where ``image & bits`` is not zero, where the image is not
            zero when bits is None; images (ny, nx) or (channel,) are spread.
        line_spread: one for all, or a function of a numpy key of the image.
        unit, instrument, redshift, meta: as in `Spectra`.
    """

    flux: FitsHdu
    found: FoundAxis
    spectral: int
    noise: FitsHdu | None = None
    noise_kind: NoiseKind = "variance"
    masks: tuple[tuple[FitsHdu, int | None], ...] = ()
    line_spread: LineSpread | Callable[[Any], LineSpread] | None = None
    unit: str = ""
    instrument: str | None = None
    redshift: np.ndarray | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.noise is not None and self.noise.shape != self.flux.shape:
            raise InputError(
                f"{self.noise.label} must have the shape of {self.flux.label} "
                f"{self.flux.shape}, got {self.noise.shape}"
            )
        sky = tuple(n for i, n in enumerate(self.flux.shape) if i != self.spectral)
        allowed = {self.flux.shape, sky, (self.flux.shape[self.spectral],)}
        for image, _ in self.masks:
            if image.shape not in allowed:
                raise InputError(
                    f"{image.label} must have the shape of {self.flux.label} "
                    f"{self.flux.shape} or of its sky {sky}, got {image.shape}"
                )

    def as_cube(self) -> Cube:
        """A lazy cube; the sky axes keep their order."""
        sky = self._sky_dimensions()
        ny, nx = (self.flux.shape[i] for i in sky)
        n_channels = self.flux.shape[self.spectral]
        return Cube(
            (ny, nx, n_channels),
            self._read_block,
            wcs=celestial_wcs(self.flux.header),
            unit=self.unit,
            instrument=self.instrument,
            meta=self.meta,
        )

    def as_spectra(self) -> Spectra:
        """Rows (n, channel); a 1-D image gives one."""
        image = self.flux.shape
        other = 1 - self.spectral
        n, channels = (1, image[0]) if len(image) == 1 else (image[other], image[self.spectral])

        def key(index: Any) -> Any:
            if len(image) == 1:
                return ()
            return (index,) if self.spectral == 1 else (slice(None), index)

        def rows(part: Callable[[Any], np.ndarray], dtype: Any) -> Any:
            def read(index: Any) -> np.ndarray:
                values = part(key(index))
                return values.reshape(-1, channels)[index if len(image) == 1 else ...]

            lazy = LazyArray((n, channels), dtype, read)
            return lazy if n * channels * 4 > EAGER_BYTES else np.asarray(lazy)

        spread = self.line_spread(key(slice(None))) if callable(self.line_spread) else None
        return Spectra(
            flux=rows(self._flux, np.float32),
            axis=self.found.axis,
            variance=None if self.noise is None else rows(self._variance, np.float32),
            mask=rows(self._bad, bool) if self._has_mask else None,
            line_spread=spread or self.line_spread,  # type: ignore[arg-type]
            redshift=self.redshift,
            instrument=self.instrument,
            unit=self.unit,
            meta=self.meta,
        )

    @property
    def _has_mask(self) -> bool:
        return bool(self.masks) or (self.noise is not None and self.noise_kind == "ivar")

    def _sky_dimensions(self) -> list[int]:
        extra = self.flux.ndim - 3
        sky = [i for i in range(extra, self.flux.ndim) if i != self.spectral]
        if extra < 0 or any(n != 1 for n in self.flux.shape[:extra]) or self.spectral < extra:
            raise InputError(
                f"{self.flux.label} of shape {self.flux.shape} is not a cube with one spectral "
                "and two sky axes"
            )
        return sky

    def _read_block(self, block: Block) -> Spectra:
        key: list[Any] = [0] * (self.flux.ndim - 3) + [slice(None)] * 3
        y, x = self._sky_dimensions()
        key[y], key[x] = slice(block.y0, block.y1), slice(block.x0, block.x1)
        where = tuple(key)
        spread = self.line_spread(where) if callable(self.line_spread) else self.line_spread
        return Spectra(
            flux=self._flux(where),
            axis=self.found.axis,
            variance=None if self.noise is None else self._variance(where),
            mask=self._bad(where) if self._has_mask else None,
            line_spread=spread,
            redshift=self.redshift,
            instrument=self.instrument,
            unit=self.unit,
            meta=self.meta,
        )

    def _rows_of(self, image: FitsHdu, key: Any) -> np.ndarray:
        """The part of an image as rows (k, channel) in the order of the axis."""
        values = image.read(key)
        spectral = self.spectral - sum(isinstance(part, int) for part in key)
        values = np.moveaxis(values, spectral, -1)
        return self.found.ordered(values.reshape(-1, values.shape[-1]))

    def _flux(self, key: Any) -> np.ndarray:
        return float32(self._rows_of(self.flux, key))

    def _variance(self, key: Any) -> np.ndarray:
        assert self.noise is not None
        return variance_from(self._rows_of(self.noise, key), self.noise_kind)

    def _bad(self, key: Any) -> np.ndarray:
        bad: Any = False
        n_channels = self.found.axis.n_channels
        for image, bits in self.masks:
            if image.shape == self.flux.shape:
                bad = bad | bad_pixels(self._rows_of(image, key), bits)
            elif image.shape == (n_channels,):
                bad = bad | self.found.ordered(bad_pixels(image.read(), bits))[None, :]
            else:
                sky = image.read(tuple(k for i, k in enumerate(key) if i != self.spectral))
                bad = bad | bad_pixels(np.ravel(sky), bits)[:, None]
        if self.noise is not None and self.noise_kind == "ivar":
            with np.errstate(invalid="ignore"):
                bad = bad | ~(self._rows_of(self.noise, key) > 0)
        return spread_mask(bad, self.flux, key, self.spectral, n_channels)


def spread_mask(bad: Any, flux: FitsHdu, key: Any, spectral: int, n_channels: int) -> np.ndarray:
    """A mask (k, channel) out of one that may lack either dimension, without copying."""
    n = 1
    for i, size in enumerate(flux.shape):
        part = key[i] if i < len(key) else slice(None)
        if i != spectral and not isinstance(part, int):
            n *= len(range(size)[part]) if isinstance(part, slice) else np.arange(size)[part].size
    return np.broadcast_to(bad, (n, n_channels))


def float32(values: np.ndarray) -> np.ndarray:
    """C-contiguous native float32.

    Example:
        >>> float32(np.ones((2, 3), ">f8").T).flags.c_contiguous
        True
    """
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, dtype=np.float32)


def variance_from(values: np.ndarray, kind: NoiseKind) -> np.ndarray:
    """Variance out of variances, errors or inverse variances (<= 0 gives inf).

    float32, or float64 where float32 would underflow (fluxes in erg/s/cm2/A without a factor).

    Example:
        >>> variance_from(np.array([[2.0, 4.0]]), "error").tolist()
        [[4.0, 16.0]]
        >>> variance_from(np.array([[2.0, 0.0]]), "ivar").tolist()
        [[0.5, inf]]
    """
    if values.dtype == np.float32 and kind != "ivar":
        if kind == "variance":
            return np.ascontiguousarray(values)
        with np.errstate(all="ignore"):
            tiny = np.any((values > 0) & (values < _FLOAT32_SAFE**0.5))
            if not tiny:
                return np.where(values < 0, np.float32(np.nan), values * values)
    values = np.asarray(values, np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if kind == "error":
            values = np.where(values < 0, np.nan, values**2)
        elif kind == "ivar":
            values = np.where(values > 0, 1.0 / values, np.where(np.isnan(values), values, np.inf))
        small = values[np.isfinite(values) & (values > 0)]
        if small.size and small.min() < _FLOAT32_SAFE:
            return np.ascontiguousarray(values)
        return np.ascontiguousarray(values, dtype=np.float32)


def bad_pixels(values: np.ndarray, bits: int | None = None) -> np.ndarray:
    """True where a quality image is not zero (or has one of the bits, or is not finite).

    Example:
        >>> bad_pixels(np.array([0, 1, 4]), 4).tolist()
        [False, False, True]
    """
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, nan=-1.0, posinf=-1.0, neginf=-1.0)
    if bits is None:
        return values != 0
    return (values.astype(np.int64) & bits) != 0


def celestial_wcs(header: Any) -> Any:
    """The two sky axes of a header as a WCS, or None when it has none that can be used."""
    from astropy.wcs import WCS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            wcs = WCS(header)
            return wcs.celestial if wcs.has_celestial else None
        except Exception:  # wcslib raises many kinds for headers that are merely sloppy
            return None
