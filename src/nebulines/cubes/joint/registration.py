"""Cubes of one field on one grid of spaxels: that of the first, found by the celestial WCS.

Where the grids agree nothing is resampled. Otherwise a spaxel of the first cube takes the mean of
the four spaxels of the other cube around its centre, with bilinear weights w:

    flux = sum w f / sum w,   variance = sum w^2 v / (sum w)^2

(the covariance that neighbouring spaxels then share is neglected, as in binning). Each band keeps
its own spectral axis and line spread: where those of the four differ (the field angle of an imaging
interferometer) they are first brought to the weighted mean axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.cubes.binning import mean_spectra
from nebulines.errors import UsageError
from nebulines.instruments.labels import band_labels
from nebulines.spectra import Cube, Spectra
from nebulines.spectra.cube import Block

if TYPE_CHECKING:
    from astropy.wcs import WCS

SAME_PIXEL = 0.05
"""Grids that agree to this share of a spaxel are the same."""
_PROBES = 9


def register(cubes: Sequence[Cube]) -> list[Cube]:
    """Cubes on the grid of the first, as lazy as they were.

    Args:
        cubes: of one field, one for each band.

    Returns:
        Cubes of the first one's (ny, nx); spaxels that a cube does not cover are masked.

    Raises:
        UsageError: cubes without a WCS and of different shapes, or that do not overlap.

    Example:
        >>> from nebulines.spectral_axis import SpectralAxis
        >>> axis = SpectralAxis(np.array([6500.0, 6501.0]), "wavelength", "air")
        >>> cube = Cube((3, 4, 2), lambda b: Spectra(np.ones((b.size, 2)), axis))
        >>> [other.shape for other in register([cube, cube])]
        [(3, 4, 2), (3, 4, 2)]
    """
    labels = band_labels([cube.instrument for cube in cubes])
    first = cubes[0]
    return [
        first,
        *(
            _registered(first, cube, (labels[0], label))
            for cube, label in zip(cubes[1:], labels[1:], strict=True)
        ),
    ]


def _registered(first: Cube, cube: Cube, labels: tuple[str, str]) -> Cube:
    shape, own = first.shape[:2], cube.shape[:2]
    if first.wcs is None or cube.wcs is None:
        if shape != own:
            raise UsageError(
                f"the cubes {labels[0]} and {labels[1]} have {shape} and {own} spaxels (y, x), and "
                "no celestial WCS in both tells where they lie: give cubes of one grid, or with "
                "a WCS"
            )
        return cube
    y, x = _probes(shape)
    there = positions_in(first.wcs, cube.wcs, y, x)
    away = np.hypot(there[0] - y, there[1] - x)
    if shape == own and np.all(away < SAME_PIXEL):
        return cube
    corners = _probes(own)
    back = positions_in(cube.wcs, first.wcs, *corners)
    if not (_inside(there, own).any() or _inside(back, shape).any()):
        raise UsageError(
            f"the fields of {labels[0]} and {labels[1]} do not overlap on the sky: check their "
            "WCS, or leave one out"
        )
    scale = _area_ratio(there, shape) if _per_spaxel(cube.unit) else 1.0
    return _resampled(cube, first, scale)


def _probes(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Places (y, x) spread over a grid of spaxels, its corners among them."""
    y, x = (np.linspace(0.0, size - 1.0, _PROBES) for size in shape)
    rows, columns = np.meshgrid(y, x, indexing="ij")
    return rows.ravel(), columns.ravel()


