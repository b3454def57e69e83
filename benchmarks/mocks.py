"""The synthetic spectra that accuracy is judged on, and their Cramer-Rao bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nebulines.evaluation import Bound, fit_bound
from nebulines.fitting.config import FitConfig
from nebulines.fitting.fit import resolve
from nebulines.lines import load_catalogue
from nebulines.spectra import Spectra
from nebulines.synthetic import simulate

FIVE_LINES = ("NII6548", "HALPHA6563", "NII6583", "SII6716", "SII6731")


@dataclass(frozen=True)
class MockSource:
    """An instrument and the sources it looks at.

    Attributes:
        name, title: short and for people.
        instrument: row of the instrument table.
        broadening: range of intrinsic 1-sigma [km/s].
        resolved: broadening is judged above this [km/s], where the line spread does not hide it.
        options: further arguments of `nebulines.synthetic.simulate`.
    """

    name: str
    title: str
    instrument: str
    broadening: tuple[float, float]
    resolved: float
    options: dict[str, Any] = field(default_factory=dict)


SN3 = MockSource(
    "sitelle-sn3",
    "SITELLE SN3, R 4800-5000, velocity within 200 km/s, broadening 10-50 km/s",
    "sitelle-sn3",
    (10.0, 50.0),
    20.0,
)
MUSE = MockSource(
    "muse",
    "MUSE around H-alpha at z = 0.01, velocity within 200 km/s, broadening 30-200 km/s",
    "muse",
    (30.0, 200.0),
    60.0,
    {"redshift": 0.01, "band": (6500.0, 6950.0)},
)
SOURCES = {source.name: source for source in (SN3, MUSE)}


@dataclass(frozen=True)
class MockSet:
    """Spectra of one bin of S/N with their truth and bound.

    Attributes:
        spectra: the data.
        truth: column -> (n,), names as in a result table.
        bound: Cramer-Rao bound of each spectrum.
        config: what to fit, resolved.
    """

    spectra: Spectra
    truth: dict[str, np.ndarray]
    bound: Bound
    config: FitConfig


def draw(source: MockSource, snr: tuple[float, float], n: int, seed: int) -> MockSet:
    """Simulate ``n`` spectra with an S/N (peak of H-alpha over noise) in ``snr``."""
    table, spectra = simulate(
        source.instrument,
        n,
        seed,
        lines=FIVE_LINES,
        velocity=(-200.0, 200.0),
        broadening=source.broadening,
        snr=snr,
        **source.options,
    )
    config = resolve(spectra, FitConfig(lines=FIVE_LINES))
    truth = {name: np.asarray(table[name], float) for name in table.colnames}
    return MockSet(spectra, truth, bound_of(spectra, truth, config), config)


def bound_of(spectra: Spectra, truth: dict[str, np.ndarray], config: FitConfig) -> Bound:
    """Cramer-Rao bound of `FIVE_LINES` and of what else the fit leaves free."""
    return fit_bound.bound_of(spectra, truth, config, FIVE_LINES)


def rest_wavelengths(spectra: Spectra) -> np.ndarray:
    """Rest wavelengths [Angstrom] of `FIVE_LINES` in the medium of the axis."""
    return load_catalogue().select(FIVE_LINES).wavelength(spectra.axis.medium)
