"""Residuals of sky lines in spectra to be de-noised: which are flagged, what harm the others do.

Run: ``python -m benchmarks.sky_residuals`` (a minute).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click
import numpy as np

from benchmarks.reporting import save, table
from nebulines.galaxies.denoising.engine import denoise_bins
from nebulines.galaxies.denoising.training_sets import TEST, CleanSet, clean_set
from nebulines.networks.denoise.network import WIDE, Denoise
from nebulines.networks.weights import load
from nebulines.reports.denoising.redshifts import line_far_off
from nebulines.spectra import Flag

NOISE = (0.01, 0.02, 0.04)
LINE_SIGMAS, MANY_SIGMAS = (3, 5, 8, 15, 30), (4, 8)
LINE = (0.3, 1.0, 0.3)
RED, SHARE = 600, 0.08
"""From this bin on (5840 Angstrom at rest) so many bins hold the residual of a line of OH."""
MARKED = Flag.POOR_FIT | Flag.OUT_OF_RANGE | Flag.BAD_REDSHIFT | Flag.LOW_SNR | Flag.NO_DATA

Spoil = Callable[[np.random.Generator, np.ndarray, float], np.ndarray]


def one_line(sigmas: float) -> Spoil:
    """Adds one line, or takes it off, anywhere, with a peak of so many sigmas."""

    def spoil(rng: np.random.Generator, flux: np.ndarray, noise: float) -> np.ndarray:
        rows, at = np.arange(len(flux)), rng.integers(1, flux.shape[1] - 1, len(flux))
        peak = sigmas * noise * rng.choice([-1.0, 1.0], len(flux))
        spoiled = flux.copy()
        for beside, height in zip((-1, 0, 1), LINE, strict=True):
            spoiled[rows, at + beside] += height * peak
        return spoiled

    return spoil


def many_lines(sigmas: float) -> Spoil:
    """Adds residuals of so many sigmas (root mean square) to `SHARE` of the red bins."""

    def spoil(rng: np.random.Generator, flux: np.ndarray, noise: float) -> np.ndarray:
        hit = (rng.random(flux.shape) < SHARE) & (np.arange(flux.shape[1]) >= RED)
        return flux + hit * sigmas * noise * rng.normal(size=flux.shape)

    return spoil


def cases() -> Iterator[tuple[str, Spoil]]:
    """What is done to spectra, by name."""
    yield "nothing", lambda rng, flux, noise: flux
    for sigmas in LINE_SIGMAS:
        yield f"one line of {sigmas} sigma", one_line(sigmas)
    for sigmas in MANY_SIGMAS:
        yield f"8 % of the red bins, {sigmas} sigma", many_lines(sigmas)


def judged(network: Denoise, galaxies: CleanSet, noise: float, seed: int) -> dict[str, Any]:
    """Shares flagged, and not flagged with a line more than three errors off, in each case."""
    rng = np.random.default_rng([seed, 17])
    noisy = galaxies.spectra + noise * rng.normal(size=galaxies.spectra.shape)
    weight, found = np.full(noisy.shape, noise**-2.0, np.float32), {}
    for name, spoil in cases():
        flux = spoil(rng, noisy, noise).astype(np.float32)
        clean = denoise_bins(network, flux, weight, draws=100, prior=WIDE)
        marked = (clean.gate.flags & MARKED) != 0
        wrong = line_far_off(network, clean, galaxies.line_flux)
        found[name] = {"flagged": marked.mean(), "unflagged_wrong": (wrong & ~marked).mean()}
    return found


@click.command()
@click.option("--n", "number", default=1000, show_default=True, help="Galaxies.")
@click.option("--seed", default=7, show_default=True, help="Of galaxies and noise.")
def main(number: int, seed: int) -> None:
    """Spoil the package's test galaxies and write the table."""
    network, galaxies = load("denoise-wide").network, clean_set(number, seed, TEST)
    found = {noise: judged(network, galaxies, noise, seed) for noise in NOISE}
    rows = [
        [name, *(f"{100 * found[noise][name][key]:.1f}" for noise in NOISE
                 for key in ("flagged", "unflagged_wrong"))]
        for name, _ in cases()
    ]  # fmt: skip
    head = ["residual", *(f"{what} at {noise}" for noise in NOISE for what in ("flagged", "wrong"))]
    body = (
        f"{number} test galaxies of the population, white noise, the network of the wide prior. "
        "Per cent of the spectra that are flagged (POOR_FIT, OUT_OF_RANGE, BAD_REDSHIFT or no "
        "answer), and that are not although a line is more than three of its errors off: where "
        "nothing is done, these are the tails of the posteriors."
    )
    save("denoising/sky_residuals", "Sky residuals", {"n": number, "noise": found},
         f"{body}\n\n{table(head, rows)}")  # fmt: skip


if __name__ == "__main__":
    main()