def positions_in(
    source: WCS, target: WCS, y: np.ndarray, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where places of one grid lie in another, (y, x) in spaxels; NaN where they cannot."""
    from astropy.wcs.utils import pixel_to_pixel

    found = pixel_to_pixel(source.celestial, target.celestial, x, y)
    return np.asarray(found[1], float), np.asarray(found[0], float)


def _inside(place: tuple[np.ndarray, np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    y, x = place
    with np.errstate(invalid="ignore"):
        inside = (y > -0.5) & (y < shape[0] - 0.5) & (x > -0.5) & (x < shape[1] - 0.5)
    return np.asarray(inside & np.isfinite(y) & np.isfinite(x))


def _area_ratio(there: tuple[np.ndarray, np.ndarray], shape: tuple[int, int]) -> float:
    """Area of a spaxel of the first grid in spaxels of the other: fluxes are per spaxel."""
    y, x = (part.reshape(_PROBES, _PROBES) for part in there)
    steps = [max(size - 1, 1) / (_PROBES - 1) for size in shape]
    jacobian = np.gradient(y, axis=0) * np.gradient(x, axis=1)
    jacobian -= np.gradient(y, axis=1) * np.gradient(x, axis=0)
    return float(np.nanmedian(np.abs(jacobian))) / (steps[0] * steps[1])


def _per_spaxel(unit: str) -> bool:
    """Whether a unit is a flux, not a surface brightness."""
    return not any(part in unit.replace(" ", "") for part in ("arcsec", "sr", "deg-2", "pix"))


def _resampled(cube: Cube, first: Cube, scale: float) -> Cube:
    """The cube seen on the grid of the first."""
    own = cube.shape[:2]
    assert first.wcs is not None
    assert cube.wcs is not None
    grid, target = first.wcs, cube.wcs

    def read(block: Block) -> Spectra:
        y, x = (a.ravel().astype(float) for a in np.mgrid[block.y0 : block.y1, block.x0 : block.x1])
        place = positions_in(grid, target, y, x)
        inside = _inside(place, own)
        y, x = (np.where(inside, part, 0.0) for part in place)
        corners = _corners(y, x, inside, own)
        patch = Block(
            int(corners[0].min()), int(corners[0].max()) + 1,
            int(corners[1].min()), int(corners[1].max()) + 1,
        )  # fmt: skip
        return _interpolated(cube.read_block(patch), patch, corners, inside, scale)

    return replace(cube, shape=(*first.shape[:2], cube.shape[2]), read_block=read, wcs=first.wcs)


_Corners = tuple[np.ndarray, np.ndarray, np.ndarray]


def _corners(y: np.ndarray, x: np.ndarray, inside: np.ndarray, shape: tuple[int, int]) -> _Corners:
    """Rows, columns and weights (k, 4) of the spaxels around places; a place that is not inside
    stands at one that is."""
    if inside.any():
        y, x = (np.where(inside, part, part[inside][0]) for part in (y, x))
    low_y, low_x = np.floor(y).astype(int), np.floor(x).astype(int)
    rows = np.stack([low_y, low_y, low_y + 1, low_y + 1], axis=1)
    columns = np.stack([low_x, low_x + 1, low_x, low_x + 1], axis=1)
    weight = (1.0 - np.abs(y[:, None] - rows)) * (1.0 - np.abs(x[:, None] - columns))
    there = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    weight = np.where(there, np.maximum(weight, 0.0), 0.0)
    return np.clip(rows, 0, shape[0] - 1), np.clip(columns, 0, shape[1] - 1), weight


def _interpolated(
    spectra: Spectra, patch: Block, corners: _Corners, inside: np.ndarray, scale: float
) -> Spectra:
    """Weighted means of the spaxels around each place, masked outside."""
    rows, columns, weight = corners
    source = ((rows - patch.y0) * patch.shape[1] + columns - patch.x0).ravel()
    owner = np.repeat(np.arange(len(rows)), 4)
    use = weight.ravel() > 1e-9
    found = mean_spectra(
        spectra[source[use]], owner[use], np.ones(int(use.sum()), bool), len(rows),
        weight=weight.ravel()[use],
    )  # fmt: skip
    changes: dict[str, Any] = {"flux": found.flux * scale}
    if found.variance is not None:
        changes["variance"] = found.variance * scale**2
    outside = np.broadcast_to(~inside[:, None], found.flux.shape)
    changes["mask"] = outside if found.mask is None else np.asarray(found.mask, bool) | outside
    return replace(found, **changes)
