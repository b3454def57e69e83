"""Masks and regions: which spaxels to fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nebulines.errors import InputError, UsageError

if TYPE_CHECKING:
    from astropy.wcs import WCS


def spaxels_to_use(
    shape: tuple[int, int],
    *,
    mask: str | Path | np.ndarray | None = None,
    region: str | Path | None = None,
    wcs: WCS | None = None,
) -> np.ndarray | None:
    """Spaxels left by a mask and inside a region.

    Args:
        shape: (ny, nx) of the cube.
        mask: (ny, nx) array or FITS image; a spaxel is left out where it is not zero.
        region: ds9 region file (circle, ellipse, box, polygon; their union, less those
            marked with a minus).
        wcs: celestial WCS, for a region in sky coordinates.

    Returns:
        (ny, nx) bool, or None when neither is given.

    Raises:
        InputError: a file that cannot be read, or a mask of another shape.
        UsageError: a region without the package `regions` or without a WCS.

    Example:
        >>> spaxels_to_use((1, 3), mask=np.array([[0, 1, 0]]))
        array([[ True, False,  True]])
    """
    use = None
    if mask is not None:
        use = ~_masked(mask, shape)
    if region is not None:
        inside = _inside(Path(region), shape, wcs)
        use = inside if use is None else use & inside
    return use


def _masked(mask: str | Path | np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    values = mask if isinstance(mask, np.ndarray) else _read_image(Path(mask))
    if values.shape != shape:
        raise InputError(
            f"the mask has shape {values.shape}, the cube {shape} (y, x): give one value a spaxel"
        )
    return ~(values == 0)


def _read_image(path: Path) -> np.ndarray:
    from astropy.io import fits

    try:
        with fits.open(path, memmap=False) as hdus:
            images = [h.data for h in hdus if h.is_image and h.header["NAXIS"] == 2]
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the mask {path}: {error}") from error
    if not images:
        raise InputError(f"the mask {path} has no 2-D image: give a FITS image (y, x)")
    return images[0]


def _inside(path: Path, shape: tuple[int, int], wcs: WCS | None) -> np.ndarray:
    try:
        from regions import Regions
    except ImportError:
        raise UsageError(
            "a region file needs the package regions: pip install 'nebulines[astro]'"
        ) from None
    try:
        shapes = list(Regions.read(str(path), format="ds9"))
    except Exception as error:  # the parser raises errors of many kinds
        raise InputError(f"cannot read the ds9 region file {path}: {error}") from error
    if not shapes:
        raise InputError(f"the region file {path} has no region")
    wanted = [one for one in shapes if one.meta.get("include", True) not in (False, "-")]
    use = np.full(shape, not wanted)  # where all are exclusions, all the rest is wanted
    for one in wanted:
        use |= _footprint(one, shape, wcs, path)
    for one in shapes:
        if one not in wanted:
            use &= ~_footprint(one, shape, wcs, path)
    return use


def _footprint(one: object, shape: tuple[int, int], wcs: WCS | None, path: Path) -> np.ndarray:
    """Spaxels whose centre lies in one region."""
    if hasattr(one, "to_pixel"):
        if wcs is None:
            raise UsageError(
                f"{path} is in sky coordinates and the cube has no celestial WCS: "
                "save the region in image coordinates"
            )
        one = one.to_pixel(wcs.celestial)
    image = one.to_mask(mode="center").to_image(shape)  # type: ignore[attr-defined]
    return np.zeros(shape, bool) if image is None else image > 0
