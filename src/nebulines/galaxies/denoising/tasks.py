"""Tasks of ``nebulines train``: ``denoise``, ``denoise-wide``, ``galaxy_kinds``, ``pca``, ``ae``,
``vae`` (``vae-4`` and so on)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.errors import UsageError
from nebulines.galaxies.denoising.scores import score_denoise, score_reconstruction
from nebulines.galaxies.denoising.training_sets import (
    LINES,
    TEST,
    TRAINING,
    VALIDATION,
    CleanSet,
    clean_set,
)
from nebulines.networks.denoise.galaxy_kinds import BEYOND
from nebulines.networks.denoise.grid import bin_edges
from nebulines.training.denoise.basis import learn_basis, line_profiles
from nebulines.training.denoise.galaxy_kinds import kinds_task
from nebulines.training.denoise.network import NOISE_RANGE, CleanGalaxies
from nebulines.training.denoise.paper import (
    Pairs,
    autoencoder_task,
    latent_of,
    pca_task,
    pixel_weights,
)
from nebulines.training.denoise.task import denoise_task
from nebulines.training.task import Task

PAPER_SIZES = (6000, 2000, 2000)
"""Spectra that train, validate and test: the paper's 8000 and 2000."""
PAPER_NOISE = 0.04
"""Noise in a bin of spectra of unit norm."""
BASIS_SIZE = {"denoise": 40, "denoise-wide": 48}
"""Vectors of the basis: of the population's galaxies alone, and with varied ones."""
PRIORS_OF = {"denoise": ["population"], "denoise-wide": ["wide", "population"]}
"""Priors that a network knows, the one that it is meant for first."""
_ORIGINAL_SNR = 25.0  # in a bin, of the spectra that the paper calls the originals
_N_JUDGE, _N_VALIDATION = 4000, 16_000
_N_BASIS = 40_000
"""Galaxies that the basis is learned from, at most."""
_FLOOR = 0.1


def make_task(name: str, *, seed: int, spectra: int, data: Any = None) -> Task:
    """The task of one network.

    Args:
        name: ``denoise`` (the population's galaxies), ``denoise-wide`` (half of them varied),
            ``galaxy_kinds``, or ``pca``, ``ae``, ``vae`` with the number of dimensions after a dash
            (4 for ``pca``, else 6).
        seed: of the galaxies.
        spectra: clean spectra that ours learns from; the others take the paper's sets.
        data: files of real spectra of high S/N; None = the package's population.

    Raises:
        UsageError, InputError: a file that cannot be used.
    """
    kind = name.partition("-")[0]
    if kind == "galaxy_kinds":
        return _kinds(seed, spectra, data)
    if kind == "denoise":
        sets = _sets(spectra, seed, data, varied=name != "denoise")
        return _ours(name, sets, seed, _about(data, spectra, name))
    training, validation, test = paper_sets(seed, data)
    about = {
        "about": _about(data, sum(PAPER_SIZES[:2]), name)
        | {"noise": PAPER_NOISE, "trained_ranges": {"noise": [PAPER_NOISE, PAPER_NOISE]}},
        "score": partial(score_reconstruction, test=test),
    }
    latent = latent_of(name, 4 if kind == "pca" else 6)
    if kind == "pca":
        return pca_task(latent, training, validation, **about)
    return autoencoder_task(kind, latent, training, validation, **about)


def paper_sets(seed: int, data: Any = None) -> tuple[Pairs, Pairs, Pairs]:
    """Training, validation and test sets of the paper's recipe, with its noise."""
    sets = _split(_real(data), seed, 0.6, 0.2) if data else [
        clean_set(n, seed, stream)
        for n, stream in zip(PAPER_SIZES, (TRAINING, VALIDATION, TEST), strict=True)
    ]  # fmt: skip
    first, second, third = (
        noise_added(galaxies.spectra, [seed, stream, 7])
        for galaxies, stream in zip(sets, (TRAINING, VALIDATION, TEST), strict=True)
    )
    return first, second, third


