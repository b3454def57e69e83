"""Noise of simulated spectra, composed of named parts.

A *law* says how the noise of a channel compares with that at the reference line; the reported
variance follows it. A *disturbance* adds what no variance reports: residuals of sky lines,
single hot channels. Laws multiply, disturbances add.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from nebulines.constants import FWHM_PER_SIGMA
from nebulines.errors import UsageError

_SLOPE = 0.3
_BACKGROUND = 1.0
_SKY_SIGMAS = 5.0
_SKY_REACH = 2.5  # of the line spread's FWHM: 6 sigma
_SPIKES_PER_SPECTRUM = 0.5
_SPIKE_SIGMAS = (10.0, 50.0)


class Exposure(NamedTuple):
    """What the noise of some spectra depends on.

    Attributes:
        wavelength: (1 or n, channel) observed, in air [Angstrom].
        signal: (n, channel) noise-free flux.
        sigma: (n,) noise at the reference line.
        reference: (n,) noise-free flux at the top of the reference line.
        fwhm: (1 or n, channel) line spread [Angstrom].
    """

    wavelength: np.ndarray
    signal: np.ndarray
    sigma: np.ndarray
    reference: np.ndarray
    fwhm: np.ndarray


def noise_kinds() -> tuple[str, ...]:
    """Names of the parts that noise can be composed of.

    Example:
        >>> noise_kinds()
        ('white', 'wavelength', 'photon', 'sky', 'spikes')
    """
    return (*LAWS, *DISTURBANCES)


def check_noise(names: str | Sequence[str]) -> tuple[str, ...]:
    """One name or several (``photon,sky``) as a tuple.

    Raises:
        UsageError: an unknown name, or none.

    Example:
        >>> check_noise("white,spikes")
        ('white', 'spikes')
    """
    parts = names.split(",") if isinstance(names, str) else list(names)
    chosen = tuple(str(name).strip() for name in parts if str(name).strip())
    if not chosen or set(chosen) - set(noise_kinds()):
        raise UsageError(
            f"noise must be one or several of {', '.join(noise_kinds())}; got {names!r}"
        )
    return chosen


def relative_sigma(
    names: Sequence[str], generator: np.random.Generator, exposure: Exposure
) -> np.ndarray | None:
    """Noise of each channel over that at the reference line, (n, channel); None when it is
    the same everywhere."""
    laws = [LAWS[name] for name in names if name in LAWS and name != "white"]
    if not laws:
        return None
    total = np.ones_like(exposure.signal)
    for law in laws:
        total *= law(generator, exposure)
    return total


def add_disturbances(
    names: Sequence[str], generator: np.random.Generator, exposure: Exposure, flux: np.ndarray
) -> None:
    """Add sky residuals and spikes to ``flux`` (n, channel), in place."""
    for name in names:
        if name in DISTURBANCES:
            DISTURBANCES[name](generator, exposure, flux)


def _white(generator: np.random.Generator, exposure: Exposure) -> np.ndarray:
    return np.ones_like(exposure.signal)


def _wavelength(generator: np.random.Generator, exposure: Exposure) -> np.ndarray:
    """exp(a P1 + b P2) over the channels, a and b normal with sigma 0.3: a factor of two
    between the ends is common."""
    u = np.linspace(-1.0, 1.0, exposure.signal.shape[1])
    shapes = np.stack([u, 1.5 * u * u - 0.5])
    slopes = generator.normal(0.0, _SLOPE, (len(exposure.signal), 2))
    return np.exp(slopes @ shapes).astype(np.float32)


def _photon(generator: np.random.Generator, exposure: Exposure) -> np.ndarray:
    """Variance = background + signal, the background as bright as the reference line's top."""
    reference = np.maximum(exposure.reference, 1e-30)[:, None]
    signal = np.maximum(exposure.signal / reference, 0.0)
    share = (_BACKGROUND + signal) / (_BACKGROUND + 1.0)
    return np.sqrt(share).astype(np.float32)


def _sky(generator: np.random.Generator, exposure: Exposure, flux: np.ndarray) -> None:
    """Sky lines over- or under-subtracted: one factor a spectrum, normal, 5 sigma of the noise
    for [O I] 5577, as Gaussians of the line spread."""
    wavelengths, strengths = _sky_lines()
    factor = generator.normal(0.0, _SKY_SIGMAS, len(flux)) * exposure.sigma
    wavelength = np.broadcast_to(exposure.wavelength, flux.shape)
    fwhm = np.broadcast_to(exposure.fwhm, flux.shape)
    channel = np.abs(np.diff(wavelength[0])).min()
    half = int(_SKY_REACH * fwhm.max() / channel) + 1
    rows, n_channels = np.arange(len(flux))[:, None], flux.shape[1]
    inside = (wavelengths > wavelength.min()) & (wavelengths < wavelength.max())
    for centre, strength in zip(wavelengths[inside], strengths[inside], strict=True):
        middle = _channel_of(exposure.wavelength, centre)[:, None]
        columns = np.broadcast_to(middle + np.arange(-half, half + 1), (len(flux), 2 * half + 1))
        seen = (columns >= 0) & (columns < n_channels)
        columns = np.clip(columns, 0, n_channels - 1)
        u = (wavelength[rows, columns] - centre) * (FWHM_PER_SIGMA / fwhm[rows, columns])
        profile = np.where(seen, np.exp(-0.5 * u * u), 0.0)
        np.add.at(flux, (rows, columns), (strength * factor)[:, None] * profile)


def _channel_of(wavelength: np.ndarray, centre: float) -> np.ndarray:
    """Number of the channel at a wavelength, in rows that all increase or all decrease."""
    below = np.count_nonzero(wavelength < centre, axis=1)
    return below if wavelength[0, -1] > wavelength[0, 0] else wavelength.shape[1] - below


def _spikes(generator: np.random.Generator, exposure: Exposure, flux: np.ndarray) -> None:
    """Hot channels: Poisson, one every other spectrum, 10 to 50 sigma."""
    n, n_channels = flux.shape
    rows = np.repeat(np.arange(n), generator.poisson(_SPIKES_PER_SPECTRUM, n))
    channels = generator.integers(0, n_channels, len(rows))
    low, high = np.log(_SPIKE_SIGMAS)
    heights = np.exp(generator.uniform(low, high, len(rows)))
    np.add.at(flux, (rows, channels), heights * exposure.sigma[rows])


@cache
def _sky_lines() -> tuple[np.ndarray, np.ndarray]:
    """Wavelengths in air [Angstrom] and strengths relative to [O I] 5577."""
    from astropy.table import Table

    path = resources.files("nebulines.synthetic") / "data" / "sky_lines.ecsv"
    table = Table.read(path.read_text(encoding="utf-8"), format="ascii.ecsv")
    return np.asarray(table["wavelength_air"]), np.asarray(table["strength"])


Law = Callable[[np.random.Generator, Exposure], np.ndarray]
Disturbance = Callable[[np.random.Generator, Exposure, Any], None]
LAWS: dict[str, Law] = {"white": _white, "wavelength": _wavelength, "photon": _photon}
DISTURBANCES: dict[str, Disturbance] = {"sky": _sky, "spikes": _spikes}
