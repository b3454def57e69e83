"""A FITS file laid out on disk at full size first, and filled piece by piece.

The file is never held in memory: every piece is written through a memory map that lives only
while it is written, and checksums are summed over the file at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from astropy.io import fits

_BLOCK = 2880
_CHUNK = 1 << 24
_SPARE_CARDS = 24


@dataclass(frozen=True)
class Extension:
    """One extension of the file.

    Attributes:
        header: complete FITS header (an image's or a table's).
        dtype: type of one element or of one row, big-endian.
        shape: of the array; () for a header without data.
        fill: value written everywhere at the start, or None to leave zeros.
    """

    header: fits.Header
    dtype: Any = "u1"
    shape: tuple[int, ...] = ()
    fill: Any = None

    @property
    def n_bytes(self) -> int:
        """Size of the data [bytes]."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize if self.shape else 0


class Canvas:
    """A FITS file that is being filled.

    Args:
        path: the file.
        places: where each extension lies, by name (see `create`); kept in the journal of a
            run so that another process can go on.
    """

    def __init__(self, path: Path, places: list[dict[str, Any]]) -> None:
        self.path = path
        self.places = places

    @classmethod
    def create(cls, path: Path, extensions: list[Extension], *, spare: int = 0) -> Canvas:
        """Lay the file out: headers (that of extension number ``spare`` with room for a few
        more cards), data filled or sparse."""
        places = []
        with path.open("wb") as stream:
            for number, extension in enumerate(extensions):
                header = _reserve(extension.header, _SPARE_CARDS if number == spare else 0)
                start = stream.tell()
                stream.write(header)
                data = stream.tell()
                _fill(stream, extension)
                end = data + _padded(extension.n_bytes)
                stream.truncate(end)
                stream.seek(end)
                places.append(
                    {
                        "name": extension.header.get("EXTNAME", ""),
                        "header": start,
                        "data": data,
                        "bytes": extension.n_bytes,
                        "dtype": _describe_dtype(np.dtype(extension.dtype)),
                        "shape": list(extension.shape),
                    }
                )
        return cls(path, places)

    @property
    def size(self) -> int:
        """Size of the whole file [bytes]."""
        last = self.places[-1]
        return last["data"] + _padded(last["bytes"])

    @contextmanager
    def arrays(self) -> Iterator[dict[str, np.ndarray]]:
        """The data of every extension, by name, as writable views of the file; they are
        valid inside the ``with`` block only, and on disk after it."""
        buffer = np.memmap(self.path, np.uint8, "r+")
        yield {p["name"]: _view(buffer, p) for p in self.places if p["bytes"]}
        buffer.flush()

    def finish(self, meta: Mapping[str, Any] | None = None, *, into: int = 0) -> None:
        """Add the facts known last to the header of extension number ``into`` (its spare
        cards), then DATASUM and CHECKSUM to every header."""
        with self.path.open("r+b") as stream:
            for number, place in enumerate(self.places):
                stream.seek(place["header"])
                header = stream.read(place["data"] - place["header"]).decode("ascii")
                if meta and number == into:
                    header = _with_meta(header, meta)
                data_sum = _sum_words(stream, place["data"], _padded(place["bytes"]))
                stream.seek(place["header"])
                stream.write(_with_sums(header, data_sum))


