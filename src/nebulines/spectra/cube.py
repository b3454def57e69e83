"""A cube on disk: opened lazily, read by blocks of spaxels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import isqrt
from typing import Any

import numpy as np
from astropy.wcs import WCS

from nebulines.errors import UsageError
from nebulines.spectra.spectra import Spectra


@dataclass(frozen=True)
class Block:
    """A rectangle of spaxels: rows y0 to y1, columns x0 to x1 (ends excluded)."""

    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def size(self) -> int:
        """Number of spaxels."""
        return (self.y1 - self.y0) * (self.x1 - self.x0)


@dataclass(frozen=True)
class Cube:
    """A data cube that is read block by block, never whole.

    Attributes:
        shape: (ny, nx, channel).
        read_block: function of a `Block` giving its spaxels as `Spectra`, row by row
            (spaxel (y, x) of the block is row (y - y0) * (x1 - x0) + x - x0).
        wcs: celestial WCS of the two sky axes, or None.
        unit: FITS unit string of the flux.
        instrument: name of the instrument row, or None.
        meta: header facts to carry on.
        axis_varies: whether the axis changes across the field (`SpectralAxis.scale`): spaxels
            near one another then have more in common than those of a row.

    Example:
        >>> from nebulines.spectral_axis import SpectralAxis
        >>> axis = SpectralAxis(np.linspace(6500.0, 6600.0, 11), "wavelength", "air")
        >>> data = np.zeros((4, 5, 11))
        >>> read = lambda b: Spectra(data[b.y0:b.y1, b.x0:b.x1].reshape(-1, 11), axis)
        >>> cube = Cube((4, 5, 11), read)
        >>> [len(cube.read_block(block)) for block in cube.blocks(10)]
        [10, 10]
        >>> [block.shape for block in cube.blocks(10, square=True)]
        [(2, 3), (2, 2), (2, 3), (2, 2)]
    """

    shape: tuple[int, int, int]
    read_block: Callable[[Block], Spectra]
    wcs: WCS | None = None
    unit: str = ""
    instrument: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    axis_varies: bool = False

    def blocks(
        self, max_spaxels: int, within: Block | None = None, *, square: bool = False
    ) -> Iterator[Block]:
        """Cut the cube (or the rectangle ``within``) into blocks of at most ``max_spaxels``:
        whole rows when a row fits, parts of a row otherwise; or near-squares of even size."""
        if max_spaxels < 1:
            raise UsageError(f"a block needs at least one spaxel, not {max_spaxels}")
        area = within or Block(0, self.shape[0], 0, self.shape[1])
        width = min(area.shape[1], max_spaxels)
        height = max(1, max_spaxels // max(area.shape[1], 1))
        if square:
            height, width = (_even_share(size, isqrt(max_spaxels)) for size in area.shape)
        for y0 in range(area.y0, area.y1, height):
            for x0 in range(area.x0, area.x1, width):
                yield Block(y0, min(y0 + height, area.y1), x0, min(x0 + width, area.x1))

    def __getitem__(self, index: tuple[Any, Any]) -> Spectra:
        """Spaxels by (y, x): integers or slices with step 1."""
        if not (isinstance(index, tuple) and len(index) == 2):
            raise UsageError("a cube is indexed by (y, x), for example cube[12, 30]")
        spans = []
        for part, size in zip(index, self.shape[:2], strict=True):
            if isinstance(part, slice):
                start, stop, step = part.indices(size)
                if step != 1:
                    raise UsageError("a cube is sliced with step 1")
            else:
                start = int(np.arange(size)[part])
                stop = start + 1
            spans += [start, stop]
        return self.read_block(Block(*spans))


def _even_share(size: int, most: int) -> int:
    """The largest of the parts, as even as can be, that are not above ``most``."""
    return -(-size // -(-max(size, 1) // most))
