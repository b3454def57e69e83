"""SITELLE cubes (HDF5): calibrated spectra with the axis and line width of every pixel.

The field angle theta of a pixel stretches its axis by 1 / cos(theta) = calib_map / nm_laser. A
cube that is not wavenumber-calibrated keeps that axis (`SpectralAxis.scale`); a calibrated one
has the common axis of ``axis_corr``. The line width follows the calibration map in both.

Flux: real data are in erg/s/cm2/A; complex data (level 3) are counts, flux =
Re(data) flambda / (dimz exposure_time), unless ``flambda2`` says that this was applied.

Channels outside the filter's band are masked, spaxels too where ``mask`` is 0 or the calibration
map has no value. The files carry no noise.

Source: Martin, Drissen & Prunet 2021, MNRAS 505, 5514 and the ORB data model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.constants import ANGSTROM_PER_CM
from nebulines.errors import InputError, UsageError
from nebulines.instruments import sitelle
from nebulines.instruments.line_spread import LineSpread
from nebulines.io.instrument_rows import row_or_none
from nebulines.io.sitelle_layouts import Layout, find_layout
from nebulines.io.sitelle_parameters import Scan, read_parameters, scan_of
from nebulines.spectra import Cube, Spectra
from nebulines.spectra.cube import Block
from nebulines.spectral_axis import SpectralAxis

UNIT = "erg Angstrom-1 s-1 cm-2"


@dataclass(frozen=True)
class SitelleCube:
    """One open description of a cube; every block opens the file for itself.

    Attributes:
        path, layout, scan: the file, its layout and its scan.
        factor: (channel,) or scalar that turns counts into flux, or None.
        band: (low, high) [cm-1] of the filter, or None.
        maps: which of calib_map and mask the file has.
        instrument, unit, meta: as in `Spectra`.
    """

    path: Path
    layout: Layout
    scan: Scan
    factor: np.ndarray | None
    band: tuple[float, float] | None
    maps: tuple[str, ...]
    instrument: str | None
    unit: str
    meta: dict[str, Any]

    def read_block(self, block: Block) -> Spectra:
        """The spaxels of a block, row by row; reads no other part of the cube."""
        import h5py

        x, y = slice(block.x0, block.x1), slice(block.y0, block.y1)
        with h5py.File(self.path, "r") as file:
            data = self.layout.read(file, x, y)
            maps = {name: np.asarray(file[name][x, y]).T.ravel() for name in self.maps}
        flux = self._flux(data)
        correction, lost = self._correction(maps, len(flux))
        axis = self._axis(correction)
        if "mask" in maps:
            lost = lost | ~(maps["mask"] > 0)
        return Spectra(
            flux,
            axis,
            mask=self._mask(axis, lost, flux.shape),
            line_spread=self._line_spread(correction),
            instrument=self.instrument,
            unit=self.unit,
            meta=self.meta,
        )

    def _flux(self, data: np.ndarray) -> np.ndarray:
        values = data.real if np.iscomplexobj(data) else data
        values = values.transpose(1, 0, 2).reshape(-1, data.shape[2])
        if self.factor is not None:
            values = values * self.factor
        return np.ascontiguousarray(values, np.float32)

    def _correction(self, maps: dict[str, np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
        """1 / cos(theta) of every spaxel, and which of them have none."""
        if "calib_map" not in maps:
            return np.full(n, self.scan.axis_corr), np.zeros(n, bool)
        correction = maps["calib_map"].astype(float) / self.scan.nm_laser
        lost = ~(np.isfinite(correction) & (correction > 0))
        return np.where(lost, self.scan.axis_corr, correction), lost

    def _axis(self, correction: np.ndarray) -> SpectralAxis:
        common = self.scan.axis_corr if self.scan.calibrated else 1.0
        values = sitelle.wavenumber_axis(
            self.scan.n_steps, self.scan.step_nm, self.scan.order, common
        )
        scale = None if self.scan.calibrated else correction
        return SpectralAxis(values, "wavenumber", "air", scale)

    def _line_spread(self, correction: np.ndarray) -> LineSpread:
        fwhm = sitelle.sinc_fwhm_cm1(
            self.scan.n_steps,
            self.scan.zpd_index,
            self.scan.step_nm,
            correction,
            self.scan.apodization,
        )
        row = row_or_none(self.instrument)
        return LineSpread(
            "sinc",
            fwhm_cm1=fwhm,
            reference_wavelength=None if row is None else row.reference_wavelength,
        )

    def _mask(self, axis: SpectralAxis, lost: np.ndarray, shape: tuple[int, ...]) -> Any:
        """Channels outside the filter and lost spaxels; without copies where all rows agree."""
        outside: Any = False
        if self.band is not None:
            scale = np.ones(1) if axis.scale is None else axis.scale
            scale = scale[:1] if np.ptp(scale) == 0 else scale
            outside = _outside(axis.values, *(edge / scale for edge in self.band))
        if lost.any():
            return np.broadcast_to(outside | lost[:, None], shape)
        return None if outside is False else np.broadcast_to(outside, shape)


def _outside(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Which of the increasing values (m,) lie below low or above high, both (n,): (n, m). Channel
    numbers of two bytes are compared instead of wavenumbers: half the time and more."""
    number: Any = np.arange(len(values), dtype=np.int16 if len(values) < 2**15 else np.int64)
    first = np.searchsorted(values, low).astype(number.dtype)[:, None]
    after = np.searchsorted(values, high, side="right").astype(number.dtype)[:, None]
    return (number < first) | (number >= after)


