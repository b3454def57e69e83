"""A scene in front of an instrument: the spectra of any block of a mock cube."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nebulines.instruments import Instrument, get_instrument
from nebulines.io.sitelle_parameters import Scan
from nebulines.lines import LineCatalogue, load_catalogue
from nebulines.spectra import Flag, Spectra
from nebulines.spectra.cube import Block
from nebulines.spectral_axis import SpectralAxis
from nebulines.synthetic.config import SimulationConfig
from nebulines.synthetic.continua import CONTINUA
from nebulines.synthetic.observation import View, continuum_of, lines_of, with_noise
from nebulines.synthetic.rendering import BLOCK, Kinematics
from nebulines.synthetic.spaxels import Place, Scene, Spaxels

_REFERENCE_BAND = "sitelle-sn3"
_ANGLE_DEG, _HALF_FIELD_DEG = 15.45, 3.0  # SITELLE: axis to the middle, and to the edge of it


@dataclass(frozen=True)
class MockCube:
    """A scene in front of an instrument.

    Attributes:
        row: the instrument.
        config: ranges, continuum, parts of the noise.
        scene: what the cube shows.
        catalogue: the lines.
        seed: of the noise.
        noise: typical noise of a channel where H-alpha is seen, in the unit of the data.

    The flux scale of a scene without a unit is that of H-alpha, in every band: the S/N of a
    spaxel is the peak that H-alpha has through the band, or through SN3 for a band of SITELLE
    that does not show it. The noise of such a band is what gives an unresolved line of the same
    flux the same S/N.
    """

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

    @cached_property
    def home(self) -> MockCube:
        """The scene as the band sees it that shows H-alpha: this one, or SITELLE's SN3."""
        if not self.row.is_scan or "HALPHA6563" in self.catalogue.names:
            return self
        config = replace(self.config, resolution=None, n_steps=None)
        return replace(self, row=get_instrument(_REFERENCE_BAND), config=config)

    @staticmethod
    def _width(mock: MockCube) -> float:
        """Width [Angstrom] of the line spread at the band's reference line."""
        wave = np.array([mock.row.reference_wavelength])
        spread = mock.view(Block(0, 1, 0, 1)).spread
        return float(np.ravel(spread.fwhm_angstrom(wave))[0])

    def halpha_peak(self, block: Block, lines: Kinematics) -> np.ndarray:
        """Peak (k,) of an H-alpha of flux 1 through this instrument.

        Args:
            block: k spaxels.
            lines: their kinematics.
        """
        catalogue = load_catalogue().select(["HALPHA6563"])
        view = replace(self.view(block), catalogue=catalogue)
        return view.peak_of(lines._replace(fluxes=np.ones((block.size, 1))))

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
        blocks = list(bands(self.scene.shape))
        if self.scene.spaxels(blocks[0]).snr is not None:
            return self.noise * self._width(self.home) / self._width(self)
        spaxels = [self.scene.spaxels(block) for block in blocks]
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


def bands(shape: tuple[int, int]) -> Iterator[Block]:
    """Whole rows, or parts of a row, of at most `BLOCK` spaxels."""
    height, width = max(1, BLOCK // shape[1]), min(shape[1], BLOCK)
    for y in range(0, shape[0], height):
        for x in range(0, shape[1], width):
            yield Block(y, min(y + height, shape[0]), x, min(x + width, shape[1]))


def observe_block(
    mock: MockCube, block: Block, generator: np.random.Generator
) -> tuple[Spectra, dict[str, np.ndarray]]:
    """Spectra of a block, and their truth in the unit of the data."""
    view, seen = mock.view(block), mock.scene.spaxels(block)
    rows = np.arange(block.size)
    signal, peak = lines_of(view, rows, seen.first, seen.second)
    scale = np.ones(block.size)
    level = seen.level
    if seen.snr is not None:
        home = mock.home.sigma
        scale = seen.snr * home / mock.home.halpha_peak(block, seen.first)
        level = level * home * np.mean(mock.config.snr)
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
    mock: MockCube, seen: Spaxels, scale: np.ndarray, level: np.ndarray
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
    columns["region"] = np.where(seen.valid, seen.region, Place.UNKNOWN)
    columns["flags"] = np.where(seen.valid, 0, int(Flag.NO_DATA))
    return columns
