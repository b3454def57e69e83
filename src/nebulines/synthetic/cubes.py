"""Mock cubes in the instrument's own format, with maps of their truth."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.instruments import Instrument, get_instrument
from nebulines.io.atomic import atomic_path
from nebulines.io.sitelle_parameters import NM_LASER, Scan
from nebulines.io.write_muse import UNIT, write_muse
from nebulines.io.write_sitelle import write_sitelle
from nebulines.lines import LineCatalogue
from nebulines.spectra import Flag, Spectra
from nebulines.spectra.cube import Block
from nebulines.spectral_axis import SpectralAxis
from nebulines.synthetic.config import SimulationConfig
from nebulines.synthetic.continua import CONTINUA
from nebulines.synthetic.observation import View, continuum_of, lines_of, with_noise
from nebulines.synthetic.rendering import BLOCK, Kinematics
from nebulines.synthetic.scene import Galaxy, Scene, Spaxels
from nebulines.synthetic.spectra import simulated_lines
from nebulines.synthetic.truth_files import TruthMaps, truth_meta, truth_path

if TYPE_CHECKING:
    from astropy.wcs import WCS

_ANGLE_DEG, _HALF_FIELD_DEG = 15.45, 3.0  # SITELLE: axis to the middle, and to the edge of it
_NOISE = {"sitelle": 1e-18, "muse": 20.0}  # of a channel, in the unit of the data
_PIXEL_ARCSEC = {"sitelle": 0.32, "muse": 0.2}
_CENTRE_DEG = (150.0, 2.2)


def write_cube(
    output: str | os.PathLike[str],
    instrument: str,
    shape: tuple[int, int] | None = None,
    seed: int = 0,
    *,
    config: SimulationConfig | None = None,
    scene: Scene | None = None,
    advance: Callable[[int], Any] | None = None,
) -> tuple[Path, Path]:
    """Write a mock cube and the maps of its truth, a few rows in memory at a time.

    The noise is the same in every spaxel of a cube; the scene says where the lines stand out
    of it. A SITELLE cube has the field angle of the whole field of view across it, whatever
    its size, in its calibration map.

    Args:
        output: ``.hdf5`` for a band of SITELLE (the observatory's format), ``.fits`` for MUSE.
        instrument: a band of SITELLE, or ``muse``.
        shape: (ny, nx); None = that of the scene.
        seed: of the random generator.
        config: ranges, continuum, noise, band; None = defaults. ``resolution`` of a SITELLE
            cube sets the length of the scan (the middle of the range).
        scene: what the cube shows; None = `scene.Galaxy`.
        advance: called with the number of spaxels written since its last call.

    Returns:
        Paths of the cube and of the truth, ``OUT_TRUTH.fits``, whose extensions are named as
        the maps of a fit.

    Raises:
        UsageError: an instrument without a cube format, a name that does not end as the
            format does, a folder that cannot be written.

    Example:
        >>> import tempfile
        >>> from nebulines.io import read
        >>> folder = Path(tempfile.mkdtemp())
        >>> cube, truth = write_cube(folder / "mock.hdf5", "sitelle-sn3", (4, 6), seed=1)
        >>> read(cube).shape, truth.name
        ((4, 6, 842), 'mock_TRUTH.fits')
    """
    output, config = Path(output), config or SimulationConfig()
    row = get_instrument(instrument)
    kind = _kind(row, output)
    names = simulated_lines(row, config).names
    if scene is None:
        if shape is None:
            raise UsageError("a mock cube needs its size: shape = (ny, nx)")
        scene = Galaxy(shape, names, config, seed)
    unit = UNIT if kind == "muse" else row.unit
    mock = _Mock(row, config, scene, simulated_lines(row, config), seed, _NOISE[kind])
    wcs = _wcs(scene.shape, _PIXEL_ARCSEC[kind])
    meta = truth_meta(config, instrument=row.name, names=names, seed=seed, unit=unit)
    with atomic_path(truth_path(output)) as partial:
        truth = TruthMaps(partial, scene.shape, meta, wcs)
        blocks = _blocks(mock, truth, advance)
        _FORMATS[kind](output, mock, blocks, wcs)
        truth.finish()
    return output, truth_path(output)


def _kind(row: Instrument, output: Path) -> str:
    kind = "sitelle" if row.is_scan else row.name
    if kind not in _FORMATS:
        raise UsageError(
            f"mock cubes are written for the bands of SITELLE and for muse, not for {row.name}: "
            "simulate spectra instead"
        )
    suffix = ".hdf5" if kind == "sitelle" else ".fits"
    if output.suffix != suffix:
        raise UsageError(f"a cube of {row.name} ends in {suffix}, not {output.suffix or 'nothing'}")
    return kind


@dataclass(frozen=True)
class _Mock:
    """A scene in front of an instrument."""

    row: Instrument
    config: SimulationConfig
    scene: Scene
    catalogue: LineCatalogue
    seed: int
    noise: float

    @cached_property
    def scan(self) -> Scan:
        """SITELLE's scan, shorter or longer where another resolution is asked for."""
        assert self.row.n_steps is not None
        assert self.row.zpd_index is not None
        scale = 1.0
        if self.config.resolution is not None:
            scale = float(np.mean(self.config.resolution)) / self.row.resolution
        n_steps = self.config.n_steps or max(8, round(self.row.n_steps * scale))
        zpd = round(self.row.zpd_index * n_steps / self.row.n_steps)
        return Scan.of(self.row.name, n_steps=n_steps, zpd_index=zpd)

    @cached_property
    def correction(self) -> np.ndarray:
        """1 / cos(theta) (ny, nx): the field of view spans the cube."""
        ny, nx = self.scene.shape
        y = (np.arange(ny) + 0.5) / ny * 2.0 - 1.0
        x = (np.arange(nx) + 0.5) / nx * 2.0 - 1.0
        angle = np.hypot(_ANGLE_DEG + _HALF_FIELD_DEG * x[None, :], _HALF_FIELD_DEG * y[:, None])
        return 1.0 / np.cos(np.radians(angle))

    @cached_property
    def axis(self) -> SpectralAxis:
        """Axis of a dispersive cube, or of an untilted scan."""
        if self.row.is_scan:
            return self.row.axis_for(n_steps=self.scan.n_steps, correction=1.0)
        low, high = self.config.band or (None, None)
        return self.row.axis_for(low=low, high=high)

    def view(self, block: Block) -> View:
        """How a block is seen."""
        if not self.row.is_scan:
            return View(self.config, self.axis, self.catalogue, self.row.line_spread)
        tilt = self.correction[block.y0 : block.y1, block.x0 : block.x1].ravel()
        spread = self.row.scan_line_spread(
            n_steps=self.scan.n_steps, zpd_index=self.scan.zpd_index, correction=tilt
        )
        return View(self.config, replace(self.axis, scale=tilt), self.catalogue, spread)

    @cached_property
    def sigma(self) -> float:
        """Noise of a channel: the typical one, or for a scene in physical fluxes the one that
        gives its brightest hundredth the upper end of the S/N."""
        spaxels = [self.scene.spaxels(block) for block in _bands(self.scene.shape)]
        if spaxels[0].snr is not None:
            return self.noise
        view = self.view(Block(0, 1, 0, 1))
        fluxes = np.concatenate([part.first.fluxes[part.valid] for part in spaxels])
        bright = view.peak(fluxes)
        width = np.concatenate([part.first.broadening[part.valid] for part in spaxels])
        top = np.flatnonzero(bright >= np.percentile(bright, 99.0))[:BLOCK]
        lines = Kinematics(np.zeros(len(top)), width[top], fluxes[top])
        alone = View(self.config, view.axis.rows(np.zeros(len(top), int)), self.catalogue,
                     view.spread.rows(np.zeros(len(top), int)))  # fmt: skip
        _, peak = lines_of(alone, np.arange(len(top)), lines, None)
        return float(np.min(peak) / self.config.snr[1])


def _bands(shape: tuple[int, int]) -> Iterator[Block]:
    """Whole rows, or parts of a row, of at most `BLOCK` spaxels."""
    height, width = max(1, BLOCK // shape[1]), min(shape[1], BLOCK)
    for y in range(0, shape[0], height):
        for x in range(0, shape[1], width):
            yield Block(y, min(y + height, shape[0]), x, min(x + width, shape[1]))


def _blocks(
    mock: _Mock, truth: TruthMaps, advance: Callable[[int], Any] | None
) -> Iterator[tuple[Block, Spectra]]:
    """Spectra of each block; their truth is written on the way."""
    for number, block in enumerate(_bands(mock.scene.shape)):
        generator = np.random.default_rng((mock.seed, number))
        spectra, columns = _observe(mock, block, generator)
        truth.add(slice(block.y0, block.y1), slice(block.x0, block.x1), columns)
        yield block, spectra
        if advance:
            advance(block.size)


def _observe(
    mock: _Mock, block: Block, generator: np.random.Generator
) -> tuple[Spectra, dict[str, np.ndarray]]:
    """Spectra of a block, and their truth in the unit of the data."""
    view, seen = mock.view(block), mock.scene.spaxels(block)
    rows = np.arange(block.size)
    signal, peak = lines_of(view, rows, seen.first, seen.second)
    scale = np.ones(block.size)
    level = seen.level
    if seen.snr is not None:
        scale = seen.snr * mock.sigma / peak
        level = level * mock.sigma * np.mean(mock.config.snr)
    scale = np.where(seen.valid, scale, 0.0)
    signal = signal * scale[:, None].astype(np.float32)
    shape = CONTINUA[mock.config.continuum_shape].draw(generator, block.size)
    signal = signal + continuum_of(view, rows, shape, level)
    sigma = np.full(block.size, mock.sigma)
    top = np.maximum(scale * peak, mock.sigma) + level
    factor = np.ones_like(signal)
    flux = with_noise(generator, view, rows, signal, sigma, top, factor)
    spectra = Spectra(flux, view.axis, (factor * np.float32(mock.sigma)) ** 2)
    return spectra, _truth(mock, seen, scale, level)


def _truth(
    mock: _Mock, seen: Spaxels, scale: np.ndarray, level: np.ndarray
) -> dict[str, np.ndarray]:
    """Columns of the truth maps; NaN where there is nothing but noise."""
    names = mock.catalogue.names
    columns = {"velocity": seen.first.velocity, "broadening": seen.first.broadening}
    columns |= {f"{n}_flux": seen.first.fluxes[:, k] * scale for k, n in enumerate(names)}
    if seen.second is not None:
        two = np.isfinite(seen.second.velocity)
        columns |= {"velocity_2": seen.second.velocity, "broadening_2": seen.second.broadening}
        fluxes = np.where(two[:, None], seen.second.fluxes * scale[:, None], np.nan)
        columns |= {f"{n}_2_flux": fluxes[:, k] for k, n in enumerate(names)}
        columns["n_components"] = 1 + two
    columns |= {"continuum": level, "ebv": seen.ebv}
    if seen.snr is not None:
        columns["snr"] = seen.snr
    columns = {name: np.where(seen.valid, values, np.nan) for name, values in columns.items()}
    columns["region"] = np.where(seen.valid, seen.region, 0)
    columns["flags"] = np.where(seen.valid, 0, int(Flag.NO_DATA))
    return columns


def _write_sitelle(output: Path, mock: _Mock, blocks: Any, wcs: WCS) -> None:
    write_sitelle(
        output,
        ((block, spectra.flux) for block, spectra in blocks),
        scan=mock.scan,
        shape=mock.scene.shape,
        calib_map=mock.correction * NM_LASER,
        header={"OBJECT": "mock", **_cards(wcs)},
    )


def _write_muse(output: Path, mock: _Mock, blocks: Any, wcs: WCS) -> None:
    write_muse(
        output, blocks, shape=mock.scene.shape, axis=mock.axis, wcs=wcs, header={"OBJECT": "mock"}
    )


_FORMATS: dict[str, Callable[[Path, _Mock, Any, Any], None]] = {
    "sitelle": _write_sitelle,
    "muse": _write_muse,
}


def _wcs(shape: tuple[int, int], pixel_arcsec: float) -> WCS:
    """A tangent plane, north up, east to the left."""
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = list(_CENTRE_DEG)
    wcs.wcs.crpix = [0.5 * (shape[1] + 1), 0.5 * (shape[0] + 1)]
    wcs.wcs.cdelt = [-pixel_arcsec / 3600.0, pixel_arcsec / 3600.0]
    return wcs


def _cards(wcs: WCS) -> dict[str, Any]:
    return {key: value for key, value in wcs.to_header().items() if key != "WCSAXES"}
