"""Sources seen through an instrument: lines, continuum and noise, block by block."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from nebulines.instruments.line_spread import LineSpread
from nebulines.lines import LineCatalogue
from nebulines.spectral_axis import SpectralAxis, vacuum_to_air
from nebulines.synthetic.config import SimulationConfig
from nebulines.synthetic.continua import continuum_shape
from nebulines.synthetic.noise import Exposure, add_disturbances, relative_sigma
from nebulines.synthetic.rendering import BLOCK, Kinematics, LineRenderer
from nebulines.synthetic.sources import Sources

_PLAIN = ("white",)
_AHEAD = 2


@dataclass(frozen=True)
class View:
    """How sources are seen.

    Attributes:
        config: redshift, shape of the continuum, parts of the noise, velocity convention.
        axis: channels of the n spectra.
        catalogue: the lines.
        spread: the instrument's response.
    """

    config: SimulationConfig
    axis: SpectralAxis
    catalogue: LineCatalogue
    spread: LineSpread

    @cached_property
    def renderer(self) -> LineRenderer:
        """The forward model of the lines."""
        return LineRenderer(
            self.axis,
            self.catalogue,
            self.spread,
            redshift=self.config.redshift,
            convention=self.config.convention,
        )

    @cached_property
    def reference(self) -> int:
        """Number of the line where the continuum is stated: H-alpha, or the middle one."""
        names = self.catalogue.names
        return names.index("HALPHA6563") if "HALPHA6563" in names else len(names) // 2

    def peak(self, heights: np.ndarray) -> np.ndarray:
        """Peak (n,) that defines the S/N: of H-alpha, or of the brightest line."""
        if "HALPHA6563" in self.catalogue.names:
            return heights[:, self.reference]
        return heights.max(axis=1)

    def peak_of(self, lines: Kinematics) -> np.ndarray:
        """The same peak (n,) of lines that have not been rendered."""
        from nebulines.models import line_peaks, line_positions, line_spread_width

        rest = line_positions(
            self.axis.kind, self.catalogue.wavelength(self.axis.medium), self.config.redshift
        )
        width = line_spread_width(self.axis.kind, self.spread, rest)
        heights = line_peaks(
            rest, *lines, np.broadcast_to(width, lines.fluxes.shape),
            spread_shape=self.spread.shape, kind=self.axis.kind, convention=self.config.convention,
        )  # fmt: skip
        return self.peak(np.asarray(heights, float))


class Depth(NamedTuple):
    """Noise and continuum of n spectra at the reference line, each (n,)."""

    sigma: np.ndarray
    level: np.ndarray


def lines_of(
    view: View, rows: np.ndarray, first: Kinematics, second: Kinematics | None
) -> tuple[np.ndarray, np.ndarray]:
    """Noise-free lines of some spectra.

    Args:
        view: how they are seen.
        rows: (k,) which spectra.
        first, second: the components of all n spectra.

    Returns:
        (k, channel) float32, and the peak (k,) that defines the S/N, float64.
    """
    signal, heights = view.renderer.render(rows, first)
    if second is not None and (both := np.isfinite(second.velocity[rows])).any():
        signal = signal.copy()
        signal[both] += view.renderer.render(rows[both], second)[0]
    return signal, view.peak(heights.astype(float))


def observe(
    generator: np.random.Generator, view: View, sources: Sources, depth: Depth | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spectra of the sources with noise.

    The lines of the next blocks are computed in another thread while noise is drawn.

    Args:
        generator: of the noise.
        view: how the sources are seen.
        sources: n sources.
        depth: noise and continuum; None = the sources' own, in units of the view's peak.

    Returns:
        Flux (n, channel) float32, its variance, and the continuum (n,) at the reference line.
    """
    n = len(sources)
    flux = np.empty((n, view.axis.n_channels), np.float32)
    sigma, level = np.empty(n), np.empty(n)
    scale = np.empty_like(flux) if set(view.config.noise) & {"wavelength", "photon"} else None
    blocks = [np.arange(i, min(i + BLOCK, n)) for i in range(0, n, BLOCK)]
    for rows, (signal, peak) in _ahead(blocks, view, sources):
        where = slice(rows[0], rows[-1] + 1)
        if depth is None:
            sigma[where], level[where] = peak / sources.snr[rows], sources.level[rows] * peak
        else:
            sigma[where], level[where] = depth.sigma[where], depth.level[where]
        signal = signal + continuum_of(view, rows, sources.shape, level[where])
        out = None if scale is None else scale[where]
        top = peak + level[where]
        flux[where] = with_noise(generator, view, rows, signal, sigma[where], top, out)
    variance = np.broadcast_to((sigma**2).astype(np.float32)[:, None], flux.shape)
    return flux, variance if scale is None else variance * np.square(scale), level


