"""Lines from the continuum: baselines, line leakage and speed.

``python -m benchmarks.lines_from_continuum --teacher FILE`` writes
``benchmarks/results/lines_from_continuum.md`` and ``.json``. FILE holds the published weights of
Khederlarian et al. 2024; without them the scores are left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.reporting import save, table
from benchmarks.train_equivalent_width import TEST, TRAINING, score, score_baselines
from nebulines.galaxies.baselines import nearest_neighbours
from nebulines.galaxies.bins import bin_flux, bin_weights, colours
from nebulines.galaxies.equivalent_widths import LINES
from nebulines.galaxies.line_masks import line_mask, line_windows, replace_lines
from nebulines.galaxies.painter import Painter
from nebulines.galaxies.population import empirical_population
from nebulines.galaxies.predictors import default_predictor, load_predictor, widths_of_colours
from nebulines.galaxies.scores import line_scores
from nebulines.synthetic.continua import CONTINUA, continuum_shape

SHOWN = ("HALPHA6563", "HBETA4861", "NII6583", "OIII5007", "OII3727")
MASKS = {"masked (600 km/s)": 600.0, "partly masked (150 km/s)": 150.0, "kept": None}
SCATTER = 0.5
"""Of asinh EW at a given continuum, in the audit of leakage."""


def measure_scores(teacher: Path, n: int, seed: int) -> dict[str, Any]:
    """The shipped network and the baselines on the same held-out galaxies."""
    source = load_predictor(teacher).network
    training = empirical_population(n, [seed, TRAINING], source)
    test = empirical_population(5000, [seed, TEST], source)
    own = score(default_predictor().network, test)
    return {"n_training": n, "network": own, **score_baselines(training.galaxies, test)}


def measure_leakage(n: int, seed: int) -> dict[str, Any]:
    """Rank correlation of H-alpha predicted from colours, by what was done to the lines.

    Mock continua with a 4000 A break; asinh EW depends on how young they are, plus scatter that
    no continuum can tell; the widths are painted, the colours measured with the lines masked,
    partly masked and kept, and 20 neighbours out of one half of the galaxies predict the other.
    """
    rng = np.random.default_rng(seed)
    wave = np.arange(3350.0, 7050.0, 2.0)
    drawn = CONTINUA["stellar"].draw(rng, n)
    stars = continuum_shape("stellar", wave, drawn, span=(3350.0, 7050.0), reference=5500.0)
    youth = 1.0 - 2.0 * drawn[:, 1]
    shared = rng.normal(size=n)
    asinh = 4.0 * youth[:, None] + SCATTER * shared[:, None] + 0.1 * rng.normal(size=(n, 10))
    ew = np.sinh(asinh) * np.array([0.6, 0.15, 0.3, 0.15, 0.45, 0.1, 1.0, 0.3, 0.2, 0.15])
    painter = Painter(wave, default_predictor().network)
    level = bin_flux(stars, painter.sides).flux
    fluxes = (jnp.asarray(ew, jnp.float32) @ painter.shares) * level
    noisy = stars + 0.02 * rng.normal(size=stars.shape)
    spectra = noisy + np.asarray(painter.line_spectrum(fluxes, 120.0))
    found = {name: _rank(spectra, wave, ew, kms) for name, kms in MASKS.items()}
    return {"n": n, "never there": _rank(noisy, wave, ew, None), **found}


def _rank(spectra: np.ndarray, wave: np.ndarray, ew: np.ndarray, kms: float | None) -> float:
    flux = jnp.asarray(spectra, jnp.float32)
    if kms is not None:
        flux = replace_lines(flux, line_mask(wave, line_windows(kms)))
    colour = np.asarray(colours(bin_flux(flux, bin_weights(wave)).flux))
    half = len(ew) // 2
    predicted = nearest_neighbours(colour[:half], ew[:half], k=20)(colour[half:])
    return float(line_scores(predicted, ew[half:]).spearman[LINES.index("HALPHA6563")])


def measure_speed(teacher: Path | None, repeats: int) -> dict[str, float]:
    """Spectra a second for ten widths from colours; a single call; the Jacobian; painting."""
    networks = {"equivalent_width": default_predictor().network}
    if teacher is not None:
        networks["published"] = load_predictor(teacher).network
    colour = 0.05 * jax.random.normal(jax.random.key(0), (200_000, 11))
    many = np.tile(np.asarray(colour), (10, 1))
    widths = eqx.filter_jit(lambda net, c: net.predict(c).ew())
    found = {}
    for name, network in networks.items():
        for n in (1, 1000, 200_000):
            found[f"{name}, {n} at once"] = n / _seconds(widths, network, colour[:n], repeats)
        found[f"{name}, 2 million in blocks"] = _in_blocks(network, many)
    slope = eqx.filter_jit(jax.jacrev(lambda net, c: net.predict(c[None]).ew()[0], argnums=1))
    own = networks["equivalent_width"]
    found["Jacobians of one galaxy a second"] = 1.0 / _seconds(slope, own, colour[0], repeats)
    painter = Painter(np.arange(3300.0, 7100.0, 2.0), own)
    painted = eqx.filter_jit(lambda paint, flux: paint(flux).flux)
    flux = jnp.ones((1000, 1900))
    found["painted spectra of 1900 channels"] = 1000 / _seconds(painted, painter, flux, repeats)
    predict = nearest_neighbours(np.asarray(colour[:50_000]), np.ones((50_000, 10)), components=6)
    begin = time.perf_counter()
    predict(np.asarray(colour[:5000]))
    found["PCA 6 + k-NN 50 of 50 000"] = 5000 / (time.perf_counter() - begin)
    return found


def _in_blocks(network: Any, many: np.ndarray) -> float:
    """Galaxies a second through `widths_of_colours`, from and to numpy."""
    widths_of_colours(network, many[:20_000])
    begin = time.perf_counter()
    widths_of_colours(network, many)
    return len(many) / (time.perf_counter() - begin)


def _seconds(function: Callable[..., Any], network: Any, inputs: Any, repeats: int) -> float:
    """Shortest time of a compiled call."""
    jax.block_until_ready(function(network, inputs))
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        jax.block_until_ready(function(network, inputs))
        times.append(time.perf_counter() - begin)
    return min(times)


def render(results: dict[str, Any]) -> str:
    """Markdown of all tables."""
    parts = []
    if "scores" in results:
        rows = [
            [name, *(f"{s['spearman'][k]:.3f} / {s['nmad'][k]:.2f}" for k in SHOWN)]
            for name, s in results["scores"].items()
            if isinstance(s, dict)
        ]
        held = results["scores"]["network"]["coverage"]
        rows.append(["coverage of the network", *(f"{held[k]:.3f}" for k in SHOWN)])
        head = table(["rank correlation / NMAD [A]", *SHOWN], rows)
        parts.append(f"## Held-out galaxies of the empirical population\n\n{head}")
    rows = [[k, f"{v:.3f}"] for k, v in results["leakage"].items() if k != "n"]
    parts.append(
        "## Line leakage\n\nRank correlation of H-alpha, k-NN on mock continua; what exceeds the "
        f"first row comes from the lines themselves.\n\n{table(['lines', 'correlation'], rows)}"
    )
    rows = [[k, f"{v:,.0f}"] for k, v in results["speed"].items()]
    parts.append(f"## Speed\n\n{table(['what', 'a second'], rows)}")
    return "\n\n".join(parts)


@click.command()
@click.option("--teacher", type=click.Path(path_type=Path), help="Published weights, .npz.")
@click.option("--quick", is_flag=True, help="Small sets, few repeats.")
@click.option("--seed", default=0, show_default=True)
def main(teacher: Path | None, quick: bool, seed: int) -> None:
    """Measure and write to benchmarks/results."""
    results: dict[str, Any] = {}
    if teacher is not None:
        results["scores"] = measure_scores(teacher, 5000 if quick else 50_000, seed)
    results["leakage"] = measure_leakage(2000 if quick else 8000, seed)
    results["speed"] = measure_speed(teacher, 3 if quick else 20)
    body = render(results)
    save("lines_from_continuum", "Lines from the continuum", results, body)
    click.echo(body)


if __name__ == "__main__":
    from nebulines.runtime import configure

    configure()
    main()
