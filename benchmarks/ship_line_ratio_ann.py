"""Make the shipped weights of ``line_ratio_ann`` of a finished training.

    nebulines train line_ratio_ann --config one.toml --seed 21 --out line_ratio_ann-run
    python -m benchmarks.ship_line_ratio_ann line_ratio_ann-run

leaves out the hidden units that the penalty has silenced, and keeps the weights in half precision:
2 to 3 MB in place of 11 for each member, all of them in one file. The card says how far
that moves the answers for held-out objects, and how well the network does on them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

LEAST = 0.001
"""Share of the loudest unit of a layer that a unit must have to stay."""
OBJECTS = 3000
SEED = 1
"""Of the held-out objects, those of ``nebulines reproduce line-ratios``."""


def main() -> None:
    """Trim, judge, write."""
    from nebulines.networks.line_ratios.ann import trimmed
    from nebulines.networks.weights import FOLDER, load, save
    from nebulines.reports.line_ratios.workshop import members_of
    from nebulines.runtime import configure

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=FOLDER / "line_ratio_ann.safetensors")
    options = parser.parse_args()
    configure()
    whole, cards = members_of(options.run)
    small = trimmed(whole, LEAST)
    save(options.out, small, _card(small, cards), half=True)
    load.cache_clear()
    kept = load(str(options.out)).network
    save(options.out, small, _card(small, cards) | {"scores": _scores(whole, kept)}, half=True)


def _card(small: Any, cards: list[dict[str, Any]]) -> dict[str, Any]:
    """The card of the ensemble, from those of its members."""
    trained = cards[0]["trained_with"]
    several = f" --ensemble {len(cards)}" if len(cards) > 1 else ""
    command = f"{trained['command']}{several} --config one.toml"
    seconds = sum(card["trained_with"]["seconds"] for card in cards)
    losses = [card["trained_with"]["validation_loss"] for card in cards]
    return cards[0] | {
        "size": {
            "members": len(small.bias[0]),
            "hidden": [len(layer[0]) for layer in small.bias[:-1]],
        },
        "trained_with": trained
        | {
            "command": command,
            "one.toml": "[network] members = 1",
            "seconds": round(seconds, 1),
            "validation_loss": losses,
            "afterwards": "python -m benchmarks.ship_line_ratio_ann line_ratio_ann-run",
        },
    }


def _scores(whole: Any, kept: Any) -> dict[str, Any]:
    """Of the shipped weights, and how far its answers are from those of the trained ones."""
    from nebulines.evaluation.held_out import held_out_seed
    from nebulines.evaluation.line_ratio_methods import dense_ensemble
    from nebulines.networks.line_ratios.ann import RATIOS
    from nebulines.training.line_ratios.ann import true_ratios
    from nebulines.training.line_ratios.spectra import paper_objects

    objects = paper_objects(OBJECTS, held_out_seed(SEED, 40))
    first, second = (dense_ensemble(network)(objects).ratio for network in (whole, kept))
    truth = true_ratios(objects.truth)
    spread = 100.0 * np.std(np.arcsinh(second) / np.arcsinh(truth), axis=0)
    bias = 100.0 * np.median(second / truth - 1.0, axis=0)
    moved = 100.0 * np.abs(second / first - 1.0).max()
    return {
        "held_out": f"{OBJECTS} objects, seed {SEED}",
        "arcsinh_scatter_percent": dict(zip(RATIOS, spread.round(3).tolist(), strict=True)),
        "median_bias_percent": dict(zip(RATIOS, bias.round(3).tolist(), strict=True)),
        "moved_by_trimming_at_most_percent": round(float(moved), 3),
    }


if __name__ == "__main__":
    main()
