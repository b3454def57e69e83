"""Learn where the posterior of ``line_ratios`` is to be read, for the paper's kind of objects.

    python -m benchmarks.learn_ratio_levels [--n 240000] [--seed 31]

writes ``reading_levels`` into the card of the shipped weights: for every ratio, and several S/N,
the levels of `nebulines.networks.line_ratios.levels`, from spectra of objects of a stream of their
own (neither trained on nor judged on), measured as a user's spectra are.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

NODES = 5
PART = 10_000
CARD = Path("src/nebulines/networks/weights/line_ratios.json")
STREAM = 780
BATCH = 1024


class Judged(NamedTuple):
    """S/N (n,) of the flux of H-alpha of n objects, and the P(ratio < truth) (n, m) that the
    network gives them."""

    snr: np.ndarray
    probability: np.ndarray


def judged(n: int, seed: int, prior: str, names: tuple[str, ...]) -> Judged:
    """Objects whose spectra are measured, in parts that fit into memory."""
    from nebulines.evaluation.held_out import held_out_seed

    parts = [
        _part(min(PART, n - i), held_out_seed(seed, STREAM + k), prior, names)
        for k, i in enumerate(range(0, n, PART))
    ]
    return Judged(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _part(n: int, seed: int, prior: str, names: tuple[str, ...]) -> Judged:
    import jax.numpy as jnp

    from nebulines.cubes.network.line_fluxes import halpha_snr, scaled
    from nebulines.cubes.network.ratio_columns import decrement_per_ebv
    from nebulines.evaluation.line_ratio_methods import Ours
    from nebulines.networks.line_ratios.answer import cumulative, marginals, read, value_of
    from nebulines.networks.line_ratios.network import PRIORS
    from nebulines.networks.line_ratios.space import LINES, coordinates
    from nebulines.training.line_ratios.spectra import paper_objects

    ours, per_ebv = Ours(prior), decrement_per_ebv()
    objects = paper_objects(n, seed, kind=prior)
    fluxes = ours.fluxes(objects)
    log_flux = np.log10(np.stack([objects.truth[f"{name}_flux"] for name in LINES], axis=1))
    exact = np.asarray(coordinates(jnp.asarray(log_flux)))
    exact = np.concatenate([exact, np.log10(objects.truth["decrement"])[:, None]], axis=1)
    data = [np.asarray(part, np.float32) for part in scaled(fluxes)]
    parts = []
    for i in range(0, n, BATCH):
        rows = slice(i, i + BATCH)
        there = fluxes.present[rows]
        kinds = np.full(len(there), PRIORS.index(prior))
        found = read(ours.pretrained.network, data[0][rows], data[1][rows], there, kinds)
        true = jnp.stack([value_of(exact[rows], name, per_ebv) for name in names], axis=1)
        parts.append(np.asarray(cumulative(marginals(found, names, per_ebv), true)))
    return Judged(halpha_snr(fluxes), np.concatenate(parts))


def levels_of(found: Judged, names: tuple[str, ...]) -> dict[str, Any]:
    """`knots` of each ratio at the median S/N of `NODES` equal parts of the objects."""
    from nebulines.networks.line_ratios.levels import SNR, knots

    order = np.array_split(np.argsort(found.snr), NODES)
    own: dict[str, Any] = {SNR: [round(float(np.median(found.snr[part])), 2) for part in order]}
    for k, name in enumerate(names):
        own[name] = [knots(found.probability[part, k]) for part in order]
    return own


def main() -> None:
    """Measure and write."""
    from nebulines.io.atomic import atomic_path
    from nebulines.networks.line_ratios.answer import EBV, RATIOS
    from nebulines.networks.line_ratios.levels import KNOTS
    from nebulines.runtime import configure

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=240_000)
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--prior", default="rhea2021")
    options = parser.parse_args()
    configure()
    names = (*RATIOS, EBV)
    own = levels_of(judged(options.n, options.seed, options.prior, names), names)
    card: dict[str, Any] = json.loads(CARD.read_text(encoding="utf-8"))
    levels = card.setdefault("reading_levels", {})
    levels["command"] = (
        f"python -m benchmarks.learn_ratio_levels --n {options.n} --seed {options.seed} "
        f"--prior {options.prior}"
    )
    levels["levels"] = list(KNOTS)
    levels.setdefault("priors", {})[options.prior] = own
    with atomic_path(CARD) as partial:
        partial.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
