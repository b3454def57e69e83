"""The linear basis of clean galaxy spectra, learned from clean galaxy spectra."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from nebulines.constants import SPEED_OF_LIGHT_KMS
from nebulines.errors import InputError
from nebulines.lines import load_catalogue, load_ties
from nebulines.networks.denoise.basis import Basis
from nebulines.networks.denoise.grid import bin_edges

TEMPLATE_SIGMA_KMS = 120.0
"""Width of the profiles that make every line free in the basis: gas and line spread."""
WIDE_SIGMA_KMS, OFFSET_KMS = 260.0, 60.0
FITTED_SIGMAS_KMS = (70.0, 120.0, 180.0, 250.0)
"""Widths of lines whose flux the basis has to give."""
WIDER = ("OII3727", "HBETA4861", "OIII5007", "HALPHA6563", "NII6583")
MOVED = ("OIII5007", "HALPHA6563", "NII6583")
"""Bright lines that the basis also has wider, and moved a little."""
_SMALLEST_VARIANCE = 1e-9
_RIDGE = 1e-8
_SOFTENING = 0.1
"""Share of the median line flux below which asinh is linear."""
_FLOOR_PERCENTILE = 30.0
_LOOSE = 10.0
"""Strength of lines under the loose prior: times the root mean square flux of the set."""


def learn_basis(
    spectra: np.ndarray, line_flux: np.ndarray, lines: Sequence[str], *, size: int = 40
) -> Basis:
    """Principal components of clean spectra, joined by profiles of the lines.

    The first eigenvectors of the mean of x x^T, then the line profiles (`line_shapes`) made
    orthogonal to them and to one another, all turned so that the coefficients are uncorrelated.

    Args:
        spectra: (n, 825) clean, of unit norm.
        line_flux: (n, L) fluxes of their lines [unit norm times Angstrom].
        lines: L names; ``OII3727`` is the doublet.
        size: K.

    Raises:
        InputError: fewer spectra than K.

    Source: the line fluxes are linear in the coefficients; their rows of R are the least squares
    with a weight 1 / (flux^2 + floor^2), so that weak lines count as much as strong ones.
    """
    if len(spectra) <= size:
        raise InputError(f"a basis of {size} needs more spectra than that, got {len(spectra)}")
    spectra = np.asarray(spectra, np.float32)
    moment = (spectra.T @ spectra).astype(float) / len(spectra)
    shapes = line_shapes(lines)
    main = np.linalg.eigh(moment)[1][:, ::-1][:, : size - len(shapes)]
    span = np.linalg.qr(np.concatenate([main, shapes.T], axis=1))[0]
    inside = spectra @ span
    values, turn = np.linalg.eigh(np.cov(inside.T))
    vectors, variance = (span @ turn[:, ::-1]).T, np.maximum(values[::-1], _SMALLEST_VARIANCE)
    coefficients = spectra @ vectors.T.astype(np.float32)
    residual = np.mean(np.square(spectra - coefficients @ vectors), axis=0)
    single = np.stack([line_profiles(lines, sigma) @ vectors.T for sigma in FITTED_SIGMAS_KMS])
    rows = _line_rows(coefficients, line_flux, single)
    coordinates = np.concatenate([rows, _complement(rows, variance)])
    softening = _SOFTENING * np.median(np.abs(line_flux), axis=0)
    parts = (vectors, coefficients.mean(axis=0), variance, residual, coordinates,
             np.maximum(softening, 1e-5),
             *loose_prior(variance, shapes @ vectors.T, _strengths(lines, line_flux)))  # fmt: skip
    return Basis(*(jnp.asarray(part, jnp.float32) for part in parts))


def loose_prior(
    variance: np.ndarray, shapes: np.ndarray, strength: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvectors (K, K), in rows, and eigenvalues (K,) of S + G T G^T.

    Args:
        variance: (K,) S.
        shapes: (m, K) coefficients of shapes of unit flux, G.
        strength: (m,) roots of T, fluxes that shapes may have.

    Example:
        >>> loose_prior(np.ones(2), np.array([[0.0, 1.0]]), np.array([2.0]))[1].tolist()
        [1.0, 5.0]
    """
    free = shapes * strength[:, None]
    values, turn = np.linalg.eigh(np.diag(variance) + free.T @ free)
    return turn.T, np.maximum(values, _SMALLEST_VARIANCE)


