"""Galaxies as surveys see them: axis, line spread, noise that depends on wavelength.

The settings stand in ``data/surveys.toml``; how errors go with wavelength, sky lines and camera
edges included, was learned from a few spectra of each survey (``data/survey_noise.toml``).
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from nebulines.errors import UsageError
from nebulines.galaxies.population.numbers import numbers
from nebulines.instruments import Instrument, get_instrument
from nebulines.spectral_axis import Medium


class Survey(NamedTuple):
    """What a survey's spectra are like.

    Attributes:
        name, title: what it is.
        wavelength: (channel,) observed [Angstrom].
        medium: ``air`` or ``vacuum``.
        fwhm: (channel,) line spread [Angstrom], None = that of the stellar basis.
        redshift: (low, high).
        snr: (median, dex of scatter) of a channel; None where ``sigma`` says it.
        sigma: largest error of a spectrum of unit length, or None.
        shape: (channel,) errors relative to those at the reference.
        level: error at the reference [unit of the instrument].
        instrument: its row, None at rest.
    """

    name: str
    title: str
    wavelength: np.ndarray
    medium: Medium
    fwhm: np.ndarray | None
    redshift: tuple[float, float]
    snr: tuple[float, float] | None
    sigma: float | None
    shape: np.ndarray
    level: float
    instrument: Instrument | None

    @property
    def unit(self) -> str:
        """Unit of the flux; none for spectra of unit length."""
        return self.instrument.unit if self.instrument else ""


def survey_names() -> tuple[str, ...]:
    """Names of the settings.

    Example:
        >>> survey_names()
        ('sdss', 'desi', 'manga', 'uniform-0.04', 'desi-z0.1')
    """
    return tuple(numbers("surveys.toml"))


@functools.cache
def get_survey(name: str) -> Survey:
    """One of the settings.

    Raises:
        UsageError: an unknown name.

    Example:
        >>> survey = get_survey("uniform-0.04")
        >>> len(survey.wavelength), survey.sigma, survey.medium
        (825, 0.04, 'air')
    """
    row = numbers("surveys.toml").get(name)
    if row is None:
        raise UsageError(f"unknown survey {name!r}; known: {', '.join(survey_names())}")
    low, high = row["band"]
    instrument = get_instrument(row["instrument"]) if "instrument" in row else None
    if instrument is None:
        wave, fwhm = np.geomspace(low, high, row["channels"]), None
        medium: Medium = "air"
    else:
        axis = instrument.axis_for(low=low, high=high)
        wave, medium = axis.wavelength(), axis.medium
        fwhm = np.broadcast_to(instrument.line_spread.fwhm_angstrom(wave), wave.shape)
    shape = np.ones(len(wave))
    if "noise" in row:
        shape = noise_shape(row["noise"], wave * (1.0 + row.get("seen_at", 0.0)))
    return Survey(
        name,
        row["title"],
        wave,
        medium,
        fwhm,
        tuple(row.get("redshift", (0.0, 0.0))),
        tuple(row["snr"]) if "snr" in row else None,
        row.get("sigma"),
        shape,
        row.get("level", 1.0),
        instrument,
    )


def noise_shape(survey: str, wavelength: Any) -> np.ndarray:
    """Errors (channel,) of a survey relative to those at 5500 Angstrom, per channel of its own.

    Args:
        survey: ``sdss``, ``desi`` or ``manga``.
        wavelength: observed [Angstrom]; beyond the table its edge holds.

    Example:
        >>> noise_shape("desi", [5500.0, 5577.0]).round(1)
        array([1. , 1.5])
    """
    table = numbers("survey_noise.toml")
    if survey not in table or survey == "step":
        raise UsageError(f"no noise of {survey!r} is known; use sdss, desi or manga")
    relative = np.asarray(table[survey]["relative"])
    knots = table[survey]["first"] + table["step"] * np.arange(len(relative))
    return np.interp(np.asarray(wavelength, float), knots, relative)
