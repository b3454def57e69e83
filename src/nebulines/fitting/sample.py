"""A few spectra that speak for a cube: the brightest in lines, or just one for its axis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from nebulines.spectra import Cube, Spectra

MAX_ROWS = 20
PER_ROW = 3
KEEP = 32


def middle_spaxel(cube: Cube) -> Spectra:
    """The spaxel in the middle of a cube."""
    ny, nx, _ = cube.shape
    return cube[ny // 2, nx // 2]


def brightest_spaxels(cube: Cube) -> Spectra:
    """Up to 32 spaxels with the most outstanding channels, from a few rows of the cube."""
    ny = cube.shape[0]
    best: list[tuple[float, Spectra]] = []
    for y in np.unique(np.linspace(0, ny - 1, min(ny, MAX_ROWS)).astype(int)):
        spectra = cube[int(y), :]
        mask = None if spectra.mask is None else np.asarray(spectra.mask, bool)
        contrast = line_contrast(np.asarray(spectra.flux), mask)
        for x in np.argsort(contrast)[::-1][:PER_ROW]:
            best.append((float(contrast[x]), spectra[int(x)]))
    best.sort(key=lambda pair: -pair[0])
    return join_rows([spectrum for _, spectrum in best[:KEEP]])


def line_contrast(flux: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """How far (n,) the brightest channels of spectra (n, channel) rise above the upper end of
    the rest, in units of the typical step between neighbours; 0 without usable channels.

    Example:
        >>> flat, line = np.tile([0.0, 1.0], 50), np.tile([0.0, 1.0], 50)
        >>> line[50] = 30.0
        >>> line_contrast(np.stack([flat, line])).tolist()
        [0.0, 29.0]
    """
    used = np.isfinite(flux)
    if mask is not None:
        used &= ~mask
    filled = np.sort(np.where(used, flux, np.inf), axis=1)
    count = used.sum(axis=1)

    def percentile(share: float) -> np.ndarray:
        at = np.maximum(np.ceil(share * count).astype(int) - 1, 0)
        return np.take_along_axis(filled, at[:, None], axis=1)[:, 0]

    step = np.abs(np.diff(np.where(used, flux, 0.0), axis=1, prepend=0.0))
    typical = np.median(step, axis=1)
    ok = (count > 2) & (typical > 0)
    rise = np.where(ok, percentile(0.995), 0.0) - np.where(ok, percentile(0.8), 0.0)
    return rise / np.where(ok, typical, 1.0)


def join_rows(parts: list[Spectra]) -> Spectra:
    """Stack spectra that share an axis into one set."""
    first = parts[0]
    axis, spread = first.axis, first.line_spread
    if axis.scale is not None:
        axis = replace(axis, scale=np.concatenate([p.axis.scale for p in parts]))
    elif axis.values.ndim == 2:
        axis = replace(axis, values=np.concatenate([p.axis.values for p in parts]))
    if spread is not None:
        changes: dict[str, Any] = {}
        for name in ("resolution", "fwhm_cm1"):
            if np.ndim(getattr(spread, name)) == 1:
                changes[name] = np.concatenate([getattr(p.line_spread, name) for p in parts])
        if spread.fwhm_table is not None and spread.fwhm_table[1].ndim == 2:
            tables = [p.line_spread.fwhm_table for p in parts if p.line_spread is not None]
            table = np.concatenate([table[1] for table in tables if table is not None])
            changes["fwhm_table"] = (spread.fwhm_table[0], table)
        spread = replace(spread, **changes)

    def stack(name: str) -> np.ndarray | None:
        pieces = [getattr(p, name) for p in parts]
        return None if pieces[0] is None else np.concatenate([np.asarray(p) for p in pieces])

    return replace(
        first,
        flux=np.concatenate([np.asarray(p.flux) for p in parts]),
        axis=axis,
        variance=stack("variance"),
        mask=stack("mask"),
        line_spread=spread,
        redshift=stack("redshift"),
    )
