"""The tables and figures of Scourfield et al. 2023 (MNRAS 526, 3037), ours beside theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nebulines.galaxies.denoising.tasks import PAPER_NOISE
from nebulines.reports.denoising import science
from nebulines.reports.denoising import sections as networks
from nebulines.reports.denoising.bench import AUTOENCODERS, Bench
from nebulines.reports.denoising.lines import coverage, line_fluxes
from nebulines.reports.denoising.metals import metallicity
from nebulines.reports.denoising.real import real_spectra
from nebulines.reports.denoising.redshifts import wrong_redshifts
from nebulines.reports.denoising.targets import target_table, targets
from nebulines.reports.page import prepare_folder, write_numbers, write_page
from nebulines.reports.section import Section, made

CITATION = "Scourfield, Saintonge, de Mijolla, Viti 2023, MNRAS 526, 3037"

JUDGED = (
    "Coverage",
    "Mass and metallicity (Figure 10)",
    "Lines stronger than any in training",
    "Noise that changes, and gaps",
    "Wrong redshifts",
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


def _sections() -> dict[str, Callable[[Bench], Section]]:
    return {
        "Principal components (Tables 2 and 3, Figure 2)": networks.components,
        "Autoencoders (Tables 4 and 5, Figure 5)": networks.autoencoders,
        "Latent space (Figure 6)": networks.latent_space,
        "Reconstruction (Figures 7 and 8)": networks.reconstruction,
        "Line fluxes (Table 6, Figure 9)": line_fluxes,
        "Coverage": coverage,
        "Mass and metallicity (Figure 10)": metallicity,
        "Lines stronger than any in training": science.extremes,
        "Noise that changes, and gaps": science.gaps,
        "Wrong redshifts": wrong_redshifts,
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
