"""Lines of de-noised spectra: fluxes and equivalent widths, their errors from posterior draws."""

from __future__ import annotations

import functools

import numpy as np

from nebulines.galaxies.denoising.training_sets import LINES
from nebulines.lines import load_catalogue
from nebulines.networks.denoise.basis import Basis
from nebulines.networks.denoise.grid import bin_centres

_CENTRAL = (15.87, 50.0, 84.13)
_NEAR, _FAR, _CLEAR = 25.0, 90.0, 12.0
_DOUBLET = "OII3727"


class LineTable(dict[str, np.ndarray]):
    """Columns by name: ``HALPHA6563_flux``, ``HALPHA6563_flux_err``, ``HALPHA6563_ew`` ..."""


def measure_lines(
    basis: Basis, mean: np.ndarray, draws: np.ndarray, noise: np.ndarray | None = None
) -> LineTable:
    """Fluxes [unit of the data times Angstrom, rest frame] and equivalent widths [Angstrom].

    Args:
        basis: of the network.
        mean: (n, K) coefficients of the de-noised spectra.
        draws: (draw, n, K) coefficients of posterior draws.
        noise: (n, L) error of a line's flux as the data alone give it.

    Returns:
        Medians of the draws and half of their central 68.27 %, the flux in the mean spectrum as
        ``NAME_flux_mean`` (expected flux; the median of a skewed posterior lies below it), and with
        the noise ``NAME_snr``, the flux over it: below 2 or 3 the answer is the prior's rather than
        the spectrum's.
    """
    rows = np.asarray(basis.coordinates, float)[: basis.n_lines]
    continuum = np.asarray(basis.vectors, float) @ beside_lines().T
    flux = draws @ rows.T
    with np.errstate(divide="ignore", invalid="ignore"):
        ew = flux / (draws @ continuum)
    table = LineTable()
    for values, what in ((flux, "flux"), (ew, "ew")):
        low, middle, high = _percentiles(values)
        for k, name in enumerate(LINES):
            table[f"{name}_{what}"] = middle[:, k]
            table[f"{name}_{what}_err"] = 0.5 * (high[:, k] - low[:, k])
    for name, column in zip(LINES, (mean @ rows.T).T, strict=True):
        table[f"{name}_flux_mean"] = column
    if noise is not None:
        for k, name in enumerate(LINES):
            table[f"{name}_snr"] = table[f"{name}_flux"] / noise[:, k]
    return table


def line_rows(basis: Basis) -> np.ndarray:
    """Weights (L, 825) that give the line fluxes of a clean spectrum, by whatever it was made."""
    rows = np.asarray(basis.coordinates, float)[: basis.n_lines]
    return rows @ np.asarray(basis.vectors, float)


def line_wavelength(name: str) -> float:
    """Rest wavelength in air [Angstrom]; of the doublet ``OII3727`` the middle.

    Example:
        >>> line_wavelength("HALPHA6563")
        6562.8
    """
    names = ["OII3726", "OII3729"] if name == _DOUBLET else [name]
    return float(np.mean(load_catalogue().select(names).wavelength_air))


@functools.cache
def beside_lines() -> np.ndarray:
    """Weights (L, 825) of the mean continuum 25 to 90 Angstrom beside each line, other lines of
    the list and the weak lines of fixed doublets left out.

    Example:
        >>> beside_lines().sum(axis=1).round(6).tolist() == [1.0] * len(LINES)
        True
    """
    wave = bin_centres()
    everything = load_catalogue().select([*LINES[1:], "OII3726", "OII3729", "OIII4959", "NII6548"])
    free = np.ones(len(wave), bool)
    for centre in everything.wavelength_air:
        free &= np.abs(wave - centre) > _CLEAR
    rows = []
    for name in LINES:
        offset = wave - line_wavelength(name)
        sides = [free & (side * offset > _NEAR) & (side * offset < _FAR) for side in (-1, 1)]
        sides = [side / side.sum() for side in sides if side.any()]
        rows.append(np.mean(sides, axis=0))
    return np.array(rows)


def _percentiles(values: np.ndarray) -> np.ndarray:
    """Percentiles (3, n, L) over draws; NaN where the draws are."""
    lost = np.isnan(values).any(axis=0)
    found = np.percentile(np.nan_to_num(values), _CENTRAL, axis=0)
    return np.where(lost, np.nan, found)
