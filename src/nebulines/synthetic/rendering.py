"""Noise-free lines of many spectra: the forward model, compiled once and run by blocks."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.instruments.line_spread import LineSpread
from nebulines.lines import LineCatalogue
from nebulines.spectral_axis import SpectralAxis, VelocityConvention
from nebulines.synthetic.line_windows import compiled as windowed
from nebulines.synthetic.line_windows import grid_of, half_window

BLOCK = 1024
"""Spectra in one call of the compiled model: a few MB, which stay in the processor's cache."""


_COMPILED = (16, 128, BLOCK)


class Kinematics(NamedTuple):
    """One velocity component of n spectra.

    Attributes:
        velocity, broadening: (n,) [km/s].
        fluxes: (n, L).
    """

    velocity: np.ndarray
    broadening: np.ndarray
    fluxes: np.ndarray

    def rows(self, index: Any) -> Kinematics:
        """The component of a subset."""
        return Kinematics(*(part[index] for part in self))


class LineRenderer:
    """Lines of a catalogue seen on an axis through a line spread.

    Args:
        axis: of all n spectra.
        catalogue: the L lines.
        spread: the instrument's response to each of the n spectra.
        redshift: of every source.
        convention: ``optical`` or ``relativistic`` velocity.
    """

    def __init__(
        self,
        axis: SpectralAxis,
        catalogue: LineCatalogue,
        spread: LineSpread,
        *,
        redshift: float = 0.0,
        convention: VelocityConvention = "optical",
    ) -> None:
        from nebulines.models import line_positions, line_spread_width

        self.axis = axis
        self.rest = line_positions(axis.kind, catalogue.wavelength(axis.medium), redshift)
        self._width = line_spread_width(axis.kind, spread, self.rest)
        self._kind = spread.shape, axis.kind, convention
        self._grid = grid_of(axis, self.rest)
        self._shared = None
        if axis.shared:
            self._shared = (axis.values[None, :] - self.rest[:, None]).astype(np.float32)

    def render(self, rows: np.ndarray, lines: Kinematics) -> tuple[np.ndarray, np.ndarray]:
        """Spectra and the peak of each line alone.

        Args:
            rows: (k,) which of the n spectra, k at most `BLOCK`.
            lines: of all n spectra.

        Returns:
            (k, channel) and (k, L), float32.
        """
        k = len(rows)
        padded = np.concatenate([rows, np.full(_padding(k), rows[-1])])
        width = np.broadcast_to(self._width, lines.fluxes.shape)
        part = [a[padded].astype(np.float32) for a in (*lines, width)]
        geometry, model = self._geometry(padded, part[1], part[3])
        flux, peaks = model(*geometry, self.rest.astype(np.float32), *part)
        return np.asarray(flux)[:k], np.asarray(peaks)[:k]

    def _geometry(
        self, rows: np.ndarray, broadening: np.ndarray, width: np.ndarray
    ) -> tuple[tuple[np.ndarray, ...], Any]:
        """Arrays that place the lines on the axis, and the compiled model that takes them."""
        if self._grid is not None:
            channel, offset, step, n_channels = self._grid
            if len(step) > 1:
                channel, offset, step = channel[rows], offset[rows], step[rows]
            # 0.5 %: lines are seen a little off their rest positions
            sigma = 1.005 * self.rest.max() * broadening / SPEED_OF_LIGHT_KMS
            half = half_window(self._kind[0], sigma, width, step)
            if half is not None and 2 * half < n_channels:
                return (channel, offset, step), windowed(*self._kind, half, n_channels)
        if self._shared is not None:
            return (self._shared,), _compiled(*self._kind)
        values = self.axis.rows(rows).per_spectrum(len(rows))
        offsets = (values[:, None, :] - self.rest[:, None]).astype(np.float32)
        return (offsets,), _compiled(*self._kind)


def _padding(k: int) -> int:
    """Rows to repeat so that few sizes are compiled."""
    return next((size - k for size in _COMPILED if size >= k), 0)


@functools.cache
def _compiled(shape: str, kind: str, convention: str) -> Any:
    """Jitted model: spectra (n, channel), and the peak (n, L) of each line alone."""
    import jax

    from nebulines.models import line_peaks, lines_at_offsets

    options: Any = {"spread_shape": shape, "kind": kind, "convention": convention}

    def model(offsets: Any, rest: Any, *arrays: Any) -> tuple[Any, Any]:
        spectra = lines_at_offsets(offsets, rest, *arrays, **options)
        return spectra, line_peaks(rest, *arrays, **options)

    return jax.jit(model)