def read(path: Path, *, instrument: str | None = None) -> Cube:
    """Open a SITELLE cube.

    Args:
        path: the HDF5 file.
        instrument: name that replaces the filter's, such as ``sitelle-sn3``.

    Returns:
        A lazy cube (dimy, dimx, channel); ``meta`` holds the scan.

    Raises:
        InputError: the file is damaged, no SITELLE cube, or lacks a parameter.
        UsageError: the instrument is no band of SITELLE.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            description = _describe(path, file, instrument)
    except (OSError, KeyError, RuntimeError) as error:
        raise InputError(
            f"{path}: the HDF5 file cannot be read ({error}): it is damaged or incomplete; "
            "fetch or write it again"
        ) from error
    nx, ny, nz = description.layout.shape
    return Cube(
        (ny, nx, nz),
        description.read_block,
        wcs=_wcs(description.meta.pop("_parameters")),
        unit=description.unit,
        instrument=description.instrument,
        meta=description.meta,
        axis_varies="calib_map" in description.maps and not description.scan.calibrated,
    )


def _describe(path: Path, file: Any, instrument: str | None) -> SitelleCube:
    parameters = read_parameters(file)
    try:
        layout = find_layout(file, parameters)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if layout is None:
        raise InputError(
            f"{path}: expected a SITELLE cube (dataset data, or groups quad000 or frame00000), "
            f"found {', '.join(sorted(file)) or 'nothing'}"
        )
    scan = scan_of(parameters, layout.shape[2], str(path))
    instrument = instrument or scan.instrument
    row = row_or_none(instrument)
    band = None
    if row is not None:
        if not row.is_scan:
            raise UsageError(
                f"{path} is a SITELLE cube, and {row.name} is no band of SITELLE: name one such as "
                "sitelle-sn3"
            )
        band = ANGSTROM_PER_CM / row.band[1], ANGSTROM_PER_CM / row.band[0]
    factor, level, unit = _calibration(parameters, layout, file)
    maps = _maps(path, file, layout)
    meta = _meta(path, parameters, layout, scan, level, maps, row)
    return SitelleCube(path, layout, scan, factor, band, maps, instrument, unit, meta)


def _calibration(
    parameters: dict[str, Any], layout: Layout, file: Any
) -> tuple[np.ndarray | None, str, str]:
    """Factor from counts to flux, the level in words, and the unit of what comes out."""
    is_complex = layout.name == "new" and np.issubdtype(file["data"].dtype, np.complexfloating)
    if layout.name != "new":
        return None, "level 1, calibrated", UNIT
    if "level3" not in parameters and not is_complex:
        return None, "level 2, calibrated" if "level2" in parameters else "level 1", UNIT
    if "flambda2" in parameters:
        return None, "level 3, flux calibration already applied (flambda2)", UNIT
    flambda, exposure = parameters.get("flambda"), parameters.get("exposure_time")
    if flambda is None or not exposure:
        return None, "level 3, counts: flambda or exposure_time is missing", "count"
    flambda = np.asarray(flambda, float)
    if flambda.shape not in ((), (1,), layout.shape[2:]):
        raise InputError(
            f"flambda must be one number or one for each of {layout.shape[2]} channels, "
            f"got {flambda.shape}"
        )
    return flambda / (layout.shape[2] * float(exposure)), "level 3, counts x flambda", UNIT


def _maps(path: Path, file: Any, layout: Layout) -> tuple[str, ...]:
    names = []
    for name in ("calib_map", "mask"):
        if name not in file:
            continue
        if file[name].shape != layout.shape[:2]:
            raise InputError(
                f"{path}: {name} must have shape {layout.shape[:2]} (x, y), got {file[name].shape}"
            )
        # ORB does not apply the mask of legacy cubes
        if name == "calib_map" or layout.name == "new":
            names.append(name)
    return tuple(names)


def _meta(
    path: Path,
    parameters: dict[str, Any],
    layout: Layout,
    scan: Scan,
    level: str,
    maps: tuple[str, ...],
    row: Any,
) -> dict[str, Any]:
    corrected = "common axis (wavenumber calibrated)" if scan.calibrated else "axis per pixel"
    assumed = []
    if "calib_map" not in maps:
        assumed.append(f"no calib_map: 1 / cos(theta) is {scan.axis_corr:g} in every pixel")
    if row is None:
        assumed.append("no known filter: all channels are used; --instrument sitelle-... names it")
    judged = ["channels outside the filter"] if row is not None else []
    judged += ["mask (0 is bad)"] if "mask" in maps else []
    facts = {
        "OBJECT": parameters.get("object"),
        "DATE-OBS": parameters.get("date_obs"),
        "FILTER": scan.filter_name or None,
        "EXPTIME": parameters.get("exposure_time"),
    }
    meta: dict[str, Any] = {key: value for key, value in facts.items() if value is not None}
    meta |= {
        "source": str(path),
        "TELESCOP": "CFHT",
        "INSTRUME": "SITELLE",
        "format": f"SITELLE HDF5, {layout.name} layout, {level}",
        "axis": f"linear in wavenumber, {corrected}, {scan.n_steps} steps of {scan.step_nm:g} nm, "
        f"order {scan.order}",
        "noise": "none in the file",
        "line_spread": f"from the scan (zero path difference at {scan.zpd_index})",
        "_parameters": parameters,
    }
    if judged:
        meta["mask"] = ", ".join(judged)
    return meta | ({"assumed": assumed} if assumed else {})


def _wcs(parameters: dict[str, Any]) -> Any:
    from astropy.io import fits

    from nebulines.io.images import celestial_wcs

    header = fits.Header()
    for key, value in parameters.items():
        sky = key.startswith(("CTYPE", "CUNIT", "CRVAL", "CRPIX", "CDELT", "CD", "PC", "A_", "B_"))
        other = key in ("RADESYS", "EQUINOX", "LONPOLE", "LATPOLE", "AP_ORDER", "BP_ORDER")
        if (sky or other) and not key.endswith("3") and isinstance(value, str | int | float):
            header[key] = value
    return celestial_wcs(header) if "CTYPE1" in header else None


def deep_frame(path: Path | str) -> np.ndarray | None:
    """The image ``deep_frame`` of a cube as (y, x), or None when it has none."""
    import h5py

    with h5py.File(path, "r") as file:
        return np.asarray(file["deep_frame"]).T if "deep_frame" in file else None
