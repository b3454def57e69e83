"""DESI spectra and coadds: the cameras b, r, z of every fibre joined on one axis.

Images B_WAVELENGTH [vacuum Angstrom], B_FLUX [1e-17 erg/s/cm2/A], B_IVAR, B_MASK, B_RESOLUTION
and so on for each camera. The cameras share one grid of 0.8 A, so where two overlap the channels
are averaged with their inverse variances; an overlap that is not on a common grid is cut in its
middle. Redshifts come from the table REDSHIFTS of the file, or of the redrock file beside it,
matched by TARGETID.

Source: https://desidatamodel.readthedocs.io (coadd and spectra files); Guy et al. 2023,
AJ 165, 144.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.constants import FWHM_PER_SIGMA
from nebulines.errors import InputError
from nebulines.instruments.line_spread import LineSpread
from nebulines.io.axes import axis_from_values
from nebulines.io.fits_file import FitsFile, open_fits
from nebulines.io.images import bad_pixels, float32, variance_from
from nebulines.io.units import normalise_unit
from nebulines.spectra import Spectra


@dataclass(frozen=True)
class Camera:
    """One camera: wavelength (channel), the rest (n, channel); sigma is the Gaussian width of
    the line spread [Angstrom] or NaN."""

    wavelength: np.ndarray
    flux: np.ndarray
    ivar: np.ndarray
    sigma: np.ndarray


def matches(file: FitsFile) -> bool:
    """At least one camera with wavelength, flux and inverse variance."""
    return bool(_camera_names(file))


def read(
    file: FitsFile, *, instrument: str | None = None, redrock: str | Path | None = None
) -> Spectra:
    """Read and join the cameras.

    Args:
        file: the opened coadd or spectra file.
        instrument: name that replaces ``desi``.
        redrock: file with the table REDSHIFTS; None = looked for beside the input.
    """
    names = _camera_names(file)
    cameras = sorted((_camera(file, name) for name in names), key=lambda c: c.wavelength[0])
    joined, how = join(cameras)
    found = axis_from_values(joined.wavelength, "wavelength", "vacuum", where=file.path.name)
    redshift, source = _redshifts(file, redrock)
    first = file.image(f"{names[0]}_FLUX")
    meta = file.facts(first) | found.meta()
    spread = None
    if np.isfinite(joined.sigma).any():
        spread = LineSpread(
            "gaussian", fwhm_table=(found.axis.values, FWHM_PER_SIGMA * joined.sigma)
        )
    return Spectra(
        float32(joined.flux),
        found.axis,
        variance_from(joined.ivar, "ivar"),
        ~(joined.ivar > 0),
        spread,
        redshift=redshift,
        instrument=instrument or "desi",
        unit=normalise_unit(str(file.card("BUNIT", hdu=first) or "")),
        meta=meta
        | {
            "format": f"DESI spectra (cameras {' '.join(names)}; {how})",
            "noise": "inverse variance (IVAR)",
            "mask": "MASK (not zero is bad), IVAR 0",
        }
        | ({"redshift_source": source} if source else {}),
    )


def join(cameras: list[Camera]) -> tuple[Camera, str]:
    """All cameras on one axis.

    Args:
        cameras: in order of wavelength.

    Returns:
        The joined camera, and what was done with the overlaps.
    """
    step = float(np.median(np.diff(cameras[0].wavelength)))
    origin = cameras[0].wavelength[0]
    positions = [(c.wavelength - origin) / step for c in cameras]
    if all(np.allclose(p, np.round(p), atol=0.01) for p in positions):
        return _averaged(cameras, [np.round(p).astype(int) for p in positions], step)
    return _cut(cameras)


def _averaged(cameras: list[Camera], index: list[np.ndarray], step: float) -> tuple[Camera, str]:
    n, size = cameras[0].flux.shape[0], max(int(i[-1]) for i in index) + 1
    present = np.zeros(size, bool)
    total, flux, width = (np.zeros((n, size)) for _ in range(3))
    for camera, channels in zip(cameras, index, strict=True):
        present[channels] = True
        total[:, channels] += camera.ivar
        flux[:, channels] += camera.ivar * np.where(camera.ivar > 0, camera.flux, 0.0)
        width[:, channels] += camera.ivar * np.where(camera.ivar > 0, camera.sigma, 0.0)
    wavelength = cameras[0].wavelength[0] + step * np.arange(size)
    with np.errstate(invalid="ignore", divide="ignore"):
        flux, width = flux / total, width / total
    flux = np.where(total > 0, flux, 0.0)
    parts = (wavelength[present], flux[:, present], total[:, present], width[:, present])
    return Camera(*parts[:3], _filled(parts[3])), "overlaps averaged by inverse variance"


def _cut(cameras: list[Camera]) -> tuple[Camera, str]:
    pieces, low = [], -np.inf
    for camera, following in zip(cameras, [*cameras[1:], None], strict=True):
        high = np.inf
        if following is not None and following.wavelength[0] <= camera.wavelength[-1]:
            high = 0.5 * (following.wavelength[0] + camera.wavelength[-1])
        keep = (camera.wavelength > low) & (camera.wavelength <= high)
        pieces.append([part[..., keep] for part in vars(camera).values()])
        low = high if np.isfinite(high) else camera.wavelength[-1]
    joined = Camera(*(np.concatenate(part, axis=-1) for part in zip(*pieces, strict=True)))
    return joined, "overlaps cut in their middle"


def _filled(sigma: np.ndarray) -> np.ndarray:
    """Widths with the gaps bridged along the axis, row by row."""
    channel = np.arange(sigma.shape[1])
    for row in sigma:
        good = np.isfinite(row) & (row > 0)
        row[:] = np.interp(channel, channel[good], row[good]) if good.any() else np.nan
    return sigma


def _camera_names(file: FitsFile) -> list[str]:
    names = []
    for hdu in file.hdus:
        match = re.fullmatch(r"([A-Z]+)_WAVELENGTH", hdu.name)
        if match and file.image(f"{match[1]}_FLUX") and file.image(f"{match[1]}_IVAR"):
            names.append(match[1])
    return names


def _camera(file: FitsFile, name: str) -> Camera:
    parts: dict[str, Any] = {}
    for part in ("WAVELENGTH", "FLUX", "IVAR", "MASK", "RESOLUTION"):
        image = file.image(f"{name}_{part}")
        parts[part] = None if image is None else image.read()
    flux, ivar = np.atleast_2d(parts["FLUX"]), np.atleast_2d(parts["IVAR"]).astype(float)
    wavelength = np.asarray(parts["WAVELENGTH"], float)
    if flux.shape != ivar.shape or flux.shape[1:] != wavelength.shape:
        raise InputError(
            f"{file.path}: camera {name} has flux {flux.shape}, inverse variance {ivar.shape} and "
            f"wavelength {wavelength.shape}: they must agree"
        )
    usable = np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0)
    if parts["MASK"] is not None:
        usable &= ~bad_pixels(np.atleast_2d(parts["MASK"]))
    sigma = np.full(flux.shape, np.nan)
    if parts["RESOLUTION"] is not None:
        sigma = resolution_sigma(parts["RESOLUTION"]) * np.median(np.diff(wavelength))
    return Camera(wavelength, flux.astype(float), np.where(usable, ivar, 0.0), sigma)


def resolution_sigma(diagonals: np.ndarray) -> np.ndarray:
    """Gaussian sigma [channels] of the resolution matrix at every channel.

    The three central diagonals of a Gaussian obey c0^2 / (c-1 c+1) = exp(1 / sigma^2).

    Args:
        diagonals: (n, 2 k + 1, channel), offsets +k to -k.

    Returns:
        (n, channel), bridged where the matrix is empty.

    Example:
        >>> offset = np.arange(-5, 6)[None, :, None]
        >>> matrix = np.exp(-0.5 * (offset / 0.9) ** 2) * np.ones((1, 11, 3))
        >>> np.round(resolution_sigma(matrix), 6).tolist()
        [[0.9, 0.9, 0.9]]
    """
    middle = diagonals.shape[1] // 2
    left, centre, right = (diagonals[:, middle + i].astype(float) for i in (-1, 0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return _filled(np.log(centre**2 / (left * right)) ** -0.5)


def _redshifts(file: FitsFile, redrock: str | Path | None) -> tuple[np.ndarray | None, str]:
    targets, n = _targets(file)
    if targets is None:
        return None, ""
    other = Path(redrock) if redrock is not None else _beside(file.path)
    source = file if other is None else open_fits(other)
    table = source.get("REDSHIFTS", "ZBEST")
    if table is None or not {"TARGETID", "Z"} <= set(table.columns):
        if redrock is not None:
            raise InputError(f"{redrock}: expected a table REDSHIFTS with TARGETID and Z")
        return None, ""
    columns = table.table()
    known = dict(zip(columns["TARGETID"].tolist(), columns["Z"].tolist(), strict=True))
    redshift = np.array([known.get(target, np.nan) for target in targets.tolist()])
    return (redshift, source.path.name) if len(targets) == n else (None, "")


def _targets(file: FitsFile) -> tuple[np.ndarray | None, int]:
    flux = file.image(f"{_camera_names(file)[0]}_FLUX")
    assert flux is not None
    fibermap = file.get("FIBERMAP")
    if fibermap is None or "TARGETID" not in fibermap.columns:
        return None, 0
    return fibermap.table()["TARGETID"], flux.shape[0] if flux.ndim == 2 else 1


def _beside(path: Path) -> Path | None:
    for word in ("coadd", "spectra"):
        other = path.with_name(path.name.replace(word, "redrock", 1))
        if path.name.startswith(word) and other.is_file():
            return other
    return None