def noise_added(clean: np.ndarray, seed: Any, sigma: float = PAPER_NOISE) -> Pairs:
    """Spectra with Gaussian noise; weights as for originals of S/N 25 in a bin (ours have none).

    The noise-added spectra are not divided by their own norm, which the noise would make up: the
    total variance in the paper's Table 2, 1.375, is that of such spectra.

    Example:
        >>> noise_added(np.full((2, 825), 825**-0.5), 0).noisy.shape
        (2, 825)
    """
    rng = np.random.default_rng(seed)
    noisy = clean + sigma * rng.normal(size=clean.shape)
    level = clean.mean(axis=1, keepdims=True)
    error = np.sqrt(level * np.maximum(clean, _FLOOR * level)) / _ORIGINAL_SNR
    return Pairs(
        noisy.astype(np.float32), clean.astype(np.float32), pixel_weights(error).astype(np.float32)
    )


def _ours(name: str, sets: Sequence[CleanSet], seed: int, about: dict[str, Any]) -> Task:
    training, validation, test = sets
    known = training.rows(slice(0, _N_BASIS))
    basis = learn_basis(known.spectra, known.line_flux, LINES, size=BASIS_SIZE[name])
    vectors = np.asarray(basis.vectors)
    clean = [
        CleanGalaxies(part.spectra @ vectors.T, part.line_flux, part.varied[:, None])
        for part in (training, validation)
    ]
    task = denoise_task(basis, line_profiles(LINES), clean, seed, name=name)
    ranges = {"noise": list(NOISE_RANGE), "wavelength_air": [3700.0, 7900.0]}
    about = {**about, "priors": PRIORS_OF[name], "lines": list(LINES), "trained_ranges": ranges}
    return task._replace(about=about, score=partial(score_denoise, test=test))


def _kinds(seed: int, spectra: int, data: Any) -> Task:
    if data:
        raise UsageError(
            "galaxy_kinds learns from the package's galaxies, which go on beyond the bins: leave "
            "--clean out"
        )
    galaxies = clean_set(spectra, seed, TRAINING, beyond=BEYOND)
    held_out = "galaxies of the same population from other seeds"
    about = {**_about(None, spectra, "galaxy_kinds"), "held_out": held_out}
    edges = bin_edges(BEYOND)[[0, -1]]
    ranges = {"wavelength_air": [round(float(edge), 1) for edge in edges]}
    return kinds_task(galaxies.spectra, about={**about, "trained_ranges": ranges})


def _sets(n: int, seed: int, data: Any, *, varied: bool) -> tuple[CleanSet, CleanSet, CleanSet]:
    if data:
        first, second, third = _split(_real(data), seed, 0.8, 0.1)
        return first, second, third
    draw = half_varied if varied else clean_set
    return (
        draw(n, seed, TRAINING),
        draw(_N_VALIDATION, seed, VALIDATION),
        clean_set(_N_JUDGE, seed, TEST),
    )


def half_varied(n: int, seed: int, stream: int) -> CleanSet:
    """Clean galaxies of both priors, mixed: of any part of them about half is varied."""
    parts = (clean_set(n // 2, seed, stream), clean_set(n - n // 2, seed, stream, varied=True))
    both = CleanSet(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    return both.rows(np.random.default_rng([seed, stream, n]).permutation(n))


def _split(galaxies: CleanSet, seed: int, *shares: float) -> list[CleanSet]:
    n = len(galaxies)
    order = np.random.default_rng([seed, n]).permutation(n)
    ends = np.cumsum([round(share * n) for share in shares])
    return [galaxies.rows(index) for index in np.split(order, ends)]


def _real(data: Any) -> CleanSet:
    from nebulines.galaxies.denoising.files import read_clean

    galaxies = read_clean(data)
    if len(galaxies) < 1000:
        raise UsageError(
            f"training needs 1000 spectra or more of S/N 10 in a bin, with redshifts; the "
            f"files give {len(galaxies)}"
        )
    return galaxies


def _about(data: Any, n: int, name: str) -> dict[str, Any]:
    if data:
        names = [Path(path).name for path in data]
        return {"data": f"real spectra of {', '.join(names)}", "options": ["--clean", *names]}
    text = f"{n} galaxies of nebulines.galaxies.population.drawing, balanced in H-alpha flux"
    if name == "denoise-wide":
        text += ", half of them varied in lines, widths and calibration (the wide prior)"
    held_out = "galaxies of the same population from other seeds"
    return {"data": text, "held_out": held_out, "options": ["--spectra", str(n)]}
