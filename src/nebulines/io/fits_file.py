"""A FITS file as nebulines sees it: headers at once, data only where they are asked for."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning, AstropyWarning

from nebulines.errors import InputError

_DTYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
HEADER_FACTS = (
    "OBJECT",
    "TELESCOP",
    "INSTRUME",
    "DATE-OBS",
    "EXPTIME",
    "SPECSYS",
    "VELOSYS",
    "PLATEIFU",
)
"""Cards of the first header that every result carries on."""


@dataclass(frozen=True)
class FitsHdu:
    """One extension: its header, and its data on request.

    Attributes:
        path: the file.
        index: position in the file.
        name: EXTNAME, upper case.
        header: astropy header.
        kind: ``image``, ``table`` or ``empty``.
        shape: of an image, numpy order.
        columns: upper-case column name -> name in the file.
        n_rows: of a table.
        offset: of the data in the file when they can be memory-mapped, else None.
    """

    path: Path
    index: int
    name: str
    header: Any
    kind: str
    shape: tuple[int, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)
    n_rows: int = 0
    offset: int | None = None
    _memory: list[np.ndarray] = field(default_factory=list, repr=False, compare=False)

    @property
    def ndim(self) -> int:
        """Dimensions of an image; 0 for anything else."""
        return len(self.shape)

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"{self.path.name}[{self.name or self.index}]"

    def read(self, key: Any = ()) -> np.ndarray:
        """The part ``key`` of the image in native byte order, scaled (BSCALE, BZERO), BLANK as
        NaN. The file is mapped for this call only, so memory grows with the part, not the
        file; compressed files are unpacked whole once."""
        if self.offset is None:
            if not self._memory:
                self._memory.append(_load(self))
            return np.array(self._memory[0][key])
        raw = np.memmap(
            self.path, _DTYPES[self.header["BITPIX"]], "r", offset=self.offset, shape=self.shape
        )
        native = np.array(raw[key], dtype=raw.dtype.newbyteorder("="))
        return _scaled(native, self.header)

    def table(self) -> dict[str, np.ndarray]:
        """Every column under its upper-case name."""
        with open_quietly(self.path) as hdus:
            data = hdus[self.index].data
            return {upper: np.array(data[name]) for upper, name in self.columns.items()}

    def column_units(self) -> dict[str, str]:
        """TUNIT of every column, "" where there is none."""
        return {
            str(self.header[f"TTYPE{i}"]).strip().upper(): str(self.header.get(f"TUNIT{i}", ""))
            for i in range(1, int(self.header.get("TFIELDS", 0)) + 1)
            if f"TTYPE{i}" in self.header
        }


@dataclass(frozen=True)
class FitsFile:
    """All extensions of one file."""

    path: Path
    hdus: tuple[FitsHdu, ...]

    def get(self, *names: str) -> FitsHdu | None:
        """The first extension with one of the names, images and tables with data only."""
        for name in names:
            for hdu in self.hdus:
                if hdu.name == name and hdu.kind != "empty":
                    return hdu
        return None

    def image(self, *names: str) -> FitsHdu | None:
        """The first image with one of the names."""
        hdu = self.get(*names)
        return hdu if hdu is not None and hdu.kind == "image" else None

    @property
    def primary(self) -> Any:
        """The first header."""
        return self.hdus[0].header

    def card(self, *keywords: str, hdu: FitsHdu | None = None) -> Any:
        """The first of the keywords present in the extension's header, then in the first."""
        for header in ([hdu.header] if hdu else []) + [self.primary]:
            for keyword in keywords:
                value = header.get(keyword)
                if isinstance(value, str | int | float | bool) and value != "":
                    return value
        return None

    def facts(self, hdu: FitsHdu | None = None) -> dict[str, Any]:
        """``source`` and the header cards that results carry on."""
        cards = {key: self.card(key, hdu=hdu) for key in HEADER_FACTS}
        return {"source": str(self.path)} | {k: v for k, v in cards.items() if v is not None}

    def summary(self) -> str:
        """Extensions in a few words, for messages."""
        parts = []
        for hdu in self.hdus:
            what = "x".join(map(str, hdu.shape)) if hdu.kind == "image" else hdu.kind
            parts.append(f"{hdu.name or hdu.index} ({what})")
        return ", ".join(parts)


def open_quietly(path: Path) -> Any:
    """``astropy.io.fits.open`` without warnings about headers that can be read all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        return fits.open(path, memmap=False, lazy_load_hdus=True)


def open_fits(path: Path) -> FitsFile:
    """Read every header of a FITS file.

    Args:
        path: plain, gzip, bzip2 or tile-compressed FITS.

    Raises:
        InputError: the file is truncated or not FITS.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AstropyUserWarning)
        try:
            with fits.open(path, memmap=False, lazy_load_hdus=True) as hdus:
                plain = not hdus._file.compression
                found = tuple(_describe(path, i, hdu, plain) for i, hdu in enumerate(hdus))
        except (OSError, ValueError, TypeError, EOFError, IndexError, KeyError) as error:
            raise InputError(
                f"{path}: expected a FITS file, but it cannot be read ({error}): "
                "it is damaged or incomplete; fetch or write it again"
            ) from error
    truncated = [str(w.message) for w in caught if "truncated" in str(w.message)]
    if truncated:
        raise InputError(f"{path}: the file is truncated ({truncated[0]}): fetch or write it again")
    return FitsFile(path, found)


def _describe(path: Path, index: int, hdu: Any, plain: bool) -> FitsHdu:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hdu.verify("silentfix+ignore")
    header, name = hdu.header, (hdu.name or "").upper()
    name = "" if name == "PRIMARY" else name
    if isinstance(hdu, fits.BinTableHDU | fits.TableHDU):
        columns = {c.upper(): c for c in hdu.columns.names}
        return FitsHdu(
            path, index, name, header, "table", columns=columns, n_rows=int(header["NAXIS2"])
        )
    shape = tuple(int(n) for n in (hdu.shape or ()))
    if not hdu.is_image or not shape or 0 in shape:
        return FitsHdu(path, index, name, header, "empty")
    mapped = plain and not isinstance(hdu, fits.CompImageHDU) and not header.get("GROUPS", False)
    offset = int(hdu.fileinfo()["datLoc"]) if mapped else None
    return FitsHdu(path, index, name, header, "image", shape=shape, offset=offset)


def _load(hdu: FitsHdu) -> np.ndarray:
    with open_quietly(hdu.path) as hdus:
        data = np.asarray(hdus[hdu.index].data)
    return data.astype(data.dtype.newbyteorder("="), copy=False)


def _scaled(raw: np.ndarray, header: Any) -> np.ndarray:
    scale, zero = float(header.get("BSCALE", 1.0)), float(header.get("BZERO", 0.0))
    blank = header.get("BLANK") if raw.dtype.kind in "iu" else None
    if scale == 1.0 and zero == 0.0 and blank is None:
        return raw
    if raw.dtype.kind in "iu" and scale == 1.0 and zero.is_integer() and blank is None:
        return raw.astype(np.int64) + int(zero)
    values = raw.astype(np.float64) * scale + zero
    if blank is not None:
        values[raw == blank] = np.nan
    return values
