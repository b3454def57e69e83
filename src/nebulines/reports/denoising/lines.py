"""Sections of the page on de-noising about line fluxes: their scatter, and coverage."""

from __future__ import annotations

from typing import Any

import numpy as np

from nebulines.evaluation import denoising as judged
from nebulines.evaluation.published import published
from nebulines.evaluation.tables import markdown
from nebulines.galaxies.denoising.lines import line_rows
from nebulines.galaxies.denoising.scores import (
    CENTRAL,
    covered,
    line_draws,
    mean_of,
    noisy,
    white_posterior,
)
from nebulines.galaxies.denoising.tasks import PAPER_NOISE
from nebulines.galaxies.denoising.training_sets import LINES, TEST, CleanSet, clean_set
from nebulines.reports.denoising.bench import Bench
from nebulines.reports.page import pictures
from nebulines.reports.section import Section

NOISES = (0.005, 0.01, 0.02, 0.04, 0.08)
LEAST_EFFECTIVE = 300
COVERED, _AT_ONCE = 4000, 1000
"""Galaxies that coverage is measured on."""
TABLE_LINES = ("HALPHA6563", "HDELTA4102", "SII6716", "OIII5007", "NII6583")


def line_fluxes(bench: Bench) -> Section:
    """Scatter of recovered line fluxes, all points and filled bins."""
    from nebulines.plots.denoising import flux_figure
    from nebulines.plots.style import save_figure

    rows_of_lines = line_rows(bench.network.basis)
    fluxes = {name: part @ rows_of_lines.T for name, part in bench.reconstructed.items()}
    posterior = white_posterior(bench.network, bench.pairs.noisy, PAPER_NOISE)
    drawn = line_draws(bench.network, posterior, 5)
    mine, exact = "ours, median of draws", "bound, mean of log flux"
    fluxes[mine] = np.median(drawn, axis=0)
    fluxes[exact] = 10.0**bench.bound.log_flux
    truth = np.asarray(bench.test.line_flux)
    table: dict[str, dict[str, Any]] = {}
    for name, flux in fluxes.items():
        table[name] = {
            line: judged.as_dict(judged.flux_scatter(flux[:, k], truth[:, k]))
            for k, line in enumerate(LINES)
        }
    header = ["model", *(f"{line} {which}" for line in TABLE_LINES for which in ("all", "filled"))]
    rows: list[list[Any]] = []
    paper = published("scourfield2023")["scatter"]
    for name, by_line in table.items():
        cells = [by_line[line][key] for line in TABLE_LINES for key in ("everywhere", "filled")]
        rows.append([name, *cells])
        if name in paper:
            rows.append([f"{name}, paper", *paper[name]])
    shown = [n for n in ("pca-4", "vae-4", "ours, median of draws") if n in fluxes]
    figure = flux_figure({n: fluxes[n] for n in shown}, truth, TABLE_LINES)
    paths = save_figure(figure, bench.folder / "fluxes", formats=("png",))
    recovered, near, best = (
        ", ".join(f"{line} {table[name][line][key]:.1%}" for line in TABLE_LINES)
        for name, key in ((mine, "recovered"), (mine, "near"), (exact, "near"))
    )
    text = (
        "Scatter of log10 (recovered / true) flux [dex] for lines within three decades of the "
        "strongest, by the same linear measure of every de-noised spectrum; `noisy` is that "
        "measure of the noisy spectrum itself. Bins of ten equal steps; filled: more than N / 11 "
        "points. The paper compares peaks that pPXF fits; [O III] 4363 is not in the simulator. "
        f"Recovered (positive) by ours: {recovered} (target 99 %; fluxes of draws are never "
        f"negative). Within a factor of two of the truth: {near}; of the exact posterior: "
        f"{best}. Targets in filled bins: H-alpha .31, [O III] .38, [N II] .31."
    )
    return Section([text, markdown(header, rows), pictures(paths)], table, paths)


def coverage(bench: Bench) -> Section:
    """Share of true line fluxes within the central 68.27 % of the posterior."""
    truth, many = np.asarray(bench.test.line_flux), clean_set(COVERED, bench.seed, TEST)
    rows: list[list[Any]] = []
    numbers: dict[str, Any] = {}
    shares = [part / 100.0 for part in CENTRAL]
    for sigma in NOISES:
        share = _coverage(bench, many, sigma)
        flux = noisy(bench.test.spectra, sigma, [bench.seed, 31])
        posterior = white_posterior(bench.network, flux, sigma)
        error = judged.mean_square(mean_of(bench.network, posterior), bench.test.spectra)
        bound = judged.bayes_bound(flux, sigma, bench.library)
        limit = judged.mean_square(bound.mean, bench.test.spectra)
        numbers[str(sigma)] = {
            "coverage": dict(zip(LINES, share.round(3).tolist(), strict=True)),
            "mse": error, "bound": limit, "effective": float(np.median(bound.effective)),
        }  # fmt: skip
        cells = [f"{value:.3f}" for value in share]
        middle = f"{np.median(bound.effective):.0f}"
        rows.append([str(sigma), f"{error:.2e}", f"{limit:.2e}", middle, *cells])
        if np.median(bound.effective) > LEAST_EFFECTIVE:
            exact = judged.library_quantiles(flux, sigma, bench.library.spectra,
                                             bench.library.line_flux, shares)  # fmt: skip
            inside = np.mean((truth >= exact[0]) & (truth <= exact[1]), axis=0)
            numbers[str(sigma)]["exact"] = dict(zip(LINES, inside.round(3).tolist(), strict=True))
            rows.append([f"{sigma}, exact", "", "", "", *(f"{value:.3f}" for value in inside)])
    spread, exactly = ((0.683 * 0.317 / len(part)) ** 0.5 for part in (many, truth))
    text = (
        f"Target .65 to .71 at every noise from .005 to .08; {len(many)} galaxies, sampling adds "
        f"{spread:.3f} (1 sigma), to the exact ones, of {len(truth)} galaxies, {exactly:.3f}. "
        "`bound` is a bound only where it rests on many library spectra; `exact`: the intervals of "
        "the library's posterior, where they rest on many."
    )
    header = ["noise", "MSE", "bound", "library spectra", *LINES]
    return Section([text, markdown(header, rows)], numbers)


def _coverage(bench: Bench, galaxies: CleanSet, sigma: float) -> np.ndarray:
    """Shares (L,) of the true line fluxes within the intervals of ours."""
    found = []
    for start in range(0, len(galaxies), _AT_ONCE):
        part = galaxies.rows(slice(start, start + _AT_ONCE))
        flux = noisy(part.spectra, sigma, [bench.seed, 31 + start])
        drawn = line_draws(bench.network, white_posterior(bench.network, flux, sigma), 6)
        found.append(covered(drawn, part.line_flux))
    return np.mean(found, axis=0)
