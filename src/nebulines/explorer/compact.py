"""Spectra in few numbers: the mean of all, their principal components, and coefficients.

flux[i] = level[i] (mean + coefficients[i] @ basis), level the mean flux of a spectrum. The
components are those of a subset; every spectrum is then projected on them, block by block, with
missing channels filled by the mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np

from nebulines.errors import InputError

COMPONENTS = 16
"""Components that a page keeps."""
_SUBSET = 4000


class CompactSpectra(NamedTuple):
    """n spectra of m channels in k components.

    Attributes:
        wavelength: (m,) rest frame, vacuum [Angstrom].
        mean: (m,) of the normalised spectra.
        basis: (k, m) orthonormal.
        coefficients: (n, k).
        level: (n,) mean flux, NaN where a spectrum has none.
        loss: root mean square of what is left out, in units of ``level``.
    """

    wavelength: np.ndarray
    mean: np.ndarray
    basis: np.ndarray
    coefficients: np.ndarray
    level: np.ndarray
    loss: float

    def flux(self, index: int) -> np.ndarray:
        """Spectrum (m,) of one galaxy."""
        return self.level[index] * (self.mean + self.coefficients[index] @ self.basis)


def compact(
    wavelength: np.ndarray, blocks: Iterable[np.ndarray], k: int = COMPONENTS
) -> CompactSpectra:
    """Learn the components from the first spectra and project every one on them.

    Args:
        wavelength: (m,).
        blocks: flux (rows, m) block after block, NaN where missing.
        k: number of components; fewer when there are fewer spectra or channels.

    Raises:
        InputError: no spectrum has a positive mean flux.

    Example:
        >>> wave = np.linspace(3400.0, 7000.0, 50)
        >>> flux = (wave / 5000.0) ** np.linspace(-1, 1, 40)[:, None]
        >>> small = compact(wave, [flux[:25], flux[25:]], 3)
        >>> small.coefficients.shape, bool(np.allclose(small.flux(7), flux[7], atol=1e-2))
        ((40, 3), True)
    """
    coming = iter(blocks)
    first, subset = _subset(coming)
    if not len(subset):
        raise InputError("no spectrum has a positive flux: there is nothing to show")
    mean = _mean(subset)
    basis = _components(subset, mean, k)
    coefficients, levels, lost, counted = [], [], 0.0, 0
    for block in chain(first, coming):
        shape, level = _normalised(block)
        good = np.isfinite(shape)
        offset = np.where(good, shape - mean, 0.0)
        part = offset @ basis.T
        lost += float(np.square(np.where(good, offset - part @ basis, 0.0)).sum())
        counted += int(good.sum())
        coefficients.append(part.astype(np.float32))
        levels.append(level)
    loss = float(np.sqrt(lost / max(counted, 1)))
    joined = np.concatenate(coefficients), np.concatenate(levels)
    return CompactSpectra(wavelength, mean, basis, *joined, loss)


def _mean(subset: np.ndarray) -> np.ndarray:
    """Mean of the finite values of each channel; 1 where there is none."""
    good = np.isfinite(subset)
    count = good.sum(axis=0)
    total = np.where(good, subset, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), 1.0)


def _normalised(flux: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spectra over their mean flux (NaN where that is not positive), and the mean flux."""
    flux = np.asarray(flux, float)
    finite = np.isfinite(flux)
    count = finite.sum(axis=1)
    total = np.where(finite, flux, 0.0).sum(axis=1)
    level = np.where(total > 0, total / np.maximum(count, 1), np.nan)
    return flux / level[:, None], level


def _subset(coming: Iterator[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """The first blocks, and the usable spectra in them, normalised."""
    blocks: list[np.ndarray] = []
    kept: list[np.ndarray] = []
    for block in coming:
        blocks.append(block)
        shape, level = _normalised(block)
        kept.append(shape[np.isfinite(level)])
        if sum(map(len, kept)) >= _SUBSET:
            break
    return blocks, np.concatenate(kept)[:_SUBSET] if kept else np.zeros((0, 0))


def _components(subset: np.ndarray, mean: np.ndarray, k: int) -> np.ndarray:
    from scipy.linalg import eigh

    offset = np.where(np.isfinite(subset), subset - mean, 0.0)
    count = min(k, *offset.shape)
    last = offset.shape[1] - 1
    _, vectors = eigh(offset.T @ offset, subset_by_index=(last - count + 1, last))
    return vectors[:, ::-1].T
