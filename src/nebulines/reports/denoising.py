"""The tables and figures of Scourfield et al. 2023 (MNRAS 526, 3037), ours beside theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.evaluation.denoising import Bound, bayes_bound
from nebulines.galaxies.denoising.scores import mean_of, white_posterior
from nebulines.galaxies.denoising.tasks import PAPER_NOISE, PAPER_SIZES, noise_added
from nebulines.galaxies.denoising.training_sets import LIBRARY, TEST, TRAINING, CleanSet, clean_set
from nebulines.networks.denoise_pca import fit_pca
from nebulines.networks.weights import FOLDER, load
from nebulines.reports.denoising_targets import target_table, targets
from nebulines.reports.page import prepare_folder, write_numbers, write_page
from nebulines.reports.section import Section, made
from nebulines.training.denoise_paper import LATENT, LAYERS, Pairs

AUTOENCODERS = tuple(f"{kind}-{latent}" for kind in LAYERS for latent in LATENT)
CITATION = "Scourfield, Saintonge, de Mijolla, Viti 2023, MNRAS 526, 3037"


@dataclass(frozen=True)
class Bench:
    """What every section works on.

    Attributes:
        folder: of the report.
        seed: of the test set; that of the training is another.
        network: `Denoise` for the prior ``population``; ``ours`` is its card.
        wide: that for the prior ``wide``, for galaxies unlike those of the population.
        pairs: the paper's test set with its noise, and ``test`` the same galaxies.
        training: the paper's training set with noise.
        library: galaxies of the Bayes bound.
        models: networks of the paper by name (``pca-4``, ``vae-6`` ...).
        spectra: folder of real spectra, or None.
        cards: those of the autoencoders.
    """

    folder: Path
    seed: int
    network: Any
    ours: dict[str, Any]
    wide: Any
    pairs: Pairs
    test: CleanSet
    training: Pairs
    library: CleanSet
    models: dict[str, Any]
    spectra: Path | None = None
    cards: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        folder: Path,
        *,
        seed: int = 1,
        quick: bool = False,
        n: int | None = None,
        weights: Path | None = None,
        spectra: Path | None = None,
        network: str = "denoise",
    ) -> Bench:
        """Draw the sets and collect the networks.

        Args:
            folder: of the report.
            seed: of the galaxies that judge.
            quick: half of the test set and two fifths of the library.
            n: galaxies of the test set, in place of the usual number.
            weights: folder with ``vae-6.safetensors`` and so on; None = that of the package.
            spectra: folder of real spectra.
            network: name or path of ours.
        """
        ours, card = load(network)
        n_test, n_library = (1000, 20_000) if quick else (PAPER_SIZES[2], 50_000)
        test = clean_set(n or n_test, seed, TEST)
        drawn = clean_set(PAPER_SIZES[0], 0, TRAINING)
        training = noise_added(drawn.spectra, [0, TRAINING, 7])
        models: dict[str, Any] = {
            f"pca-{latent}": fit_pca(training.noisy, latent) for latent in LATENT
        }
        pairs = noise_added(test.spectra, [seed, TEST, 7])
        library = clean_set(n_library, seed, LIBRARY)
        paths = {name: (weights or FOLDER) / f"{name}.safetensors" for name in AUTOENCODERS}
        found = {name: load(str(path)) for name, path in paths.items() if path.is_file()}
        models |= {name: autoencoder.network for name, autoencoder in found.items()}
        cards = {name: autoencoder.card for name, autoencoder in found.items()}
        wide = load("denoise-wide").network
        return cls(folder, seed, ours, card, wide, pairs, test, training, library, models,
                   spectra, cards)  # fmt: skip

    @cached_property
    def bound(self) -> Bound:
        """What the library says of the test set."""
        return bayes_bound(self.pairs.noisy, PAPER_NOISE, self.library)

    @cached_property
    def reconstructed(self) -> dict[str, np.ndarray]:
        """De-noised test spectra (n, 825) of every method."""
        import jax.numpy as jnp

        noise = jnp.asarray(self.pairs.noisy)
        found = {name: np.asarray(model(noise)) for name, model in self.models.items()}
        posterior = white_posterior(self.network, self.pairs.noisy, PAPER_NOISE)
        found["ours"] = mean_of(self.network, posterior)
        return found | {"bound": self.bound.mean, "noisy": np.asarray(self.pairs.noisy)}


SectionMaker = Callable[[Bench], Section]


JUDGED = (
    "Coverage",
    "Mass and metallicity (Figure 10)",
    "Lines stronger than any in training",
    "Noise that changes, and gaps",
    "Speed",
)
"""Sections of ``nebulines evaluate denoise``."""


def reproduce_denoising(
    bench: Bench,
    *,
    command: str,
    progress: bool = False,
    sections: Sequence[str] | None = None,
    stem: str = "denoising",
) -> list[Path]:
    """Make every table and figure, and one page that shows them.

    Args:
        bench: what to work on.
        command: that was given, for the page.
        progress: show a bar on stderr.
        sections: titles of the sections to make; None = all.
        stem: name of the page and of its numbers, without their endings.

    Returns:
        The files, the page first. A section that cannot be made says why.
    """
    from tqdm import tqdm

    folder = prepare_folder(bench.folder)
    chosen = {t: make for t, make in _sections().items() if sections is None or t in sections}
    written = [
        made(title, make, bench)
        for title, make in tqdm(chosen.items(), desc=stem, disable=not progress)
    ]
    numbers: dict[str, Any] = {
        title: section.numbers for title, section in zip(chosen, written, strict=True)
    }
    reached = targets(numbers, bench.ours)
    parts = [_introduction(bench), target_table(reached),
             *(part for section in written for part in section.parts)]  # fmt: skip
    numbers["targets"] = [row._asdict() for row in reached]
    page = write_page(folder / f"{stem}.md", "De-noising: the paper and here", command, parts)
    record = write_numbers(folder / f"{stem}.json", command, numbers)
    return [page, record, *(path for section in written for path in section.paths)]


def _sections() -> dict[str, SectionMaker]:
    from nebulines.reports import denoising_science as science
    from nebulines.reports import denoising_sections as made
    from nebulines.reports.denoising_lines import coverage, line_fluxes
    from nebulines.reports.denoising_metals import metallicity
    from nebulines.reports.denoising_real import real_spectra

    return {
        "Principal components (Tables 2 and 3, Figure 2)": made.components,
        "Autoencoders (Tables 4 and 5, Figure 5)": made.autoencoders,
        "Latent space (Figure 6)": made.latent_space,
        "Reconstruction (Figures 7 and 8)": made.reconstruction,
        "Line fluxes (Table 6, Figure 9)": line_fluxes,
        "Coverage": coverage,
        "Mass and metallicity (Figure 10)": metallicity,
        "Lines stronger than any in training": science.extremes,
        "Noise that changes, and gaps": science.gaps,
        "Speed": science.speed,
        "Real spectra": real_spectra,
    }


def _introduction(bench: Bench) -> str:
    steps = bench.ours.get("trained_with", {})
    text = (
        f"Paper: {CITATION}. The paper learns from SDSS spectra; here everything is measured on "
        f"the package's galaxies ({len(bench.test)} in the test set, balanced in H-alpha flux), "
        "whose noise-free spectra are known, on 825 bins from 3700 to 7900 Angstrom, with Gaussian "
        f"noise of {PAPER_NOISE} on spectra of unit norm. Training, validation and test sets and "
        f"the library of the Bayes bound ({len(bench.library):,} galaxies) come from different "
        "seeds, if not said otherwise. Ours is the shipped network `denoise` of the prior "
        f"`population` (`{steps.get('command', '')}`), and `denoise-wide` for lines stronger than "
        "any and for real spectra."
    )
    missing = [name for name in AUTOENCODERS if name not in bench.cards]
    if missing:
        text += (
            f" Not trained for this page: {', '.join(missing)} (`nebulines train NAME -o "
            "FOLDER` makes each; `--weights FOLDER` shows it here)."
        )
    return text
