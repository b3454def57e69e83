"""The section of the page on de-noising about mass and metallicity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from nebulines.evaluation import denoising as judged
from nebulines.evaluation import denoising_metals as metals
from nebulines.evaluation.published import published
from nebulines.evaluation.tables import markdown
from nebulines.galaxies.denoising.engine import fit_in_basis
from nebulines.galaxies.denoising.scores import line_draws
from nebulines.galaxies.denoising.tasks import PAPER_NOISE
from nebulines.galaxies.denoising.training_sets import LIBRARY, LINES, TEST, CleanSet, clean_set
from nebulines.galaxies.population.surveys import get_survey
from nebulines.networks.denoise.any_noise import project, statistics
from nebulines.networks.denoise.basis import Basis, Statistics
from nebulines.networks.denoise.network import POPULATION
from nebulines.reports.denoising.bench import Bench
from nebulines.reports.page import pictures
from nebulines.reports.section import Section

HALPHA = LINES.index("HALPHA6563")
LEAST_SNR = 15.0
"""Of H-alpha, for an abundance from a noisy spectrum (Scholte & Saintonge 2023)."""
_N_STAR_FORMING = 20_000


def metallicity(bench: Bench) -> Section:
    """The mass-metallicity relation at the noise of DESI at z = 0.1 and at the uniform one."""
    from nebulines.plots.denoising import metallicity_figure
    from nebulines.plots.style import save_figure

    galaxies = clean_set(len(bench.test), bench.seed, TEST, star_forming=True)
    library = clean_set(_N_STAR_FORMING, bench.seed, LIBRARY, star_forming=True)
    truth = metals.abundances(galaxies.line_flux, LINES)
    curve = metals.true_curve(galaxies.log_mass, truth)
    rows: list[list[Any]] = []
    numbers: dict[str, Any] = {}
    paths: list[Path] = []
    paper = published("scourfield2023")["metallicity"]
    for name in ("uniform-0.04", "desi-z0.1"):
        panels = {"truth": truth, **_abundances(bench, galaxies, name)}
        found = {
            key: metals.relation(part, galaxies.log_mass, galaxies.log_sfr, curve)
            for key, part in panels.items()
        }
        numbers[name] = {key: metals.as_dict(part) for key, part in found.items()}
        numbers[name]["error"] = _error(panels["mean"], truth)
        numbers[name]["bound"] = _error(_bound(library, *_observed(bench, galaxies, name)), truth)
        numbers[name]["sampled_over_true_spread"] = found["draws"].spread / found["truth"].spread
        rows += [[name, key, *part] for key, part in found.items()]
        figure = metallicity_figure(panels, galaxies.log_mass, galaxies.log_sfr, curve)
        paths += save_figure(figure, bench.folder / f"metallicity-{name}", formats=("png",))
    header = ["noise", "from", "measured", "spread", "scatter about truth", "offset",
              "rank correlation with SFR"]  # fmt: skip
    ratios = {name: f"{row['sampled_over_true_spread']:.3f}" for name, row in numbers.items()}
    errors = {name: f"{row['error']:.3f}" for name, row in numbers.items()}
    bounds = {name: f"{row['bound']:.3f}" for name, row in numbers.items()}
    text = (
        f"{len(galaxies)} star-forming galaxies. O3N2 (Pettini & Pagel 2004). `noisy`: galaxies "
        f"with H-alpha above {LEAST_SNR:g} sigma; `mean`: posterior median of the abundance; "
        "`draws`: one posterior draw a galaxy, which has the spread of the population where a mean "
        f"has less. Error of the posterior median [dex]: {errors} (target .085 at .04); of the "
        "exact one, over a library of star-forming galaxies alone, which our network is not told: "
        f"{bounds}; sampled over true spread: {ratios} (target .90 to 1.10). Paper: scatter "
        f"{paper['original']} in the originals, {paper['denoised']} de-noised."
    )
    return Section([text, markdown(header, rows), pictures(paths)], numbers, paths)


def _abundances(bench: Bench, galaxies: CleanSet, survey: str) -> dict[str, np.ndarray]:
    """Abundances (n,) from noisy spectra, posterior medians and draws."""
    flux, sigma = _observed(bench, galaxies, survey)
    weight = np.broadcast_to((sigma**-2.0).astype(np.float32), flux.shape)
    basis = bench.network.basis
    posterior = bench.network(in_chunks(basis, flux, weight), POPULATION)
    drawn = metals.abundances(line_draws(bench.network, posterior, 8), LINES)
    best, _, sample = fit_in_basis(basis, flux, weight, draws=30, seed=[bench.seed, 92])
    rows = np.asarray(basis.coordinates)[: basis.n_lines]
    direct = best @ rows.T
    error = np.std(sample @ rows[HALPHA], axis=0)
    noisy = np.where(
        direct[:, HALPHA] > LEAST_SNR * error, metals.abundances(direct, LINES), np.nan
    )
    lost = np.isnan(drawn).all(axis=0)
    middle = np.where(lost, np.nan, np.nanmedian(np.where(lost, 0.0, drawn), axis=0))
    return {"noisy": noisy, "mean": middle, "draws": drawn[0]}


def _observed(bench: Bench, galaxies: CleanSet, survey: str) -> tuple[np.ndarray, np.ndarray]:
    """Noisy spectra (n, 825) and their noise (825,)."""
    shape = get_survey(survey).shape
    sigma = PAPER_NOISE * shape / shape.max()
    rng = np.random.default_rng([bench.seed, 91])
    flux = galaxies.spectra + sigma * rng.normal(size=galaxies.spectra.shape)
    return flux.astype(np.float32), sigma


def _bound(library: CleanSet, flux: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Median abundances (n,) of the exact posterior for galaxies as in a library."""
    known = metals.abundances(library.line_flux, LINES)
    library, known = library.rows(np.isfinite(known)), known[np.isfinite(known)]
    return judged.library_quantiles(flux, sigma, library.spectra, known[:, None], [0.5])[0, :, 0]


def in_chunks(basis: Basis, flux: np.ndarray, weight: np.ndarray) -> Statistics:
    """Statistics of spectra (n, 825) with inverse variances (n, 825), a few at a time."""
    parts = [
        statistics(
            basis, *project(basis, *(jnp.asarray(part[i : i + 500]) for part in (flux, weight)))
        )
        for i in range(0, len(flux), 500)
    ]
    return Statistics(*(jnp.concatenate(values) for values in zip(*parts, strict=True)))


def _error(found: np.ndarray, truth: np.ndarray) -> float:
    good = np.isfinite(found) & np.isfinite(truth)
    return metals.half_width(found[good] - truth[good])
