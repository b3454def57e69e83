"""The synthetic spectra that accuracy is judged on, and their Cramer-Rao bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nebulines.evaluation import Bound, cramer_rao
from nebulines.fitting.config import FitConfig
from nebulines.fitting.fit import resolve
from nebulines.fitting.problem import build_line_model, line_spread_of
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
    """Cramer-Rao bound with the continuum that the fit leaves free: one polynomial, or one in
    each window of lines (the windows' information on velocity and broadening adds up)."""
    model = build_line_model(config, spectra.axis, line_spread_of(spectra, config)[0])
    names = list(model.catalogue.names)
    fluxes = np.stack([truth[f"{name}_flux"] for name in names], axis=1)
    parts = []
    for window in model.windows:
        lines = list(window)
        parts.append(
            cramer_rao(
                _only(spectra, model.rest[lines], alone=model.band),
                model.rest[lines],
                velocity_kms=truth["velocity"],
                broadening_kms=truth["broadening"],
                fluxes=fluxes[:, lines],
                continuum_order=model.continuum_order,
            )
        )
    bound = parts[0] if len(parts) == 1 else combine(parts, fluxes)
    order = [names.index(name) for name in FIVE_LINES]
    return _in_order(bound, order)


def _only(spectra: Spectra, rest: np.ndarray, *, alone: bool) -> Spectra:
    """Spectra with the channels far from the lines masked (the fit's window ends 1200 km/s from
    the lines; a little more serves every velocity drawn)."""
    if alone:
        return spectra
    from dataclasses import replace

    assert spectra.redshift is not None
    wave = spectra.axis.wavelength()
    low, high = (rest[k] * (1 + spectra.redshift[:, None]) for k in (0, -1))
    outside = (wave < low * (1 - 1400 / 3e5)) | (wave > high * (1 + 1400 / 3e5))
    return replace(spectra, mask=outside)


def combine(parts: list[Bound], fluxes: np.ndarray) -> Bound:
    """One bound from windows that share velocity and broadening and nothing else.

    The covariance C of a window gives its information on the two, (C_tt)^-1, which adds up; the
    fluxes of a window follow from C_ff - R (C_tt - T) R^T with R = C_ft C_tt^-1, T the combined
    covariance of the two.
    """
    n, n_lines = fluxes.shape
    kinematic = np.linalg.inv(sum(np.linalg.inv(part.covariance[:, :2, :2]) for part in parts))
    total = np.zeros((n, 2 + n_lines, 2 + n_lines))
    total[:, :2, :2] = kinematic
    response, first = [], 2
    for part in parts:
        count = part.truth.shape[1]
        inside = slice(2, 2 + count)
        slope = part.covariance[:, inside, :2] @ np.linalg.inv(part.covariance[:, :2, :2])
        own = part.covariance[:, inside, inside]
        own = own - slope @ part.covariance[:, :2, inside]
        here = slice(first, first + count)
        total[:, here, here] = own
        response.append(slope)
        first += count
    slopes = np.concatenate(response, axis=1)
    total[:, 2:, 2:] += slopes @ kinematic @ slopes.swapaxes(1, 2)
    total[:, 2:, :2] = slopes @ kinematic
    total[:, :2, 2:] = total[:, 2:, :2].swapaxes(1, 2)
    sigma = np.sqrt(np.einsum("npp->np", total))
    return Bound(sigma[:, 0], sigma[:, 1], sigma[:, 2:], sigma[:, :0], total, fluxes)


def _in_order(bound: Bound, order: list[int]) -> Bound:
    n_lines = len(order)
    pick = np.array([0, 1, *(2 + i for i in order)])
    return Bound(
        bound.velocity_kms,
        bound.broadening_kms,
        bound.fluxes[:, order],
        bound.continuum,
        bound.covariance[:, pick[:, None], pick] if n_lines else bound.covariance,
        bound.truth[:, order],
    )


def rest_wavelengths(spectra: Spectra) -> np.ndarray:
    """Rest wavelengths [Angstrom] of `FIVE_LINES` in the medium of the axis."""
    return load_catalogue().select(FIVE_LINES).wavelength(spectra.axis.medium)
