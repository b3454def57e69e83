"""Learn where the posterior of ``line_ratios`` is to be read, for the paper's kind of objects.

    python -m benchmarks.learn_ratio_levels [--n 16384] [--seed 31]

writes ``reading_levels`` into the card of the shipped weights: for every ratio the levels of
`nebulines.networks.line_ratio_levels`, from objects of a stream of their own (neither trained on
nor judged on) whose fluxes have noise of the covariance that a joint fit leaves them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

CARD = Path("src/nebulines/networks/weights/line_ratios.json")
STREAM = 78
BATCH = 1024


def probabilities(n: int, seed: int, prior: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Names (m) of the ratios, and P(ratio < truth) (n, m) that the network gives n objects."""
    import jax.numpy as jnp

    from nebulines.cubes.line_ratios import decrement_per_ebv
    from nebulines.evaluation.held_out import held_out_seed
    from nebulines.evaluation.line_ratio_floor import noisy_fluxes
    from nebulines.networks.line_ratio_answer import (
        EBV,
        RATIOS,
        cumulative,
        marginals,
        read,
        value_of,
    )
    from nebulines.networks.line_ratio_space import LINES, coordinates
    from nebulines.networks.line_ratios import PRIORS
    from nebulines.networks.weights import load
    from nebulines.training.line_ratio_spectra import paper_objects

    names, per_ebv = (*RATIOS, EBV), decrement_per_ebv()
    network = load("line_ratios").network
    objects = paper_objects(n, held_out_seed(seed, STREAM), kind=prior)
    flux, covariance = noisy_fluxes(objects, seed)
    log_flux = np.log10(np.stack([objects.truth[f"{name}_flux"] for name in LINES], axis=1))
    exact = np.asarray(coordinates(jnp.asarray(log_flux)))
    exact = np.concatenate([exact, np.log10(objects.truth["decrement"])[:, None]], axis=1)
    parts = []
    for i in range(0, n, BATCH):
        rows = slice(i, i + BATCH)
        data = [jnp.asarray(part[rows], jnp.float32) for part in (flux, covariance)]
        there = np.ones(flux[rows].shape, bool)
        kinds = np.full(len(there), PRIORS.index(prior))
        found = marginals(read(network, *data, there, kinds), names, per_ebv)
        true = jnp.stack([value_of(exact[rows], name, per_ebv) for name in names], axis=1)
        parts.append(np.asarray(cumulative(found, true)))
    return names, np.concatenate(parts)


def main() -> None:
    """Measure and write."""
    from nebulines.io.atomic import atomic_path
    from nebulines.networks.line_ratio_levels import KNOTS, knots
    from nebulines.runtime import configure

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=16_384)
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--prior", default="rhea2021")
    options = parser.parse_args()
    configure()
    names, found = probabilities(options.n, options.seed, options.prior)
    card: dict[str, Any] = json.loads(CARD.read_text(encoding="utf-8"))
    levels = card.setdefault("reading_levels", {})
    levels["command"] = (
        f"python -m benchmarks.learn_ratio_levels --n {options.n} --seed {options.seed} "
        f"--prior {options.prior}"
    )
    levels["levels"] = list(KNOTS)
    own = {name: knots(found[:, k]) for k, name in enumerate(names)}
    levels.setdefault("priors", {})[options.prior] = own
    with atomic_path(CARD) as partial:
        partial.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
