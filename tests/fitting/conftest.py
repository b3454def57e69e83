"""Small spectra with known truth. Shapes are few and shared: each costs a compilation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

import nebulines as nl
from nebulines.constants import ANGSTROM_PER_CM
from nebulines.fitting.result import Result
from nebulines.instruments.line_spread import LineSpread
from nebulines.lines import load_catalogue
from nebulines.models import line_positions, line_spectrum, line_spread_width
from nebulines.spectra import Spectra
from nebulines.spectral_axis import SpectralAxis
from nebulines.synthetic import simulate

SN3_LINES = ("NII6548", "HALPHA6563", "NII6583", "SII6716", "SII6731")
PAIR = ("HALPHA6563", "NII6583")
N_CHANNELS = 201
GAUSSIAN = LineSpread("gaussian", resolution=3000.0)


class Known(NamedTuple):
    """Spectra, and what they were made from: velocity, broadening (n,), fluxes (n, L)."""

    spectra: Spectra
    velocity: np.ndarray
    broadening: np.ndarray
    fluxes: np.ndarray


def make_pair(
    *,
    n: int = 12,
    noise: float = 0.02,
    seed: int = 0,
    kind: str = "wavelength",
    medium: str = "air",
    axis: SpectralAxis | None = None,
    redshift: Any = 0.0,
    lines: tuple[str, ...] = PAIR,
    velocity: Any = (-300.0, 300.0),
    broadening: Any = (60.0, 120.0),
    fluxes: Any = None,
    level: float = 0.5,
    convention: str = "optical",
    spread: LineSpread | None = GAUSSIAN,
) -> Known:
    """n spectra of H-alpha and [N II] 6583 (or other lines there) on 201 channels; ranges are
    drawn from uniformly."""
    rng = np.random.default_rng(seed)
    velocity, broadening = (
        rng.uniform(*x, n) if isinstance(x, tuple) else np.broadcast_to(x, n).astype(float)
        for x in (velocity, broadening)
    )
    if fluxes is None:
        fluxes = rng.uniform(1.0, 3.0, (n, len(lines)))
    fluxes = np.broadcast_to(np.asarray(fluxes, float), (n, len(lines)))
    rest = load_catalogue().select(lines).wavelength(medium)
    redshift = np.broadcast_to(np.asarray(redshift, float), n)
    if axis is None:
        low, high = 6470.0 * (1 + redshift[0]), 6670.0 * (1 + redshift[0])
        values = np.linspace(low, high, N_CHANNELS)
        if kind == "wavenumber":
            values = np.linspace(ANGSTROM_PER_CM / high, ANGSTROM_PER_CM / low, N_CHANNELS)
        axis = SpectralAxis(values, kind, medium)
    positions = line_positions(axis.kind, rest, redshift)
    width = line_spread_width(axis.kind, spread or GAUSSIAN, positions)
    flux = line_spectrum(
        axis.per_spectrum(n), rest, velocity_kms=velocity, broadening_kms=broadening,
        fluxes=fluxes, spread_width=width, spread_shape=(spread or GAUSSIAN).shape,
        kind=axis.kind, redshift=redshift, convention=convention,
    )  # fmt: skip
    flux = np.asarray(flux, float) + level + noise * rng.standard_normal(flux.shape)
    variance = np.full(flux.shape, noise**2)
    spectra = Spectra(flux, axis, variance, line_spread=spread, redshift=redshift)
    return Known(spectra, velocity, broadening, fluxes)


def _fluxes_of(result: Result, lines: tuple[str, ...]) -> np.ndarray:
    """(n, L) fitted fluxes."""
    return np.stack([result[f"{line}_flux"] for line in lines], axis=1)


def _pulls(result: Result, known: Known, lines: tuple[str, ...] = PAIR) -> np.ndarray:
    """(n, 2 + L) misses of velocity, broadening and fluxes in units of their errors."""
    miss = [(result["velocity"] - known.velocity) / result["velocity_err"]]
    miss.append((result["broadening"] - known.broadening) / result["broadening_err"])
    for k, line in enumerate(lines):
        error = result[f"{line}_flux_err"]
        miss.append((result[f"{line}_flux"] - known.fluxes[:, k]) / error)
    return np.stack(miss, axis=1)


def _like_noise(values: np.ndarray) -> None:
    """Assert that (n, k) pulls are those of honest errors: spread about 1, no wild ones."""
    assert np.all(np.isfinite(values))
    assert np.abs(values).max() < 5.0
    assert 0.7 < np.sqrt(np.mean(values**2)) < 1.35


@pytest.fixture(scope="session")
def sn3() -> tuple[Any, Spectra, Result]:
    """1600 SN3 spectra of five lines, every 20th with masked channels: truth, spectra, and their
    fit. Velocities are close together, so that few anchors of the filter bank serve them."""
    truth, spectra = simulate(
        "sitelle-sn3", n=1600, seed=11, lines=SN3_LINES, snr=(5.0, 30.0), velocity=(-60.0, 60.0),
        resolution=5000.0,
    )  # fmt: skip
    mask = np.zeros(spectra.flux.shape, bool)
    mask[::20, 300:306] = True
    spectra = replace(spectra, mask=mask)
    return truth, spectra, nl.fit(spectra, lines=SN3_LINES)


@pytest.fixture(scope="session")
def muse() -> tuple[Any, Spectra, Result]:
    """1000 MUSE-like spectra of the same lines."""
    truth, spectra = simulate(
        "muse", n=1000, seed=12, lines=SN3_LINES, snr=(5.0, 30.0), broadening=(40.0, 150.0),
        band=(6480.0, 6800.0),
    )  # fmt: skip
    return truth, spectra, nl.fit(spectra, lines=SN3_LINES, keep_model=False)


@pytest.fixture(scope="session")
def fit_pair() -> Callable[..., Result]:
    """Fit spectra of `pair_of_lines`."""

    def fit(spectra: Spectra, **options: Any) -> Result:
        return nl.fit(spectra, **{"lines": PAIR, **options})

    return fit


@pytest.fixture(scope="session")
def pair_of_lines() -> Callable[..., Known]:
    """Function that makes spectra of H-alpha and [N II] 6583 with their truth."""
    return make_pair


@pytest.fixture(scope="session")
def fluxes_of() -> Callable[[Result, tuple[str, ...]], np.ndarray]:
    """Function (result, lines) -> fitted fluxes (n, L)."""
    return _fluxes_of


@pytest.fixture(scope="session")
def pulls() -> Callable[..., np.ndarray]:
    """Function (result, known, lines) -> misses of velocity, broadening, fluxes in sigma."""
    return _pulls


@pytest.fixture(scope="session")
def like_noise() -> Callable[[np.ndarray], None]:
    """Function that asserts that pulls are those of honest errors."""
    return _like_noise