def _strengths(lines: Sequence[str], line_flux: np.ndarray) -> np.ndarray:
    """Fluxes (m,) that the shapes of `line_shapes` may have under the loose prior."""
    own = dict(zip(lines, _LOOSE * np.sqrt(np.mean(np.square(line_flux), axis=0)), strict=True))
    changed = [name for names in (WIDER, MOVED) for name in lines if name in names]
    return np.array([own[name] for name in (*lines, *changed)])


def line_shapes(lines: Sequence[str]) -> np.ndarray:
    """Profiles (m, 825) of all lines, of bright ones also wider, and what a velocity changes.

    Example:
        >>> line_shapes(["HALPHA6563", "SII6716"]).shape
        (4, 825)
    """
    wider, moved = ([name for name in lines if name in names] for names in (WIDER, MOVED))
    red, blue = (line_profiles(moved, velocity_kms=v) for v in (OFFSET_KMS, -OFFSET_KMS))
    parts = line_profiles(lines), line_profiles(wider, WIDE_SIGMA_KMS), red - blue
    return np.concatenate([part for part in parts if len(part)])


def line_profiles(
    lines: Sequence[str], sigma_kms: float = TEMPLATE_SIGMA_KMS, *, velocity_kms: float = 0.0
) -> np.ndarray:
    """Profiles (L, 825) [1/Angstrom] of lines of flux 1, mean over each bin; a line of a fixed
    doublet brings the weaker one along.

    Example:
        >>> profiles = line_profiles(["HALPHA6563", "OIII5007"])
        >>> np.sum(profiles * np.diff(bin_edges()), axis=1).round(3).tolist()
        [1.0, 1.336]
    """
    from scipy.special import ndtr

    edges = bin_edges()
    out = []
    for name in lines:
        light = np.zeros(len(edges) - 1)
        for centre, share in _parts(name):
            away = (edges / centre - 1.0) * SPEED_OF_LIGHT_KMS - velocity_kms
            step = ndtr(away / sigma_kms)
            light = light + share * np.diff(step) / np.diff(edges)
        out.append(light)
    return np.asarray(out)


def _parts(name: str) -> list[tuple[float, float]]:
    """Rest wavelengths [Angstrom, air] and shares of what stands under a name."""
    halves = {"OII3727": [("OII3726", 0.5), ("OII3729", 0.5)]}.get(name, [(name, 1.0)])
    tied = [(tie.weak, 1.0 / tie.ratio) for tie in load_ties() if tie.strong == name]
    known = load_catalogue()
    return [(float(known.select([n]).wavelength_air[0]), share) for n, share in halves + tied]


def _line_rows(coefficients: np.ndarray, line_flux: np.ndarray, single: np.ndarray) -> np.ndarray:
    """Rows (L, K) that give line fluxes from coefficients.

    Lines of real galaxies do not follow one another as those of the set do: every line, whose
    profiles have the coefficients ``single`` (w, L, K) at w widths, is also added by itself, as
    strong as it is in the set.
    """
    x = coefficients.astype(float)
    scale = np.sqrt(np.mean(np.square(x), axis=0))
    own = single / scale
    power = np.mean(np.square(line_flux), axis=0)
    added = np.einsum("wlk,l,wlm->lkm", own, power, own) / len(own)
    rows = []
    for k, flux in enumerate(np.asarray(line_flux, float).T):
        floor = max(np.percentile(np.abs(flux), _FLOOR_PERCENTILE), 1e-4 * np.abs(flux).max(), 1e-9)
        weight = 1.0 / (np.square(flux) + floor**2)
        gram = (x / scale).T @ (weight[:, None] * x / scale) + weight.sum() * added.sum(axis=0)
        gram += _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
        moment = (x / scale).T @ (weight * flux) + weight.sum() * power[k] * own[:, k].mean(axis=0)
        rows.append(np.linalg.solve(gram, moment) / scale)
    return np.asarray(rows)


def _complement(rows: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Rows (K - L, K) of unit variance that are uncorrelated with the lines."""
    root = np.sqrt(variance)
    whole = np.linalg.qr((rows * root).T, mode="complete")[0]
    return whole[:, len(rows) :].T / root
