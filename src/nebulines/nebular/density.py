"""Electron density from doublets, electron temperature from auroral lines."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.nebular.atoms import emissivity
from nebulines.nebular.propagation import Fluxes
from nebulines.nebular.ratios import line_flux

DENSITY_RANGE = (1.0, 1e5)
"""Densities [cm-3] that the doublets can tell apart, and a margin."""
TEMPERATURE_RANGE = (4000.0, 25000.0)
"""Temperatures [K] of the atomic data."""

_DOUBLETS = {"SII": ("SII6716", "SII6731"), "OII": ("OII3729", "OII3726")}
_AURORAL = {
    "OIII": (("OIII4959", "OIII5007"), "OIII4363"),
    "NII": (("NII6548", "NII6583"), "NII5755"),
    "SIII": (("SIII9069", "SIII9531"), "SIII6312"),
}
_FINE, _COARSE = 241, 13

_Table = tuple[np.ndarray, np.ndarray, np.ndarray]  # answer (F,), other (C,), log ratio (C, F)


def electron_density(fluxes: Fluxes, doublet: str = "SII", *, temperature: Any = 1e4) -> np.ndarray:
    """Electron density from [S II] 6716/6731 or [O II] 3729/3726.

    The ratio of a five-level atom is inverted. Ratios beyond what any density gives are set to
    the end of `DENSITY_RANGE`: gas at the low-density limit reads 1 cm-3, which is an upper limit
    of some tens; so posterior draws keep their share at the limit.

    Args:
        fluxes: {line: (...)}, of both lines, without dust if it matters ([O II] and [S II]
            doublets are narrow: it does not).
        doublet: ``SII`` or ``OII``.
        temperature: of the electrons [K], () or (...).

    Returns:
        (...) density [cm-3]; NaN where a flux is not positive.

    Raises:
        UsageError: another doublet, a line that is missing.

    Source: Osterbrock & Ferland 2006, sect. 5.6, with the atomic data of ``data/atoms.toml``.

    Example:
        >>> electron_density({"SII6716": [1.2, 1.6], "SII6731": [1.0, 1.0]}).round(0)
        array([293.,   1.])
    """
    if doublet not in _DOUBLETS:
        raise UsageError(f"density comes from SII or OII, not {doublet!r}")
    top, bottom = (line_flux(fluxes, line) for line in _DOUBLETS[doublet])
    log_n = _invert(_density_table(doublet), _log(top, bottom), np.log10(temperature))
    return 10.0**log_n


def electron_temperature(fluxes: Fluxes, ion: str = "OIII", *, density: Any = 1e2) -> np.ndarray:
    """Electron temperature from an auroral line.

    [O III] (4959 + 5007) / 4363, [N II] (6548 + 6583) / 5755 or [S III] (9069 + 9531) / 6312 of a
    five-level atom is inverted. Ratios beyond `TEMPERATURE_RANGE` are set to its end.

    Args:
        fluxes: {line: (...)} without dust; of a nebular doublet one line is enough.
        ion: ``OIII``, ``NII`` or ``SIII``.
        density: of the electrons [cm-3], () or (...).

    Returns:
        (...) temperature [K]; NaN where a flux is not positive.

    Raises:
        UsageError: another ion, a line that is missing.

    Source: Osterbrock & Ferland 2006, sect. 5.2, with the atomic data of ``data/atoms.toml``.

    Example:
        >>> electron_temperature({"OIII5007": [100.0], "OIII4363": [0.65]}).round(-2)
        array([10000.])
    """
    if ion not in _AURORAL:
        raise UsageError(f"temperature comes from {', '.join(_AURORAL)}, not {ion!r}")
    ratio = _log(line_flux(fluxes, ion), line_flux(fluxes, _AURORAL[ion][1]))
    return 10.0 ** _invert(_temperature_table(ion), ratio, np.log10(density))


@functools.cache
def _density_table(doublet: str) -> _Table:
    first, second = _DOUBLETS[doublet]
    log_n = _even(DENSITY_RANGE, _FINE)
    log_t = _even(TEMPERATURE_RANGE, _COARSE)
    at = (10.0 ** log_t[:, None], 10.0**log_n)
    ratio = emissivity(doublet, (first,), *at) / emissivity(doublet, (second,), *at)
    return log_n, log_t, np.log10(ratio)


@functools.cache
def _temperature_table(ion: str) -> _Table:
    nebular, auroral = _AURORAL[ion]
    log_t = _even(TEMPERATURE_RANGE, _FINE)
    log_n = np.linspace(0.0, 6.0, 2 * _COARSE - 1)
    at = (10.0**log_t, 10.0 ** log_n[:, None])
    ratio = emissivity(ion, nebular, *at) / emissivity(ion, (auroral,), *at)
    return log_t, log_n, np.log10(ratio)


def _even(limits: tuple[float, float], n: int) -> np.ndarray:
    """n values of log10 between two limits."""
    return np.linspace(np.log10(limits[0]), np.log10(limits[1]), n)


def _invert(table: _Table, log_ratio: np.ndarray, other: Any) -> np.ndarray:
    """Where the falling ratio takes its measured value: inverted exactly at each node of the other
    coordinate, interpolated linearly between nodes."""
    answer, nodes, ratios = table
    log_ratio, other = np.broadcast_arrays(log_ratio, np.asarray(other, float))
    place = np.clip((other - nodes[0]) / (nodes[1] - nodes[0]), 0.0, len(nodes) - 1.0)
    total = np.zeros(log_ratio.shape)
    for number, curve in enumerate(ratios):
        weight = np.maximum(1.0 - np.abs(place - number), 0.0)
        if np.any(near := weight > 0):
            total[near] += weight[near] * np.interp(log_ratio[near], curve[::-1], answer[::-1])
    return np.where(np.isfinite(log_ratio + other), total, np.nan)


def _log(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    good = (top > 0) & (bottom > 0)
    return np.where(good, np.log10(np.where(good, top, 1.0) / np.where(good, bottom, 1.0)), np.nan)
