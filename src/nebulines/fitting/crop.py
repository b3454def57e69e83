"""Leave out the channels that neither the search nor the fit can reach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.fitting.config import FitConfig
from nebulines.fitting.direct.windows import plan_windows, window_ends
from nebulines.fitting.problem import Geometry, LineModel, fractional_channel
from nebulines.fitting.start import CONTINUUM_KMS
from nebulines.spectra import Spectra


def needed_channels(geometry: Geometry, model: LineModel, config: FitConfig) -> slice:
    """Channels between the outermost windows of any row at any velocity of the search, with
    room for the search's continuum; all of them when rows have axes of their own."""
    values = geometry.axis.values
    if values.ndim == 2 or len(values) < 64:
        return slice(0, values.shape[-1])
    margin = max(plan_windows(geometry, model, config).margin, CONTINUUM_KMS / SPEED_OF_LIGHT_KMS)
    ends = []
    for row in (np.argmin(geometry.stretch), np.argmax(geometry.stretch)):
        one = geometry.rows(np.array([row]))
        for velocity in config.velocity_range:
            low, high = window_ends(one, model, config, np.array([velocity]), margin)
            ends.append((low.min(), high.max()))
    low_end, high_end = min(end[0] for end in ends), max(end[1] for end in ends)
    edges = fractional_channel(values, np.array([low_end, high_end]))
    first, last = int(np.floor(edges[0])), int(np.ceil(edges[1]))
    return slice(first, max(last + 1, min(first + 2, len(values))))


def crop_geometry(geometry: Geometry, channels: slice) -> Geometry:
    """The geometry on a part of the axis."""
    axis = replace(geometry.axis, values=geometry.axis.values[..., channels])
    return replace(geometry, axis=axis)


def crop(spectra: Spectra, channels: slice) -> Spectra:
    """The spectra on a part of the axis."""
    if channels == slice(0, spectra.axis.n_channels):
        return spectra

    def cut(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[:, channels]

    return replace(
        spectra,
        flux=spectra.flux[:, channels],
        axis=replace(spectra.axis, values=spectra.axis.values[..., channels]),
        variance=cut(spectra.variance),
        mask=cut(spectra.mask),
    )
