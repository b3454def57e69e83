"""Lines of the arc as the publication measured them.

Its spectra, less its continuum, were given to ALFA (Wesson 2016, MNRAS 456, 3774), which takes off
a continuum of its own: at each channel the 25th lowest of the 101 values around it. Where nothing
but noise is left this lies 0.7 sigma of a channel below zero, so that each line gains this level
times the width of its profile: about half the published error of a flux, whatever the flux.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import rank_filter

from benchmarks.arc_profiles import lines_of
from benchmarks.reporting import judged, table

WINDOW, RANK = 101, 25
REACH = 10.0
"""Of a line's profile [Angstrom]."""


def alfa_continuum(flux: np.ndarray) -> np.ndarray:
    """The `RANK`-th lowest of the `WINDOW` channels around each channel of spectra (n, p)."""
    return np.asarray(rank_filter(flux, RANK - 1, size=(1, WINDOW)))


def conventions(
    wave: np.ndarray, flux: np.ndarray, model: np.ndarray, centres: np.ndarray
) -> dict[str, np.ndarray]:
    """By how much (n,) a line of our fit grows or shrinks under other ideas of what lies below.

    Args:
        wave: (p,) [Angstrom].
        flux, model: (n, p) spectra without the published continuum, and our fit with straight
            lines below.
        centres: (L,) wavelengths of the line, or of the doublet.

    Returns:
        ``"level"``: nothing more is taken off; ``"published"``: `alfa_continuum` is.
    """
    near = np.abs(wave[:, None] - centres).min(axis=1) < REACH
    lines = lines_of(model[:, near])
    power = np.sum(lines**2, axis=1)
    tried = {"level": flux, "published": flux - alfa_continuum(flux)}
    return {name: np.sum(values[:, near] * lines, axis=1) / power for name, values in tried.items()}


def scored(
    ratio: np.ndarray, factor: dict[str, np.ndarray], spread: Callable[[np.ndarray], float]
) -> dict[str, float]:
    """Median and NMAD of fluxes over published ones (n,), times the factors of `conventions`."""
    scores: dict[str, float] = {}
    for name, values in factor.items():
        kept = (ratio * values)[np.isfinite(ratio * values)]
        scores |= {f"as {name}": float(np.median(kept)), f"as {name} nmad": spread(kept)}
    return scores


def published_page(scores: dict[str, dict[str, float]]) -> str:
    """The table."""
    rows = [
        [
            name,
            row["n"],
            f"{row['without']:.3f}",
            f"{row['as level']:.3f}",
            f"{row['as published']:.3f}",
            judged(abs(row["as published"] - 1.0), most=0.03),
            f"{row['as published nmad']:.3f}",
            judged(row["as published nmad"], most=0.06),
        ]
        for name, row in scores.items()
    ]
    head = ("line", "n", "our line fit", "nothing below", "less the low quarter", "within 3 %",
            "NMAD", "<= .06")  # fmt: skip
    return (
        "As the publication measured: our lines, with the places and widths of our fit, on the "
        "spectra less the publication's continuum, over the published flux. *our line fit* has a "
        "straight line below each group of lines; *nothing below* takes the publication's "
        "continuum for granted; *less the low quarter* also takes off what its program ALFA does, "
        f"the {RANK}th lowest of the {WINDOW} channels around each channel. Noise about zero has "
        "its lowest quarter 0.7 sigma below: every published flux is too large by about half its "
        "published error, which is little of [OII] and much of the faint lines.\n\n"
        + table(head, rows)
    )
