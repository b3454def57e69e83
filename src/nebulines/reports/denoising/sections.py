"""Sections of the page on de-noising that follow the paper's sections 3 and 4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nebulines.evaluation import denoising as judged
from nebulines.evaluation.published import published
from nebulines.evaluation.tables import markdown
from nebulines.galaxies.denoising.scores import white_posterior
from nebulines.galaxies.denoising.tasks import PAPER_NOISE
from nebulines.galaxies.denoising.training_sets import LINES
from nebulines.galaxies.population.population import CLASSES
from nebulines.reports.denoising.bench import Bench
from nebulines.reports.page import pictures
from nebulines.reports.section import Section
from nebulines.training.denoise.paper import LATENT, LAYERS


def components(bench: Bench) -> Section:
    """Variance that principal components explain, noisy and clean."""
    from nebulines.plots.denoising import components_figure
    from nebulines.plots.style import save_figure

    shares = [np.cumsum(spectrum_of(part)) for part in (bench.training.noisy, bench.training.clean)]
    rows = [
        [str(row["components"]), *(f"{100 * share[row['components'] - 1]:.2f}" for share in shares),
         f"{row['noisy']:.2f}", f"{row['original']:.2f}"]
        for row in published("scourfield2023")["variance"]
    ]  # fmt: skip
    header = ["components", "noisy %", "clean %", "paper noisy %", "paper original %"]
    needed = {f"{level:.0%}": [int(np.searchsorted(s, level)) + 1 for s in shares]
              for level in (0.9, 0.99)}  # fmt: skip
    text = (
        f"Cumulative variance. 90 % takes {needed['90%'][0]} components of noisy spectra (paper "
        f"677) and {needed['90%'][1]} of clean ones (paper, of originals with noise of their own: "
        f"5); 99 % takes {needed['99%'][0]} (808) and {needed['99%'][1]} (384)."
    )
    paths = save_figure(
        components_figure(np.asarray(bench.models["pca-10"].components)[:5]),
        bench.folder / "components", formats=("png",),
    )  # fmt: skip
    numbers = {"cumulative_percent": rows, "components_needed": needed}
    return Section([text, markdown(header, rows), pictures(paths)], numbers, paths)


def spectrum_of(spectra: np.ndarray) -> np.ndarray:
    """Share of the variance along each principal component, largest first."""
    values = np.linalg.eigvalsh(np.cov(np.asarray(spectra, float).T))[::-1]
    return values / values.sum()


def autoencoders(bench: Bench) -> Section:
    """Layers of the autoencoders, and how they learned."""
    from nebulines.plots.denoising import history_figure
    from nebulines.plots.style import save_figure

    header = ["network", "paper: dropout", "layers", "here: dropout", "layers", "epochs",
              "validation loss"]  # fmt: skip
    rows: list[list[Any]] = []
    histories: dict[str, Any] = {}
    for kind, by_latent in LAYERS.items():
        for latent, (dropout, layers) in by_latent.items():
            name = f"{kind}-{latent}"
            row: list[Any] = [name, str(dropout), ", ".join(map(str, layers))]
            if name in bench.cards:
                size, history = bench.cards[name]["size"], bench.cards[name]["epochs"]
                histories[name] = history
                loss = f"{history['validation'][-1]:.0f}"
                units = ", ".join(map(str, size["layers"]))
                row += [str(size["dropout"]), units, str(len(history["validation"])), loss]
            rows.append(row + ["not trained", "", "", ""][: 7 - len(row)])
    text = (
        "The paper's dropout and layers were found by its random search, which "
        "`nebulines train ae-4 --search 100` repeats; it trains for up to 200 epochs. "
        "What was trained here, and for how long, stands beside it. Here spectra come in and go "
        "out as departures from the mean of the training set in units of their scatter: with the "
        "paper's dropout in every layer, networks of its size stayed at the mean spectrum until "
        "its plateau rule ended them (README.md beside this page)."
    )
    paths: list[Path] = []
    if histories:
        figure = history_figure(histories)
        paths = save_figure(figure, bench.folder / "history", formats=("png",))
    epochs = {name: len(history["validation"]) for name, history in histories.items()}
    return Section([text, markdown(header, rows), pictures(paths)], {"epochs": epochs}, paths)


def latent_space(bench: Bench) -> Section:
    """Where the classes lie among latent dimensions."""
    from nebulines.plots.denoising import latent_figure
    from nebulines.plots.style import save_figure

    posterior = white_posterior(bench.network, bench.pairs.noisy, PAPER_NOISE)
    spread = np.sqrt(np.asarray(bench.network.basis.variance))
    spaces = {"ours": (np.asarray(posterior.mean) / spread)[:, :6]}
    for name in ("vae-6", "ae-6", "vae-4", "pca-6"):
        if name in bench.models:
            found = bench.models[name].encode(bench.pairs.noisy)
            spaces[name] = np.asarray(found[0] if isinstance(found, tuple) else found)
    kinds = np.asarray(bench.test.kind)
    agree = {name: judged.neighbours_agree(space, kinds) for name, space in spaces.items()}
    present = np.unique(kinds)
    rows: list[list[Any]] = [[name, *(agree[name][int(k)] for k in present)] for name in spaces]
    header = ["space", *(f"{CLASSES[k]} ({(kinds == k).sum()})" for k in present)]
    shown = "vae-6" if "vae-6" in spaces else "ours"
    figure = latent_figure(spaces[shown], kinds, title=shown)
    paths = save_figure(figure, bench.folder / "latent", formats=("png",))
    text = (
        "Share of each class whose 15 nearest neighbours in the latent space are mostly of it. The "
        "paper finds emission-line galaxies along a tail, active nuclei concentrated, absorption "
        "and quiescent galaxies on top of each other."
    )
    numbers = {n: {CLASSES[k]: v for k, v in a.items()} for n, a in agree.items()}
    return Section([text, markdown(header, rows), pictures(paths)], numbers, paths)


def reconstruction(bench: Bench) -> Section:
    """Mean square error against dimensions, with ours and the Bayes bound."""
    from nebulines.plots.denoising import example_figure, loss_figure
    from nebulines.plots.style import save_figure

    found = bench.reconstructed
    truth = np.asarray(bench.test.spectra)
    loss = {name: judged.mean_square(part, truth) for name, part in found.items()}
    ratio = loss["ours"] / loss["bound"]
    rows = [
        [kind, *(f"{loss[f'{kind}-{k}']:.2e}" if f"{kind}-{k}" in loss else "" for k in LATENT)]
        for kind in ("pca", "ae", "vae")
    ]
    rows += [[name, f"{loss[name]:.2e}", "", "", ""] for name in ("ours", "bound")]
    bound = bench.bound
    half = bench.library.rows(slice(0, len(bench.library) // 2))
    fewer = judged.bayes_bound(bench.pairs.noisy, PAPER_NOISE, half)
    loss["bound, half of the library"] = judged.mean_square(fewer.mean, truth)
    change = loss["bound"] / loss["bound, half of the library"]
    text = (
        f"Mean square error of a bin. Ours is {ratio:.3f} of the Bayes bound (target 1.05 or less) "
        f"and {loss['ours'] / loss['pca-4']:.3f} of PCA with 4 components (target 0.33 or less). "
        f"The bound rests on {np.median(bound.effective):.0f} library spectra in the median "
        f"({np.mean(bound.effective < 10):.1%} of the test spectra on fewer than 10); doubling "
        f"the library to {len(bench.library):,} galaxies changed it by a factor of {change:.3f}. "
        "Ours is made of unit norm, as all these spectra are known to be."
    )
    paths = save_figure(loss_figure(loss), bench.folder / "loss", formats=("png",))
    row = int(np.argsort(bench.test.ew[:, LINES.index("HALPHA6563")])[len(truth) * 4 // 5])
    shown: list[str] = [name for name in ("pca-4", "vae-4", "ours") if name in found]
    chosen: dict[str, Any] = {name: found[name][row] for name in shown}
    figure = example_figure(truth[row], bench.pairs.noisy[row], chosen)
    paths += save_figure(figure, bench.folder / "example", formats=("png",))
    table = markdown(["", *(f"{k} dimensions" for k in LATENT)], rows)
    return Section([text, table, pictures(paths)], {"mse": loss, "over_bound": ratio}, paths)
