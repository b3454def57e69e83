"""Score trained networks on held-out spectra and write the numbers into their cards.

    python benchmarks/score_networks.py run/kinematics.safetensors --n 20000 --seed 3

Sets: SITELLE SN3 at R 5000, 2000 and 1000 as in Rhea et al. 2020 (velocity +-200, broadening 10-50
km/s, S/N 5-30), from seeds that no training draws from. The prior of ``kinematics`` is that of
the set.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.evaluation.held_out import HeldOut, draw, sn3
from nebulines.evaluation.methods import get_method

EDGES = (5.0, 10.0, 15.0, 20.0, 30.0)
RESOLVED_KMS = 20.0
STREAM = 7
OF_STARNET = {"starnet": 5000.0, "starnet-r2000": 2000.0, "starnet-r1000": 1000.0}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    path = arguments.weights.with_suffix(".json")
    card = json.loads(path.read_text(encoding="utf-8"))
    name = card["name"]
    resolutions = [5000.0, 2000.0, 1000.0] if name == "kinematics" else [OF_STARNET[name]]
    command = f"python benchmarks/score_networks.py {arguments.weights.name}"
    scores: dict[str, Any] = {"command": f"{command} --n {arguments.n} --seed {arguments.seed}"}
    for resolution in resolutions:
        held_out = draw(sn3(resolution), arguments.n, seed=arguments.seed, stream=STREAM)
        scores[held_out.source.title] = score(name, arguments.weights, held_out)
    card["scores"] = scores
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(scores, indent=1))


def score(name: str, weights: Path, held_out: HeldOut) -> dict[str, Any]:
    """RMS, scatter, efficiency and calibration on one set, per bin of S/N and over all."""
    prior = {"velocity_range": (-200.0, 200.0), "broadening_range": (10.0, 50.0)}
    options = {"lines": held_out.source.lines, **prior} if name == "kinematics" else {}
    architecture = name.partition("-")[0]
    measured = get_method(architecture, weights=weights, **options)(held_out.spectra)
    pit = _pit(weights, held_out, options) if name == "kinematics" else {}
    bins = [*pairwise(EDGES), (EDGES[0], EDGES[-1])]
    snr = held_out.truth["snr"]
    table = []
    for low, high in bins:
        rows = (snr >= low) & (snr < high)
        row: dict[str, Any] = {"snr": [low, high], "n": int(rows.sum())}
        for quantity in ("velocity", "broadening"):
            miss = getattr(measured, quantity) - held_out.truth[quantity]
            bound = getattr(held_out.bound, f"{quantity}_kms")
            row[quantity] = _numbers(miss, bound, rows, held_out.truth["broadening"])
            if quantity in pit:
                row[quantity] |= _calibration(pit[quantity][rows])
        table.append(row)
    return {"bins": table}


def _numbers(
    miss: np.ndarray, bound: np.ndarray, rows: np.ndarray, broadening: np.ndarray
) -> dict[str, float]:
    resolved = rows & (broadening > RESOLVED_KMS)

    def rms(values: np.ndarray) -> float:
        return float(np.sqrt(np.mean(np.square(values))))

    return {
        "rms": round(rms(miss[rows]), 3),
        "std": round(float(np.std(miss[rows])), 3),
        "rms_over_bound": round(rms(miss[rows]) / rms(bound[rows]), 3),
        "rms_over_bound_resolved": round(rms(miss[resolved]) / rms(bound[resolved]), 3),
    }


def _calibration(pit: np.ndarray) -> dict[str, float]:
    pit = np.sort(pit)
    steps = (np.arange(len(pit)) + 0.5) / len(pit)
    inside = {p: float(np.mean(np.abs(pit - 0.5) < p / 2)) for p in (0.6827, 0.9545)}
    return {
        "coverage_68": round(inside[0.6827], 4),
        "coverage_95": round(inside[0.9545], 4),
        "pit_ks": round(float(np.max(np.abs(pit - steps))), 4),
    }


def _pit(weights: Path, held_out: HeldOut, options: dict[str, Any]) -> dict[str, np.ndarray]:
    """Probability integral transform of the truth, from the posterior's closed form."""
    import equinox as eqx
    import jax

    from nebulines.cubes.network.input import NetworkInput
    from nebulines.fitting.config import FitConfig
    from nebulines.fitting.fit import resolve
    from nebulines.fitting.prepared import prepare
    from nebulines.networks.kinematics.posterior import cumulative
    from nebulines.networks.weights import load

    config = resolve(held_out.spectra, FitConfig(**options))
    given = NetworkInput(prepare(held_out.spectra, config))
    seen = given.measured(held_out.truth["velocity"], held_out.truth["broadening"])

    @eqx.filter_jit
    def transform(network: Any, here: Any) -> Any:
        mixture = network.posterior(here.features, here.snr)
        return cumulative(mixture, here.box, here.u, here.r)

    network, parts = load(str(weights)).network, []
    n, size = len(seen.u), 500
    for start in range(0, n, size):
        rows = np.minimum(np.arange(start, start + size), n - 1)
        parts.append(np.asarray(transform(network, jax.tree.map(lambda a: a[rows], seen))))  # noqa: B023
    both = np.concatenate(parts, axis=1)[:, :n]
    return {"velocity": both[0], "broadening": both[1]}


if __name__ == "__main__":
    main()