def _ahead(
    blocks: list[np.ndarray], view: View, sources: Sources
) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]]:
    """Each block with its lines, which another thread computes up to two blocks ahead."""
    waiting: deque[tuple[np.ndarray, Future]] = deque()
    with ThreadPoolExecutor(1) as pool:
        for rows in blocks:
            lines = pool.submit(lines_of, view, rows, sources.first, sources.second)
            waiting.append((rows, lines))
            if len(waiting) > _AHEAD:
                ready, found = waiting.popleft()
                yield ready, found.result()
        for ready, found in waiting:
            yield ready, found.result()


def continuum_of(view: View, rows: np.ndarray, shape: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Continuum of some spectra, (k, 1) or (k, channel) float32.

    Args:
        view: how they are seen.
        rows: (k,) which spectra.
        shape: (n, p) parameters of all spectra.
        level: (k,) continuum at the reference line.
    """
    flat = level[:, None].astype(np.float32)
    if view.config.continuum_shape == "flat" or not level.any():
        return flat
    stretch = 1.0 + view.config.redshift
    span = view.axis.wavelength_range()
    wavelength = view.axis.rows(rows).wavelength() / stretch
    line = view.catalogue.wavelength(view.axis.medium)[view.reference]
    return flat * continuum_shape(
        view.config.continuum_shape,
        wavelength,
        shape[rows],
        span=(span[0] / stretch, span[1] / stretch),
        reference=float(line),
    )


def with_noise(
    generator: np.random.Generator,
    view: View,
    rows: np.ndarray,
    signal: np.ndarray,
    sigma: np.ndarray,
    top: np.ndarray,
    scale: np.ndarray | None = None,
) -> np.ndarray:
    """Noise-free spectra plus noise.

    Args:
        generator: of the noise.
        view: how the spectra are seen.
        rows: (k,) which spectra.
        signal: (k, channel) noise-free.
        sigma: (k,) noise at the reference line.
        top: (k,) noise-free flux at the top of the reference line.
        scale: (k, channel), filled with the noise of each channel over that at the
            reference line; None where the noise is the same everywhere.

    Returns:
        (k, channel) float32.
    """
    noise = generator.standard_normal(signal.shape, np.float32)
    noise *= sigma[:, None].astype(np.float32)
    if view.config.noise == _PLAIN:
        noise += signal
        return noise
    exposure = _exposure(view, rows, signal, sigma, top)
    factor = relative_sigma(view.config.noise, generator, exposure)
    if scale is not None and factor is not None:
        scale[:] = factor
        noise *= factor
    noise += signal
    add_disturbances(view.config.noise, generator, exposure, noise)
    return noise


def _exposure(
    view: View, rows: np.ndarray, signal: np.ndarray, sigma: np.ndarray, top: np.ndarray
) -> Exposure:
    wavelength = np.atleast_2d(view.axis.rows(rows).wavelength())
    fwhm = np.atleast_2d(view.spread.rows(rows).fwhm_angstrom(wavelength))
    air = wavelength if view.axis.medium == "air" else vacuum_to_air(wavelength)
    return Exposure(air, signal, sigma, top, fwhm)
