"""What a file is and how it was understood, in lines for people (`nebulines info`)."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np

from nebulines.io.reading import read
from nebulines.spectra import Cube, Spectra
from nebulines.spectra.cube import Block


def describe(data: str | PathLike[str] | Spectra | Cube) -> list[str]:
    """Lines that say what data are: format, shape, axis, unit, noise, masks, line spread,
    redshift, WCS, instrument, and what had to be assumed.

    Args:
        data: a file, or what `read` gave. Of a cube only the middle spaxel is read.

    Raises:
        InputError: the file cannot be understood.

    Example:
        >>> from nebulines.spectral_axis import SpectralAxis
        >>> axis = SpectralAxis(np.linspace(6500.0, 6600.0, 101), "wavelength", "air")
        >>> for line in describe(Spectra(np.ones((2, 101)), axis, unit="Jy"))[1:4]:
        ...     print(line)
        shape       2 spectra x 101 channels
        axis        6500.00 - 6600.00 Angstrom, air, wavelength, linear, 1 Angstrom a channel
        unit        Jy
    """
    if not isinstance(data, Spectra | Cube):
        data = read(data)
    sample = _middle(data) if isinstance(data, Cube) else data
    meta = {**sample.meta, **data.meta}
    lines = {
        "format": str(meta.get("format", type(data).__name__)),
        "shape": _shape(data),
        "axis": _axis(sample, meta),
        "unit": _unit(data.unit, meta),
        "noise": str(meta.get("noise", "in memory" if sample.variance is not None else "none")),
        "mask": str(meta.get("mask", "none" if sample.mask is None else "in memory")),
        "line spread": _line_spread(sample),
        "redshift": _redshift(sample),
        "instrument": str(data.instrument or "not known"),
    }
    if isinstance(data, Cube):
        lines["sky WCS"] = _wcs(data)
    facts = {k: meta[k] for k in ("OBJECT", "TELESCOP", "DATE-OBS", "SPECSYS") if meta.get(k)}
    lines["header"] = ", ".join(f"{key} {value}" for key, value in facts.items()) or "-"
    told = [f"{name:<12}{text}" for name, text in lines.items()]
    told += [f"{'assumed':<12}{note}" for note in meta.get("assumed", [])]
    source = meta.get("source")
    return ([f"{'file':<12}{source}"] if source else []) + told


def _middle(cube: Cube) -> Spectra:
    y, x = cube.shape[0] // 2, cube.shape[1] // 2
    return cube.read_block(Block(y, y + 1, x, x + 1))


def _shape(data: Spectra | Cube) -> str:
    if isinstance(data, Cube):
        ny, nx, n = data.shape
        return f"{ny} x {nx} spaxels (rows x columns) x {n} channels"
    n, channels = data.flux.shape
    return f"{n} {'spectrum' if n == 1 else 'spectra'} x {channels} channels"


def _axis(spectra: Spectra, meta: dict[str, Any]) -> str:
    axis = spectra.axis
    low, high = axis.wavelength_range()
    law = meta.get("axis") or _law(axis.values)
    text = f"{low:.2f} - {high:.2f} Angstrom, {axis.medium}, {axis.kind}, {law}"
    if axis.kind == "wavelength" and axis.values.ndim == 1 and axis.n_channels > 1:
        text += f", {np.median(np.diff(axis.values)):.4g} Angstrom a channel"
    if axis.kind == "wavenumber" and axis.n_channels > 1:
        row = axis.per_spectrum(len(spectra))[0]
        text += f", {row[0]:.2f} - {row[-1]:.2f} cm-1, {row[1] - row[0]:.4g} cm-1 a channel"
    return text


def _law(values: np.ndarray) -> str:
    from nebulines.io.axes import spacing

    return spacing(values)


def _unit(unit: str, meta: dict[str, Any]) -> str:
    raw = meta.get("unit_in_file", unit)
    written = f" (written as {raw!r})" if raw and raw != unit else ""
    return (unit or "none given") + written


def _line_spread(spectra: Spectra) -> str:
    spread = spectra.line_spread
    if spread is None:
        return "unknown: give --resolution or --instrument"
    low, high = spectra.axis.wavelength_range()
    fwhm = spread.fwhm_angstrom(np.array([0.5 * (low + high)]))
    middle = float(np.nanmedian(fwhm)) if np.isfinite(fwhm).any() else np.nan
    source = spectra.meta.get("line_spread", "in memory")
    return (
        f"{spread.shape}, FWHM {middle:.3g} Angstrom (R {0.5 * (low + high) / middle:.0f}) "
        f"at {0.5 * (low + high):.0f} Angstrom, {source}"
    )


def _redshift(spectra: Spectra) -> str:
    if spectra.redshift is None:
        return "not given"
    z = spectra.redshift
    known = z[np.isfinite(z)]
    if not known.size:
        return "not given"
    source = spectra.meta.get("redshift_source")
    where = f", from {source}" if source else ""
    if np.ptp(known) == 0:
        return f"{known[0]:.6g}{where}"
    return f"{known.min():.6g} to {known.max():.6g} ({known.size} of {z.size} known){where}"


def _wcs(cube: Cube) -> str:
    if cube.wcs is None:
        return "none"
    ny, nx, _ = cube.shape
    lon, lat = cube.wcs.wcs_pix2world([[(nx - 1) / 2, (ny - 1) / 2]], 0)[0]
    return f"{' '.join(cube.wcs.wcs.ctype)}, centre {lon:.5f} {lat:.5f} deg"
