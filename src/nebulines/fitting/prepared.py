"""Spectra brought to the form that every method of measuring them starts from."""

from __future__ import annotations

from typing import NamedTuple

from nebulines.errors import InputError
from nebulines.fitting.config import FitConfig
from nebulines.fitting.crop import crop, crop_geometry, needed_channels
from nebulines.fitting.line_spread import line_spread_of
from nebulines.fitting.normalise import Normalised, normalise
from nebulines.fitting.problem import Geometry, LineModel, build_geometry, build_line_model
from nebulines.spectra import Spectra


class Prepared(NamedTuple):
    """n spectra in units of their noise, on the channels that matter, with their lines.

    Attributes:
        data: the spectra.
        geometry: their axis, line spread and redshifts, on the same channels.
        model: lines and ties.
        config: resolved options.
        channels: of the whole axis that are kept.
        known: whether the line spread is known, or one channel is assumed.
    """

    data: Normalised
    geometry: Geometry
    model: LineModel
    config: FitConfig
    channels: slice
    known: bool


def prepare(spectra: Spectra, config: FitConfig) -> Prepared:
    """Normalise spectra and lay out their lines.

    Args:
        spectra: the data, n >= 1.
        config: options as `nebulines.fitting.fit.resolve` returns them.

    Raises:
        InputError: the noise is to come from the file, which has none.
    """
    spread, known = line_spread_of(spectra, config)
    model = build_line_model(config, spectra.axis, spread)
    geometry = build_geometry(spectra, model, config)
    estimate = config.noise == "estimate" or (config.noise == "auto" and spectra.variance is None)
    if config.noise == "file" and spectra.variance is None:
        raise InputError("the data bring no noise: use noise='estimate' (--noise estimate)")
    channels = needed_channels(geometry, model, config)
    data = normalise(crop(spectra, channels), estimate_noise=estimate)
    return Prepared(data, crop_geometry(geometry, channels), model, config, channels, known)
