"""Which spaxels of a cube are fitted, in which bins, and where their values go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.spectra.cube import Block


@dataclass(frozen=True)
class Grid:
    """The spaxels of a cube and the square bins that they are averaged in.

    Attributes:
        shape: (ny, nx) of the cube as it lies on disk.
        width: spaxels along each side of a bin; 1 = no binning.
        use: (ny, nx) bool, False leaves a spaxel out; None = all are used.

    Example:
        >>> grid = Grid((5, 4), width=2)
        >>> grid.binned_shape, grid.full(Block(1, 3, 0, 2))
        ((3, 2), (slice(2, 5, None), slice(0, 4, None)))
    """

    shape: tuple[int, int]
    width: int = 1
    use: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.width < 1:
            raise UsageError(f"a bin is at least 1 spaxel wide, not {self.width}")
        if self.use is not None and self.use.shape != self.shape:
            raise UsageError(
                f"the mask or region has {self.use.shape} spaxels (y, x), the cube {self.shape}"
            )
        if self.use is not None and not self.use.any():
            raise UsageError("the mask and the region leave no spaxel to fit")

    @property
    def binned_shape(self) -> tuple[int, int]:
        """(rows, columns) of bins; the last ones may be cut by the edge of the cube."""
        return -(-self.shape[0] // self.width), -(-self.shape[1] // self.width)

    def full(self, block: Block) -> tuple[slice, slice]:
        """The spaxels of a block of bins."""
        w, (ny, nx) = self.width, self.shape
        return (
            slice(block.y0 * w, min(block.y1 * w, ny)),
            slice(block.x0 * w, min(block.x1 * w, nx)),
        )

    def used_spaxels(self, block: Block) -> np.ndarray:
        """(rows, columns) bool of the spaxels of a block of bins."""
        rows, columns = self.full(block)
        if self.use is None:
            return np.ones((rows.stop - rows.start, columns.stop - columns.start), bool)
        return self.use[rows, columns]

    def used_bins(self, block: Block) -> np.ndarray:
        """(bins of the block,) bool: the bins with a spaxel in use."""
        w = self.width
        used = self.used_spaxels(block)
        if w == 1:
            return used.ravel()
        padded = np.zeros((block.shape[0] * w, block.shape[1] * w), bool)
        padded[: used.shape[0], : used.shape[1]] = used
        return padded.reshape(block.shape[0], w, block.shape[1], w).any(axis=(1, 3)).ravel()

    def image(self, block: Block, fitted: np.ndarray, fill: Any) -> np.ndarray:
        """Values of the bins that were fitted, spread over the spaxels in use.

        Args:
            block: block of bins.
            fitted: (bins in use,).
            fill: value of the other spaxels.

        Returns:
            (rows, columns) of the block's spaxels.
        """
        bins = np.full(block.size, fill, fitted.dtype)
        bins[self.used_bins(block)] = fitted
        used = self.used_spaxels(block)
        image = bins.reshape(block.shape)
        if self.width > 1:
            image = image.repeat(self.width, 0).repeat(self.width, 1)
            image = image[: used.shape[0], : used.shape[1]]
        return np.where(used, image, np.asarray(fill, image.dtype))

    def bin_numbers(self, block: Block) -> np.ndarray:
        """Number of each fitted bin, counted row by row from 0: (bins in use,)."""
        y, x = np.mgrid[block.y0 : block.y1, block.x0 : block.x1]
        numbers = (y * self.binned_shape[1] + x).ravel().astype(np.int32)
        return numbers[self.used_bins(block)]