def _padded(n_bytes: int) -> int:
    return -(-n_bytes // _BLOCK) * _BLOCK


def _describe_dtype(dtype: np.dtype) -> Any:
    return [list(field) for field in dtype.descr] if dtype.names else dtype.str


def _view(buffer: np.ndarray, place: dict[str, Any]) -> np.ndarray:
    described = place["dtype"]
    dtype = np.dtype([tuple(f) for f in described] if isinstance(described, list) else described)
    data = buffer[place["data"] : place["data"] + place["bytes"]]
    return data.view(dtype).reshape(place["shape"])


def _fill(stream: Any, extension: Extension) -> None:
    if extension.fill is None or not extension.n_bytes:
        return
    one = np.asarray(extension.fill, extension.dtype)
    n = int(np.prod(extension.shape))
    step = max(1, _CHUNK // one.itemsize)
    piece = np.full(min(step, n), one, extension.dtype)
    for start in range(0, n, step):
        stream.write(piece[: min(step, n - start)].tobytes())


def _reserve(header: fits.Header, spare: int) -> bytes:
    """Header bytes with places for the sums and spare cards before END."""
    header = header.copy()
    header.append(("DATASUM", "0".rjust(10), "data unit checksum"), end=True)
    header.append(("CHECKSUM", "0" * 16, "HDU checksum"), end=True)
    text = header.tostring(endcard=False, padding=False)
    room = _padded(len(text) + 80 * (spare + 1))
    return (text.ljust(room - 80) + "END".ljust(80)).encode("ascii")


def _with_meta(header: str, meta: Mapping[str, Any]) -> str:
    """The header with more facts in its spare cards (those that fit)."""
    from astropy.io import fits

    from nebulines.cubes.files.provenance import add_cards

    known = fits.Header.fromstring(header)
    cards = fits.Header()
    add_cards(cards, {key: value for key, value in meta.items() if key not in known})
    body = header[:-80].rstrip()
    body = body.ljust(-(-len(body) // 80) * 80)
    body += cards.tostring(endcard=False, padding=False)
    return body[: len(header) - 80].ljust(len(header) - 80) + header[-80:]


def _with_sums(header: str, data_sum: int) -> bytes:
    """The header with its DATASUM and CHECKSUM (FITS standard 4.0, appendix J): the whole
    extension then sums to minus zero in ones' complement."""
    header = header.replace("DATASUM = '         0'", f"DATASUM = '{data_sum:>10}'", 1)
    words = np.frombuffer(header.encode("ascii"), ">u4")
    total = _fold(int(words.sum(dtype=np.uint64)) + data_sum)
    zeros = f"CHECKSUM= '{'0' * 16}'"
    return header.replace(zeros, f"CHECKSUM= '{encode_checksum(total)}'", 1).encode("ascii")


def _sum_words(stream: Any, start: int, n_bytes: int) -> int:
    """Ones' complement sum of the 32-bit words of a stretch of the file."""
    total = 0
    stream.seek(start)
    for position in range(0, n_bytes, _CHUNK):
        words = np.frombuffer(stream.read(min(_CHUNK, n_bytes - position)), ">u4")
        total = _fold(total + int(words.sum(dtype=np.uint64)))
    return total


def _fold(total: int) -> int:
    """End-around carry to 32 bits."""
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def encode_checksum(total: int) -> str:
    """The 16 characters of CHECKSUM for an extension whose words sum to ``total`` while its
    CHECKSUM is ``0000000000000000``.

    Each byte of the complement is spread over four characters, letters and digits only, and
    the string is rotated by one character to fit the alignment of a FITS card.

    Source: FITS standard 4.0, appendix J.

    Example:
        >>> encode_checksum(868229149)
        'hcHjjc9ghcEghc9g'
    """
    columns = []
    for byte in (~total & 0xFFFFFFFF).to_bytes(4, "big"):
        quarter, rest = divmod(byte, 4)
        letters = [quarter + rest + 48, quarter + 48, quarter + 48, quarter + 48]
        while any(c in _PUNCTUATION for c in letters):
            for first in (0, 2):
                if letters[first] in _PUNCTUATION or letters[first + 1] in _PUNCTUATION:
                    letters[first] += 1
                    letters[first + 1] -= 1
        columns.append(letters)
    text = "".join(chr(columns[byte][row]) for row in range(4) for byte in range(4))
    return text[-1] + text[:-1]


_PUNCTUATION = frozenset(range(58, 65)) | frozenset(range(91, 97))
