"""What marks real spectra, and whether the network would have been wrong of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from nebulines.evaluation.tables import markdown
from nebulines.galaxies.denoising.gate import Gate, reasons

OFF, CLEAR = 0.15, 7.0
"""A line is off by more than this share of its flux, which its own noise explains in no more than
one case in three where it stands so many errors above nothing."""


def marks(gate: Gate, truth: np.ndarray, used: np.ndarray) -> dict[str, dict[str, float]]:
    """For every reason to mark a spectrum: how many it marks, how many alone, and in how many of
    these the network had a clear line wrong, whatever the row holds now.

    Args:
        gate: of n de-noised spectra.
        truth: (n, L) line fluxes without added noise.
        used: (n, L) lines that compare; spectra without any do not count.

    Returns:
        By reason, and for ``any of them`` and ``none``: shares ``marked``, ``alone``, ``off``,
        ``alone and off`` (of those alone).
    """
    some = used.any(axis=1) & ~gate.lost
    seen = gate.evidence
    clear = used & (truth > CLEAR * seen.data_error)
    off = np.any(clear & (np.abs(seen.line_flux - truth) > OFF * truth), axis=1)
    why = {name: part & some for name, part in reasons(seen).items()}
    number = np.sum(list(why.values()), axis=0)
    found = {name: _shares(some, part, part & (number == 1), off) for name, part in why.items()}
    marked, free = some & (number > 0), some & (number == 0)
    return {**found, "any of them": _shares(some, marked, marked & (number == 1), off),
            "none": _shares(some, free, free, off)}  # fmt: skip


def _shares(
    some: np.ndarray, marked: np.ndarray, alone: np.ndarray, off: np.ndarray
) -> dict[str, float]:
    def share(rows: np.ndarray, of: np.ndarray) -> float:
        return float(rows[of].mean()) if of.any() else float("nan")

    return {"marked": share(marked, some), "alone": share(alone, some),
            "off": share(off, marked), "alone and off": share(off, alone)}  # fmt: skip


def marks_table(by_noise: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """Text and table of `marks` at several levels of noise."""
    text = (
        "What marked them, and whether rightly: share of the spectra that a reason marks, and "
        f"that it marks alone; of these, share in which the network had a line above {CLEAR:g} "
        f"sigma wrong by over {OFF:.0%} before the fit took its place."
    )
    keys = ("marked", "off", "alone", "alone and off")
    rows: list[list[Any]] = [
        [noise, name, *(row[key] for key in keys)]
        for noise, by_reason in by_noise.items()
        for name, row in by_reason.items()
    ]
    header = ["noise", "reason", "marked", "of these off", "marked by it alone", "of these off"]
    return [text, markdown(header, rows)]
